"""What ``pumasi meter`` does alike for new, replaced and renewed meters: times, and files of settings."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from firmware.host import pins
from firmware.host.board import BoardError
from market.commands.errors import CommandError
from market.commands.flash import told


def applies_at(arguments: argparse.Namespace) -> int:
    """From when a change of the members applies: the moment, or the interval that was named."""
    return int(time.time()) if arguments.since is None else int(arguments.since)


def first_interval(arguments: argparse.Namespace, document: Any) -> int:
    length_s = int(document["interval_s"])
    if arguments.since is None:
        return (int(time.time()) // length_s + 1) * length_s
    return int(arguments.since)


def read_settings(path: Path | None, allowed: frozenset[str]) -> dict[str, Any]:
    """The members of a settings file. Raises CommandError."""
    if path is None:
        return {}
    try:
        said = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict):
        raise CommandError(f"{path}: not a JSON object")
    for name in said:
        if name not in allowed:
            raise CommandError(f"{path}: {name} cannot be set; known: {', '.join(sorted(allowed))}")
    if said.get("sensors") is not None:
        _check_sensors(path, said["sensors"])
    try:
        pins.check(said, str(path))
    except BoardError as error:
        raise CommandError(told(error)) from None
    return said


def _check_sensors(path: Path, sensors: Any) -> None:
    """What a meter would refuse whatever it is: it checks the rest itself, by what it is fitted with."""
    if not isinstance(sensors, list) or not all(isinstance(sensor, dict) for sensor in sensors):
        raise CommandError(f"{path}: sensors: not a list of objects")
    if not any(sensor.get("role") == "grid" for sensor in sensors):
        raise CommandError(f"{path}: sensors: none has the role 'grid'")
    for place, sensor in enumerate(sensors):
        if (sensor.get("role"), sensor.get("driver")) == ("grid", "pzem004t"):
            raise CommandError(
                f"{path}: sensors[{place}]: a PZEM-004T measures no direction, so at the grid it cannot tell import"
                " from export; it may be generation or load"
            )
