"""What drivers cost: heap in the unix port, whose words are twice as large as the ESP32's, and wear of the flash."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TELEGRAMS = Path(__file__).parent / "telegrams"
HALF = 2
"""Bytes in the unix port for one on the ESP32."""

SDM = {"4 72 4": struct.pack(">2f", 800, 1).hex(), "4 0 18": struct.pack(">9f", *range(9)).hex()}
DRIVERS = {
    "atm90e32": ({"phases": 3, "voltage_gain": [7305] * 3, "current_gain": [27961] * 3}, None),
    "sdm": ({"model": "sdm630"}, SDM),
    "jsy194t": ({"channel": 1}, {"3 72 14": bytes(56).hex()}),
    "pzem004t": ({"role": "load"}, {"4 0 10": bytes(20).hex()}),
    "p1": ({}, "dsmr-5.0-iskra.txt"),
    "sml": ({}, "ebz-dd3.hex"),
    "s0": ({"role": "load", "pulses_per_kwh": 1000}, None),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_fits_beside_everything_else(ask: Callable[..., Any], driver: str) -> None:
    settings, said = DRIVERS[driver]
    if isinstance(said, str):
        said = str(TELEGRAMS / said)
    # 100 KB on the ESP32
    taken = ask("weigh.py", {"role": "grid", "driver": driver, **settings}, said, heap="heapsize=200000")
    print(driver, taken)
    # compiled on the host, a driver is smaller still
    assert taken["import"] <= 20_000 * HALF
    assert taken["sensor"] <= 1500 * HALF
    # garbage included: as if nothing were collected during a reading
    assert taken["reading"] <= 24_000 * HALF
    assert taken["kept"] <= 1500 * HALF


@pytest.mark.parametrize("sensors", [1, 3])
def test_saving_every_minute_wears_the_flash_little(ask: Callable[..., Any], sensors: int) -> None:
    told = ask("wear.py", 1440, sensors, heap="heapsize=16M")
    print(told)
    # littlefs spreads it over all free blocks; one bears 100,000 erasures, and these are ten years
    assert told["saves"] == 1440
    assert told["erased"] * 3650 / told["blocks"] < 15_000
    assert told["most"] < 100
