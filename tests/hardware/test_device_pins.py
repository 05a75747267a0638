"""The pins that the firmware takes on each board are those of hardware/pins.json, and the host finds faults before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from firmware.host import bundle, pins
from firmware.host.board import BoardError
from firmware.host.esp import CHIPS
from firmware.host.fleet import DEVICE, unix_port

ROOT = Path(__file__).parents[2]
BOARDS: dict[str, Any] = json.loads((ROOT / "hardware" / "pins.json").read_text())
WIRE = ROOT / "tests" / "firmware" / "device" / "scripts" / "wire.py"
SETTINGS: dict[str, dict[str, Any]] = {
    "atm90e32": {"phases": 3},
    "sdm": {"model": "sdm120"},
    "p1": {},
    "sml": {},
    "jsy194t": {"channel": 1},
    "pzem004t": {"address": 1, "role": "load"},
    "s0": {"pulses_per_kwh": 1000, "role": "load"},
}
"""One sensor of each driver that has a connector, without pins."""
PLACES = [
    (name, driver, port)
    for name, board in BOARDS.items()
    for driver, ports in board["drivers"].items()
    for port in ports
    if driver in SETTINGS
]


@pytest.fixture
def wire(tmp_path: Path) -> Callable[..., Any]:
    """What the device's own code makes of sensors on a board: the calls to `machine`, or its complaint."""
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")

    def run(entries: list[dict[str, Any]], board: str | None) -> Any:
        (tmp_path / "arguments.json").write_text(json.dumps([entries, True, board]))
        done = subprocess.run(
            [micropython, "-X", "heapsize=200000", WIRE, "arguments.json"],
            cwd=tmp_path,
            env={**os.environ, "MICROPYPATH": f"{DEVICE}:{ROOT / 'hardware'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def sensor(driver: str, **more: Any) -> dict[str, Any]:
    return {"role": "grid", "driver": driver, **SETTINGS[driver], **more}


GRID = {"role": "grid", "driver": "sdm", "model": "sdm120", "uart": "/dev/null"}
"""A sensor at the grid that takes none of the board's pins."""


def taken(made: list[Any]) -> dict[str, int]:
    """What a port says, found again in the calls: {"tx": …, "rx": …, "de": …} and so on."""
    found: dict[str, int] = {}
    levels = [entry[1] for entry in made if entry[0] == "Pin"]
    for entry in made:
        if entry[0] == "UART":
            found |= {"uart": entry[1], "tx": entry[2]["tx"], "rx": entry[2]["rx"]}
            found |= {"inverted": bool(entry[2]["invert"])}
            found |= {"de": levels[0]} if levels else {}
        if entry[0] == "SPI":
            found |= {name: entry[3][name] for name in ("sck", "mosi", "miso")} | {"cs": levels[-1]}
        if entry[0] == "irq":
            found |= {"pin": entry[1]}
    return found


@pytest.mark.parametrize(("board", "driver", "port"), PLACES, ids=lambda value: str(value))
def test_a_sensor_without_pins_takes_its_port(wire: Callable[..., Any], board: str, driver: str, port: str) -> None:
    usual = BOARDS[board]["drivers"][driver][0]
    entry = sensor(driver) if port == usual else sensor(driver, port=port)
    pins.check({"board": board, "sensors": [entry]}, "m001")
    entries = [entry] if entry["role"] == "grid" else [GRID, entry]
    told = wire(entries, board)
    assert isinstance(told, dict), told
    expected: Mapping[str, Any] = BOARDS[board]["ports"][port]
    found = taken(told["made"])
    shown = {name: found.get(name) for name in expected if name != "closed"}
    assert shown == {name: value for name, value in expected.items() if name != "closed"}


def test_pins_that_are_named_win(wire: Callable[..., Any]) -> None:
    entry = sensor("sdm", uart=1, tx=40, rx=41)
    assert taken(wire([entry], "pumasi-s3")["made"]) == {"uart": 1, "tx": 40, "rx": 41, "inverted": False}
    pins.check({"board": "pumasi-s3", "sensors": [entry]}, "m001")


WRONG = [
    ("pumasi-s4", [sensor("sdm")], "board: 'pumasi-s4' is none of esp32-devkit, pumasi-s3", "'pumasi-s4' is not known"),
    (
        "pumasi-s3",
        [GRID, sensor("s0", port="S0-3")],
        "sensors[1].port: 'S0-3' is none of S0-1, S0-2",
        "port 'S0-3' is none of S0-1, S0-2",
    ),
    (
        "pumasi-s3",
        [sensor("sdm"), sensor("s0"), sensor("s0", pulses_per_kwh=800)],
        "sensors[2].port: another sensor counts there already",
        "sensors[1] counts at S0-1 already",
    ),
    (
        "pumasi-s3",
        [sensor("p1"), sensor("sml", role="generation")],
        "sensors[1].uart: 1 is used with other settings by another sensor",
        None,
    ),
]


@pytest.mark.parametrize(("board", "entries", "complaint", "host"), WRONG)
def test_what_a_board_has_not(
    wire: Callable[..., Any], board: str, entries: list[dict[str, Any]], complaint: str, host: str | None
) -> None:
    assert complaint in wire(entries, board)
    if host is not None:
        with pytest.raises(BoardError, match="m001: ") as told:
            pins.check({"board": board, "sensors": entries}, "m001")
        assert host in str(told.value)


def test_without_a_board_the_pins_are_asked_for(wire: Callable[..., Any]) -> None:
    assert wire([sensor("sdm")], None) == "sensors[0].uart: not an integer from 1 to 2"
    pins.check({"sensors": [sensor("sdm")]}, "m001")


def test_a_display_needs_its_connector() -> None:
    pins.check({"board": "pumasi-s3", "sensors": [], "display": {"driver": "ssd1306"}}, "m001")
    with pytest.raises(BoardError, match="display: a pumasi-s3 has no connector for 'sh1106'"):
        pins.check({"board": "pumasi-s3", "display": {"driver": "sh1106"}}, "m001")


def test_the_map_lies_in_every_bundle_as_it_is() -> None:
    assert bundle.compile_device()["pins.json"] == (ROOT / "hardware" / "pins.json").read_bytes()


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_can_be_flashed_and_its_button_is_boot(name: str) -> None:
    """Before a meter has a configuration, firmware waits for BOOT; it must be the same button."""
    board = BOARDS[name]
    assert board["chip"] in CHIPS and board["button"] == (9 if board["chip"] == "esp32c3" else 0)
    assert isinstance(board["led"], int)
