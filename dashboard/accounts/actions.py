"""Who did what, and who looked at whose figures: appended, never changed but for the name of who was erased."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.accounts.database import Database

LOOK = "look"
LOOKS_EVERY_S = 3600
"""One look at a household's pages is written once in this time, not once for every page."""
LONGEST_DETAIL = 500
KEPT, DROPPED_AT_ONCE = 200_000, 1_000
"""The oldest entries go when there are more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``household``: whose data or settings it was about. ``at`` [epoch s]."""

    number: int
    at: int
    account: str | None
    name: str
    role: str
    action: str
    household: str | None
    detail: str


def write(
    db: Database, account: str | None, name: str, role: str, action: str, household: str | None, detail: str, now: int
) -> None:
    with db.transaction():
        db.write(
            "INSERT INTO log(at, account, name, role, action, household, detail) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (now, account, name, role, action, household, detail[:LONGEST_DETAIL]),
        )
        first, last = db.row("SELECT min(number), max(number) FROM log") or (0, 0)
        if last - first >= KEPT + DROPPED_AT_ONCE:
            db.write("DELETE FROM log WHERE number <= ?", (last - KEPT,))


def look(db: Database, account: str, name: str, role: str, household: str, now: int) -> None:
    """Somebody of another role read a household's figures."""
    before = db.row(
        "SELECT at FROM log WHERE household = ? AND account = ? AND action = ? ORDER BY number DESC LIMIT 1",
        (household, account, LOOK),
    )
    if before is None or now - before[0] >= LOOKS_EVERY_S:
        write(db, account, name, role, LOOK, household, "", now)


def of_household(db: Database, household: str, most: int) -> list[Entry]:
    """The newest first."""
    return _entries(db, "WHERE household = ? ORDER BY number DESC LIMIT ?", (household, most))


def everything(db: Database, most: int, before: int | None = None) -> list[Entry]:
    """The newest first, those with a number below ``before``."""
    return _entries(db, "WHERE number < ? ORDER BY number DESC LIMIT ?", (before or 1 << 62, most))


def _entries(db: Database, where: str, values: tuple[object, ...]) -> list[Entry]:
    rows = db.rows(f"SELECT number, at, account, name, role, action, household, detail FROM log {where}", values)
    return [Entry(*row) for row in rows]
