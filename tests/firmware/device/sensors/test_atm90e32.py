"""The ATM90E32 driver against a chip that clears what is read, forgets without power, and sits on a noisy bus."""

import math
from collections.abc import Callable
from typing import Any

import pytest

NEW = {"driver": "atm90e32", "role": "grid", "phases": 1}
NEW_THREE = {**NEW, "phases": 3}
ONE = {**NEW, "voltage_gain": [7305], "current_gain": [27961]}
THREE = {**NEW_THREE, "voltage_gain": [7305] * 3, "current_gain": [27961] * 3}
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


@pytest.mark.parametrize(
    "settings",
    [
        NEW,
        NEW_THREE,
        # L2 is new
        {**NEW_THREE, "voltage_gain": [7305, 32768, 7305], "current_gain": [27961, 32768, 27961]},
    ],
)
def test_what_nobody_has_calibrated_counts_nothing(ask: Callable[..., Any], settings: dict[str, Any]) -> None:
    answer = ask("ask_chip.py", settings, ["read", ["energy", FORWARD, 800], "read"])
    assert answer["out"] == ["not calibrated yet"] * 2


# A board's usual errors: what it shows at the chip's own gains, and an angle of transformers and filters.
ERRORS = [4.31, 1.17, 1.9]
RESISTIVE, INDUCTIVE = [230.12, 4.345, 0], [229.8, 4.402, 60]


def watts(load: list[float]) -> int:
    """[mW]"""
    return round(1000 * load[0] * load[1] * math.cos(math.radians(load[2])))


def reference(load: list[float]) -> list[int]:
    """[mV, mA, mW] as a good instrument shows them."""
    return [round(1000 * load[0]), round(1000 * load[1]), watts(load)]


@pytest.mark.parametrize(
    ("settings", "errors"),
    [
        pytest.param(NEW, ERRORS, id="a new board"),
        pytest.param(NEW, [4.31, 1.17, -1.9], id="an angle of the other sign"),
        pytest.param(ONE, ERRORS, id="once more"),
        pytest.param({**NEW, "reversed": True}, [4.31, 1.17, 178.5], id="a transformer the other way round"),
        pytest.param(NEW, [0.9, 0.6, 0.3], id="gains above those of the chip"),
    ],
)
def test_a_calibrated_phase_shows_what_the_reference_shows(
    ask: Callable[..., Any], settings: dict[str, Any], errors: list[float]
) -> None:
    steps: list[Any] = [["load", *RESISTIVE], ["calibrate", 0, *reference(RESISTIVE)], ["shows", 0]]
    steps += [["load", *INDUCTIVE], ["angle", 0, *reference(INDUCTIVE)], ["shows", 0]]
    # the angle has moved the power at power factor 1 a little; then a load of neither kind
    steps += [["load", *RESISTIVE], ["calibrate", 0, *reference(RESISTIVE)], ["load", 231.5, 20.0, 36.87], ["shows", 0]]
    answer = ask("bench_chip.py", settings, errors, steps)
    sign = -1 if settings.get("reversed") else 1
    loads = [RESISTIVE, INDUCTIVE, [231.5, 20.0, 36.87]]
    assert len(answer["out"]) == len(loads), answer["out"]
    for shown, load in zip(answer["out"], loads, strict=True):
        assert sign * shown[0] == pytest.approx(watts(load), rel=8e-4)
        assert shown[1:] == pytest.approx(reference(load)[:2], rel=4e-4)


def test_the_other_phases_keep_their_gains(ask: Callable[..., Any]) -> None:
    steps = [["load", *RESISTIVE], ["calibrate", 1, *reference(RESISTIVE)]]
    gains = ask("bench_chip.py", NEW_THREE, ERRORS, steps)["gains"]
    assert [gains["voltage_gain"][phase] for phase in (0, 2)] == [32768, 32768]
    assert (gains["power_gain"][0], gains["phase_angle"]) == (0, [0, 0, 0])
    assert gains["voltage_gain"][1] == pytest.approx(32768 / 4.31, abs=2)


@pytest.mark.parametrize(
    ("load", "what", "shown", "complaint"),
    [
        ([230, 0, 0], "calibrate", [230_000, 5000, 1_150_000], "nothing was measured: is the load on"),
        ([230, 5, 180], "calibrate", [230_000, 5000, 1_150_000], "is the transformer the right way round?"),
        ([230, 5, 50], "calibrate", [230_000, 5000, 1_150_000], "is the load resistive"),
        ([230, 5, 0], "angle", [230_000, 5000, 1_150_000], "the power factor is not 0.3 to 0.8"),
        ([230, 5, 60], "angle", [230_000, 5000, 700_000], "calibrate the power gain first"),
    ],
)
def test_what_is_no_calibration_changes_nothing(
    ask: Callable[..., Any], load: list[float], what: str, shown: list[int], complaint: str
) -> None:
    settings = {**ONE, "voltage_gain": [7603], "current_gain": [28007], "power_gain": [3], "phase_angle": [-4]}
    answer = ask("bench_chip.py", settings, [4.31, 1.17, 0.05], [["load", *load], [what, 0, *shown]])
    assert complaint in answer["out"][0]
    assert answer["gains"] == {name: settings[name] for name in answer["gains"]}
