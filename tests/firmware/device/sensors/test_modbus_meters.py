"""SDM, JSY and PZEM meters against a slave that speaks Modbus, and misbehaves."""

import struct
from collections.abc import Callable
from typing import Any

import pytest

# Eastron's own example (SDM320Y manual, page 42, and the note in many drivers): 01 04 04 43 66 33 34 1B 38 is 230.2 V
VOLTS = 0x43663334
# a real SDM630's power of its first phases, feeding in (arendst/Tasmota issue 17671): 010404C32C9822EDD0, -172.594 W
# and 010404C109B865A451, -8.607 W; its third was 010404C297EA02B971, -75.957 W
WATTS = (0xC32C9822, 0xC109B865, 0xC297EA02)
# the same meter's imports of its phases [kWh]; a real SDM630's totals (nmakel/sdm_modbus issue 15): 804.9 and 0.372 kWh
IMPORTED = struct.unpack(">I", struct.pack(">f", 804.8999633789062))[0]
EXPORTED = struct.unpack(">I", struct.pack(">f", 0.37199997901916504))[0]

ENERGY = struct.pack(">2I", IMPORTED, EXPORTED).hex()
# voltage, (two not used), current, (two), power: a float each
ONE = struct.pack(">7I", VOLTS, 0, 0, 0x3F400000, 0, 0, WATTS[0]).hex()
THREE = struct.pack(">9I", VOLTS, VOLTS, VOLTS, 0x3F400000, 0, 0x3F800000, *WATTS).hex()
SDM120 = {"4 0x48 4": ENERGY, "4 0 14": ONE}

# a PZEM-004T's answer (arendst/Tasmota issue 11817): 242.7 V, 14.167 A, 3,247.2 W, 7,775 Wh, 50.0 Hz, 0.94
PZEM = {"4 0 10": "097b375700007ed800001e5f000001f4005e0000"}
# and one with its high word in use (issue 11118): 241.3 V, 29.037 A, 6,892.3 W, 7,926 Wh
PZEM_HIGH = {"4 0 10": "096d716d00000d3b00011ef6000001f400620000"}


def jsy(first: tuple[int, ...], second: tuple[int, ...], directions: tuple[int, int]) -> dict[str, str]:
    """A JSY-MK-194T's answer, made by its register list; no recorded one was found.

    Of each channel: voltage, current, power, positive energy, power factor, negative energy.
    """
    data = (
        struct.pack(">6I", *first) + bytes((*directions, 0, 0)) + struct.pack(">I", 5000) + struct.pack(">6I", *second)
    )
    return {"3 0x48 14": data.hex()}


JSY = jsy((2_301_234, 12_345, 2_750_000, 4_294_967_295, 968, 1_234), (2_301_234, 5, 600_000, 0, 1000, 77), (0, 1))


def read(ask: Callable[..., Any], settings: dict[str, Any], blocks: dict[str, str], *faults: list[str]) -> Any:
    return ask("ask_modbus.py", settings, blocks, list(faults) or [[]])


@pytest.mark.parametrize(
    ("settings", "blocks", "expected"),
    [
        pytest.param(
            {"driver": "sdm", "model": "sdm120", "role": "grid"},
            SDM120,
            {"counters_mwh": [804_899_963, 371_999, None, None], "power_w": [-172]},
            id="SDM120 at the grid",
        ),
        pytest.param(
            {"driver": "sdm", "model": "sdm230", "role": "grid", "reversed": True},
            SDM120,
            {"counters_mwh": [371_999, 804_899_963, None, None], "power_w": [172]},
            id="SDM230 wired the other way round",
        ),
        pytest.param(
            {"driver": "sdm", "model": "sdm120", "role": "load"},
            SDM120,
            {"counters_mwh": [None, None, None, 804_899_963], "power_w": [-172]},
            id="SDM120 at a load",
        ),
        pytest.param(
            {"driver": "sdm", "model": "sdm630", "role": "grid", "address": 247},
            {"4 0x48 4": ENERGY, "4 0 18": THREE},
            {
                "counters_mwh": [804_899_963, 371_999, None, None],
                "power_w": [-172, -8, -75],
                "voltage_mv": [230_200] * 3,
                "current_ma": [750, 0, 1000],
            },
            id="SDM630",
        ),
        pytest.param(
            {"driver": "jsy194t", "channel": 1, "role": "grid"},
            JSY,
            # 2^32 - 1 of 0.1 Wh
            {
                "counters_mwh": [429_496_729_500, 123_400, None, None],
                "power_w": [275],
                "voltage_mv": [230_123],
                "current_ma": [1234],
            },
            id="JSY channel 1",
        ),
        pytest.param(
            {"driver": "jsy194t", "channel": 2, "role": "generation", "reversed": True},
            JSY,
            {"counters_mwh": [None, None, 7_700, None], "power_w": [60]},
            id="JSY channel 2, backwards",
        ),
        pytest.param(
            {"driver": "pzem004t", "role": "generation"},
            PZEM,
            {
                "counters_mwh": [None, None, 7_775_000, None],
                "power_w": [3247],
                "voltage_mv": [242_700],
                "current_ma": [14_167],
            },
            id="PZEM on a roof",
        ),
        pytest.param(
            {"driver": "pzem004t", "role": "load"},
            PZEM_HIGH,
            {"counters_mwh": [None, None, None, 7_926_000], "power_w": [6892]},
            id="PZEM at a load, more than 16 bits",
        ),
    ],
)
def test_values(
    ask: Callable[..., Any], settings: dict[str, Any], blocks: dict[str, str], expected: dict[str, Any]
) -> None:
    sample = read(ask, settings, blocks)["out"][0]
    assert {name: sample[name] for name in expected} == expected


def test_the_question_is_the_one_of_the_manuals(ask: Callable[..., Any]) -> None:
    answer = read(ask, {"driver": "jsy194t", "channel": 1, "role": "grid"}, JSY)
    assert answer["requests"] == ["01030048000e4418"]
    assert answer["line"] == [[4800, 8, None, False]]
    answer = read(ask, {"driver": "pzem004t", "role": "load"}, PZEM)
    assert answer["requests"] == ["01040000000a700d"]


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ({"model": "sdm120"}, [2400, 8, None, False]),
        ({"model": "sdm630"}, [9600, 8, None, False]),
        ({"model": "sdm230", "baudrate": 19200, "parity": "even"}, [19200, 8, 0, False]),
    ],
)
def test_the_line_is_set_as_the_meter_wants_it(
    ask: Callable[..., Any], model: dict[str, Any], line: list[object]
) -> None:
    assert read(ask, {"driver": "sdm", "role": "grid", **model}, SDM120)["line"] == [line]


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("silence", "no answer"),
        ("crc", "damaged answer"),
        ("short", "damaged answer|the answer broke off"),
        ("busy", "refused, Modbus exception 6"),
        ("other", "address 2 answered instead"),
        ("function", "an answer to something else|damaged answer"),
        ("noise", "damaged answer"),
        ("late", "no answer"),
    ],
)
def test_a_fault_is_asked_again_and_three_are_an_error(ask: Callable[..., Any], fault: str, complaint: str) -> None:
    settings = {"driver": "sdm", "model": "sdm120", "role": "grid"}
    twice, thrice, after = read(ask, settings, SDM120, [fault] * 2, [fault] * 3, [])["out"]
    assert twice["counters_mwh"] == after["counters_mwh"] == [804_899_963, 371_999, None, None]
    assert thrice in complaint.split("|")


def test_a_transceiver_may_hear_itself(ask: Callable[..., Any]) -> None:
    out = read(ask, {"driver": "sdm", "model": "sdm120", "role": "grid"}, SDM120, ["echo", "echo"])["out"]
    assert out[0]["counters_mwh"] == [804_899_963, 371_999, None, None]


@pytest.mark.parametrize(
    ("bits", "complaint"),
    [
        (0x7F800000, "a register that is no number"),
        (0xFFC00000, "a register that is no number"),
        (0xC2C80000, "a counter of -100000 Wh"),
        (0x7F000000, "a counter of"),
    ],
)
def test_a_counter_that_cannot_be_is_an_error(ask: Callable[..., Any], bits: int, complaint: str) -> None:
    energy = struct.pack(">2I", bits, EXPORTED).hex()
    out = read(ask, {"driver": "sdm", "model": "sdm120", "role": "grid"}, {**SDM120, "4 0x48 4": energy})["out"]
    assert out[0].startswith(complaint)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"driver": "pzem004t", "role": "grid"}, "role: a PZEM-004T measures no direction, so it cannot tell import"),
        ({"driver": "pzem004t", "role": "load", "reversed": True}, "reversed: a PZEM-004T measures no direction"),
        ({"driver": "sdm", "role": "grid"}, "model: not one of sdm120, sdm230, sdm630"),
        ({"driver": "sdm", "role": "grid", "model": "sdm120", "address": 248}, "address: not an integer from 1 to 247"),
        ({"driver": "sdm", "role": "grid", "model": "sdm120", "baudrate": 300}, "baudrate: not one of 1200, 2400"),
        ({"driver": "sdm", "role": "grid", "model": "sdm120", "reversed": 1}, "reversed: neither true nor false"),
        ({"driver": "jsy194t", "role": "grid"}, "channel: not one of 1, 2"),
        ({"driver": "jsy194t", "role": "grid", "channel": True}, "channel: not one of 1, 2"),
        ({"driver": "sdm", "role": "roof", "model": "sdm120"}, "role: not one of grid, generation, load"),
        ({"driver": "crystal ball", "role": "grid"}, "driver: not one of atm90e32, jsy194t, p1,"),
    ],
)
def test_a_wrong_setting_is_named_with_the_reason(
    ask: Callable[..., Any], settings: dict[str, Any], complaint: str
) -> None:
    assert read(ask, settings, {})["out"][0].startswith("configuration: " + complaint)
