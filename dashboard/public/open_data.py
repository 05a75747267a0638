"""The published intervals as files: CSV, JSON and Parquet with the same columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from dashboard.public.published import OpenRow
from market.units import decimal_text

COLUMNS = (
    "start", "length_s", "homes", "shared_wh", "import_wh", "export_wh", "generation_wh", "consumption_wh",
    "price_per_kwh", "retail_per_kwh", "feed_in_per_kwh", "certificate_gap",
)  # fmt: skip
PRICES = ("price_ticks", "retail_ticks", "feed_in_ticks")


class NoParquetError(Exception):
    """pyarrow is not installed here."""


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """One interval: energy in Wh, prices in ticks (0.00001 currency units per kWh); null: withheld."""

    start: str
    length_s: int
    homes: int
    shared_wh: int | None
    import_wh: int
    export_wh: int | None
    generation_wh: int | None
    consumption_wh: int | None
    price_ticks: int
    retail_ticks: int
    feed_in_ticks: int
    certificate_gap: int


@dataclass(frozen=True, slots=True)
class OpenData:
    """Published intervals of a span of local days. ``licence``: under which they may be used; null: none is stated."""

    community: str
    currency: str
    timezone: str
    first_day: str
    last_day: str
    licence: str | None
    intervals: Sequence[OpenInterval]


def open_interval(row: OpenRow) -> OpenInterval:
    energies = (row.shared_wh, row.import_wh, row.export_wh, row.generation_wh, row.consumption_wh)
    prices = (row.price_ticks, row.retail_ticks, row.feed_in_ticks)
    return OpenInterval(_utc(row.start), row.length_s, row.homes, *energies, *prices, row.certificate_gap)


def csv_text(rows: Sequence[OpenRow]) -> str:
    """Times in UTC, energy in Wh, prices as decimals of the currency; an empty field is withheld."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        energies = (row.shared_wh, row.import_wh, row.export_wh, row.generation_wh, row.consumption_wh)
        prices = (decimal_text(getattr(row, name)) for name in PRICES)
        writer.writerow((_utc(row.start), row.length_s, row.homes, *energies, *prices, row.certificate_gap))
    return file.getvalue()


def parquet_bytes(rows: Sequence[OpenRow]) -> bytes:
    """Prices are exact decimals. Raises NoParquetError."""
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise NoParquetError from None
    price, whole = arrow.decimal128(18, 5), arrow.int64()
    kinds = [arrow.timestamp("s", tz="UTC"), *[whole] * 7, *[price] * 3, whole]
    names = ("start", *COLUMNS[1:8], *PRICES, "certificate_gap")
    columns = []
    for name, kind in zip(names, kinds, strict=True):
        values = [getattr(row, name) for row in rows]
        columns.append(arrow.array([Decimal(decimal_text(v)) for v in values] if kind is price else values, kind))
    table = arrow.Table.from_arrays(columns, schema=arrow.schema(list(zip(COLUMNS, kinds, strict=True))))
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _utc(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
