"""What a meter may use: the heap of an ESP32 and a part of its flash.

The heap of the unix port has words of 64 bits, an ESP32's of 32. MicroPython's objects are made of words, so 100 KB on
the ESP32 stand for 200 KB here; bytes and texts do not grow with the word, so this is the stricter test.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware.host.bundle import compile_device

DEVICE = Path(__file__).resolve().parents[3] / "firmware" / "device"
SCRIPTS = Path(__file__).resolve().parent / "scripts"
HEAP_BYTES = 200_000
START = 1_468_180_800
HOURS, INTERVALS_PER_HOUR = 24, 4
WATTS = [(400, 0), (200, 900), (0, 5000)]


@pytest.fixture(scope="session")
def compiled() -> dict[str, bytes]:
    return compile_device()


@pytest.fixture
def flashed(make_meter: Callable[..., Any], broker: Any, compiled: dict[str, bytes]) -> Any:
    """A meter with the compiled firmware in slot a."""
    meter = make_meter(broker.port, WATTS)
    for path, content in compiled.items():
        (meter.flash / "a" / path).parent.mkdir(parents=True, exist_ok=True)
        (meter.flash / "a" / path).write_bytes(content)
    for name in ("main.py", "stage.py", "slots.py"):
        shutil.copy(DEVICE / name, meter.flash)
    return meter


def test_a_day_in_the_heap_of_an_esp32_without_growth(flashed: Any, market: Any, wait: Callable[..., None]) -> None:
    shutil.copy(SCRIPTS / "day.py", flashed.flash)
    flashed.main = "day.py"
    flashed.arguments = [str(INTERVALS_PER_HOUR)]
    flashed.start(heap=f"heapsize={HEAP_BYTES}")
    flashed.wait_ready()
    flashed.tick(0)
    for interval in range(HOURS * INTERVALS_PER_HOUR):
        flashed.tick(interval + 1)
        wait(lambda interval=interval: len(market.first_heard) > interval, what=f"interval {interval}")
    heaps: list[dict[str, int]] = []

    def told() -> bool:
        heaps[:] = [event for event in flashed.events if event["event"] == "heap"]
        return len(heaps) == HOURS

    wait(told, what="the last hour's heap")
    held = [heap["held"] for heap in heaps]
    # buffers in flight come and go; nothing stays
    assert max(held[1:]) - min(held[1:]) < 3_000, held
    assert max(held[-4:]) <= max(held[1:5]) + 500, held
    # what TLS, the page and the self-test need at their worst
    assert min(heap["free"] for heap in heaps) > 70_000, heaps
    print(f"held {max(held)} of {HEAP_BYTES} bytes, free {min(heap['free'] for heap in heaps)}")


def test_the_image_fits_into_its_slots(compiled: dict[str, bytes]) -> None:
    total_bytes = sum(len(content) for content in compiled.values())
    # littlefs gives whole blocks of 4 KiB to each file that is not tiny
    blocks = sum(-(-len(content) // 4096) for content in compiled.values())
    print(f"{len(compiled)} files, {total_bytes} bytes, {blocks * 4} KiB of flash in each slot")
    assert total_bytes < 160 * 1024
    # two slots and 200 KiB of outbox are to leave half of the 2 MiB file system of a board with 4 MiB free
    assert 2 * blocks * 4 + 200 < 1024
