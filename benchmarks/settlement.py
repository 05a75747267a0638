"""One interval settled and booked, beside a raw executemany of the same rows.

    python -m benchmarks.settlement [--homes 12 1000 10000 100000]

Energy from registers, clearing by curve aggregation, money, checks, result, transfers and one durable transaction,
without the chain and with it; against the bare rows in a bare transaction. All three begin with a copy of one record
and grow by the same rows, because a ledger's size and the length of its log decide what writing costs. They take turns
in one run, the median of each counts. Each size is a process of its own, which tells its peak memory.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from broker.contract import Reading
from market.record import Record
from market.record.record import FILE_NAME
from market.service.chain import Chain
from market.service.gates import Gates
from market.settlement.rules import Registers, split

START, LENGTH_S = 1_468_195_200, 900
HOMES_PER_FEEDER = 50
ROUNDS = 9
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, nargs="+", default=[12, 1_000, 10_000, 100_000])
    for homes in parser.parse_args().homes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            print(apart.submit(measure, homes).result(), flush=True)


def measure(homes: int) -> str:
    """What one size comes to, for people."""
    with tempfile.TemporaryDirectory() as folder:
        plain, chained, bare = (Path(folder, name) for name in ("plain", "chained", "bare"))
        record = Record(plain)
        record.store_inputs(split(document(homes)), now=0)
        read(record, homes, ROUNDS)
        record.close()
        for copy in (chained, bare):
            shutil.copytree(plain, copy)
        before_mib = peak_mib()
        took_s: dict[str, list[float]] = {"booked": [], "booked and chained": [], "the bare rows": []}
        records = [Record(plain, sole=True), Record(chained, sole=True)]
        market = [Gates(records[0], 0.0), Gates(records[1], 0.0, chain=Chain(records[1], chained))]
        rows = sqlite3.connect(bare / FILE_NAME, isolation_level=None)
        rows.execute("PRAGMA synchronous = FULL")
        with mock.patch("market.service.gates.SOLVER", "curve"):
            for _ in range(ROUNDS):
                for gates, times in zip(market, took_s.values(), strict=False):
                    gates.now = gates.next_start + LENGTH_S
                    # What was left over before is not this closure's.
                    gc.collect()
                    times.append(_timed(gates.close_next))
                transfers, result = _rows(records[0])
                gc.collect()
                took_s["the bare rows"].append(_timed(partial(_write, rows, transfers, result)))
        rows.close()
        for one in records:
            one.close()
    median_s = {name: statistics.median(times) for name, times in took_s.items()}
    bare_s = median_s["the bare rows"]
    lines = [f"{homes:,} homes, {len(transfers):,} transfers; peak {peak_mib():,} MiB, before {before_mib:,} MiB"]
    lines += [
        f"  {name:<18} {median * 1000:>9,.1f} ms {len(transfers) / median:>9,.0f}/s {bare_s / median:>5.0%}"
        f"  {median / LENGTH_S:.3%} of the interval"
        for name, median in median_s.items()
    ]
    return "\n".join(lines)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mib() -> int:
    """The process's greatest resident memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (MIB if sys.platform == "darwin" else 1024)


def document(homes: int) -> dict[str, Any]:
    feeders = max(1, homes // HOMES_PER_FEEDER)
    tariff = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
    meters = [{"meter": f"m{i:06}", "kid": 1, "since": START} for i in range(homes)]
    return {
        "community": "town",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": LENGTH_S,
        "mechanism": "mid-market",
        "reference": tariff,
        "tariffs": {"standard": tariff},
        "network": [
            {"node": "root", "parent": None},
            *({"node": f"f{i}", "parent": "root", "fee_per_kwh": "0.01"} for i in range(feeders)),
        ],
        "members": [
            {"household": f"h{i:06}", "node": f"f{i % feeders}", "tariff": "standard", "meters": [meters[i]]}
            for i in range(homes)
        ],
    }


def read(record: Record, homes: int, intervals: int) -> None:
    """Readings of all intervals: three in five homes need energy, the others have some."""
    chance = random.Random(1)
    registers = {f"m{i:06}": Registers(0, 0, 0, 0) for i in range(homes)}
    for step in range(intervals):
        with record.transaction():
            for meter, before in registers.items():
                need, have = (chance.randrange(500), 0) if chance.random() < 0.6 else (0, chance.randrange(900))
                after = Registers(*(a + b for a, b in zip(before, (need, have, have, need), strict=True)))
                registers[meter] = after
                start = START + step * LENGTH_S
                record.add_reading(meter, Reading(1, 1, "0" * 16, step, 0, start, LENGTH_S, *after, [], ""), b"{}")


def _rows(record: Record) -> tuple[list[tuple[Any, ...]], tuple[Any, ...]]:
    """What the newest closure wrote: its transfers and its result."""
    number = record.last_gate_number()
    transfers = [tuple(row) for row in record._db.execute("SELECT * FROM transfer WHERE gate = ?", (number,))]
    return transfers, tuple(record._db.execute("SELECT * FROM result WHERE gate = ?", (number,)).fetchone())


def _write(db: sqlite3.Connection, transfers: Sequence[tuple[Any, ...]], result: tuple[Any, ...]) -> None:
    """The same rows into the same tables, without anything that makes or checks them."""
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"INSERT INTO result VALUES ({', '.join('?' * len(result))})", result)
    db.executemany(f"INSERT INTO transfer VALUES ({', '.join('?' * len(transfers[0]))})", transfers)
    db.execute("COMMIT")


if __name__ == "__main__":
    main()
