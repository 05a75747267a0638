"""MicroPython images, and the command lines by which esptool and mpflash put them onto a chip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.host.board import BoardError, optional

IMAGE_MAGIC = 0xE9
HEADER_BYTES = 24
MIN_IMAGE_BYTES = 256 * 1024
BAUD = 460_800
LINES_KEPT = 40


@dataclass(frozen=True)
class Chip:
    """How a chip is written: esptool's name, MicroPython's board, the id in image headers, where the image begins."""

    name: str
    board: str
    image_id: int
    offset: int


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("esp32", "ESP32_GENERIC", 0, 0x1000),
        Chip("esp32s3", "ESP32_GENERIC_S3", 9, 0),
        Chip("esp32c3", "ESP32_GENERIC_C3", 5, 0),
    )
}
"""image_id and offset: the image header's extended fields, and the second-stage bootloader's place (Espressif, ESP-IDF
programming guide, "App image format" and "Bootloader")."""

Runner = Callable[[Sequence[str], Mapping[str, str]], str]
"""Runs a command line with additions to the environment, shows what it says and returns that. Raises BoardError."""


def image_chip(path: Path) -> Chip:
    """The chip that a MicroPython image is for, by its header. Raises BoardError for what is no such image."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror}") from None
    if len(head) < HEADER_BYTES or head[0] != IMAGE_MAGIC or size < MIN_IMAGE_BYTES:
        advice = "a .bin file from micropython.org for ESP32, ESP32-S3 or ESP32-C3 is what is needed"
        if path.suffix == ".uf2" or head[:4] == b"UF2\n":
            advice = "this is a .uf2 file; take the .bin of the same board"
        raise BoardError(f"{path}: is no image for an ESP32", advice)
    image_id = int.from_bytes(head[12:14], "little")
    for chip in CHIPS.values():
        if chip.image_id == image_id:
            return chip
    raise BoardError(f"{path}: is for another chip (id {image_id}); the firmware knows {', '.join(CHIPS)}")


def fetch_image(chip: Chip, cache: Path, run: Runner) -> Path:
    """MicroPython's stable image for the chip, fetched by mpflash unless it lies in ``cache``. Raises BoardError."""
    if (found := _fetched(chip, cache)) is not None:
        return found
    optional("mpflash")
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mpflash", "download", "--board", chip.board, "--version", "stable"]
    run(command, {"MPFLASH_FIRMWARE": str(cache)})
    if (found := _fetched(chip, cache)) is None:
        raise BoardError(
            f"no image of {chip.board} could be fetched",
            "is this computer on the internet? If not, give the file: --image FILE, from micropython.org/download",
        )
    return found


def _fetched(chip: Chip, cache: Path) -> Path | None:
    """The newest plain image in the cache; files of a board's variants have something between name and version."""
    named = re.compile(re.escape(chip.board) + r"(-[0-9]{8})?-v([0-9]+)\.([0-9]+)\.([0-9]+)\.bin")
    found = [
        (tuple(map(int, m.groups()[1:])), path) for path in cache.rglob("*.bin") if (m := named.fullmatch(path.name))
    ]
    return max(found)[1] if found else None


def erase_command(port: str, chip: Chip, baud: int = BAUD) -> list[str]:
    return [*_esptool(port, chip, baud), "erase-flash"]


def write_command(port: str, chip: Chip, image: Path, baud: int = BAUD) -> list[str]:
    return [*_esptool(port, chip, baud), "write-flash", f"{chip.offset:#x}", str(image)]


def _esptool(port: str, chip: Chip, baud: int) -> list[str]:
    optional("esptool")
    return [sys.executable, "-m", "esptool", "--chip", chip.name, "--port", port, "--baud", str(baud)]


def write_image(port: str, chip: Chip, image: Path, run: Runner, baud: int = BAUD) -> None:
    """Erase the whole flash and write the image. Raises BoardError with advice."""
    for command in (erase_command(port, chip, baud), write_command(port, chip, image, baud)):
        run(command, {})


def run_shown(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a tool, its output passed on as it comes. Raises BoardError, with advice, when it fails."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
    )
    lines = []
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                print(f"    {line.rstrip()}", flush=True)
        except BaseException:
            process.terminate()
            raise
    status = process.returncode
    said = "\n".join(lines[-LINES_KEPT:])
    if status != 0:
        raise _failure(command, said)
    return said


def _failure(command: Sequence[str], said: str) -> BoardError:
    tool = command[2] if len(command) > 2 else command[0]
    fatal = [line for line in said.splitlines() if "rror" in line or "ailed" in line]
    text = f"{tool}: {(fatal or said.splitlines() or ['it says nothing'])[-1].strip()}"
    if "This chip is" in said:
        return BoardError(text, "the image or --board is for another chip than the one on this port")
    if "ermission" in said:
        return BoardError(text, "join the port's group, then log out and in again: sudo usermod -aG dialout $USER")
    if "busy" in said or "exclusively lock" in said:
        return BoardError(text, "close the serial monitor, IDE or other program that has the port open")
    if any(
        mark in said for mark in ("Failed to connect", "Wrong boot mode", "No serial data", "Invalid head of packet")
    ):
        return BoardError(
            text,
            "hold the board's BOOT button, press and release RESET (EN), release BOOT, and start again at once",
            "a cable that only carries power looks like this too",
        )
    if any(mark in said for mark in ("timed out", "Timed out", "lost connection", "Corrupt", "checksum")):
        return BoardError(text, "a slower line often helps: --baud 115200; so does a shorter cable")
    return BoardError(text)
