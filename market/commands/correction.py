"""``pumasi correction``: registers that stand instead of a wrong or a missing reading."""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.commands.community import author
from market.commands.errors import CommandError
from market.record import Record
from market.record.rows import Correction
from market.service import correcting
from market.service.correcting import CorrectionError, Said
from market.settlement.rules import Registers
from market.tariffs.months import epoch_s


def add(commands: Any, store: Path) -> None:
    text = "put a wrong or missing reading right: the interval is settled again, and only the difference is booked"
    parser = commands.add_parser("correction", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    one = actions.add_parser(
        "add",
        help="say what a meter's registers stood at",
        description="Say what a meter's registers stood at, at an interval's end. A running market settles the interval"
        " and the one after it again; nothing that was booked is changed. Registers that are not given stay as they are"
        " known.",
    )
    one.add_argument("meter", metavar="METER")
    one.add_argument("interval", metavar="TIME", help="the interval's start, 2026-07-01T14:15 in the community's time")
    for name in Registers._fields:
        flag = f"--{name.replace('_', '-')}"
        one.add_argument(flag, type=_energy, metavar="WH", help=f"the cumulative {name.removesuffix('_wh')} register")
    one.add_argument("--reason", required=True, metavar="TEXT", help="why; it stands in the record for good")
    one.add_argument("--author", metavar="NAME", help="who says so (default: the user)")
    one.add_argument(
        "--final",
        action="store_true",
        help="also when the interval is final: then only this household's residual energy changes, at its own tariff",
    )
    one.set_defaults(run=run_add)
    every = actions.add_parser("list", help="every correction and estimate, the oldest first")
    every.set_defaults(run=run_list)
    for action in (one, every):
        action.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")


def _energy(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of Wh")
    return int(text)


def run_add(arguments: argparse.Namespace) -> int:
    reader = Record(arguments.store, read_only=True)
    try:
        start = _start(reader, arguments.interval)
    finally:
        reader.close()
    values = {name: getattr(arguments, name) for name in Registers._fields}
    said = Said(arguments.meter, start, **values, reason=arguments.reason, final=arguments.final)
    record = Record(arguments.store)
    try:
        checked, correction = correcting.add(record, said, author=arguments.author or author(), now=int(time.time()))
    except CorrectionError as error:
        hint = " (--final)" if error.problem == "final" else ""
        raise CommandError(f"{error}{hint}") from None
    finally:
        record.close()
    print(_line(correction, ZoneInfo(checked.rules.timezone)))
    what = (
        "only this household's residual energy changes, and its month is made anew unless that is final too"
        if checked.final
        else "the difference is booked as a revision"
    )
    print(f"stored; the market settles the interval and the one after it again, at once when it runs: {what}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        zone = ZoneInfo(record.document()["timezone"])
        found = record.corrections_to(record.last_correction())
        for correction in found:
            print(_line(correction, zone))
        if not found:
            print("nothing has been corrected or estimated")
    finally:
        record.close()
    return 0


def _start(record: Record, text: str) -> int:
    """The epoch second of a local time. Raises CommandError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text}: not a time such as 2026-07-01T14:15") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(record.document()["timezone"]))
    start = epoch_s(at)
    if start < 0:
        # There was no community before seconds are counted.
        raise CommandError(f"{text}: this interval has not been settled here")
    return start


def _line(correction: Correction, zone: ZoneInfo) -> str:
    at = datetime.fromtimestamp(correction.start, zone)
    values = ", ".join(f"{name.removesuffix('_wh')} {value}" for name, value in correction.registers._asdict().items())
    return (
        f"{correction.number:5}  {correction.meter}  {at:%Y-%m-%d %H:%M}  {values} Wh  {correction.reason}"
        f"  ({correction.author})"
    )
