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
from market.service.correcting import Change, Checked, CorrectionError, Said
from market.service.plausible import Energy, energies, known_registers
from market.settlement.rules import Registers
from market.tariffs.months import epoch_s
from market.units import MONEY_PER_UNIT

CHANGES_SHOWN = 12


def add(commands: Any, store: Path) -> None:
    text = "put a wrong or missing reading right: the interval is settled again, and only the difference is booked"
    parser = commands.add_parser("correction", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    one = actions.add_parser(
        "add",
        help="say what a meter's registers stood at",
        description="Say what a meter's registers stood at, at an interval's end. A running market settles the interval"
        " and the one after it again; nothing that was booked is changed. Registers that are not given stay as they are"
        " known. What it makes of the meter's energy, and whose trades it would change, is shown first.",
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
    one.add_argument("--yes", action="store_true", help="store it also when it makes more of the energy than is likely")
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
        values = {name: getattr(arguments, name) for name in Registers._fields}
        said = Said(arguments.meter, start, **values, reason=arguments.reason, final=arguments.final)
        with reader.snapshot():
            checked = correcting.check(reader, said)
            known, found = known_registers(reader, checked), energies(reader, checked)
            changes = correcting.preview(reader, checked, _reached(reader))
    except CorrectionError as error:
        raise CommandError(_refused(error)) from None
    finally:
        reader.close()
    zone = ZoneInfo(checked.rules.timezone)
    _show(checked, known, found, changes, zone)
    if not (arguments.yes or all(one.plausible for one in found)):
        raise CommandError("nothing is stored: that is more than is likely; if it is right all the same, add --yes")
    record = Record(arguments.store)
    try:
        checked, correction = correcting.add(record, said, author=arguments.author or author(), now=int(time.time()))
    except CorrectionError as error:
        raise CommandError(_refused(error)) from None
    finally:
        record.close()
    print(_line(correction, zone))
    what = (
        "only this household's residual energy changes, and its month is made anew unless that is final too"
        if checked.final
        else "the difference is booked as a revision"
    )
    print(f"stored; the market settles the interval and the one after it again, at once when it runs: {what}")
    return 0


def _refused(error: CorrectionError) -> str:
    return f"{error}{' (--final)' if error.problem == 'final' else ''}"


def _reached(record: Record) -> int:
    """The market's clock as the record knows it [epoch s]: a demo's is not ours."""
    last = record.last_gate()
    assert last is not None  # an interval that can be corrected has been settled
    return max(last.closed_at, last.start + last.length)


def _show(
    checked: Checked, known: Registers | None, found: list[Energy], changes: list[Change], zone: ZoneInfo
) -> None:
    """What the correction makes of the meter's registers and energy, and of the households' trades."""
    for name, stood, stands in zip(Registers._fields, known or [None] * 4, checked.registers, strict=True):
        if stood != stands:
            print(f"{checked.meter.meter}  {name.removesuffix('_wh')} register {_known(stood)} -> {stands} Wh")
    for one in found:
        energy = f"{one.register.removesuffix('_wh')} {_known(one.before_wh)} -> {one.after_wh} Wh"
        print(f"{_span(one.start, one.end, zone)}  {energy}{_doubt(one)}")
    for change in changes[:CHANGES_SHOWN]:
        was, becomes = change.before, change.after
        values = [
            f"{what} {before} -> {after} Wh"
            for what, before, after in (
                ("import", was.import_wh, becomes.import_wh),
                ("export", was.export_wh, becomes.export_wh),
                ("bought", was.bought_wh, becomes.bought_wh),
                ("sold", was.sold_wh, becomes.sold_wh),
            )
            if before != after
        ]
        gains = [(one.trade_money + one.residual_money - one.alone_money) / MONEY_PER_UNIT for one in (was, becomes)]
        if gains[0] != gains[1]:
            values.append(f"gain {gains[0]:.4f} -> {gains[1]:.4f} {checked.rules.currency}")
        length = checked.rules.interval_s
        what = ", ".join(values) or "its own use changes"
        print(f"{_span(change.start, change.start + length, zone)}  {was.household}: {what}")
    if len(changes) > CHANGES_SHOWN:
        print(f"… and {len(changes) - CHANGES_SHOWN} more")
    if not changes:
        print("no household's energy or money changes")


def _known(value_wh: int | None) -> str:
    return "not known" if value_wh is None else str(value_wh)


def _doubt(one: Energy) -> str:
    if one.plausible:
        return ""
    most = "" if one.most_w is None else f"; the most it showed within thirty days is {_kw(one.most_w)}"
    return f"  NOT LIKELY: that is {_kw(one.after_w)}{most}"


def _kw(power_w: int) -> str:
    return f"{power_w / 1000:.1f} kW"


def _span(start: int, end: int, zone: ZoneInfo) -> str:
    first, last = (datetime.fromtimestamp(moment, zone) for moment in (start, end))
    return f"{first:%Y-%m-%d %H:%M}-{last:%H:%M}" if end - start < 86_400 else f"{first:%Y-%m-%d %H:%M}-{last:%d %H:%M}"


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
