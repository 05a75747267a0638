"""``pumasi correction``: registers that stand instead of a wrong or a missing reading."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.commands.community import author
from market.commands.errors import CommandError
from market.record import Record
from market.record.rows import ESTIMATED, Correction
from market.service.ingest import POWER_BOUND_W
from market.settlement.rules import Meter, Registers, Rules

REASON_BOUND = 200


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
    reason = arguments.reason.strip()
    if not reason or len(reason) > REASON_BOUND or not reason.isprintable() or reason == ESTIMATED:
        raise CommandError(f"--reason: 1 to {REASON_BOUND} printable characters, and not {ESTIMATED!r} alone")
    Record(arguments.store, read_only=True).close()
    record = Record(arguments.store)
    try:
        with record.transaction():
            start, rules, meter = _interval(record, arguments)
            registers = _registers(record, rules, meter, start, arguments)
            final = _check_final(record, rules, start, arguments.final)
            correction = record.add_correction(
                meter.meter, start, rules.interval_s, registers,
                reason=reason, author=arguments.author or author(), now=int(time.time()),
            )  # fmt: skip
    finally:
        record.close()
    print(_line(correction, ZoneInfo(rules.timezone)))
    what = "only this household's residual energy changes" if final else "the difference is booked as a revision"
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


def _interval(record: Record, arguments: argparse.Namespace) -> tuple[int, Rules, Meter]:
    """The settled interval that is meant, its rules, and its meter. Raises CommandError."""
    zone = ZoneInfo(record.document()["timezone"])
    try:
        at = datetime.fromisoformat(arguments.interval)
    except ValueError:
        raise CommandError(f"{arguments.interval}: not a time such as 2026-07-01T14:15") from None
    start = int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())
    rules = record.rules(record.input_versions(start))
    if start % rules.interval_s:
        raise CommandError(f"{arguments.interval}: no interval of {rules.interval_s} s starts then")
    if record.newest_gate(start, rules.interval_s) is None:
        raise CommandError(f"{arguments.interval}: this interval has not been settled here")
    meters = {meter.meter: meter for member in rules.members for meter in member.meters}
    meter = meters.get(arguments.meter)
    if meter is None:
        raise CommandError(f"{arguments.meter}: no meter of the community in that interval")
    if start < meter.since:
        raise CommandError(f"{arguments.meter}: it counts only since {datetime.fromtimestamp(meter.since, zone):%F %R}")
    return start, rules, meter


def _registers(record: Record, rules: Rules, meter: Meter, start: int, arguments: argparse.Namespace) -> Registers:
    """The registers at the interval's end, possible between those around it. Raises CommandError."""
    length = rules.interval_s
    known = record.registers(start, length, record.horizon(), record.last_correction()).get((meter.meter, start))
    given = {name: getattr(arguments, name) for name in Registers._fields}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        raise CommandError("nothing is corrected: give --import-wh, --export-wh, --generation-wh or --consumption-wh")
    if known is None and missing:
        raise CommandError(f"nothing is known of this interval: {', '.join(missing)} must be given too")
    registers = Registers(
        *(known[i] if given[name] is None else given[name] for i, name in enumerate(Registers._fields))  # type: ignore[index]
    )
    before, after = record.corrected_neighbours(meter.meter, start, meter.since)
    sides = [("before it", before or (meter.since - length, meter.seed)), ("after it", after)]
    for where, side in sides:
        if side is None:
            continue
        for name, stated, other in zip(Registers._fields, registers, side[1], strict=True):
            flag, rise = f"--{name.replace('_', '-')} {stated}", stated - other if side[0] < start else other - stated
            if rise < 0:
                raise CommandError(f"{flag}: the register stood at {other} {where}")
            if rise > POWER_BOUND_W * abs(start - side[0]) // 3600:
                power = f"no connection carries more than {POWER_BOUND_W // 1_000_000} MW"
                raise CommandError(f"{flag}: the register stood at {other} {where}, and {power}")
    return registers


def _check_final(record: Record, rules: Rules, start: int, allowed: bool) -> bool:
    """Whether the interval is final. Raises CommandError when that was not expected."""
    last = record.last_gate()
    assert last is not None
    deadline = start + rules.interval_s + rules.deadlines.final_after_s
    final = max(last.closed_at, last.start + last.length) >= deadline
    if final and not allowed:
        at = datetime.fromtimestamp(deadline, UTC)
        raise CommandError(
            f"this interval is final since {at:%Y-%m-%d %H:%M} UTC: with --final the household settles the difference"
            " with its supplier, at its own tariff, and nobody else's position moves"
        )
    return final


def _line(correction: Correction, zone: ZoneInfo) -> str:
    at = datetime.fromtimestamp(correction.start, zone)
    values = ", ".join(f"{name.removesuffix('_wh')} {value}" for name, value in correction.registers._asdict().items())
    return (
        f"{correction.number:5}  {correction.meter}  {at:%Y-%m-%d %H:%M}  {values} Wh  {correction.reason}"
        f"  ({correction.author})"
    )
