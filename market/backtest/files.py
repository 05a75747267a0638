"""The files of a backtest: a table per household and one per interval, as CSV and, with pyarrow, as Parquet."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.backtest.figures import Backtest, cost_alone, cost_with, summary
from market.backtest.run import Settled
from market.units import MONEY_PER_UNIT

HOUSEHOLDS, INTERVALS, COMMUNITY = "households", "intervals", "community"
REPORT, SUMMARY = "report.html", "summary.json"
MONEY_DECIMALS = 8

Column = tuple[str, list[Any]]


def money_text(amount: int) -> str:
    """Wh x tick as an exact decimal amount of the currency."""
    whole, part = divmod(abs(amount), MONEY_PER_UNIT)
    text = f"{whole}.{part:0{MONEY_DECIMALS}d}"
    text = text.rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text


def has_parquet() -> bool:
    """Whether pyarrow, which writes Parquet, is installed."""
    return find_spec("pyarrow") is not None


def write_files(backtest: Backtest, page: str, folder: Path) -> list[Path]:
    """Write everything into the folder; returns what was written. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / REPORT, folder / SUMMARY]
    written[0].write_text(page, encoding="utf-8")
    written[1].write_text(json.dumps(summary(backtest), indent=2) + "\n", encoding="utf-8")
    for name, tables in (
        (HOUSEHOLDS, [_households(backtest, settled) for settled in backtest.settled]),
        (INTERVALS, [_intervals(backtest, settled) for settled in backtest.settled]),
        (COMMUNITY, [_community(backtest)]),
    ):
        written.append(folder / f"{name}.csv")
        _write_csv(written[-1], tables)
        if has_parquet():
            written.append(folder / f"{name}.parquet")
            _write_parquet(written[-1], tables)
    return written


def _households(backtest: Backtest, settled: Settled) -> list[Column]:
    meters, prices = backtest.meters, backtest.prices
    alone, together = cost_alone(meters, prices), cost_with(meters, prices, settled)
    return [
        ("mechanism", [settled.mechanism] * len(alone)),
        ("household", list(meters.households)),
        ("node", list(meters.nodes)),
        ("consumption_wh", meters.consumption_wh.sum(axis=0).tolist()),
        ("generation_wh", meters.generation_wh.sum(axis=0).tolist()),
        ("import_wh", meters.import_wh.sum(axis=0).tolist()),
        ("export_wh", meters.export_wh.sum(axis=0).tolist()),
        ("bought_wh", settled.bought_wh.tolist()),
        ("sold_wh", settled.sold_wh.tolist()),
        ("cost_alone", [money_text(amount) for amount in alone]),
        ("cost", [money_text(amount) for amount in together]),
        ("gain", [money_text(a - t) for a, t in zip(alone, together, strict=True)]),
    ]


@lru_cache(maxsize=4)
def _times(starts: range, timezone: str) -> list[Column]:
    zone = ZoneInfo(timezone)
    return [("start", list(starts)), ("time", [datetime.fromtimestamp(at, zone).isoformat() for at in starts])]


def _intervals(backtest: Backtest, settled: Settled) -> list[Column]:
    traded = settled.traded_wh.tolist()
    return [
        ("mechanism", [settled.mechanism] * len(traded)),
        *_times(settled.starts, backtest.timezone),
        ("traded_wh", traded),
        ("buyers_pay_per_kwh", _prices(settled.paid.tolist(), traded)),
        ("sellers_get_per_kwh", _prices(settled.received.tolist(), traded)),
        ("fees", [money_text(amount) for amount in settled.fees.tolist()]),
        ("rent", [money_text(amount) for amount in settled.rent.tolist()]),
        ("pool", [money_text(amount) for amount in settled.pool.tolist()]),
        ("full_edges", settled.full_edges.tolist()),
    ]


def _community(backtest: Backtest) -> list[Column]:
    meters = backtest.meters
    return [
        *_times(meters.starts, backtest.timezone),
        ("consumption_wh", meters.consumption_wh.sum(axis=1).tolist()),
        ("generation_wh", meters.generation_wh.sum(axis=1).tolist()),
        ("import_wh", meters.import_wh.sum(axis=1).tolist()),
        ("export_wh", meters.export_wh.sum(axis=1).tolist()),
    ]


def _prices(money: list[int], energy: list[int]) -> list[str]:
    """Mean price per kWh, floored to a tick; empty where nothing was traded."""
    return [f"{m // e / 100_000:.5f}" if e else "" for m, e in zip(money, energy, strict=True)]


def _write_csv(path: Path, tables: Iterable[list[Column]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for count, table in enumerate(tables):
            if not count:
                writer.writerow(name for name, _ in table)
            writer.writerows(zip(*(values for _, values in table), strict=True))


def _write_parquet(path: Path, tables: Iterable[list[Column]]) -> None:
    """Money and prices as decimals, so that nothing is rounded."""
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    writer = None
    try:
        for table in tables:
            batch = arrow.table(dict(_arrow(arrow, table)))
            writer = writer or parquet.ParquetWriter(path, batch.schema)
            writer.write_table(batch)
    finally:
        if writer is not None:
            writer.close()


MONEY = ("cost_alone", "cost", "gain", "fees", "rent", "pool")


def _arrow(arrow: Any, table: list[Column]) -> Iterator[tuple[str, Any]]:
    for name, values in table:
        if name in MONEY or name.endswith("_per_kwh"):
            kind = arrow.decimal128(28, MONEY_DECIMALS if name in MONEY else 5)
            yield name, arrow.array([value or None for value in values], arrow.string()).cast(kind)
        else:
            yield name, arrow.array(values)
