"""What an operator asks of the whole record: who was heard last, a day's closures, the newest of what went wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from market.record.ledger import _GATE, _gate
from market.record.part import Part
from market.record.readings import _correction
from market.record.rows import ESTIMATED, INTERVAL, Correction, Gate


@dataclass(frozen=True)
class Refused:
    """A message that was not stored as a reading, as it came at ``received_at`` [epoch s]."""

    arrival: int
    received_at: int
    outcome: str
    topic: str
    payload: bytes


class Overview(Part):
    """The part of a Record that looks over all meters and intervals; it only reads, and every answer is bounded."""

    def last_heard(self) -> dict[str, int]:
        """Meter -> the start of the newest interval of which a reading of it is stored."""
        # From meter to meter by the index: the readings between are not looked at.
        rows = self._db.execute(
            "WITH RECURSIVE known(meter) AS (SELECT min(meter) FROM reading UNION ALL"
            " SELECT (SELECT min(meter) FROM reading WHERE meter > known.meter) FROM known WHERE meter IS NOT NULL)"
            " SELECT meter, (SELECT max(start) FROM reading WHERE reading.meter = known.meter)"
            " FROM known WHERE meter IS NOT NULL"
        )
        return {str(meter): int(start) for meter, start in rows}

    def gates_between(self, start: int, end: int) -> list[Gate]:
        """Every closure of the intervals with ``start <= interval start < end``, by interval and revision."""
        rows = self._db.execute(
            f"SELECT {_GATE} FROM gate WHERE kind = ? AND start >= ? AND start < ? ORDER BY start, length, revision",
            (INTERVAL, start, end),
        )
        return [_gate(row) for row in rows]

    def newest_refused(self, outcomes: Collection[str], limit: int) -> list[Refused]:
        """The messages kept with one of the ``outcomes``, the newest first."""
        marks = ", ".join("?" * len(outcomes))
        rows = self._db.execute(
            "SELECT arrival, received_at, outcome, topic, payload FROM quarantine"
            f" WHERE outcome IN ({marks}) ORDER BY arrival DESC LIMIT ?",
            (*outcomes, limit),
        )
        return [
            Refused(arrival, received_at, outcome, topic, bytes(payload))
            for arrival, received_at, outcome, topic, payload in rows
        ]

    def newest_corrections(self, limit: int, *, estimated: bool) -> list[Correction]:
        """What people corrected, or what was ``estimated``, the newest first."""
        rows = self._db.execute(
            f"SELECT * FROM correction WHERE reason {'=' if estimated else '<>'} ? ORDER BY number DESC LIMIT ?",
            (ESTIMATED, limit),
        )
        return [_correction(row) for row in rows]

    def correction_counts(self) -> tuple[int, int]:
        """How many corrections people made, and how many estimates there are."""
        estimated = int(self._db.one("SELECT count(*) FROM correction WHERE reason = ?", ESTIMATED)[0])
        return int(self._db.one("SELECT count(*) FROM correction")[0]) - estimated, estimated

    def estimated_meters(self, start: int, end: int) -> dict[str, int]:
        """Meter -> how many of its intervals with ``start <= interval start < end`` were ever estimated."""
        rows = self._db.execute(
            "SELECT meter, count(DISTINCT start) FROM correction WHERE reason = ? AND start >= ? AND start < ?"
            " GROUP BY meter",
            (ESTIMATED, start, end),
        )
        return {str(meter): int(count) for meter, count in rows}
