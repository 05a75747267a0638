"""Pins and lines of a board as sensors ask for them, and what the values say about the wiring."""

from collections.abc import Callable
from typing import Any

import pytest

P1 = {"role": "grid", "driver": "p1", "uart": 1, "tx": 17, "rx": 18}
JSY = {"driver": "jsy194t", "uart": 2, "tx": 4, "rx": 5}
ATM = {"role": "grid", "driver": "atm90e32", "phases": 3, "sck": 12, "mosi": 11, "miso": 13, "cs": 10}
S0 = {"role": "load", "driver": "s0", "pulses_per_kwh": 800, "pin": 6}


def uart(number: int, baudrate: int, tx: int, rx: int, **other: Any) -> list[Any]:
    plain = {"bits": 8, "parity": None, "stop": 1, "timeout": 0, "rxbuf": 2048, "invert": 0}
    return ["UART", number, {**plain, "baudrate": baudrate, "tx": tx, "rx": rx, **other}]


@pytest.mark.parametrize(
    ("entries", "made"),
    [
        pytest.param([P1], [uart(1, 115_200, 17, 18, invert=4)], id="P1 turns its signal round"),
        pytest.param(
            [{**P1, "dsmr": 2, "inverted": False}], [uart(1, 9600, 17, 18, bits=7, parity=0)], id="an older P1"
        ),
        pytest.param(
            [{**JSY, "role": "grid", "channel": 1}, {**JSY, "role": "generation", "channel": 2}],
            [uart(2, 4800, 4, 5)],
            id="two channels share one line",
        ),
        pytest.param(
            [{**P1, "driver": "sdm", "model": "sdm230", "parity": "even", "de": 16}],
            [uart(1, 9600, 17, 18, parity=0), ["Pin", 16, [1], {"value": 0}]],
            id="RS-485 with a direction pin",
        ),
        pytest.param(
            [ATM],
            [
                ["Pin", 12, [], {}],
                ["Pin", 11, [], {}],
                ["Pin", 13, [], {}],
                ["SPI", 1, 200_000, {"polarity": 1, "phase": 1, "sck": 12, "mosi": 11, "miso": 13}],
                ["Pin", 10, [1], {"value": 1}],
            ],
            id="SPI",
        ),
        pytest.param(
            [{**P1, "driver": "sml"}, S0], [uart(1, 9600, 17, 18), ["Pin", 6, [0, 2], {}], ["irq", 6, 5]], id="S0"
        ),
        pytest.param(
            [{**P1, "driver": "sml"}, {**S0, "counter": 3, "closed": 1}],
            [
                uart(1, 9600, 17, 18),
                ["Pin", 6, [0, 3], {}],
                ["Counter", 3, 6, {"edge": 2, "filter_ns": 12_000}],
            ],
            id="S0 counted in hardware",
        ),
    ],
)
def test_what_is_made_of_the_board(ask: Callable[..., Any], entries: list[Any], made: list[Any]) -> None:
    told = ask("wire.py", entries, True)
    assert told["made"] == made
    assert told["sensors"] == [[entry["role"], entry["driver"]] for entry in entries]
    assert told["tags"] == len(entries)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        (
            [{**JSY, "role": "grid", "channel": 1}, {**JSY, "role": "load", "driver": "pzem004t"}],
            "sensors[1].uart: 2 is used with other settings by another sensor",
        ),
        ([{**P1, "rx": 99}], "sensors[0].rx: not an integer from 0 to 48"),
        ([{**P1, "de": "x"}], "sensors[0].de: not an integer from 0 to 48"),
        ([{**P1, "de": 24}], "sensors[0]: this board refuses it: invalid pin"),
        ([P1, {**S0, "pin": 30}], "sensors[1]: this board refuses it: invalid pin"),
        ([{**ATM, "phases": 2}], "sensors[0].phases: not one of 1, 3"),
        ([{**ATM, "voltage_gain": [1, 2]}], "sensors[0].voltage_gain: not a list of 3 integers"),
        ([{**ATM, "voltage_gain": [1, 2, 0]}], "sensors[0].voltage_gain: not 3 integers from 1 to 65535"),
        ([{**ATM, "phase_sum": "some"}], "sensors[0].phase_sum: not one of net, each"),
        ([P1, {**S0, "counter": 0}], "sensors[1].counter: this MicroPython has no machine.Counter; leave it out"),
        ([P1, {**S0, "register": "import"}], "sensors[1].register: only the role grid has one"),
        ([P1, {**S0, "reversed": True}], "sensors[1].reversed: a pulse has no direction; register says which one"),
        ([{**S0, "role": "grid"}], "sensors[0].register: not one of import, export"),
        ([P1, {**S0, "debounce_ms": 0}], "sensors[1].debounce_ms: not an integer from 1 to 1000"),
    ],
)
def test_what_cannot_be_is_named(ask: Callable[..., Any], entries: list[Any], complaint: str) -> None:
    assert ask("wire.py", entries, False).startswith(complaint)


@pytest.mark.parametrize(
    ("role", "power_w", "expected"),
    [
        ("load", [1200, 0, 3], []),
        ("load", [1200, -20, 3], []),
        ("load", [1200, -800, 3], ["phase 2 shows -800 W and a load cannot give power back"]),
        ("generation", [-3000], ["phase 1 shows -3000 W and a generator cannot take that much"]),
        ("generation", [-8], []),
        ("grid", [-3000, 100, 5], []),
    ],
)
def test_a_reversed_transformer_is_found(
    ask: Callable[..., Any], role: str, power_w: list[int], expected: list[str]
) -> None:
    said = ask("judge.py", "reversed_ct", [[power_w, []]], [role])
    assert [line.split(":")[0] for line in said] == expected
    assert all(line.endswith(": turn its current transformer round") for line in said)


@pytest.mark.parametrize(
    ("role", "before", "after", "expected"),
    [
        pytest.param("grid", [300, 0, 0], [2250, 0, 0], None, id="it is seen"),
        pytest.param("grid", [-3000, 0, 0], [-1040, 0, 0], None, id="with sun on the roof"),
        pytest.param("grid", [300, 0, 0], [-1700, 0, 0], "phase 1 fell by 2000 W", id="reversed"),
        pytest.param("grid", [0, 50, 0], [0, -1950, 0], "phase 2 fell by 2000 W", id="reversed on the second phase"),
        pytest.param("load", [0], [0], "the load of 2000 W is not seen", id="another circuit"),
        pytest.param("generation", [100], [90], None, id="a roof has nothing to do with it"),
    ],
)
def test_a_load_that_is_switched_on(
    ask: Callable[..., Any], role: str, before: list[int], after: list[int], expected: str | None
) -> None:
    said = ask("judge.py", "load_answers", [[before, []], [after, []]], [role, 2000])
    assert said is None if expected is None else said.startswith(expected)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], None),
        (["phase-order"], "the phases do not come"),
        (["phase-order", "phase-loss"], "a phase has no voltage"),
    ],
)
def test_phase_order(ask: Callable[..., Any], flags: list[str], expected: str | None) -> None:
    said = ask("judge.py", "phase_order", [[[0, 0, 0], flags]], [])
    assert said is None if expected is None else said.startswith(expected)
