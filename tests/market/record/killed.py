"""A small market's run that can be killed at any point where the record is written, and begun again.

    python -m tests.market.record.killed      reads lines "<store> <run> <point>" and answers each with one line

A fork does the run in the store and is killed there by SIGKILL; another one goes on to the end. Points count
from 1; one lies just before each commit and one just after it, and on SQLite one within each booking and before each
table that a migration takes away. Point 0: not killed; the answer is how many there were. The run "market" commits
everything that a market and the commands beside it do; "older" opens a record of version 0.1.0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, event

import market.record.migrate  # noqa: F401  so that no fork loads Alembic
from broker.contract import topic
from broker.keys import derive_key, sign
from broker.private_files import write_private
from market.record import Record, schema
from market.record.database import Database
from market.record.sqlite import SqliteDatabase
from market.service import correcting, months
from market.service.chain import Chain
from market.service.chain_keys import KEY_FILE, SECRET_FILE
from market.service.correcting import Said
from market.service.estimates import Estimates
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.month_closing import due
from market.settlement.rules import Registers

MASTER = bytes(range(32))
SINCE, LENGTH_S = 5_086_800, 3_600
"""Two of the run's intervals before a month ends in Berlin."""
STEPS = 3
METERS = ("m1", "m2", "m3")
LATE = (("m3", 0), ("m2", 2))
SILENT = (*LATE, ("m2", 1))
"""Who is not heard at the gate of which step."""


def document(retail: str = "0.30", interval_s: int = 900) -> dict[str, Any]:
    return {
        "community": "c",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": interval_s,
        "mechanism": "mid-market",
        "reference": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"},
        "deadlines": {"estimate_after_days": 0, "bill_after_days": 0},
        "tariffs": {"standard": {"retail_per_kwh": retail, "feed_in_per_kwh": "0.08"}},
        "network": [{"node": "root"}],
        "members": [
            {
                "household": meter.replace("m", "h"),
                "node": "root",
                "tariff": "standard",
                "meters": [{"meter": meter, "kid": 1, "since": SINCE}],
            }
            for meter in METERS
        ],
    }


def message(meter: str, step: int, *, seq: int | None = None, interval_s: int = 900, length: int = 0) -> Message:
    """m1 has something to sell, the others need it."""
    energy = 100 * (step + 1) + int(meter[1:])
    registers = (0, 3 * energy, 3 * energy, 0) if meter == "m1" else (energy, 0, 0, energy)
    body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step if seq is None else seq, "first": 0}
    body |= {"start": SINCE + interval_s * step, "length": length or interval_s}
    body |= dict(zip(Registers._fields, registers, strict=True)) | {"flags": []}
    name = topic("c", meter, "reading")
    return Message(name, sign(derive_key(MASTER, "c", meter, 1), name, json.dumps(body).encode()))


def status(meter: str) -> Message:
    body = {"v": 1, "online": True, "firmware": "0.2.0", "rssi": -60, "free_memory": 90_000}
    return Message(topic("c", meter, "status"), json.dumps(body).encode())


def run(store: Path) -> None:
    """From wherever the record stands to the end: what was not acknowledged is sent again.

    m3's first reading and m2's third come late, m2's second never, so that it is estimated; m3's first is corrected.
    The month, which ends with the second, is closed three times.
    """
    record = Record(store, sole=True)
    if not record.inputs_version():
        record.store_document(document(interval_s=LENGTH_S), now=0, author="killed")
    chain = chain_of(record, store)
    ingest, gates, estimates = Ingest(record, MASTER), Gates(record, grace_s=0.0, chain=chain), Estimates(record)

    def settle_what_changed() -> None:
        estimates.fill(gates.rules, gates.now, gates.next_start)
        list(gates.run_again())
        for month in due(record, gates.now):
            months.close(record, month, gates.now, lambda gate, rules, text: chain.add(gate))
        chain.write_heads()

    last = record.last_gate()
    if last is not None:
        gates.tick(last.closed_at, 0.0)
        settle_what_changed()
    for step in range(STEPS):
        end = SINCE + LENGTH_S * (step + 1)
        late = [message(*one, interval_s=LENGTH_S) for one in LATE if one[1] == step]
        in_time = [message(one, step, interval_s=LENGTH_S) for one in METERS if (one, step) not in SILENT]
        odd = [message("m1", step, seq=STEPS, interval_s=LENGTH_S, length=300)] if step == 2 else []
        ingest.store(in_time + odd, now=max(end, gates.now), closed_before=gates.next_start)
        gates.tick(end, 0.0)
        while gates.due(0.0):
            gates.close_next()
        estimates.heard(ingest.store(late, now=max(end, gates.now), closed_before=gates.next_start).stored)
        settle_what_changed()
        if step == 1:
            record.store_document(document("0.32", LENGTH_S), now=end, author="killed")
    if not any(one.author == "killed" for one in record.corrections_to(record.last_correction())):
        said = Said("m3", SINCE, 105, None, None, None, "read from the display")
        correcting.add(record, said, author="killed", now=gates.now)
    settle_what_changed()
    ingest.status(status("m1"))
    ingest.store_statuses(gates.now)
    record.close()


def chain_of(record: Record, store: Path) -> Chain:
    """The record's chain, with keys that are the same in every store, as a market that starts finds it."""
    for name in (SECRET_FILE, KEY_FILE):
        if not (store / name).exists():
            write_private(store / name, f"{MASTER.hex()}\n")
    chain = Chain(record, store)
    chain.catch_up(lambda text: None)
    return chain


def older(store: Path) -> None:
    """A market opens a record of version 0.1.0."""
    record = Record(store, sole=True)
    chain_of(record, store)
    record.close()


RUNS = {"market": run, "older": older}


def count_points(at: int) -> Callable[[], int]:
    """Kill this process at the point; returns what says how many there were."""
    seen = 0

    def here() -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    insert, commit = SqliteDatabase.insert, Database.commit

    def insert_here(database: SqliteDatabase, table: Table, *arguments: Any, **alike: Any) -> int:
        if table is schema.transfer:
            here()
        return insert(database, table, *arguments, **alike)

    def execute_here(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DROP TABLE"):
            here()

    def commit_here(database: Database) -> None:
        here()
        commit(database)
        here()

    # PostgreSQL knows nothing of a transaction whose commit did not come: one kill in each is enough.
    SqliteDatabase.insert = insert_here  # type: ignore[method-assign]
    Database.commit = commit_here  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", execute_here)
    event.listen(Engine, "commit", lambda _: here())
    return lambda: seen


def in_a_fork(store: Path, what: str, at: int) -> tuple[int, int]:
    """(signal or 0, points seen) of a run of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            seen = count_points(at)
            RUNS[what](store)
            os.write(writing, str(seen()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        seen = answer.read()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{store}: the run killed at {at} failed")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, int(seen or 0)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # What a first run loads, no fork has to load again.
        run(Path(scratch))
    for line in sys.stdin:
        store, what, point = line.split()
        killed, seen = in_a_fork(Path(store), what, int(point))
        if killed:
            in_a_fork(Path(store), what, 0)
        print(f"killed {point}" if killed else f"points {seen}", flush=True)


if __name__ == "__main__":
    main()
