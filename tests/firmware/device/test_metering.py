import json
from collections.abc import Callable
from typing import Any

import pytest

BIG = 2**32 * 1000


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        pytest.param([[0, 0, 0], [250, 0, 0]], [[[250, 0, 0, 250], False]], id="import is consumed"),
        pytest.param([[7, 8, 9], [7, 8, 9]], [[[0, 0, 0, 0], False]], id="what was counted before is not ours"),
        pytest.param([[0, 0, 0], [0, 300, 1000]], [[[0, 300, 1000, 700], False]], id="own generation is consumed"),
        pytest.param(
            [[0, 0, 0], [900, 0, 0], [40, 0, 0], [50, 0, 0]],
            [[[900, 0, 0, 900], False], [[940, 0, 0, 940], True], [[950, 0, 0, 950], False]],
            id="a decreasing counter is a reset and counts from zero",
        ),
        pytest.param(
            [[-100, 0, 0], [-40, 0, 0], [-90, 0, 0]],
            [[[60, 0, 0, 60], False], [[60, 0, 0, 60], True]],
            id="a reset never moves a register back",
        ),
        pytest.param(
            [[0, 0, 0], [0, 100, 70], [0, 100, 120], [0, 100, 130]],
            [[[0, 100, 70, 0], False], [[0, 100, 120, 20], False], [[0, 100, 130, 30], False]],
            id="consumption waits for a sensor that lags and owes nothing afterwards",
        ),
        pytest.param(
            [[BIG - 1, 0, 2**30 - 1], [BIG + 2**33, 0, 2**30 + 5]],
            [[[2**33 + 1, 0, 6, 2**33 + 7], False]],
            id="registers pass 2^30, 2^32 and 2^33",
        ),
    ],
)
def test_registers(on_device: Callable[..., Any], counters: list[list[int]], expected: list[object]) -> None:
    assert on_device("meter.py", json.dumps(counters)) == expected
