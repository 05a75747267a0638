"""The boards whose pins are known: what `pumasi flash` can find wrong before a board is touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from firmware.host.board import BoardError
from firmware.host.bundle import PINS

PULSES = "s0"
"""Two of these cannot be at one connector; the others share a bus."""
NAMED = {"atm90e32": "sck", "ssd1306": "scl", "s0": "pin"}
"""The setting that tells that pins are given; a serial line's otherwise."""


@cache
def boards() -> dict[str, dict[str, Any]]:
    """Every board by name, as hardware/pins.json has it."""
    found: dict[str, dict[str, Any]] = json.loads(PINS.read_bytes())
    return found


def check(config: Mapping[str, Any], where: str) -> None:
    """Raises BoardError, with `where` before it, unless the board of a config.json is known and has what it needs."""
    name = config.get("board")
    if name is None:
        return
    if name not in boards():
        raise BoardError(
            f"{where}: board {name!r} is not known; known are {', '.join(sorted(boards()))}",
            "for any other board leave it out and name the pins of each sensor: docs/sensors.md",
        )
    taken: dict[str, int] = {}
    for index, sensor in enumerate(config.get("sensors") or ()):
        port = _port(name, sensor, f"{where}: sensors[{index}]")
        if port is not None and sensor["driver"] == PULSES and taken.setdefault(port, index) != index:
            others = ", ".join(boards()[name]["drivers"][PULSES])
            raise BoardError(
                f"{where}: sensors[{index}]: sensors[{taken[port]}] counts at {port} already",
                f'say where each is connected: "port" is one of {others}',
            )
    if config.get("display"):
        _port(name, config["display"], f"{where}: display")


def _port(name: str, entry: Mapping[str, Any], where: str) -> str | None:
    """The connector whose pins the firmware will take, or None where it needs none."""
    driver, board = entry.get("driver"), boards()[name]
    if driver == "simulated" or entry.get(NAMED.get(str(driver), "uart")) is not None:
        return None
    if driver not in board["drivers"]:
        raise BoardError(
            f"{where}: a {name} has no connector for {driver!r}; it has them for {', '.join(board['drivers'])}",
            "name its pins where it is connected otherwise: docs/sensors.md",
        )
    ports: list[str] = board["drivers"][driver]
    chosen = entry.get("port", ports[0])
    if chosen not in ports:
        raise BoardError(f"{where}: port {chosen!r} is none of {', '.join(ports)}")
    return str(chosen)
