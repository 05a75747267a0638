from collections.abc import Callable
from typing import Any

import pytest

TRUE_S = 1_800_000_300


@pytest.mark.parametrize(("year", "shift_s"), [(1970, 0), (2000, 946_684_800)])
def test_a_board_counts_from_its_own_epoch_and_waits_for_a_plausible_time(
    on_device: Callable[..., Any], year: int, shift_s: int
) -> None:
    answer = on_device("tell_time.py", year)
    assert answer["shift_s"] == shift_s
    # two silences and one implausible answer before it
    assert answer["asked"] == 4
    first, second, third = answer["ticks"]
    assert TRUE_S <= first < TRUE_S + 60
    # then on the grid of 900 s, a little late at most
    assert second // 900 == first // 900 + 1 and third // 900 == second // 900 + 1
    assert third % 900 < 450
