"""P1 and SML meters: recorded telegrams, whole, in pieces, damaged. Each file of `telegrams/` names its source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TELEGRAMS = Path(__file__).parent / "telegrams"
P1 = {"driver": "p1", "role": "grid"}
SML = {"driver": "sml", "role": "grid"}
START = "1b1b1b1b01010101"


def read(ask: Callable[..., Any], settings: dict[str, Any], *parts: str | tuple[str, int], piece: int = 64) -> Any:
    named = [(part, 1) if isinstance(part, str) else part for part in parts]
    paths = [(str(TELEGRAMS / part) if "." in part else part, repeats) for part, repeats in named]
    return ask("ask_stream.py", settings, paths, piece)


@pytest.mark.parametrize(
    ("settings", "file", "expected"),
    [
        pytest.param(
            {**P1, "dsmr": 2},
            "dsmr-2.2.txt",
            {"counters_mwh": [2_002_000, 2_002_000, None, None], "power_w": [1010]},
            id="DSMR 2.2, tariffs summed",
        ),
        pytest.param(
            {**P1, "dsmr": 4},
            "dsmr-4.2-kaifa.txt",
            {
                "counters_mwh": [3_016_829_000, 0, None, None],
                "power_w": [170, 1247, 209],
                "voltage_mv": [],
                "current_ma": [0, 6000, 2000],
            },
            id="DSMR 4.2, three phases",
        ),
        pytest.param(
            P1,
            "dsmr-5.0-iskra.txt",
            {
                "counters_mwh": [6_657_461_000, 0, None, None],
                "power_w": [45, 10, 379],
                "voltage_mv": [236_700, 234_500, 236_000],
            },
            id="DSMR 5.0, three phases",
        ),
        pytest.param(
            P1,
            "esmr-5.0-xs210.txt",
            {"counters_mwh": [51_775_000, 24_413_000, None, None], "power_w": [335]},
            id="ESMR 5.0, one phase, has fed in",
        ),
        pytest.param(
            P1,
            "sagemcom-t210.txt",
            {"counters_mwh": [6_545_766_000, 58_000, None, None], "power_w": [286]},
            id="totals beside tariffs are not counted twice",
        ),
        pytest.param(
            {**P1, "reversed": True},
            "sagemcom-t210.txt",
            {"counters_mwh": [58_000, 6_545_766_000, None, None], "power_w": [-286]},
            id="the other way round",
        ),
        pytest.param(
            P1,
            "easymeter-q3d.txt",
            # 52,185.7825309 and 19,949.3221493 kWh, rounded down
            {"counters_mwh": [52_185_782_530, 19_949_322_149, None, None], "power_w": [747, 737, 639]},
            id="D0 interface",
        ),
        pytest.param(
            SML,
            "dzg-dvs7420-household.hex",
            {"counters_mwh": [607_447_100, 1_266_728_600, None, None], "power_w": [215]},
            id="DZG household",
        ),
        pytest.param(
            SML,
            "dzg-dvs7412-unsigned.hex",
            {"counters_mwh": [5_430_157_700, 26_244_572_600, None, None], "power_w": [356]},
            id="DZG that sends an unsigned number as signed",
        ),
        pytest.param(
            {**SML, "role": "generation", "reversed": True},
            "dzg-dvs7420-generator.hex",
            {"counters_mwh": [None, None, 1_500_321_300, None], "power_w": [105]},
            id="DZG at a generator",
        ),
        pytest.param(
            SML,
            "emh-ed300l-delivery.hex",
            {"counters_mwh": [17_243_675_600, None, None, None], "power_w": [-126]},
            id="EMH whose direction is in the status word",
        ),
        pytest.param(
            SML,
            "ebz-dd3.hex",
            # 45,009,189,911 and 219,800,000 of 0.00001 Wh
            {"counters_mwh": [450_091_899, 2_198_000, None, None], "power_w": [82, 27, 243]},
            id="eBZ, three phases, 64 bits",
        ),
        pytest.param(
            SML,
            "holley-dtz541.hex",
            {"counters_mwh": [2_355_929_000, None, None, None], "power_w": [376]},
            id="Holley, with its own idea of times",
        ),
    ],
)
def test_recorded_telegrams(
    ask: Callable[..., Any], settings: dict[str, Any], file: str, expected: dict[str, Any]
) -> None:
    # the end of an earlier telegram goes before, and a meter without a CRC is asked for two
    samples = read(ask, settings, ("0d0a" if file.endswith(".txt") else START[4:]), (file, 2))
    assert {name: samples[0][name] for name in expected} == expected
    assert samples[0]["flags"] == []


@pytest.mark.parametrize("piece", [1, 3, 7, 64, 256])
@pytest.mark.parametrize(("settings", "file"), [(P1, "dsmr-5.0-iskra.txt"), (SML, "dzg-dvs7420-household.hex")])
def test_a_telegram_may_come_in_any_pieces(
    ask: Callable[..., Any], settings: dict[str, Any], file: str, piece: int
) -> None:
    whole = read(ask, settings, file, piece=1000)[0]
    assert whole["counters_mwh"][0] is not None
    # a reading that begins in the middle of a telegram takes the next
    assert read(ask, settings, (file, 2), piece=piece)[0] == whole


def test_what_a_slow_reader_recorded_is_passed_over(ask: Callable[..., Any]) -> None:
    samples = read(ask, SML, "emh-ed300l-damaged.hex", "emh-ed300l-delivery.hex")
    assert samples[0]["counters_mwh"][0] == 17_243_675_600


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        pytest.param(P1, ["00"], id="nothing to speak of"),
        pytest.param(P1, [("2f", 3000)], id="beginnings without end"),
        pytest.param(P1, [("2f610a", 1), ("61", 5000)], id="a line without end"),
        pytest.param(P1, [("2f610a", 1), ("610a", 9000)], id="a telegram without end"),
        pytest.param(P1, ["2f610d0a210d0a" * 2], id="a telegram about nothing"),
        pytest.param(P1, ["dsmr-2.2.txt"], id="one telegram without a CRC is not enough"),
        pytest.param(SML, [(START, 600)], id="starts without end"),
        pytest.param(SML, [(START, 1), ("76", 5000)], id="a file without end"),
        pytest.param(SML, ["emh-ed300l-damaged.hex"], id="a damaged file"),
    ],
)
def test_without_a_telegram_the_wait_ends(ask: Callable[..., Any], settings: dict[str, Any], parts: list[Any]) -> None:
    assert set(read(ask, settings, *parts)) == {"no telegram"}


def with_crc(content: str) -> str:
    """An SML file around `content`, padded."""
    data = bytes.fromhex(content)
    padding = -len(data) % 4
    whole = bytes.fromhex(START) + data + bytes(padding) + bytes.fromhex("1b1b1b1b1a") + bytes([padding])
    value = 0xFFFF
    for byte in whole:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return (whole + (value ^ 0xFFFF).to_bytes(2, "little")).hex()


def message(entry: str, entries: int = 1) -> str:
    listed = "7706" + "01" + "0b0102030405060708090a" + "01" + "01" + f"7{entries}" + entry + "01" + "01"
    return "76" + "0401020362006200" + "72" + "630701" + listed.replace("7706", "77", 1) + "631234" + "00"


IMPORT = "77070100010800ff0101621e52ff"


def test_escapes_inside_a_file_are_undone(ask: Callable[..., Any]) -> None:
    # the meter's number has four escape bytes, on a word's boundary, and is sent with eight
    content = message(IMPORT + "650000002a01")
    good = read(ask, SML, with_crc(content))[0]
    assert good["counters_mwh"][0] == 4_200
    number = "0b0102030405060708090a"
    assert number in content
    at = (len(content[: content.index(number)]) // 2 + 1) % 4
    # ten bytes, of which four lie on a word
    plain = bytes(range(1, 11))
    shift = -at % 4
    doubled = plain[:shift] + b"\x1b" * 8 + plain[shift + 4 :]
    file = with_crc(content.replace(number, "0b" + doubled.hex()))
    assert read(ask, SML, file)[0]["counters_mwh"][0] == 4_200


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("77070100010800ff0101621e5255" + "650000002a01", "a scaler beyond ten"),
        (IMPORT + "55ffffff0001", "a counter below zero"),
        # 2^36 tenths of a Wh are 6.9 GWh; 20-digit counters, and scaled by 10^10
        (IMPORT + "69000000100000000001", "a counter beyond 4.3 GWh"),
        (IMPORT + "697fffffffffffffff01", "a counter beyond 4.3 GWh"),
        ("77070100010800ff0101621e520a" + "697fffffffffffffff01", "a counter beyond 4.3 GWh"),
        (IMPORT + "650000002a", "a length beyond the end|broken off|no list"),
        (IMPORT + "8f8f8f8f00", "a length of more than three bytes"),
        (IMPORT + "f1" * 40, "a length"),
    ],
)
def test_a_file_with_a_right_crc_and_wrong_content(ask: Callable[..., Any], entry: str, complaint: str) -> None:
    said = read(ask, SML, with_crc(message(entry)))[0]
    assert said.startswith("a telegram that cannot be read: ")
    assert any(part in said for part in complaint.split("|"))


def test_a_file_about_something_else_is_waited_over(ask: Callable[..., Any]) -> None:
    other = with_crc(message("77070100600100ff0101010102aa01"))
    assert read(ask, SML, other, with_crc(message(IMPORT + "650000002a01")))[0]["counters_mwh"][0] == 4_200
