"""Noise on the wire never crashes a driver and never moves a register: thousands of disturbed answers each."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TELEGRAMS = Path(__file__).parent / "telegrams"
PLACES = range(20)


def floats(*values: float) -> str:
    return struct.pack(f">{len(values)}f", *values).hex()


SDM = {
    "4 72 4": [floats(800.0 + place / 8, 0.25) for place in PLACES],
    "4 0 14": [floats(230.0, 0, 0, 1.5, 0, 0, 345.0)] * len(PLACES),
}
JSY = {
    "3 72 14": [
        struct.pack(">14I", 2_300_000, 15_000, 3_450_000, 8_000_000 + place, 1000, 5, 0, 5000, *[0] * 6).hex()
        for place in PLACES
    ]
}
PZEM = {"4 0 10": [struct.pack(">10H", 2300, 1500, 0, 3450, 0, 5000 + place, 1, 500, 100, 0).hex() for place in PLACES]}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("settings", "answers", "counters_mwh"),
    [
        pytest.param(
            {"driver": "sdm", "model": "sdm120", "role": "grid"},
            SDM,
            [800_000_000 + 125_000 * place for place in PLACES],
            id="sdm",
        ),
        pytest.param(
            {"driver": "jsy194t", "channel": 1, "role": "grid"},
            JSY,
            [800_000_000 + 100 * place for place in PLACES],
            id="jsy194t",
        ),
        pytest.param(
            {"driver": "pzem004t", "role": "load"},
            PZEM,
            [(5000 + place + 65_536) * 1000 for place in PLACES],
            id="pzem004t",
        ),
    ],
)
def test_modbus(
    ask: Callable[..., Any], settings: dict[str, Any], answers: dict[str, Any], counters_mwh: list[int], seed: int
) -> None:
    told = ask("fuzz_modbus.py", settings, answers, counters_mwh, 1500, seed, heap="heapsize=8M")
    assert told["good"] > 200 and told["errors"] > 200


@pytest.mark.parametrize(
    ("settings", "file", "counter", "noise", "in_a_row"),
    [
        pytest.param({"driver": "p1"}, "dsmr-5.0-iskra.txt", "003432.829", 70, True, id="P1 with CRC"),
        pytest.param({"driver": "p1", "dsmr": 2}, "dsmr-2.2.txt", "00001.001", 60, False, id="P1 without CRC"),
        pytest.param({"driver": "sml"}, "dzg-dvs7420-household.hex", None, 70, True, id="SML, DZG"),
        pytest.param({"driver": "sml"}, "ebz-dd3.hex", None, 70, True, id="SML, eBZ"),
        pytest.param({"driver": "sml"}, "emh-ed300l-delivery.hex", None, 70, True, id="SML, EMH"),
    ],
)
def test_telegrams(
    ask: Callable[..., Any], settings: dict[str, Any], file: str, counter: str | None, noise: int, in_a_row: bool
) -> None:
    told = ask(
        "fuzz_stream.py", {"role": "grid", **settings}, str(TELEGRAMS / file), counter, 2500, noise, in_a_row, 3,
        heap="heapsize=8M",
    )  # fmt: skip
    assert told["good"] > 300
    if counter is not None:
        # and the energy is there in the end
        assert told["register"] > 2_300_000
