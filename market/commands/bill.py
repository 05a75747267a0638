"""``pumasi bill``: a household's month on paper, and closing a month."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market.commands.errors import CommandError
from market.whole_file import whole

if TYPE_CHECKING:
    from market.record import Record
    from market.tariffs import Month

CLOSE = "close"
EPILOG = """\
examples:
  pumasi bill h001 2026-06 --lang ko --out bills
  pumasi bill h001 2026-06 --so-far
  pumasi bill close 2026-06

A month's bill can be had once the month is closed. `close` computes and books every household's bill, or, when
readings have come since, books the difference as a correction; no market may be running meanwhile.
"""


def add(commands: Any, store: Path) -> None:
    parser = commands.add_parser(
        "bill",
        help="a household's month as PDF and CSV; close a month",
        description="A household's month as PDF and CSV: energy, trades, taxes, how each figure came about, and what"
        " the month would have cost without the community.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("household", metavar="HOUSEHOLD", help=f"whose bill; `{CLOSE}` closes the month for everyone")
    parser.add_argument("month", metavar="YYYY-MM")
    parser.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")
    parser.add_argument("--lang", choices=("en", "ko"), default="en", help="its language (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the files go (default: here)")
    parser.add_argument("--so-far", action="store_true", help="a month that has not ended; nothing is booked")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from market.billing import BillingError
    from market.settlement.interval import SettlementError
    from market.statements.statement import StatementError
    from market.tariffs import TariffError, month_of

    try:
        month = month_of(arguments.month)
        if arguments.household == CLOSE:
            return _close(arguments, month)
        return _write(arguments, month)
    except (BillingError, StatementError, TariffError, SettlementError, ValueError) as error:
        raise CommandError(str(error)) from None


def _close(arguments: argparse.Namespace, month: Month) -> int:
    from market.record import Record
    from market.service import months
    from market.service.chain import Chain

    Record(arguments.store, read_only=True).close()
    record = Record(arguments.store, sole=True)
    try:
        chain = Chain(record, arguments.store)
        chain.catch_up(lambda text: print(text, file=sys.stderr))
        closed = months.close(record, month, _now(record), lambda gate, rules, text: chain.add(gate))
        chain.write_heads()
    finally:
        record.close()
    for one in closed:
        booked = len(one.settled.postings)
        again = f", correction {one.gate.revision}" if one.gate.revision else ""
        print(f"{one.settled.month} closed{again}: {len(one.settled.households)} bills, {booked} accounts moved")
    if not closed:
        print(f"{month} is closed already, and comes out the same")
    return 0


def _now(record: Record) -> int:
    """The machine's clock, or the record's own where that is ahead, as in a simulated one."""
    last = record.last_gate()
    return max(int(time.time()), 0 if last is None else last.closed_at)


def _write(arguments: argparse.Namespace, month: Month) -> int:
    from market.record import Record
    from market.service import months
    from market.statements.pdf import pdf
    from market.statements.statement import statement
    from market.statements.table import csv_text

    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            if arguments.so_far:
                rules, result, closed_at = months.so_far(record, month)
                revision = None
            else:
                gate, rules, result = months.month_body(record, month)
                revision, closed_at = gate.revision, gate.closed_at
    finally:
        record.close()
    made = statement(rules, result, arguments.household, arguments.lang, revision=revision, closed_at=closed_at)
    body = next(bill for bill in result["bills"] if bill["household"] == arguments.household)
    name = f"{'so-far' if arguments.so_far else 'bill'}-{arguments.household}-{month}"
    files = {
        arguments.out / f"{name}.pdf": pdf(made),
        # A byte order mark: spreadsheets take the file for UTF-8 by it.
        arguments.out / f"{name}.csv": csv_text(made, body).encode("utf-8-sig"),
    }
    for path, content in files.items():
        write_whole(path, content)
        print(path)
    print(f"{made.headline[0]}: {made.headline[1]}")
    return 0


def write_whole(path: Path, content: bytes) -> None:
    """The file is there whole or not at all. Raises CommandError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or 'cannot be written'}") from None
