"""``pumasi meter calibrate``: a meter's metering chip against a reference instrument."""

from __future__ import annotations

import argparse
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from broker import identities, settings
from firmware.host.board import BoardError, connected
from market.commands.broker import add_store, told
from market.commands.errors import CommandError
from market.commands.flash import told as advised

PHASES = ("L1", "L2", "L3")
NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
MOST_V, MOST_A, MOST_W = 600, 60, 100_000
DESCRIPTION = """\
Compare the ATM90E32 of a meter on a serial port with a reference instrument that measures the same load, and keep
the gains: in the meter's configuration and in the store, so that they outlive the next flashing. One phase at a time:

1. a steady resistive load of about half the rated current: --volts, --amps and --watts of the reference;
2. a steady inductive load of a power factor near 0.5 (0.3 to 0.8): the same with --inductive, for the phase angle.

docs/hardware.md has the whole procedure, and who may do it.
"""
EPILOG = """\
examples:
  pumasi meter calibrate --port /dev/ttyACM0 --phase L1 --volts 230.12 --amps 20.345 --watts 4681.2
  pumasi meter calibrate --port /dev/ttyACM0 --phase L1 --volts 229.80 --amps 14.402 --watts 1655.1 --inductive
"""


def add(actions: Any) -> None:
    parser = actions.add_parser(
        "calibrate",
        help="compare a meter's metering chip with a reference, and keep its gains",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyACM0 or COM3")
    add_store(parser)
    parser.add_argument("--phase", required=True, choices=PHASES, help="which phase the load and the reference are at")
    parser.add_argument("--volts", required=True, metavar="V", help="what the reference shows, such as 230.12")
    parser.add_argument("--amps", required=True, metavar="A", help="what the reference shows, such as 4.345")
    parser.add_argument("--watts", metavar="W", help="what the reference shows, such as 999.8")
    parser.add_argument("--inductive", action="store_true", help="the load is inductive: find the phase angle")
    parser.set_defaults(run=lambda arguments: told(run, arguments))


def run(arguments: argparse.Namespace) -> int:
    voltage_mv = _thousandths("--volts", arguments.volts, MOST_V)
    current_ma = _thousandths("--amps", arguments.amps, MOST_A)
    power_mw = None if arguments.watts is None else _thousandths("--watts", arguments.watts, MOST_W)
    if arguments.inductive and power_mw is None:
        raise CommandError("--inductive needs --watts: the angle is found from the power")
    if power_mw is not None and power_mw > voltage_mv * current_ma / 1000 * 1.01:
        raise CommandError("--watts: more than volts times amps; is it the reference of the same load?")
    phase = PHASES.index(arguments.phase)
    try:
        with connected(arguments.port) as board:
            board.hold_watchdog()
            _check_known(arguments.store, board.read("config.json"), arguments.port)
            said = board.calibrate(phase, voltage_mv, current_ma, power_mw, arguments.inductive)
            board.reset()
    except BoardError as error:
        raise CommandError(advised(error)) from None
    again = _keep(arguments.store, said["meter"], said["sensors"])
    print(f"meter {said['meter']}, sensor {said['role']}, {arguments.phase}")
    names = ("power", "W"), ("voltage", "V"), ("current", "A")
    for (name, unit), before, after, shown in zip(
        names, said["before"], said["after"], (power_mw, voltage_mv, current_ma), strict=True
    ):
        reference = "" if shown is None else f"{shown / 1000:>12.3f} {unit}  ({100 * after / shown - 100:+.2f} %)"
        print(f"  {name:<8}{before / 1000:>12.3f} -> {after / 1000:>10.3f} {unit}{reference}")
    for name, values in said["gains"].items():
        print(f"  {name}: {values[phase]}")
    print(f"kept in the meter and in the store{again}")
    return 0


def _thousandths(option: str, text: str, most: int) -> int:
    if not NUMBER.fullmatch(text) or not 0 < Decimal(text) <= most:
        raise CommandError(f"{option} {text}: not a number up to {most} with at most three decimals")
    return int(Decimal(text) * 1000)


def _check_known(store: Path, config: bytes | None, port: str) -> None:
    """Raises BoardError or SiteError unless the store has the meter whose gains are to be kept."""
    try:
        meter = str(msgspec.json.decode(config or b"{}")["meter"])
    except (msgspec.DecodeError, KeyError, TypeError):
        raise BoardError(f"{port}: is no meter yet", "pumasi flash makes it one") from None
    identities.load(store, meter)


def _keep(store: Path, meter: str, sensors: list[dict[str, Any]]) -> str:
    """The sensors with their gains, for the next flashing or enrolment; and in the market's message if that has any."""
    with identities.changing(store):
        identity = identities.load(store, meter)
        known = msgspec.structs.replace(identity, settings=identity.settings | {"sensors": sensors})
        identities.save(store, known)
        if "sensors" not in settings.load(store).of(meter).members:
            return ""
        version = settings.change(store, meter, sensors=sensors)
    return f"; the market tells the meter (configuration {version})"
