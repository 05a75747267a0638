"""A small market's run that can be killed at any point where the record is written, and begun again.

    python -m tests.market.record.killed      reads lines "<store> <point>" and answers each with one line

A fork runs the market in the store and is killed there by SIGKILL; another one goes on to the end. Points count
from 1; one lies just before each commit and one just after it, on SQLite also one before each write. Point 0: not
killed; the answer is how many there were.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.contract import topic
from broker.keys import derive_key, sign
from market.record import Record
from market.record.database import Database
from market.record.sqlite import SqliteDatabase
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.settlement.rules import Registers

MASTER = bytes(range(32))
SINCE = 900_000
STEPS = 3
METERS = ("m1", "m2", "m3")


def document(retail: str = "0.30") -> dict[str, Any]:
    return {
        "community": "c",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": 900,
        "mechanism": "mid-market",
        "reference": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"},
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


def message(meter: str, step: int, *, seq: int | None = None, length: int = 900) -> Message:
    """m1 has something to sell, the others need it."""
    energy = 100 * (step + 1) + int(meter[1:])
    registers = (0, 3 * energy, 3 * energy, 0) if meter == "m1" else (energy, 0, 0, energy)
    body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step if seq is None else seq, "first": 0}
    body |= {"start": SINCE + 900 * step, "length": length}
    body |= dict(zip(Registers._fields, registers, strict=True)) | {"flags": []}
    name = topic("c", meter, "reading")
    return Message(name, sign(derive_key(MASTER, "c", meter, 1), name, json.dumps(body).encode()))


def run(store: Path) -> None:
    """From wherever the record stands to the end: what was not acknowledged is sent again, m3's first comes late."""
    record = Record(store, sole=True)
    if not record.inputs_version():
        record.store_document(document(), now=0, author="killed")
    ingest, gates = Ingest(record, MASTER), Gates(record, grace_s=0.0)
    last = record.last_gate()
    if last is not None:
        gates.tick(last.closed_at, 0.0)
        list(gates.run_again())
    for step in range(STEPS):
        end = SINCE + 900 * (step + 1)
        late = [message("m3", 0)] if step == 0 else []
        in_time = [message(meter, step) for meter in METERS if not (late and meter == "m3")]
        odd = [message("m1", step, seq=STEPS, length=300)] if step == 2 else []
        ingest.store(in_time + odd, now=max(end, gates.now), closed_before=gates.next_start)
        gates.tick(end, 0.0)
        while gates.due(0.0):
            gates.close_next()
        ingest.store(late, now=max(end, gates.now), closed_before=gates.next_start)
        list(gates.run_again())
        if step == 1:
            record.store_document(document("0.32"), now=end, author="killed")
    record.close()


def count_points(at: int) -> Callable[[], int]:
    """Kill this process at the point; returns what says how many there were."""
    seen = 0

    def here() -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    insert, commit = SqliteDatabase.insert, Database.commit

    def insert_here(*arguments: Any, **alike: Any) -> int:
        here()
        return insert(*arguments, **alike)

    def commit_here(database: Database) -> None:
        here()
        commit(database)
        here()

    # PostgreSQL knows nothing of a transaction whose commit did not come: one kill in each is enough.
    SqliteDatabase.insert = insert_here  # type: ignore[method-assign]
    Database.commit = commit_here  # type: ignore[method-assign]
    return lambda: seen


def in_a_fork(store: Path, at: int) -> tuple[int, int]:
    """(signal or 0, points seen) of a run of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            seen = count_points(at)
            run(store)
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
    for line in sys.stdin:
        store, point = line.split()
        killed, seen = in_a_fork(Path(store), int(point))
        if killed:
            in_a_fork(Path(store), 0)
        print(f"killed {point}" if killed else f"points {seen}", flush=True)


if __name__ == "__main__":
    main()
