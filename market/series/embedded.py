"""The embedded series: one SQLite file beside the record, for communities without InfluxDB.

Rows are clustered by household because pages read one household's span at a time. Being a
projection that can be rebuilt, the file gives up the last instants on a power cut
(`synchronous=NORMAL`) for cheap commits; readers in other processes are never blocked (WAL).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from market.series.points import (
    KEYS,
    CommunityPoint,
    FlowPoint,
    HealthPoint,
    HouseholdPoint,
    HouseholdTotals,
    PartnerPoint,
    PartnerTotal,
    Point,
    ReadingPoint,
    SeriesError,
    newest,
)

FILE_NAME = "series.sqlite"
FORMAT = 3
BUSY_TIMEOUT_S = 5.0

_TABLE: dict[type[Point], str] = {
    HouseholdPoint: "household",
    CommunityPoint: "community",
    PartnerPoint: "partner",
    FlowPoint: "flow",
    ReadingPoint: "reading",
    HealthPoint: "health",
}
_TEXT = {"household", "partner", "node", "meter"}
_ENERGY = (
    "import_wh", "export_wh", "generation_wh", "consumption_wh", "bought_wh", "sold_wh", "received_wh", "given_wh",
)  # fmt: skip
_MONEY = ("trade_money", "residual_money", "alone_money")


class EmbeddedSeries:
    """A Series in one SQLite file.

    One instance may be used from several threads. A reader may open before the writer has made the
    file: it then holds nothing yet.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if not read_only:
            with self._cursor():
                pass

    def write(self, points: Iterable[Point]) -> None:
        """See Series.write; one transaction per call."""
        if self._read_only:
            raise SeriesError(f"{self._path} is open for reading only")
        rows = newest(points)
        emptied = {(p.household, p.start, p.length) for p in rows if isinstance(p, HouseholdPoint | PartnerPoint)}
        with self._cursor() as cursor:
            assert cursor is not None  # only a reader finds no file
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(
                    "DELETE FROM partner WHERE household = ? AND start = ? AND length = ?", sorted(emptied)
                )
                for kind, statement in _INSERT.items():
                    names = [f.name for f in fields(kind)]
                    values = ([getattr(p, name) for name in names] for p in rows if type(p) is kind)
                    cursor.executemany(statement, values)
                cursor.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                with suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
                raise

    def household(self, household: str, start: int, end: int) -> list[HouseholdPoint]:
        """See Series.household."""
        rows = self._rows(f"{_select(HouseholdPoint)} WHERE household = ? AND {_SPAN}", household, start, end)
        return [HouseholdPoint(**{**row, "heard": bool(row["heard"])}) for row in rows]

    def community(self, start: int, end: int) -> list[CommunityPoint]:
        """See Series.community."""
        return [CommunityPoint(**row) for row in self._rows(f"{_select(CommunityPoint)} WHERE {_SPAN}", start, end)]

    def partners(self, household: str, start: int, end: int) -> list[PartnerTotal]:
        """See Series.partners. Energy of one interval is below 2^31 Wh: these sums cannot overflow."""
        rows = self._rows(
            "SELECT partner, sum(bought_wh) AS bought_wh, sum(sold_wh) AS sold_wh FROM partner "
            "WHERE household = ? AND start >= ? AND start < ? GROUP BY partner "
            "HAVING sum(bought_wh) + sum(sold_wh) > 0 ORDER BY sum(bought_wh) + sum(sold_wh) DESC, partner",
            household,
            start,
            end,
        )
        return [PartnerTotal(**row) for row in rows]

    def totals(self, household: str, start: int, end: int) -> HouseholdTotals:
        """See Series.totals."""
        return self.sums(household, [start, end])[0]

    def sums(self, household: str, bounds: Sequence[int]) -> list[HouseholdTotals]:
        """See Series.sums. Money is summed in two halves, so that no database sum can overflow."""
        found = [HouseholdTotals() for _ in bounds[1:]]
        spans = ((i, *span) for i, span in enumerate(pairwise(bounds)))
        for row in self._rows(_SUMS, json.dumps(list(spans)), household):
            for name in _MONEY:
                row[name] = (row.pop(f"{name}_high") << 32) + row.pop(f"{name}_low")
            place = row.pop("place")
            found[place] = HouseholdTotals(**row)
        return found

    def flows(self, node: str, start: int, end: int) -> list[FlowPoint]:
        """See Series.flows."""
        return [
            FlowPoint(**row) for row in self._rows(f"{_select(FlowPoint)} WHERE node = ? AND {_SPAN}", node, start, end)
        ]

    def readings(self, meter: str, start: int, end: int) -> list[ReadingPoint]:
        """See Series.readings."""
        rows = self._rows(f"{_select(ReadingPoint)} WHERE meter = ? AND {_SPAN}", meter, start, end)
        return [ReadingPoint(**row) for row in rows]

    def health(self, start: int, end: int) -> list[HealthPoint]:
        """See Series.health."""
        return [HealthPoint(**row) for row in self._rows(f"{_select(HealthPoint)} WHERE {_SPAN}", start, end)]

    def clear(self) -> None:
        """See Series.clear."""
        if self._read_only:
            raise SeriesError(f"{self._path} is open for reading only")
        with self._cursor() as cursor:
            assert cursor is not None  # only a reader finds no file
            emptied = "".join(f"DELETE FROM {table};" for table in _TABLE.values())
            cursor.executescript(f"BEGIN IMMEDIATE; {emptied} COMMIT;")

    def close(self) -> None:
        """See Series.close."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _rows(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        with self._cursor() as cursor:
            if cursor is None:
                return []
            cursor.execute(statement, arguments)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor | None]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                if self._connection is None:
                    yield None
                    return
                cursor = self._connection.cursor()
                try:
                    yield cursor
                finally:
                    cursor.close()
            except sqlite3.Error as error:
                raise SeriesError(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection | None:
        if self._read_only and not self._path.exists():
            return None
        mode = "ro" if self._read_only else "rwc"
        if not self._read_only:
            # SQLite gives its -wal and -shm the mode of the file. It says itself what is wrong with the place.
            with suppress(OSError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.resolve()))}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if not self._read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > FORMAT:
                raise SeriesError(f"{self._path} has series format {found}, this version reads {FORMAT}: rebuild it")
            if found < FORMAT and self._read_only:
                # The writer has not made this format's tables yet.
                connection.close()
                return None
            if found < FORMAT:
                # An older format's points are made again from the record: the market sees that they are missing.
                connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _select(kind: type[Point]) -> str:
    return f"SELECT {', '.join(f.name for f in fields(kind))} FROM {_TABLE[kind]}"


def _insert(kind: type[Point]) -> str:
    names = [f.name for f in fields(kind)]
    return f"INSERT OR REPLACE INTO {_TABLE[kind]} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"


def _table(kind: type[Point]) -> str:
    columns = ", ".join(
        f"{f.name} {'TEXT' if f.name in _TEXT else 'INTEGER'}{'' if 'None' in str(f.type) else ' NOT NULL'}"
        for f in fields(kind)
    )
    table = _TABLE[kind]
    return (
        f"DROP TABLE IF EXISTS {table};"
        f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({', '.join(KEYS[kind])})) WITHOUT ROWID;"
    )


def _sums() -> str:
    energy = ", ".join(f"sum({name}) AS {name}" for name in _ENERGY)
    money = ", ".join(f"sum({name} >> 32) AS {name}_high, sum({name} & 4294967295) AS {name}_low" for name in _MONEY)
    # Each span is a range of the household's clustered rows; in this order SQLite looks for nothing else.
    return (
        "SELECT json_extract(span.value, '$[0]') AS place, count(*) AS intervals, sum(heard) AS heard, "
        f"min(start) AS first, max(start) AS last, {energy}, {money} FROM json_each(?) AS span CROSS JOIN household "
        "WHERE household = ? AND start >= json_extract(span.value, '$[1]') "
        "AND start < json_extract(span.value, '$[2]') GROUP BY place"
    )


_SUMS = _sums()
_SPAN = "start >= ? AND start < ? ORDER BY start, length"
_INSERT = {kind: _insert(kind) for kind in _TABLE}
_SCHEMA = "BEGIN IMMEDIATE;" + "".join(_table(kind) for kind in _TABLE) + f"PRAGMA user_version = {FORMAT};COMMIT;"
