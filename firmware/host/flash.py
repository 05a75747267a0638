"""What `pumasi flash` writes onto a board, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.host import bundle, pins
from firmware.host.board import Board, BoardError
from firmware.host.fleet import DEVICE

SLOT = "a"
OLD = ("b", "boot.a", "boot.b", "enrolled.new")
"""What an earlier life leaves beside the slot that is written: the other slot, and whose turn it was."""
OUTBOX = "outbox"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """The firmware as it lies on a board: files by path, and its version."""

    version: str
    files: Mapping[str, bytes]


def program(chip: str = "esp32", device: Path = DEVICE) -> Program:
    """Compile it. Raises BundleError."""
    version = bundle.version_of(device)
    compiled = bundle.compile_device(chip, device)
    files = {name: (device / name).read_bytes() for name in bundle.ROOT_FILES if (device / name).exists()}
    if "main.py" not in files:
        raise bundle.BundleError(f"{device}: has no main.py")
    files |= {f"{SLOT}/{path}": content for path, content in compiled.items()}
    # The manifest last: without it the slot does not count as whole.
    return Program(version, files | {f"{SLOT}/manifest.json": bundle.manifest(version, compiled)})


def identity(
    issued: Mapping[str, bytes], wifi: tuple[str, str] | None, settings: Mapping[str, Any], where: str
) -> dict[str, bytes]:
    """The files that make a board this meter: those that were issued, with Wi-Fi and settings in its configuration.

    Raises BoardError when the configuration is not one a meter can run with.
    """
    config = json.loads(issued["config.json"]) | dict(settings)
    if wifi is not None:
        config["wifi"] = {"ssid": wifi[0], "password": wifi[1]}
    if not config.get("sensors"):
        raise BoardError(
            f"{where}: nobody has said what this meter measures with",
            'give --settings FILE with {"sensors": [{"role": "grid", "driver": …}]}; docs/sensors.md has one of each',
        )
    pins.check(config, where)
    return {**issued, "config.json": json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode()}


def write_meter(board: Board, new: Program, given: Mapping[str, bytes], say: Say) -> None:
    """Write program and identity. Readings that wait on the board stay, unless they are another meter's.

    Raises BoardError.
    """
    board.hold_watchdog()
    if not _same_meter(board, given):
        board.remove(OUTBOX)
    for name in (SLOT, *OLD):
        board.remove(name)
    files = {**new.files, **given}
    total = sum(len(content) for content in files.values())
    written = 0
    for at, (path, content) in enumerate(files.items(), start=1):
        board.hold_watchdog()
        board.write(path, content)
        before, written = written, written + len(content)
        if 10 * before // total < 10 * written // total:
            say(f"    {100 * written // total:>3} %  file {at} of {len(files)}: {path}")
    say(f"    {total:,} bytes, every file read back")


def _same_meter(board: Board, given: Mapping[str, bytes]) -> bool:
    """Whether the board already is the meter that it shall be; a board without a meter counts as such."""
    found = board.read("config.json")
    if found is None or "config.json" not in given:
        return found is None and "config.json" not in given
    try:
        before, after = json.loads(found), json.loads(given["config.json"])
        return all(before.get(name) == after[name] for name in ("community", "meter"))
    except (ValueError, AttributeError):
        return False
