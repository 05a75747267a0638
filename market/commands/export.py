"""``pumasi export``: the record as CSV or Parquet, for accounting and for the operator."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from market.commands.errors import CommandError

WHATS = ("transfers", "readings", "positions", "bills")
FORMATS = ("csv", "parquet")
EPILOG = """\
  transfers   every transfer of the ledger, of all revisions
  readings    what the meters sent: registers at each interval's end
  positions   every household in every interval, newest revision: energy, trades, money
  bills       every line of every closed month's bills, newest revision

Money is in currency units with all its decimals, energy in Wh, time in UTC. docs/tariffs.md lists the columns.
"""


def add(commands: Any, store: Path) -> None:
    parser = commands.add_parser(
        "export",
        help="the record as CSV or Parquet, for accounting and the operator",
        description="The record as a table, one row at a time; the file is there whole or not at all.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", type=Path, default=store, metavar="DIR", help="the store (default: %(default)s)")
    parser.add_argument("--what", choices=WHATS, default="transfers", help="default: %(default)s")
    parser.add_argument("--format", choices=FORMATS, default="csv", help="default: %(default)s")
    parser.add_argument("--from", dest="first", type=_day, metavar="DATE", help="first local day, such as 2026-06-01")
    parser.add_argument("--to", dest="last", type=_day, metavar="DATE", help="last local day, included")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: WHAT.FORMAT here")
    parser.set_defaults(run=run)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-06-01") from None


def run(arguments: argparse.Namespace) -> int:
    from market.record import Record
    from market.service.table_files import TableFileError, span, write_table
    from market.service.tables import TABLES, zone_of

    if arguments.first and arguments.last and arguments.last < arguments.first:
        raise CommandError(f"--to {arguments.last} is before --from {arguments.first}")
    path = arguments.out or Path(f"{arguments.what}.{arguments.format}")
    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            start, end = span(arguments.first, arguments.last, zone_of(record))
            count = write_table(record, TABLES[arguments.what], start, end, path, arguments.format)
    except TableFileError as error:
        raise CommandError(str(error)) from None
    finally:
        record.close()
    print(f"{path}: {count} rows")
    return 0
