"""``pumasi flash``: from a bare board to a meter."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker import identities
from broker.site import SiteError
from firmware.host import doctor, esp, pins
from firmware.host.board import BoardError, check_port, connected
from firmware.host.bundle import BundleError
from firmware.host.flash import identity, program, write_meter
from market.commands.broker import add_store
from market.commands.errors import CommandError
from market.record import Record, RecordError

PASSWORD_VARIABLE = "PUMASI_WIFI_PASSWORD"
CACHE = Path(".pumasi/micropython")
AFTER_IMAGE_S = 40.0
"""A board that has just been written formats its file system first."""
DESCRIPTION = """\
Make a board a meter: write MicroPython (with --board or --image; this erases the board), then the firmware,
then who the meter is (from pumasi meter add), test it and start it. Without --board and --image the
MicroPython on the board stays, and so do the readings that wait on it.

--board says what the board is. Of those in hardware/pins.json the firmware knows the pins: sensors and display
need name none, and the meter remembers which board it is. Of a bare chip (esp32, esp32s3, esp32c3) only the
image is known.
"""
EPILOG = f"""\
The Wi-Fi password is asked for, or taken from {PASSWORD_VARIABLE}; it is never an argument, which other users
of this computer could see. The self-test may warn or fail where the meter is not at its place yet; it can be
repeated there: pumasi meter doctor --port PORT.

examples:
  pumasi flash --port /dev/ttyUSB0 --meter m001 --store STORE --board esp32-devkit --wifi-ssid Home
  pumasi flash --port /dev/ttyACM0 --meter m001 --store STORE --image ESP32_GENERIC_C3-v1.29.0.bin --wifi-ssid Home
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "flash",
        help="make a board a meter, over USB",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyUSB0 or COM3")
    parser.add_argument("--meter", required=True, metavar="ID", help="which meter it becomes; pumasi meter add made it")
    add_store(parser)
    parser.add_argument(
        "--board",
        metavar="NAME",
        help="erase the board, which is a pumasi-s3, an esp32-devkit or a bare chip (esp32, esp32s3, esp32c3), and"
        " write MicroPython's stable image, fetched",
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="erase the board and write this MicroPython image instead"
    )
    parser.add_argument("--wifi-ssid", metavar="NAME", help="the network the meter joins")
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="JSON with members of its configuration, such as sensors"
    )
    parser.add_argument("--baud", type=int, default=esp.BAUD, metavar="N", help="for the image (default: %(default)s)")
    parser.add_argument("--skip-test", action="store_true", help="do not run the self-test")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        return _flash(arguments)
    except (BundleError, SiteError) as error:
        raise CommandError(str(error)) from None
    except BoardError as error:
        raise CommandError(told(error)) from None


def told(error: BoardError) -> str:
    """The fault, and what to do, a line each."""
    return "\n".join([str(error), *(f"  - {line}" for line in error.advice)])


def _flash(arguments: argparse.Namespace) -> int:
    # Everything that can be wrong without the board is found before it is touched.
    issued = identities.flash_files(arguments.store, arguments.meter)
    chip, known = _chip(arguments.board, arguments.image)
    settings = {**_counted(arguments.store, arguments.meter), **_settings(arguments.settings), **known}
    given = identity(issued, _wifi(arguments.wifi_ssid), settings, arguments.meter)
    new = program(chip.name if chip else "esp32")
    check_port(arguments.port)
    steps = _Steps(3 + (chip is not None) + (not arguments.skip_test))
    if chip is not None:
        image = arguments.image or esp.fetch_image(chip, CACHE, esp.run_shown)
        steps.say(f"MicroPython: erase the {chip.name} at {arguments.port} and write {image.name}")
        esp.write_image(arguments.port, chip, image, esp.run_shown, arguments.baud)
    steps.say(f"MicroPython at {arguments.port}")
    with connected(arguments.port, AFTER_IMAGE_S if chip else 0.0) as board:
        print(f"    {board.machine}, MicroPython {'.'.join(map(str, board.version))}")
        steps.say(f"firmware {new.version}, and meter {arguments.meter}")
        write_meter(board, new, given, lambda text: print(text, flush=True))
        status = 0
        if arguments.wifi_ssid is None:
            print("    no --wifi-ssid: its own access point (BOOT button) is how it comes to a network")
        if not arguments.skip_test:
            steps.say("self-test, up to three minutes")
            said = board.self_test()
            print("\n".join(doctor.table(said)))
            status = 1 if doctor.fails(said) else 0
        steps.say("start")
        board.reset()
    identities.handed_over(arguments.store, arguments.meter, known)
    _tell_label(given)
    print(f"{arguments.meter} is written and has been started" + (", but fails its self-test" if status else ""))
    return status


def _chip(board: str | None, image: Path | None) -> tuple[esp.Chip | None, dict[str, str]]:
    """The chip whose image is to be written, None for none; and the meter's settings that the board's name is."""
    known = pins.boards().get(board or "")
    if board is not None and known is None and board not in esp.CHIPS:
        names = ", ".join([*sorted(pins.boards()), *sorted(esp.CHIPS)])
        raise CommandError(f"--board {board}: not known; known are {names}")
    chip = None if board is None else esp.CHIPS[board if known is None else known["chip"]]
    if image is not None:
        found = esp.image_chip(image)
        if chip not in (None, found):
            raise CommandError(f"--image {image}: is for an {found.name}; --board {board} has another chip")
        chip = found
    return chip, {} if known is None else {"board": str(board)}


class _Steps:
    """Counts what has been begun."""

    def __init__(self, most: int) -> None:
        self._most, self._now = most, 0

    def say(self, text: str) -> None:
        self._now += 1
        print(f"[{self._now}/{self._most}] {text}", flush=True)


def _wifi(ssid: str | None) -> tuple[str, str] | None:
    if ssid is None:
        return None
    if not 1 <= len(ssid.encode()) <= 32:
        raise CommandError(f"--wifi-ssid {ssid!r}: a network's name has 1 to 32 bytes")
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        if not sys.stdin.isatty():
            raise CommandError(f"no password for the network {ssid!r}: set {PASSWORD_VARIABLE}")
        password = getpass.getpass(f"password of the network {ssid!r}: ")
    if password and not 8 <= len(password.encode()) <= 63:
        raise CommandError(f"the password of the network {ssid!r} must have 8 to 63 characters, or none")
    return ssid, password


def _counted(store: Path, meter: str) -> dict[str, Any]:
    """Where an erased board goes on counting: registers that began again below these would be refused for years.

    A board that still has its own registers does not look at it.
    """
    try:
        record = Record(store, read_only=True)
    except RecordError:
        return {}  # a store without a market: nothing was ever counted in it
    try:
        newest, _ = record.neighbours(meter, 2**62, 0)
    finally:
        record.close()
    return {} if newest is None else {"seed": newest[1]._asdict()}


def _settings(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict) or (unknown := sorted(found.keys() - identities.SETTINGS)):
        what = f"unknown: {', '.join(unknown)}" if isinstance(found, dict) else "not a JSON object"
        raise CommandError(f"{path}: {what}; known are {', '.join(sorted(identities.SETTINGS))}")
    return found


def _tell_label(given: Mapping[str, bytes]) -> None:
    label = json.loads(given.get("label.json", b"{}")).get("password")
    if label:
        print(f"for its label: the password of the meter's own access point is {label}")
