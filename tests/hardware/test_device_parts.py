"""Button, light and display are where the board has them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firmware.host.fleet import DEVICE, unix_port
from firmware.host.pins import boards

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=sorted(boards()))
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    done = subprocess.run(
        [micropython, "-X", "heapsize=400000", Path(__file__).with_name("board_parts.py"), request.param],
        cwd=tmp_path,
        env={**os.environ, "MICROPYPATH": f"{DEVICE}:{ROOT / 'hardware'}:.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {"board": boards()[request.param], **json.loads(done.stdout.splitlines()[-1])}


def test_they_are_where_the_map_says(told: dict[str, Any]) -> None:
    board = told["board"]
    bus = board["ports"]["I2C"]
    assert told["made"] == [
        ["Pin", board["button"]],
        ["Pin", board["led"]],
        ["Pin", bus["scl"]], ["Pin", bus["sda"]], ["I2C", bus["scl"], bus["sda"]],
        ["Pin", 9], ["Pin", 8], ["I2C", 9, 8],
    ]  # fmt: skip


def test_the_light_says_how_it_is(told: dict[str, Any]) -> None:
    well, away, deaf = told["lights"]
    assert well == [[0, 1]]
    assert away == [[0, 1], [200, 0]]
    assert deaf == [[0, 1], [200, 0], [400, 1], [600, 0]]
