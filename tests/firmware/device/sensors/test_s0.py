"""Pulses, bounces and spikes at an S0 input."""

from collections.abc import Callable
from typing import Any

import pytest

LOAD = {"driver": "s0", "role": "load", "pulses_per_kwh": 1000}
PULSE = [(30, 0), (30, 1)]
READ = [(0, "read")]


@pytest.mark.parametrize(
    ("steps", "counted_mwh"),
    [
        pytest.param(READ, [0], id="nothing yet"),
        pytest.param(PULSE * 3 + READ, [3000], id="three pulses"),
        pytest.param([(30, 0), *READ, (30, 1), *READ], [0, 1000], id="a pulse counts when it ends"),
        pytest.param([(30, 0), (1, 1), (1, 0), (2, 1), (1, 0), (30, 1), (1, 0), (1, 1), *READ], [1000], id="bounces"),
        pytest.param([(30, 0), (2, 1)] * 50 + READ, [0], id="spikes"),
        pytest.param([(5000, 1), *READ], [0], id="an edge that was over when it was looked at"),
        pytest.param([(30, 0), (30, 0), (30, 1), *READ], [1000], id="an edge that is told twice"),
    ],
)
def test_pulses(ask: Callable[..., Any], steps: list[Any], counted_mwh: list[int]) -> None:
    out = ask("ask_pulses.py", LOAD, steps)
    assert [sample["counters_mwh"][3] for sample in out] == counted_mwh


def test_the_milliseconds_wrap_in_the_middle_of_a_pulse(ask: Callable[..., Any]) -> None:
    # the clock of the script stands a second before 2^30 ms
    out = ask("ask_pulses.py", LOAD, [(985, 0), (30, 1), *READ])
    assert out[0]["counters_mwh"][3] == 1000


def test_pulses_per_kwh_that_do_not_divide(ask: Callable[..., Any]) -> None:
    out = ask("ask_pulses.py", {**LOAD, "pulses_per_kwh": 375}, [*PULSE, *READ] * 3)
    assert [sample["counters_mwh"][3] for sample in out] == [2666, 5333, 8000]


def test_power_is_the_time_between_pulses_and_falls_without_them(ask: Callable[..., Any]) -> None:
    # 1,000 pulses per kWh: one in 3.6 s are 1,000 W
    steps = [(3540, 1), (30, 0), (30, 1), *READ, (7200, "read"), (28_800, "read")]
    assert [sample["power_w"] for sample in ask("ask_pulses.py", LOAD, steps)] == [[1000], [500], [100]]


def test_at_the_grid_an_input_is_import_or_export(ask: Callable[..., Any]) -> None:
    grid = {**LOAD, "role": "grid"}
    imported = ask("ask_pulses.py", {**grid, "register": "import"}, PULSE + READ)[0]
    exported = ask("ask_pulses.py", {**grid, "register": "export"}, PULSE + READ)[0]
    assert imported["counters_mwh"] == [1000, None, None, None] and imported["power_w"][0] > 0
    assert exported["counters_mwh"] == [None, 1000, None, None] and exported["power_w"][0] < 0


def test_closed_may_be_high(ask: Callable[..., Any]) -> None:
    out = ask("ask_pulses.py", {**LOAD, "closed": 1}, [(30, 0), (30, 1), (30, 0), *READ])
    assert out[0]["counters_mwh"][3] == 1000
