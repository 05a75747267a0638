"""Reading and writing the record. One process writes; any number read."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from broker.contract import Reading
from market.record.schema import FORMAT, statements
from market.settlement.rules import KINDS, Registers, Rules, parse

FILE_NAME = "record.sqlite"
BUSY_TIMEOUT_S = 5.0
QUARANTINE_BOUND = 10_000
"""Raw messages kept for each outcome; past it they are only counted."""


class RecordError(RuntimeError):
    """The record cannot be used, or would contradict itself; the message says why."""


class Transfer(NamedTuple):
    """Money [Wh x tick, positive] that goes from ``debit`` to ``credit`` for ``reason``."""

    id: str
    debit: str
    credit: str
    amount: int
    reason: str


@dataclass(frozen=True)
class Gate:
    """A gate closure: what a run of the interval saw.

    ``horizon`` is the arrival number of the last reading it saw, ``inputs`` the version of each
    kind of input, ``versions`` those of engine and solver.
    """

    number: int
    start: int
    length: int
    revision: int
    closed_at: int
    horizon: int
    inputs: dict[str, int]
    versions: dict[str, str]


class Record:
    """The community's record in ``directory``.

    Raises RecordError when there is none to read, or when its format is another's.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.path = directory / FILE_NAME
        self._quarantined: dict[str, int] = {}
        if read_only:
            if not self.path.exists():
                raise RecordError(f"{directory}: there is no record here ({FILE_NAME} is missing)")
            # SQLite must be able to make its -shm file, except where nobody can be writing.
            still = not os.access(directory, os.W_OK) and not self.path.with_name(f"{FILE_NAME}-wal").exists()
            mode = "immutable=1" if still else "mode=ro"
            self._db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
            )
        else:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            if self._format() == 0:
                self._db.executescript(f"BEGIN IMMEDIATE; {statements()} COMMIT;")
        if self._format() != FORMAT:
            raise RecordError(f"{self.path}: this record has format {self._format()}; this version reads {FORMAT}")

    def _format(self) -> int:
        return int(self._one("PRAGMA user_version")[0])

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row = self._db.execute(query, values).fetchone()
        assert row is not None
        return tuple(row)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept when the block ends, or nothing of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment, also while the market goes on."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    # inputs

    def store_inputs(self, bodies: Mapping[str, Any], now: int) -> list[str]:
        """Store what differs from the newest version of each kind; returns the kinds that did.

        The first version of a kind applies from the beginning; a later one to intervals that start
        at or after ``now`` [epoch s], and never to one that was settled already, whatever the clock
        says. Raises RecordError for another community or interval length: these need a store of
        their own.
        """
        changed = []
        with self.transaction():
            last = self.last_gate()
            newest_stored = self._one("SELECT coalesce(max(stored_at), 0) FROM input")[0]
            now = max(now, newest_stored, 0 if last is None else last.start + last.length)
            for kind in KINDS:
                body = msgspec.json.encode(bodies[kind]).decode()
                row = self._db.execute(
                    "SELECT version, body FROM input WHERE kind = ? ORDER BY version DESC LIMIT 1", (kind,)
                ).fetchone()
                if row is not None and row[1] == body:
                    continue
                if row is not None and kind == "community":
                    _check_unchanged(msgspec.json.decode(row[1]), bodies[kind])
                version = 1 if row is None else row[0] + 1
                self._db.execute("INSERT INTO input VALUES (?, ?, ?, ?)", (kind, version, now if row else 0, body))
                changed.append(kind)
        return changed

    def input_versions(self, start: int) -> dict[str, int]:
        """The version of each kind of input that applies to the interval that starts at ``start``."""
        rows = self._db.execute("SELECT kind, max(version) FROM input WHERE stored_at <= ? GROUP BY kind", (start,))
        found = {str(kind): int(version) for kind, version in rows}
        if set(found) != set(KINDS):
            raise RecordError(f"{self.path}: no community has been stored here")
        return found

    def member_versions(self) -> list[dict[str, int]]:
        """For each version of the members, the inputs that applied when it was stored; the oldest first."""
        rows = self._db.execute("SELECT stored_at FROM input WHERE kind = 'members' ORDER BY version")
        return [self.input_versions(stored_at) for (stored_at,) in rows]

    def rules(self, versions: Mapping[str, int]) -> Rules:
        """The rules that these versions of the inputs make."""
        bodies = {}
        for kind, version in versions.items():
            row = self._db.execute("SELECT body FROM input WHERE kind = ? AND version = ?", (kind, version)).fetchone()
            if row is None:
                raise RecordError(f"{self.path}: input {kind} version {version} is missing")
            bodies[kind] = msgspec.json.decode(row[0])
        return parse(bodies)

    # readings

    def reading_at(self, meter: str, start: int, length: int) -> bytes | None:
        """The payload of the reading stored for this interval, if any."""
        row = self._db.execute(
            "SELECT payload FROM reading WHERE start = ? AND length = ? AND meter = ?", (start, length, meter)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def neighbours(
        self, meter: str, start: int, since: int
    ) -> tuple[tuple[int, Registers] | None, tuple[int, Registers] | None]:
        """(interval start, registers) stored next before and next after ``start``, not before ``since``."""
        columns = ", ".join(("start", *Registers._fields))
        before = self._db.execute(
            f"SELECT {columns} FROM reading WHERE meter = ? AND start < ? AND start >= ? ORDER BY start DESC LIMIT 1",
            (meter, start, since),
        ).fetchone()
        after = self._db.execute(
            f"SELECT {columns} FROM reading WHERE meter = ? AND start > ? ORDER BY start LIMIT 1", (meter, start)
        ).fetchone()
        return (
            None if before is None else (before[0], Registers(*before[1:])),
            None if after is None else (after[0], Registers(*after[1:])),
        )

    def add_reading(self, meter: str, reading: Reading, payload: bytes) -> None:
        self._db.execute(
            "INSERT INTO reading (meter, start, length, import_wh, export_wh, generation_wh, consumption_wh,"
            " outbox, seq, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                meter,
                reading.start,
                reading.length,
                reading.import_wh,
                reading.export_wh,
                reading.generation_wh,
                reading.consumption_wh,
                reading.outbox,
                reading.seq,
                payload,
            ),
        )

    def horizon(self) -> int:
        """The arrival number of the newest reading; 0 when there is none."""
        return int(self._one("SELECT coalesce(max(arrival), 0) FROM reading")[0])

    def registers(self, start: int, length: int, horizon: int) -> dict[tuple[str, int], Registers]:
        """(meter, interval start) -> registers, for the interval and the one before, as far as ``horizon``."""
        rows = self._db.execute(
            "SELECT meter, start, import_wh, export_wh, generation_wh, consumption_wh FROM reading"
            " WHERE start IN (?, ?) AND length = ? AND arrival <= ?",
            (start - length, start, length, horizon),
        )
        return {(meter, at): Registers(*values) for meter, at, *values in rows}

    def meters_heard(self, start: int, length: int) -> set[str]:
        """The meters whose reading of this interval is stored."""
        return {
            row[0]
            for row in self._db.execute("SELECT meter FROM reading WHERE start = ? AND length = ?", (start, length))
        }

    def reading_count(self) -> int:
        return int(self._one("SELECT count(*) FROM reading")[0])

    def payloads(self) -> Iterator[tuple[str, Reading, bytes]]:
        """Every stored reading's meter, its columns as a reading would hold them, and its raw bytes."""
        for row in self._db.execute("SELECT * FROM reading ORDER BY arrival"):
            _, meter, start, length, imported, exported, generated, consumed, outbox, seq, payload = row
            columns = Reading(1, 1, outbox, seq, 0, start, length, imported, exported, generated, consumed, [], "")
            yield meter, columns, payload

    # what became of messages

    def count(self, outcomes: Mapping[str, int]) -> None:
        self._db.executemany(
            "INSERT INTO outcome VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            outcomes.items(),
        )

    def outcomes(self) -> dict[str, int]:
        """How often each named outcome came, by name."""
        return dict(self._db.execute("SELECT name, count FROM outcome ORDER BY name"))

    def quarantine(self, outcome: str, topic: str, payload: bytes, now: int, *, bounded: bool) -> None:
        """Keep a message that was not stored; when ``bounded``, only while few of its kind are kept."""
        if bounded:
            if outcome not in self._quarantined:
                kept = self._one("SELECT count(*) FROM quarantine WHERE outcome = ?", outcome)[0]
                self._quarantined[outcome] = kept
            if self._quarantined[outcome] >= QUARANTINE_BOUND:
                return
            self._quarantined[outcome] += 1
        self._db.execute(
            "INSERT INTO quarantine (received_at, outcome, topic, payload) VALUES (?, ?, ?, ?)",
            (now, outcome, topic, payload),
        )

    def next_seq(self, meter: str, outbox: str) -> int:
        """Every seq of the outbox below this is kept; 0 for an outbox that was never heard."""
        row = self._db.execute("SELECT next FROM outbox WHERE meter = ? AND outbox = ?", (meter, outbox)).fetchone()
        return 0 if row is None else int(row[0])

    def advance_outbox(self, meter: str, outbox: str, seq: int, first: int) -> int:
        """Note that ``seq`` is kept and that nothing below ``first`` will come; returns the new ``next``."""
        following = max(self.next_seq(meter, outbox), first)
        key = (meter, outbox)
        if seq > following:
            self._db.execute("INSERT OR IGNORE INTO held VALUES (?, ?, ?)", (*key, seq))
        elif seq == following:
            following += 1
        while self._db.execute(
            "SELECT 1 FROM held WHERE meter = ? AND outbox = ? AND seq = ?", (*key, following)
        ).fetchone():
            following += 1
        self._db.execute("DELETE FROM held WHERE meter = ? AND outbox = ? AND seq < ?", (*key, following))
        self._db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)", (*key, following, self.horizon()))
        return following

    def outboxes(self) -> list[tuple[str, str, int]]:
        """(meter, outbox, next) of the outbox that each meter used last."""
        rows = self._db.execute("SELECT meter, outbox, next, max(advanced) FROM outbox GROUP BY meter ORDER BY meter")
        return [(meter, outbox, following) for meter, outbox, following, _ in rows]

    # gates, results, transfers

    def close_gate(
        self, start: int, length: int, *, now: int, versions: Mapping[str, str], horizon: int, inputs: Mapping[str, int]
    ) -> Gate:
        """Store the closure of the interval's gate as its next revision."""
        revision, number = self._one(
            "SELECT (SELECT count(*) FROM gate WHERE start = ? AND length = ?),"
            " (SELECT coalesce(max(number), 0) + 1 FROM gate)",
            start,
            length,
        )
        gate = Gate(number, start, length, revision, now, horizon, dict(inputs), dict(versions))
        self._db.execute(
            "INSERT INTO gate VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, start, length, revision, now, horizon, _text(gate.inputs), _text(gate.versions)),
        )
        return gate

    def add_result(self, gate: Gate, body: str) -> None:
        self._db.execute("INSERT INTO result VALUES (?, ?)", (gate.number, body))

    def book(self, gate: Gate, transfers: Sequence[Transfer]) -> None:
        """Add the transfers to the ledger. The same transfer again is harmless; another amount under its id is not.

        Raises RecordError for that.
        """
        self._db.executemany(
            "INSERT OR IGNORE INTO transfer VALUES (?, ?, ?, ?, ?, ?)",
            [(t.id, gate.number, t.debit, t.credit, t.amount, t.reason) for t in transfers],
        )
        stored = {t.id: t for t in self.transfers(gate.number)}
        for transfer in transfers:
            if stored.get(transfer.id) != transfer:
                raise RecordError(f"transfer {transfer.id} is booked already with another content")

    def booked(self, start: int, length: int, before_revision: int) -> dict[tuple[str, str], int]:
        """(account, reason) -> money received from the pool by all revisions of the interval so far."""
        total: dict[tuple[str, str], int] = {}
        for debit, credit, amount, reason in self._db.execute(
            "SELECT debit, credit, amount, reason FROM transfer JOIN gate ON gate.number = transfer.gate"
            " WHERE start = ? AND length = ? AND revision < ?",
            (start, length, before_revision),
        ):
            account, money = (credit, amount) if debit == "pool" else (debit, -amount)
            total[account, reason] = total.get((account, reason), 0) + money
        return total

    def gates(self, after: int = 0) -> Iterator[Gate]:
        """The gate closures with a number above ``after``, in the order they were stored."""
        for row in self._db.execute("SELECT * FROM gate WHERE number > ? ORDER BY number", (after,)):
            yield _gate(row)

    def last_gate(self, up_to: int = 2**62) -> Gate | None:
        """The newest interval's newest closure, among those with a number of at most ``up_to``."""
        row = self._db.execute(
            "SELECT * FROM gate WHERE number <= ? ORDER BY start DESC, revision DESC LIMIT 1", (up_to,)
        ).fetchone()
        return None if row is None else _gate(row)

    def last_gate_number(self) -> int:
        return int(self._one("SELECT coalesce(max(number), 0) FROM gate")[0])

    def gates_to_run_again(self, after: int) -> list[int]:
        """The starts of closed intervals whose meters' data arrived after their newest closure.

        Only readings with an arrival number above ``after`` are looked at.
        """
        rows = self._db.execute(
            "WITH newest AS (SELECT start, length, max(horizon) AS horizon FROM gate GROUP BY start, length)"
            " SELECT DISTINCT newest.start FROM reading JOIN newest ON newest.length = reading.length"
            " AND newest.start IN (reading.start, reading.start + reading.length)"
            " WHERE reading.arrival > ? AND reading.arrival > newest.horizon ORDER BY 1",
            (after,),
        )
        return [int(row[0]) for row in rows]

    def counts(self) -> dict[str, int]:
        """Rows of results and transfers."""
        return {table: int(self._one(f"SELECT count(*) FROM {table}")[0]) for table in ("result", "transfer")}

    def result(self, gate: int) -> str:
        row = self._db.execute("SELECT body FROM result WHERE gate = ?", (gate,)).fetchone()
        if row is None:
            raise RecordError(f"gate closure {gate} has no result")
        return str(row[0])

    def transfers(self, gate: int) -> list[Transfer]:
        """The transfers of a gate closure, by id."""
        rows = self._db.execute(
            "SELECT id, debit, credit, amount, reason FROM transfer WHERE gate = ? ORDER BY id", (gate,)
        )
        return [Transfer(*row) for row in rows]


def _check_unchanged(stored: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    for name in ("community", "interval_s"):
        if stored[name] != body[name]:
            raise RecordError(f"{name} {body[name]}: this store is for {stored[name]}; begin a new one")


def transfer_id(community: str, gate: Gate, account: str, reason: str) -> str:
    """The name of a member's transfer: interval, account, reason and revision decide it, nothing else."""
    key = f"{community}/{gate.start}/{gate.length}/{account}/{reason}/{gate.revision}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _gate(row: Iterable[Any]) -> Gate:
    number, start, length, revision, closed_at, horizon, inputs, versions = row
    return Gate(
        number, start, length, revision, closed_at, horizon, msgspec.json.decode(inputs), msgspec.json.decode(versions)
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
