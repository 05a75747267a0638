"""What of the community's intervals everybody may know: rows that are published once and never change.

The rule, made so that nobody can learn one home's figures by subtracting what is public (docs/open-data.md):

1. A figure covers at least five homes. Where fewer than five homes have a roof, what only roofs make (generation, what
   was given, what was shared, and the use, which follows from these) is withheld.
2. An interval is published once, and stands as it was: a later revision differs by the homes that were late or
   corrected, and two versions of one sum would show by their difference what those homes did.
3. An interval is published when every home was heard. Between two intervals of which one lacks a home the difference
   would be that home and the change of all others; only where fifty homes and more are summed does that change hide it,
   and there a few may lack.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from market.series.points import CommunityPoint

FILE_NAME = "open.sqlite"
LEAST_HOMES = 5
MANY_HOMES = 50
WAITED_S = 14 * 86_400
"""An interval that is not complete by then stays withheld."""


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One interval of the whole community [epoch s, s, Wh, ticks per kWh]; None: withheld."""

    start: int
    length_s: int
    homes: int
    shared_wh: int | None
    import_wh: int
    export_wh: int | None
    generation_wh: int | None
    consumption_wh: int | None
    price_ticks: int
    retail_ticks: int
    feed_in_ticks: int
    certificate_gap: int


@dataclass(frozen=True, slots=True)
class OpenSums:
    """Sums over the published rows of a span [Wh]; None where there is none, or one is withheld in this figure."""

    intervals: int
    shared_wh: int | None
    import_wh: int | None
    generation_wh: int | None
    consumption_wh: int | None


COLUMNS = tuple(field.name for field in fields(OpenRow))
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS open_interval(start INTEGER PRIMARY KEY, "
    + ", ".join(f"{name} INTEGER" for name in COLUMNS[1:])
    + ")"
)


class Published:
    """The published rows of one store, in a file of their own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            folder / FILE_NAME, isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def wanted_from(self) -> int:
        """From when on intervals may still be published [epoch s]."""
        newest = self._one("SELECT max(start) FROM open_interval")[0]
        return 0 if newest is None else max(0, newest - WAITED_S)

    def publish(self, points: Iterable[CommunityPoint], roofs: int) -> None:
        """Publish what may be and is not yet; ``roofs`` is how many homes have one."""
        rows = [astuple(open_row(point, roofs)) for point in points if may_be_published(point)]
        places = ", ".join("?" for _ in COLUMNS)
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(f"INSERT OR IGNORE INTO open_interval VALUES({places})", rows)
            self._connection.execute("COMMIT")

    def rows(self, start: int, end: int) -> list[OpenRow]:
        """The published intervals of a span, in order of time."""
        with self._lock:
            found = self._connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM open_interval WHERE start >= ? AND start < ? ORDER BY start",
                (start, end),
            ).fetchall()
        return [OpenRow(*row) for row in found]

    def first(self) -> int | None:
        """The first published interval's start."""
        found: int | None = self._one("SELECT min(start) FROM open_interval")[0]
        return found

    def sums(self, start: int, end: int) -> OpenSums:
        """Sums over the published intervals of a span."""
        figures = ", ".join(
            f"CASE WHEN count({name}) = count(*) THEN sum({name}) END"
            for name in ("shared_wh", "import_wh", "generation_wh", "consumption_wh")
        )
        return OpenSums(
            *self._one(f"SELECT count(*), {figures} FROM open_interval WHERE start >= ? AND start < ?", start, end)
        )

    def _one(self, sql: str, *values: object) -> tuple[Any, ...]:
        with self._lock:
            row: tuple[Any, ...] = self._connection.execute(sql, values).fetchone()
            return row


def may_be_published(point: CommunityPoint) -> bool:
    """Rules 1 and 3."""
    return point.homes >= LEAST_HOMES and (point.heard == point.homes or point.heard >= MANY_HOMES)


def open_row(point: CommunityPoint, roofs: int) -> OpenRow:
    """An interval as it is published."""
    hidden = roofs < LEAST_HOMES
    return OpenRow(
        start=point.start,
        length_s=point.length,
        homes=point.heard,
        shared_wh=None if hidden else point.energy_traded_wh,
        import_wh=point.import_wh,
        export_wh=None if hidden else point.export_wh,
        generation_wh=None if hidden else point.generation_wh,
        consumption_wh=None if hidden else point.consumption_wh,
        price_ticks=point.price_ticks,
        retail_ticks=point.retail_ticks,
        feed_in_ticks=point.feed_in_ticks,
        certificate_gap=point.certificate_gap,
    )
