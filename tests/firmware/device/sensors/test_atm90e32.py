"""The ATM90E32 driver against a chip that clears what is read, forgets without power, and sits on a noisy bus."""

from collections.abc import Callable
from typing import Any

import pytest

ONE = {"driver": "atm90e32", "role": "grid", "phases": 1}
THREE = {"driver": "atm90e32", "role": "grid", "phases": 3}
# total forward and reverse; of phase A they are one further on
FORWARD, REVERSE = 0x80, 0x84


def counters(answer: Any) -> list[Any]:
    return [one["counters_mwh"][:2] if isinstance(one, dict) else one for one in answer["out"]]


def test_energy_is_counted_in_eighths_of_25_mwh_without_drift(ask: Callable[..., Any]) -> None:
    steps: list[Any] = ["read"]
    for _ in range(8):
        steps += [["energy", FORWARD, 1], ["energy", REVERSE, 3], "read"]
    expected = [[count * 25 // 8, 3 * count * 25 // 8] for count in range(9)]
    assert counters(ask("ask_chip.py", THREE, steps)) == expected
    assert expected[-1] == [25, 75]


def test_counters_pass_32_bits(ask: Callable[..., Any]) -> None:
    steps: list[Any] = ["read"] + [["energy", FORWARD, 65_535], "read"] * 300
    last = counters(ask("ask_chip.py", {**THREE, "current_multiplier": 8}, steps, heap="heapsize=8M"))[-1]
    assert last == [300 * 65_535 * 25, 0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(THREE, [25, 0], id="phases cancel, as utilities count"),
        pytest.param({**THREE, "phase_sum": "each"}, [1000, 975], id="each phase on its own"),
        pytest.param(ONE, [1000, 0], id="only phase A"),
        pytest.param({**ONE, "reversed": True}, [0, 1000], id="transformer the other way round"),
    ],
)
def test_phases(ask: Callable[..., Any], settings: dict[str, Any], expected: list[int]) -> None:
    # phase A takes 1,000 mWh, phase B gives 975
    energy = [["energy", FORWARD, 8], ["energy", FORWARD + 1, 320], ["energy", REVERSE + 2, 312]]
    assert counters(ask("ask_chip.py", settings, ["read", *energy, "read"]))[-1] == expected


def test_a_restart_of_the_processor_loses_nothing_of_what_the_chip_counted(ask: Callable[..., Any]) -> None:
    answer = ask("ask_chip.py", THREE, ["read", ["energy", FORWARD, 800], "restart", "read"])
    assert counters(answer) == [[0, 0], [2500, 0]]
    assert answer["resets"] == 1


def test_a_chip_that_was_without_power_is_set_up_again(ask: Callable[..., Any]) -> None:
    steps = [
        "read",
        ["energy", FORWARD, 8],
        "read",
        "power cut",
        ["energy", FORWARD, 900],
        "read",
        ["energy", FORWARD, 8],
        "read",
    ]
    answer = ask("ask_chip.py", THREE, steps)
    # what it counted without its gains is not energy
    assert counters(answer) == [[0, 0], [25, 0], [25, 0], [50, 0]]
    assert answer["resets"] == 2


def test_disturbed_answers_lose_nothing_that_reading_has_cleared(ask: Callable[..., Any]) -> None:
    # the answer itself, and the chip's repetition of it once or twice
    steps: list[Any] = ["read", ["energy", FORWARD, 800], ["disturb", FORWARD, 1], "read"]
    steps += [["energy", FORWARD, 80], ["disturb", FORWARD, 1], ["disturb", 0x78, 1], "read"]
    steps += [["energy", FORWARD, 8], ["disturb", 0x78, 2], "read"]
    assert counters(ask("ask_chip.py", THREE, steps))[1:] == [[2500, 0], [2750, 0], [2775, 0]]


def test_a_bus_that_is_never_right_is_an_error(ask: Callable[..., Any]) -> None:
    out = counters(ask("ask_chip.py", THREE, ["read", ["disturb", 0x78, 1000], "read"]))
    assert out == [[0, 0], "damaged answers on the SPI"]


def test_without_a_chip_there_is_an_error_and_nothing_is_counted(ask: Callable[..., Any]) -> None:
    answer = ask("ask_chip.py", THREE, ["absent", "read", "present", "read", ["energy", FORWARD, 8], "read"])
    assert counters(answer) == ["the chip does not answer", [0, 0], [25, 0]]


def test_power_voltage_and_current(ask: Callable[..., Any]) -> None:
    # 1,000 W are 3,125,000 of 0.32 mW; phase B gives 500 W
    raw = {0xB1: 3_125_000 >> 16, 0xC1: 3_125_000 & 0xFFFF}
    raw |= {0xB2: (2**32 - 1_562_500) >> 16, 0xC2: (2**32 - 1_562_500) & 0xFFFF}
    raw |= {0xD9: 23_012, 0xDA: 23_100, 0xDB: 22_990, 0xDD: 4_345, 0xDE: 2_165, 0xDF: 0}
    steps = ["read", *[["set", register, value] for register, value in raw.items()], "read"]
    sample = ask("ask_chip.py", THREE, steps)["out"][-1]
    assert sample["power_w"] == [1000, -500, 0]
    assert sample["voltage_mv"] == [230_120, 231_000, 229_900]
    assert sample["current_ma"] == [4345, 2165, 0]


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        ([], []),
        ([["set", 0x71, 0x0200]], ["phase-order"]),
        ([["set", 0x72, 0x0100]], ["phase-loss"]),
        ([["set", 0x71, 0xFDFF], ["set", 0x72, 0xF8FF]], []),
    ],
)
def test_phase_order_and_loss(ask: Callable[..., Any], state: list[Any], flags: list[str]) -> None:
    assert ask("ask_chip.py", THREE, ["read", *state, "read"])["out"][-1]["flags"] == flags
    assert ask("ask_chip.py", ONE, ["read", *state, "read"])["out"][-1]["flags"] == []


def test_gains_go_where_they_belong(ask: Callable[..., Any]) -> None:
    settings = {
        **THREE,
        "frequency_hz": 60,
        "amplification": 4,
        "voltage_gain": [7305, 7306, 7307],
        "current_gain": [27961, 27962, 27963],
        "power_gain": [5237, -1, 0],
        "phase_angle": [36, -36, 0],
    }
    registers = ask("ask_chip.py", settings, ["read"])["registers"]
    expected = {"61": 7305, "65": 7306, "69": 7307, "62": 27961, "66": 27962, "6a": 27963}
    expected |= {"47": 5237, "49": 0xFFFF, "4b": 0, "48": 36, "4a": 0x8024, "4c": 0}
    expected |= {"00": 1, "31": 0x0861, "32": 0xC468, "33": 0x1087, "34": 0x002A, "0c": 5700, "0d": 6300, "7f": 0}
    assert {name: registers[name] for name in expected} == expected


def test_calibration_writes_and_tells_the_gains(ask: Callable[..., Any]) -> None:
    measured = [["set", 0xDA, 21_850], ["set", 0xDE, 4_000]]
    answer = ask(
        "ask_chip.py",
        {**THREE, "voltage_gain": [7305, 7305, 7305]},
        ["read", *measured, ["calibrate", 1, 220_000, 5_000], "read", ["calibrate", 0, 230_000, None]],
    )
    assert answer["out"][1] == {"voltage_gain": [7305, 7355, 7305], "current_gain": [32768, 40960, 32768]}
    assert (answer["registers"]["65"], answer["registers"]["66"], answer["registers"]["7f"]) == (7355, 40960, 0)
    assert answer["resets"] == 1
    assert "nothing was measured" in answer["out"][3]
