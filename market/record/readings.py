"""The readings: registers as they were sent, in the order they came, and the corrections of them.

What a transaction adds is written when it ends, or when a query needs it, many rows in one statement.
Each meter's newest reading is remembered: a reading that comes in order asks the database nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np

from broker.contract import Reading
from market.record import schema
from market.record.part import Part
from market.record.rows import ESTIMATED, Correction
from market.settlement.columns import Known
from market.settlement.rules import Registers

Place = tuple[int, Registers]
"""An interval's start and the registers at its end."""

_REGISTERS = ", ".join(schema.REGISTERS)
READINGS_PER_PAGE = 2_000
_BEGINNING = -(2**62)
_PLACE, _VALUES = itemgetter(0, 1), itemgetter(slice(2, None))
_make = partial(tuple.__new__, Registers)
"""``Registers._make`` without its check, for tens of thousands of rows at each closure."""


@dataclass(frozen=True)
class _Ended:
    """What readings up to arrival number ``horizon`` say of the end of the interval at ``start``."""

    row: Mapping[str, int]
    start: int
    length: int
    horizon: int
    known: Known

    def fits(self, row: Mapping[str, int], start: int, length: int, horizon: int) -> bool:
        return self.row is row and (self.start, self.length) == (start, length) and self.horizon <= horizon


class Readings(Part):
    """The part of a Record that holds readings and corrections."""

    def _forget_readings(self) -> None:
        self._pending: list[tuple[object, ...]] = []
        self._newest: dict[str, Place | None] = {}
        self._arrived: int | None = None
        self._ended: _Ended | None = None

    def _flush_readings(self) -> None:
        if self._pending:
            rows, self._pending = self._pending, []
            self._db.insert(schema.reading, rows)

    def add_reading(self, meter: str, reading: Reading, payload: bytes) -> None:
        """To be called within ``transaction``."""
        assert self._db.writing
        registers = Registers(reading.import_wh, reading.export_wh, reading.generation_wh, reading.consumption_wh)
        newest = self._newest_of(meter)
        self._arrived = self.horizon() + 1
        self._pending.append(
            (self._arrived, meter, reading.start, reading.length, *registers, reading.outbox, reading.seq, payload)
        )
        if newest is None or newest[0] < reading.start:
            self._newest[meter] = (reading.start, registers)

    def _newest_of(self, meter: str) -> Place | None:
        if meter not in self._newest:
            # What is not written yet is only of meters whose newest is remembered.
            row = self._db.execute(
                f"SELECT start, {_REGISTERS} FROM reading WHERE meter = ? ORDER BY start DESC LIMIT 1", (meter,)
            ).fetchone()
            self._newest[meter] = _place(row)
        return self._newest[meter]

    def reading_at(self, meter: str, start: int, length: int) -> bytes | None:
        """The payload of the reading stored for this interval, if any."""
        if self._db.writing:
            newest = self._newest_of(meter)
            if newest is None or newest[0] < start:
                return None
            self._flush_readings()
        row = self._db.execute(
            "SELECT payload FROM reading WHERE start = ? AND length = ? AND meter = ?", (start, length, meter)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def neighbours(self, meter: str, start: int, since: int) -> tuple[Place | None, Place | None]:
        """(interval start, registers) stored next before and next after ``start``, not before ``since``."""
        if self._db.writing:
            newest = self._newest_of(meter)
            if newest is None or newest[0] < start:
                return (newest if newest is not None and newest[0] >= since else None), None
            self._flush_readings()
        before = self._db.execute(
            f"SELECT start, {_REGISTERS} FROM reading"
            " WHERE meter = ? AND start < ? AND start >= ? ORDER BY start DESC LIMIT 1",
            (meter, start, since),
        ).fetchone()
        after = self._db.execute(
            f"SELECT start, {_REGISTERS} FROM reading WHERE meter = ? AND start > ? ORDER BY start LIMIT 1",
            (meter, start),
        ).fetchone()
        return _place(before), _place(after)

    def corrected_neighbours(self, meter: str, start: int, since: int) -> tuple[Place | None, Place | None]:
        """``neighbours``, but a person's correction stands instead of a reading, or where none came."""
        before, after = self.neighbours(meter, start, since)
        low, high = before[0] if before else since, after[0] + 1 if after else 2**62
        for correction in self.corrections_of(meter, low, high):
            place = correction.start, correction.registers
            if correction.reason == ESTIMATED:
                continue
            if place[0] < start and (before is None or place[0] >= before[0]):
                before = place
            elif place[0] > start and (after is None or place[0] <= after[0]):
                after = place
        return before, after

    def registers_of(self, meter: str, start: int, end: int, newest: int | None = None) -> list[Place]:
        """The meter's readings of the intervals with ``start <= interval start < end``, in order.

        With ``newest`` at most so many, the latest of them.
        """
        self._flush_readings()
        rows = self._db.execute(
            f"SELECT start, {_REGISTERS} FROM reading WHERE meter = ? AND start >= ? AND start < ?"
            " ORDER BY start DESC" + ("" if newest is None else f" LIMIT {newest:d}"),
            (meter, start, end),
        ).fetchall()
        return [(row[0], Registers(*row[1:])) for row in reversed(rows)]

    def horizon(self) -> int:
        """The arrival number of the newest reading; 0 when there is none."""
        if self._db.writing and self._arrived is not None:
            return self._arrived
        arrived = int(self._db.one("SELECT coalesce(max(arrival), 0) FROM reading")[0])
        if self._db.writing:
            self._arrived = arrived
        return arrived

    def registers(
        self, start: int, length: int, horizon: int, corrections: int = 0
    ) -> dict[tuple[str, int], Registers]:
        """(meter, interval start) -> registers, for the interval and the one before.

        As they were known with readings up to arrival number ``horizon`` and corrections up to number
        ``corrections``; a correction stands instead of a reading, or where none came.
        """
        self._flush_readings()
        rows = self._db.execute(
            f"SELECT meter, start, {_REGISTERS} FROM reading WHERE start IN (?, ?) AND length = ? AND arrival <= ?",
            (start - length, start, length, horizon),
        ).fetchall()
        found = dict(zip(map(_PLACE, rows), map(_make, map(_VALUES, rows)), strict=True))
        for correction in self.standing(start, length, horizon, corrections):
            found[correction.meter, correction.start] = correction.registers
        return found

    def register_columns(
        self, row: Mapping[str, int], start: int, length: int, horizon: int, corrections: int = 0
    ) -> tuple[Known, Known]:
        """``registers`` of the meters that have a ``row``, in columns: at the interval's beginning and at its end."""
        self._flush_readings()
        before, after = (self._columns_at(row, at, length, horizon) for at in (start - length, start))
        # The next interval begins where this one ends. What is remembered is as it was heard, without corrections.
        self._ended = _Ended(row, start, length, horizon, after)
        known = {start - length: before, start: (after[0].copy(), after[1].copy())}
        for correction in self.standing(start, length, horizon, corrections):
            if correction.meter in row:
                values, there = known[correction.start]
                values[row[correction.meter]], there[row[correction.meter]] = correction.registers, True
        return known[start - length], known[start]

    def _columns_at(self, row: Mapping[str, int], start: int, length: int, horizon: int) -> Known:
        """A reading that is stored stays as it is: what was read for the interval before is not read again."""
        # The last place takes meters without a row.
        values, known = np.zeros((len(row) + 1, len(schema.REGISTERS)), np.int64), np.zeros(len(row) + 1, bool)
        seen, ended = _BEGINNING, self._ended
        if ended is not None and ended.fits(row, start, length, horizon):
            seen, (values[:-1], known[:-1]) = ended.horizon, ended.known
        meters, *registers = self._db.columns(
            ("meter", *schema.REGISTERS),
            "FROM reading WHERE start = ? AND length = ? AND arrival > ? AND arrival <= ?",
            (start, length, seen, horizon),
        )
        at = np.fromiter(map(row.get, meters, repeat(len(row))), np.int64, len(meters))
        values[at], known[at] = np.array(registers, np.int64).T, True
        return values[:-1], known[:-1]

    def standing(self, start: int, length: int, horizon: int, corrections: int) -> list[Correction]:
        """The corrections that ``registers`` takes: the newest of each meter and interval; estimates only fill."""
        if not corrections:
            return []
        rows = self._db.execute(
            "SELECT * FROM correction WHERE start IN (?, ?) AND length = ? AND number <= ? ORDER BY number",
            (start - length, start, length, corrections),
        )
        newest: dict[tuple[str, int], Correction] = {}
        for correction in map(_correction, rows):
            place = correction.meter, correction.start
            if correction.reason != ESTIMATED or place not in newest or newest[place].reason == ESTIMATED:
                newest[place] = correction
        return [found for found in newest.values() if found.reason != ESTIMATED or not self._heard(found, horizon)]

    def _heard(self, correction: Correction, horizon: int) -> bool:
        place = correction.start, correction.length, correction.meter, horizon
        query = "SELECT 1 FROM reading WHERE start = ? AND length = ? AND meter = ? AND arrival <= ?"
        return self._db.execute(query, place).fetchone() is not None

    def sent(self, start: int, length: int, horizon: int) -> dict[str, bytes]:
        """Meter -> the payload of its reading of this interval, of those with an arrival number up to ``horizon``."""
        self._flush_readings()
        rows = self._db.execute(
            "SELECT meter, payload FROM reading WHERE start = ? AND length = ? AND arrival <= ?",
            (start, length, horizon),
        )
        return {meter: bytes(payload) for meter, payload in rows}

    def corrected(self, start: int, length: int, horizon: int, corrections: int) -> dict[tuple[str, int], int]:
        """(meter, interval start) -> the number of the correction that stands, as ``registers`` takes them."""
        standing = self.standing(start, length, horizon, corrections)
        return {(correction.meter, correction.start): correction.number for correction in standing}

    def meters_heard(self, start: int, length: int) -> set[str]:
        """The meters whose reading of this interval is stored."""
        self._flush_readings()
        rows = self._db.execute("SELECT meter FROM reading WHERE start = ? AND length = ?", (start, length))
        return {row[0] for row in rows}

    def came_after(self, arrival: int) -> list[tuple[int, str]]:
        """(interval start, meter) of the readings with a greater arrival number."""
        self._flush_readings()
        rows = self._db.execute("SELECT start, meter FROM reading WHERE arrival > ?", (arrival,))
        return [(int(start), str(meter)) for start, meter in rows]

    def heard_counts(self, start: int, end: int, length: int) -> dict[int, int]:
        """Interval start -> how many readings of it are stored, for ``start <= interval start < end``."""
        self._flush_readings()
        rows = self._db.execute(
            "SELECT start, count(*) FROM reading WHERE start >= ? AND start < ? AND length = ? GROUP BY start",
            (start, end, length),
        )
        return {int(at): int(count) for at, count in rows}

    def reading_count(self) -> int:
        self._flush_readings()
        return int(self._db.one("SELECT count(*) FROM reading")[0])

    def payloads(self) -> Iterator[tuple[str, Reading, bytes]]:
        """Every stored reading's meter, its columns as a reading would hold them, and its raw bytes."""
        self._flush_readings()
        arrived = _BEGINNING
        while rows := self._db.execute(
            f"SELECT * FROM reading WHERE arrival > ? ORDER BY arrival LIMIT {READINGS_PER_PAGE}", (arrived,)
        ).fetchall():
            for arrived, meter, start, length, imported, exported, generated, consumed, outbox, seq, payload in rows:  # noqa: B007
                columns = Reading(1, 1, outbox, seq, 0, start, length, imported, exported, generated, consumed, [], "")
                yield meter, columns, bytes(payload)

    # corrections

    def add_correction(
        self, meter: str, start: int, length: int, registers: Registers, *, reason: str, author: str, now: int
    ) -> Correction:
        """Store registers for the end of the interval. To be called within ``transaction``.

        Nothing is settled by it yet: the interval is run again, as its next revision.
        """
        assert self._db.writing
        correction = Correction(self.last_correction() + 1, meter, start, length, registers, reason, author, now)
        row = (correction.number, meter, start, length, *registers, reason, author, now)
        self._db.insert(schema.correction, [row])
        return correction

    def last_correction(self) -> int:
        """The number of the newest correction; 0 when there is none."""
        return int(self._db.one("SELECT coalesce(max(number), 0) FROM correction")[0])

    def corrections_of(self, meter: str, start: int, end: int) -> list[Correction]:
        """The corrections of a meter's intervals with ``start <= interval start < end``, in order of their numbers."""
        rows = self._db.execute(
            "SELECT * FROM correction WHERE meter = ? AND start >= ? AND start < ? ORDER BY number", (meter, start, end)
        )
        return [_correction(row) for row in rows]

    def estimates_between(self, start: int, end: int) -> list[tuple[int, str]]:
        """(interval start, meter) of the estimates with ``start <= interval start < end``."""
        query = "SELECT DISTINCT start, meter FROM correction WHERE start >= ? AND start < ? AND reason = ?"
        return [(int(at), str(meter)) for at, meter in self._db.execute(query, (start, end, ESTIMATED))]

    def overtaken_estimates(self) -> list[tuple[str, int]]:
        """(meter, interval start) of the estimates whose reading came after all."""
        rows = self._db.execute(
            "SELECT DISTINCT correction.meter, correction.start FROM correction JOIN reading"
            " ON reading.start = correction.start AND reading.length = correction.length"
            " AND reading.meter = correction.meter WHERE correction.reason = ?",
            (ESTIMATED,),
        )
        return [(str(meter), int(start)) for meter, start in rows]

    def corrections_to(self, number: int, after: int = 0) -> list[Correction]:
        """The corrections with a number above ``after`` and at most ``number``, in order."""
        rows = self._db.execute(
            "SELECT * FROM correction WHERE number > ? AND number <= ? ORDER BY number", (after, number)
        )
        return [_correction(row) for row in rows]


def _place(row: Any) -> Place | None:
    return None if row is None else (row[0], Registers(*row[1:]))


def _correction(row: Any) -> Correction:
    number, meter, start, length, *registers, reason, author, stored_at = row
    return Correction(number, meter, start, length, Registers(*registers), reason, author, stored_at)
