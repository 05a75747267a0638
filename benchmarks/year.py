"""A real grid's time, ingested, settled, chained and booked; then replayed and audited: rows, size, time.

    python -m benchmarks.year [--days 7] [--store DIR]

118 homes of SimBench's 1-LV-rural3--2-sw, their quarter-hours as signed readings through the market's own ingest, from
the first of January. ``--days 366`` is the whole year.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from market.backtest.archive import read_archived
from market.backtest.grid import Grid, meters_of
from market.backtest.meters import Meters
from market.record import Record
from market.record.record import FILE_NAME
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.market import MASTER_KEY_FILE
from market.service.replay import replay
from market.settlement.rules import split

GRID = "1-LV-rural3--2-sw"
TARIFF = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
TABLES = ("reading", "gate", "result", "transfer", "chain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--store", type=Path, help="keep the store here (default: thrown away)")
    arguments = parser.parse_args()
    grid = read_archived(GRID)
    meters = meters_of(grid)
    intervals = min(meters.intervals, arguments.days * 86_400 // meters.length_s)
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder)
        _timed("settle", lambda: _settle(store, grid, meters, intervals))
        record = Record(store, read_only=True)
        rows = {table: record._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
        print(f"{intervals} intervals of {len(meters.households)} homes: {rows}")
        print(f"file: {(store / FILE_NAME).stat().st_size / 1e6:,.0f} MB")
        _timed("replay", lambda: replay(record, lambda done, total: None))
        _timed("audit", lambda: audit(record, store, lambda done, total: None))
        record.close()


def _timed(what: str, work: Callable[[], Any]) -> None:
    began, began_cpu = time.perf_counter(), time.process_time()
    work()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"{what}: {took_s:,.0f} s, {cpu_s:,.0f} s of one core", flush=True)


def _settle(store: Path, grid: Grid, meters: Meters, intervals: int) -> None:
    record = Record(store)
    record.store_inputs(split(_document(grid, meters)), now=0)
    chain = Chain(record, store)
    master = master_key(store / MASTER_KEY_FILE)
    keys = [derive_key(master, "year", f"m-{name}", 1) for name in meters.households]
    ingest, gates = Ingest(record, master), Gates(record, 0.0, 0, chain)
    registers = np.zeros((4, len(keys)), np.int64)
    columns = (meters.import_wh, meters.export_wh, meters.generation_wh, meters.consumption_wh)
    for step in range(intervals):
        start = meters.start + step * meters.length_s
        for row, column in zip(registers, columns, strict=True):
            row += column[step]
        messages = []
        for i, name in enumerate(meters.households):
            imported, exported, generated, consumed = registers[:, i].tolist()
            body = {"v": 1, "kid": 1, "outbox": f"{i:016x}", "seq": step, "first": 0, "start": start, "length": 900}
            body |= {"import_wh": imported, "export_wh": exported, "generation_wh": generated}
            text = json.dumps({**body, "consumption_wh": consumed, "flags": []}, separators=(",", ":")).encode()
            place = topic("year", f"m-{name}", "reading")
            messages.append(Message(place, sign(keys[i], place, text)))
        ingest.store(messages, now=start + meters.length_s, closed_before=gates.next_start)
        gates.tick(start + meters.length_s, 0.0)
        gates.close_next()
    chain.write_heads()
    record.close()


def _document(grid: Grid, meters: Meters) -> dict[str, Any]:
    return {
        "community": "year",
        "currency": "EUR",
        "timezone": grid.timezone,
        "interval_s": meters.length_s,
        "mechanism": "mid-market",
        "reference": TARIFF,
        "tariffs": {"standard": TARIFF},
        "network": [
            {"node": node.node, "parent": node.parent, "fee_per_kwh": "0.01" if node.level == "feeder" else "0"}
            for node in grid.nodes
        ],
        "members": [
            {
                "household": name,
                "node": node,
                "tariff": "standard",
                "meters": [{"meter": f"m-{name}", "kid": 1, "since": meters.start}],
            }
            for name, node in zip(meters.households, meters.nodes, strict=True)
        ],
    }


if __name__ == "__main__":
    main()
