"""The record: readings stored, transfers booked, on SQLite and on PostgreSQL.

    python -m benchmarks.record [--readings 60000] [--transfers 10000 100000]

Booking is compared with the driver's executemany of rows of the same shape into the same table, in the same run.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from broker.contract import topic
from broker.keys import derive_key, sign
from market.record import Record, Transfer, transfer_id
from market.service.ingest import Ingest, Message
from tests import parts
from tests.servers import PostgresqlServer

START, LENGTH_S, BATCH = 1_468_195_200, 900, 2_000
MASTER = bytes(range(32))
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=60_000)
    parser.add_argument("--transfers", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"SQLite {sqlite3.sqlite_version}")
        _measure(Path(folder) / "sqlite", None, arguments)
        server = PostgresqlServer(parts.get("postgresql"), durable=True)
        try:
            server.start()
            print(f"PostgreSQL {parts.version(server.program, 'postgresql')}")
            _measure(Path(folder) / "postgresql", server.new_database(), arguments)
        finally:
            server.remove()


def _measure(store: Path, url: str | None, arguments: argparse.Namespace) -> None:
    record = Record(store, url=url, sole=True)
    record.store_document(_document(1_000), now=0, author="benchmark")
    for meters in (12, 1_000):
        _ingest(record, meters, arguments.readings)
    for count in arguments.transfers:
        _book(record, count)
    begun = time.perf_counter()
    accounts = len(record.balances())
    rows = record.counts()["transfer"]
    print(f"  balances of {accounts} accounts over {rows} transfers: {time.perf_counter() - begun:.2f} s")
    record.close()


def _document(meters: int) -> dict[str, Any]:
    price = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
    return {
        "community": "c",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": LENGTH_S,
        "mechanism": "mid-market",
        "reference": price,
        "tariffs": {"standard": price},
        "network": [{"node": "root"}],
        "members": [
            {
                "household": f"h{i:04}",
                "node": "root",
                "tariff": "standard",
                "meters": [{"meter": f"m{i:04}", "kid": 1, "since": START}],
            }
            for i in range(meters)
        ],
    }


def _ingest(record: Record, meters: int, readings: int) -> None:
    """As the market does it: seals checked, every registers' neighbours looked at, committed for each batch."""
    ingest = Ingest(record, MASTER)
    outbox = hashlib.sha256(str(meters).encode()).hexdigest()[:16]
    first = record._db.one("SELECT coalesce(max(start), ?) FROM reading", START - LENGTH_S)[0] + LENGTH_S
    messages = []
    for count in range(readings):
        step, i = divmod(count, meters)
        name = topic("c", f"m{i:04}", "reading")
        start = first + LENGTH_S * step
        energy = (start - START) // 10
        body = {"v": 1, "kid": 1, "outbox": outbox, "seq": step, "first": 0, "start": start, "length": LENGTH_S}
        body |= {"import_wh": energy, "export_wh": 0, "generation_wh": 0, "consumption_wh": energy, "flags": []}
        key = derive_key(MASTER, "c", f"m{i:04}", 1)
        messages.append(Message(name, sign(key, name, msgspec.json.encode(body))))
    begun = time.perf_counter()
    for place in range(0, readings, BATCH):
        batch = ingest.store(messages[place : place + BATCH], now=2**40, closed_before=0)
        assert set(batch.outcomes) == {"stored"}, batch.outcomes
    took_s = time.perf_counter() - begun
    print(f"  ingest of {meters} meters: {readings / took_s:,.0f} readings/s")


def _book(record: Record, count: int) -> None:
    booked_s, raw_s = [], []
    for _ in range(ROUNDS):
        with record.transaction():
            gate = record.close_gate(START, LENGTH_S, now=0, versions={}, horizon=0, inputs={})
            transfers = []
            for i in range(count):
                account = f"household:h{i:06}"
                transfers.append(
                    Transfer(transfer_id("c", gate, account, "trade"), "pool", account, 10_000 + i, "trade")
                )
            transfers.sort(key=lambda transfer: transfer.id)
            begun = time.perf_counter()
            record.book(gate, transfers)
            booked_s.append(time.perf_counter() - begun)
        rows = sorted(
            (hashlib.sha256(t.id.encode()).hexdigest()[:32], gate.number, t.debit, t.credit, t.amount, t.reason)
            for t in transfers
        )
        mark = "?" if isinstance(record._db._connection, sqlite3.Connection) else "%s"  # type: ignore[attr-defined]
        with record.transaction():
            cursor = record._db._connection.cursor()  # type: ignore[attr-defined]
            begun = time.perf_counter()
            cursor.executemany(f"INSERT INTO transfer VALUES ({', '.join([mark] * 6)})", rows)
            raw_s.append(time.perf_counter() - begun)
            cursor.close()
    ours, raw = (count / sorted(times)[ROUNDS // 2] for times in (booked_s, raw_s))
    print(f"  booking {count}: {ours:,.0f} transfers/s, {ours / raw:.0%} of executemany's {raw:,.0f}")


if __name__ == "__main__":
    main()
