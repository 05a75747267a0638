"""``pumasi export``: the record as CSV or Parquet, for accounting and for the operator."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from market.commands.errors import CommandError

if TYPE_CHECKING:
    from market.record import Record
    from market.service.tables import Column, Row, Table

WHATS = ("transfers", "readings", "positions", "bills")
FORMATS = ("csv", "parquet")
ROWS_AT_ONCE = 20_000
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
    from market.service.tables import TABLES, zone_of
    from market.tariffs.months import epoch_s

    if arguments.first and arguments.last and arguments.last < arguments.first:
        raise CommandError(f"--to {arguments.last} is before --from {arguments.first}")
    path = arguments.out or Path(f"{arguments.what}.{arguments.format}")
    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            zone = zone_of(record)

            def midnight(day: date) -> int:
                return epoch_s(datetime(day.year, day.month, day.day, tzinfo=zone))

            start = midnight(arguments.first) if arguments.first else -(2**62)
            # There is no day after the calendar's last.
            last = min(arguments.last or date.max, date.max - timedelta(days=1))
            end = midnight(last + timedelta(days=1)) if arguments.last else 2**62
            count = write_table(record, TABLES[arguments.what], start, end, path, arguments.format)
    finally:
        record.close()
    print(f"{path}: {count} rows")
    return 0


def write_table(record: Record, table: Table, start: int, end: int, path: Path, form: str) -> int:
    """Write the rows to ``path``, whole or not at all; returns how many. Raises CommandError."""
    rows = table.rows(record, start, end)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            count = (_write_csv if form == "csv" else _write_parquet)(part, table.columns, rows)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or 'cannot be written'}") from None
    return count


def _write_csv(path: Path, columns: tuple[Column, ...], rows: Iterable[Row]) -> int:
    from market.tariffs.amounts import money_text

    forms: dict[str, Callable[[Any], str]] = {
        "money": money_text,
        "time": lambda at: _moment(at).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "yes-no": lambda yes: "yes" if yes else "no",
    }
    as_text = [forms.get(kind, str) for _, kind in columns]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, _ in columns])
        for row in rows:
            count += 1
            writer.writerow(["" if value is None else form(value) for form, value in zip(as_text, row, strict=True)])
    return count


def _write_parquet(path: Path, columns: tuple[Column, ...], rows: Iterable[Row]) -> int:
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise CommandError("--format parquet: pyarrow is missing: pip install 'pumasi[parquet]'") from None
    from market.tariffs.amounts import money_text

    kinds = {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "money": arrow.decimal128(38, 8),
        "time": arrow.timestamp("s", tz="UTC"),
        "yes-no": arrow.bool_(),
    }
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in _batches(rows):
            arrays = []
            for (_, kind), values in zip(columns, zip(*batch, strict=True), strict=True):
                exact = [Decimal(money_text(value)) for value in values] if kind == "money" else list(values)
                arrays.append(arrow.array(exact, kinds[kind]))
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while batch := list(islice(source, ROWS_AT_ONCE)):
        yield batch


def _moment(epoch: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch)
