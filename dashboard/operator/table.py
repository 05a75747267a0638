"""Long lists, a page at a time. A column's ending says its unit: _wh, _ticks, _money, _at; the rest is as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | bool | None
ROWS = 100


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of a list: those of ``page``, counted from 1, of ``pages``; ``total`` rows in all."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    page: int
    pages: int
    total: int


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], page: int) -> Table:
    """The rows of that page, or of the last one there is."""
    page, pages = place(len(rows), page)
    shown = rows[(page - 1) * ROWS : page * ROWS]
    return Table(tuple(columns), tuple(tuple(row) for row in shown), page, pages, len(rows))


def place(total: int, page: int) -> tuple[int, int]:
    """The page that is shown, and how many there are."""
    pages = max(1, -(-total // ROWS))
    return min(page, pages), pages
