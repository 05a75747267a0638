"""How far a series has come: a small file beside the record.

The series is a projection of the record. Its position is the number of the last gate closure whose
points it holds; a crash between the two writes only makes the same points be written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from market.series.environment import PASSWORD, TOKEN, URL

POSITION_FILE = "series-position.json"


def series_name(environ: Mapping[str, str]) -> str:
    """What the configured series is called in the file: the InfluxDB's address and database, or ``embedded``."""
    place = environ.get(TOKEN[-1]) or environ.get(PASSWORD[-1]) or ""
    return f"{environ[URL]} {place}" if environ.get(URL) else "embedded"


def read_position(directory: Path, name: str) -> int:
    """The number of the last gate closure that stands in the series ``name``; 0 when none does."""
    position = _positions(directory / POSITION_FILE).get(name)
    return position if isinstance(position, int) else 0


def write_position(directory: Path, name: str, position: int) -> None:
    """Replace the position of the series ``name``; a market and a rebuild may do so side by side."""
    path = directory / POSITION_FILE
    positions = _positions(path)
    positions[name] = position
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(positions))
    fresh.replace(path)


def _positions(path: Path) -> dict[str, object]:
    """What the file says; nothing when it is not there or damaged: then the series is written from the beginning."""
    try:
        positions = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return positions if isinstance(positions, dict) else {}
