"""Gate closures, results and transfers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from operator import attrgetter
from typing import Any

import msgspec

from market.record import schema
from market.record.part import Part
from market.record.rows import (
    CORRECTED,
    INTERVAL,
    PROVISIONAL,
    Gate,
    RecordError,
    Transfer,
)

AMOUNT_BOUND = 2**63
"""Amounts are below it: a settlement that could reach 2^62 is refused before it is booked."""
_GATE = "number, start, length, revision, closed_at, horizon, inputs, versions, kind, corrections, state"
ROWS_PER_PAGE = 500


class Ledger(Part):
    """The part of a Record that holds what was settled."""

    def close_gate(
        self,
        start: int,
        length: int,
        *,
        now: int,
        versions: Mapping[str, str],
        horizon: int,
        inputs: Mapping[str, int],
        kind: str = INTERVAL,
        corrections: int = 0,
        state: str | None = None,
    ) -> Gate:
        """Store the closure of the interval's or month's gate as its next revision.

        ``state`` None: provisional at first, corrected from the first revision on.
        """
        (revision,) = self._db.one(
            "SELECT count(*) FROM gate WHERE kind = ? AND start = ? AND length = ?", kind, start, length
        )
        state = state or (CORRECTED if revision else PROVISIONAL)
        number = self.last_gate_number(kind=None) + 1
        gate = Gate(
            number, start, length, revision, now, horizon, dict(inputs), dict(versions), kind, corrections, state
        )
        texts = (state, _text(gate.inputs), _text(gate.versions))
        self._db.insert(schema.gate, [(number, kind, start, length, revision, now, horizon, corrections, *texts)])
        return gate

    def add_result(self, gate: Gate, body: str | bytearray) -> None:
        """``body`` may be UTF-8: a large result is then not copied to be text first."""
        text = "?" if isinstance(body, str) else self._db.UTF8
        self._db.execute(f"INSERT INTO result VALUES (?, {text})", (gate.number, body))

    def book(self, gate: Gate, transfers: Sequence[Transfer]) -> None:
        """Add the transfers to the ledger. The same transfer again is harmless; another amount under its id is not.

        Raises RecordError for that, and for an amount that is not between 1 and 2^63 - 1.
        """
        written = self._db.insert(schema.transfer, _rows(transfers), "ON CONFLICT DO NOTHING", gate=gate.number)
        if written == len(transfers):
            return
        stored = {t.id: t for t in self.transfers(gate.number)}
        for transfer in transfers:
            if stored.get(transfer.id) != transfer:
                raise RecordError(f"transfer {transfer.id} is booked already with another content")

    def booked(self, start: int, length: int, before_revision: int, kind: str = INTERVAL) -> dict[tuple[str, str], int]:
        """(account, reason) -> money received from the pool by all revisions of the interval so far."""
        total: dict[tuple[str, str], int] = {}
        for debit, credit, amount, reason in self._db.execute(
            "SELECT debit, credit, amount, reason FROM transfer JOIN gate ON gate.number = transfer.gate"
            " WHERE kind = ? AND start = ? AND length = ? AND revision < ?",
            (kind, start, length, before_revision),
        ):
            account, money = (credit, amount) if debit == "pool" else (debit, -amount)
            total[account, reason] = total.get((account, reason), 0) + money
        return total

    def balances(self, until: int | None = None) -> dict[str, int]:
        """Account -> money [Wh x tick] received less paid, by all transfers, or those of what ended by ``until``.

        Cannot overflow: the database sums the upper 31 and the lower 32 bits of the amounts apart, which
        stays below 2^63 for 2^31 transfers of one account, and Python's integers, which have no bound, join
        the sums.
        """
        total: dict[str, int] = {}
        where, values = ("", ()) if until is None else ("WHERE gate.start + gate.length <= ?", (until,))
        for side, sign in (("credit", 1), ("debit", -1)):
            rows = self._db.execute(
                f"SELECT {side}, sum(amount >> 32), sum(amount & 4294967295)"
                f" FROM transfer JOIN gate ON gate.number = transfer.gate {where} GROUP BY {side}",
                values,
            )
            for account, high, low in rows:
                total[account] = total.get(account, 0) + sign * ((int(high) << 32) + int(low))
        return {account: total[account] for account in sorted(total)}

    def gates(self, after: int = 0, kind: str | None = INTERVAL) -> Iterator[Gate]:
        """The gate closures with a number above ``after``, in the order they were stored; ``kind`` None: every kind."""
        which, values = ("", ()) if kind is None else ("AND kind = ?", (kind,))
        while rows := self._db.execute(
            f"SELECT {_GATE} FROM gate WHERE number > ? {which} ORDER BY number LIMIT {ROWS_PER_PAGE}", (after, *values)
        ).fetchall():
            yield from (_gate(row) for row in rows)
            after = rows[-1][0]

    def last_gate(self, up_to: int = 2**62, kind: str = INTERVAL) -> Gate | None:
        """The newest interval's (month's) newest closure, among those with a number of at most ``up_to``."""
        row = self._db.execute(
            f"SELECT {_GATE} FROM gate WHERE number <= ? AND kind = ? ORDER BY start DESC, revision DESC LIMIT 1",
            (up_to, kind),
        ).fetchone()
        return None if row is None else _gate(row)

    def first_start(self) -> int | None:
        """The start of the first interval that was closed; None when none was."""
        start = self._db.one("SELECT min(start) FROM gate WHERE kind = ?", INTERVAL)[0]
        return None if start is None else int(start)

    def first_closed_since(self, moment: int) -> int | None:
        """The start of the first interval whose gate closed at or after ``moment`` [epoch s] by the market's clock."""
        query = "SELECT min(start) FROM gate WHERE kind = ? AND revision = 0 AND closed_at >= ?"
        start = self._db.one(query, INTERVAL, moment)[0]
        return None if start is None else int(start)

    def horizon_before(self, before_s: int) -> int:
        """The arrival number up to which readings had come ``before_s`` before the last closure, by the market's clock.

        Not by the intervals' own times: a market that was away closes months of them within minutes.
        """
        last = self.last_gate()
        if last is None:
            return 0
        row = self._db.execute(
            "SELECT horizon FROM gate WHERE kind = ? AND closed_at <= ? ORDER BY number DESC LIMIT 1",
            (INTERVAL, last.closed_at - before_s),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def gate_of(self, start: int, length: int, revision: int, kind: str = INTERVAL) -> Gate | None:
        """The closure of that revision, if there is one."""
        row = self._db.execute(
            f"SELECT {_GATE} FROM gate WHERE kind = ? AND start = ? AND length = ? AND revision = ?",
            (kind, start, length, revision),
        ).fetchone()
        return None if row is None else _gate(row)

    def newest_gate(self, start: int, length: int, kind: str = INTERVAL) -> Gate | None:
        """The newest closure of the interval or month, if there is one."""
        row = self._db.execute(
            f"SELECT {_GATE} FROM gate WHERE kind = ? AND start = ? AND length = ? ORDER BY revision DESC LIMIT 1",
            (kind, start, length),
        ).fetchone()
        return None if row is None else _gate(row)

    def last_gate_number(self, kind: str | None = INTERVAL) -> int:
        """The number of the newest closure; ``kind`` None: of any kind. 0 when there is none."""
        which, values = ("", ()) if kind is None else ("WHERE kind = ?", (kind,))
        return int(self._db.one(f"SELECT coalesce(max(number), 0) FROM gate {which}", *values)[0])

    def gates_to_run_again(self, after: int, after_correction: int = 0) -> list[int]:
        """The starts of closed intervals whose meters' data, or corrections, came after their newest closure.

        Only readings with an arrival number above ``after`` and corrections with a number above
        ``after_correction`` are looked at.
        """
        rows = self._db.execute(
            # Registers at an interval's end bound it and the next one.
            "WITH heard AS (SELECT start, length, max(arrival) AS arrival FROM reading WHERE arrival > ?"
            " GROUP BY start, length),"
            " touched AS (SELECT start, length, arrival, 0 AS number FROM heard"
            " UNION ALL SELECT start + length, length, arrival, 0 FROM heard"
            " UNION ALL SELECT start, length, 0, number FROM correction WHERE number > ?"
            " UNION ALL SELECT start + length, length, 0, number FROM correction WHERE number > ?),"
            " latest AS (SELECT start, length, max(arrival) AS arrival, max(number) AS number"
            " FROM touched GROUP BY start, length),"
            " seen AS (SELECT latest.start, latest.arrival, latest.number, max(gate.horizon) AS horizon,"
            " max(gate.corrections) AS corrections FROM latest JOIN gate ON gate.kind = 'interval'"
            " AND gate.start = latest.start AND gate.length = latest.length"
            " GROUP BY latest.start, latest.length, latest.arrival, latest.number)"
            " SELECT start FROM seen WHERE arrival > horizon OR number > corrections ORDER BY start",
            (after, after_correction, after_correction),
        )
        return [int(row[0]) for row in rows]

    def settled_after(self, number: int, start: int, end: int, below: int = 2**62) -> bool:
        """Whether a closure above ``number`` and below ``below`` is of an interval that starts in [start, end)."""
        query = "SELECT 1 FROM gate WHERE kind = ? AND start >= ? AND start < ? AND number > ? AND number < ? LIMIT 1"
        return self._db.execute(query, (INTERVAL, start, end, number, below)).fetchone() is not None

    def counts(self) -> dict[str, int]:
        """Rows of results and transfers."""
        return {table: int(self._db.one(f"SELECT count(*) FROM {table}")[0]) for table in ("result", "transfer")}

    def result(self, gate: int) -> str:
        row = self._db.execute("SELECT body FROM result WHERE gate = ?", (gate,)).fetchone()
        if row is None:
            raise RecordError(f"gate closure {gate} has no result")
        return str(row[0])

    def transfers(self, gate: int) -> list[Transfer]:
        """The transfers of a gate closure, by id."""
        rows = self._db.execute("SELECT id, debit, credit, amount, reason FROM transfer WHERE gate = ?", (gate,))
        return sorted(starmap(Transfer, rows), key=attrgetter("id"))


def _rows(transfers: Iterable[Transfer]) -> Iterator[tuple[object, ...]]:
    """Each transfer's own columns, in the table's order."""
    for one in transfers:
        amount = one.amount
        if not 0 < amount < AMOUNT_BOUND:
            raise RecordError(f"transfer {one.id}: {amount} cannot be booked")
        yield one.id, one.debit, one.credit, amount, one.reason


def _gate(row: Any) -> Gate:
    number, start, length, revision, closed_at, horizon, inputs, versions, *others = row
    decoded = msgspec.json.decode(inputs), msgspec.json.decode(versions)
    return Gate(number, start, length, revision, closed_at, horizon, *decoded, *others)


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
