"""One interval settled and booked, beside a raw executemany of the same rows.

    python -m benchmarks.settlement [--homes 10000 100000]

Energy from registers, clearing by curve aggregation, money, checks, result, transfers, the chain with its proofs, and
one durable transaction; against the bare rows in a bare transaction of a database of the same tables, in the same run.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
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
TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, nargs="+", default=[10_000, 100_000])
    for homes in parser.parse_args().homes:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), homes)


def _measure(folder: Path, homes: int) -> None:
    record = Record(folder / "store")
    record.store_inputs(split(document(homes)), now=0)
    read(record, homes)
    took_s: dict[str, list[float]] = {"chained": [], "booked": []}
    with mock.patch("market.service.gates.SOLVER", "curve"):
        for name, chain in (("booked", None), ("chained", Chain(record, folder / "store"))):
            gates = Gates(record, 0.0, 0, None)
            if chain is not None:
                chain.catch_up(lambda text: None)
                gates = Gates(record, 0.0, 0, chain)
            for _ in range(TIMES):
                gates.now = gates.next_start + LENGTH_S
                began = time.perf_counter()
                closed = gates.close_next()
                took_s[name].append(time.perf_counter() - began)
    number = closed.gate.number
    transfers = [tuple(row) for row in record._db.execute("SELECT * FROM transfer WHERE gate = ?", (number,))]
    result = tuple(record._db.execute("SELECT * FROM result WHERE gate = ?", (number,)).fetchone())
    record.close()
    bare_s = min(_bare(folder, transfers, result) for _ in range(TIMES))
    for name, times in took_s.items():
        best_s = min(times)
        print(
            f"{homes:,} homes, settled and {name}: {len(transfers):,} transfers in {best_s * 1000:,.0f} ms,"
            f" {len(transfers) / best_s:,.0f}/s; the bare rows {bare_s * 1000:,.0f} ms,"
            f" {len(transfers) / bare_s:,.0f}/s; {bare_s / best_s:.0%}"
        )


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


def read(record: Record, homes: int) -> None:
    """Readings of all intervals: three in five homes need energy, the others have some."""
    chance = random.Random(1)
    registers = {f"m{i:06}": Registers(0, 0, 0, 0) for i in range(homes)}
    for step in range(2 * TIMES):
        with record.transaction():
            for meter, before in registers.items():
                need, have = (chance.randrange(500), 0) if chance.random() < 0.6 else (0, chance.randrange(900))
                after = Registers(*(a + b for a, b in zip(before, (need, have, have, need), strict=True)))
                registers[meter] = after
                start = START + step * LENGTH_S
                record.add_reading(meter, Reading(1, 1, "0" * 16, step, 0, start, LENGTH_S, *after, [], ""), b"{}")


def _bare(folder: Path, transfers: list[tuple[Any, ...]], result: tuple[Any, ...]) -> float:
    """Seconds for the same rows into the same tables, without anything that makes or checks them."""
    path = folder / "bare.sqlite"
    path.unlink(missing_ok=True)
    Record(folder / "empty").close()
    (folder / "empty" / FILE_NAME).replace(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA synchronous = FULL")
    began = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"INSERT INTO result VALUES ({', '.join('?' * len(result))})", result)
    db.executemany(f"INSERT INTO transfer VALUES ({', '.join('?' * len(transfers[0]))})", transfers)
    db.execute("COMMIT")
    took_s = time.perf_counter() - began
    db.close()
    return took_s


if __name__ == "__main__":
    main()
