"""The record's tables as files, CSV or Parquet: whole or not at all, one row at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.record import Record
from market.service.tables import Column, Row, Table
from market.tariffs.amounts import money_text
from market.tariffs.months import epoch_s
from market.whole_file import whole

FORMATS = ("csv", "parquet")
ROWS_AT_ONCE = 20_000


class TableFileError(Exception):
    """The file cannot be written; the message is one line that says which and why."""


def span(first: date | None, last: date | None, zone: ZoneInfo) -> tuple[int, int]:
    """[start, end) [epoch s] of local days, both included; None: without a bound."""

    def midnight(day: date) -> int:
        return epoch_s(datetime(day.year, day.month, day.day, tzinfo=zone))

    # There is no day after the calendar's last.
    until = min(last or date.max, date.max - timedelta(days=1))
    return (-(2**62) if first is None else midnight(first)), (
        2**62 if last is None else midnight(until + timedelta(days=1))
    )


def write_table(record: Record, table: Table, start: int, end: int, path: Path, form: str) -> int:
    """Write the rows to ``path``, whole or not at all; returns how many. Raises TableFileError."""
    rows = table.rows(record, start, end)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            count = (_write_csv if form == "csv" else _write_parquet)(part, table.columns, rows)
    except OSError as error:
        raise TableFileError(f"{path}: {error.strerror or 'cannot be written'}") from None
    return count


def _write_csv(path: Path, columns: tuple[Column, ...], rows: Iterable[Row]) -> int:
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
        raise TableFileError(f"{path}: pyarrow is missing: the extra 'parquet' brings it") from None
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
