"""Questions about one interval or one month, and the operator's answers.

A dispute is opened by the household, answered by the operator, and closed or withdrawn by the household. What should
follow from it (a correction, a new revision) is the operator's to do; nothing here changes a figure.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

from dashboard.accounts.database import Database

State = Literal["open", "answered", "closed", "withdrawn"]
LONGEST_TEXT = 2000
TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of what follows (Unicode standard annex 9): a text must not read as another one."""
MOST_OPEN = 20
"""Per household, open or answered."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS dispute(
  number INTEGER PRIMARY KEY, household TEXT NOT NULL, opened_by TEXT NOT NULL, start INTEGER, month TEXT,
  text TEXT NOT NULL, state TEXT NOT NULL, opened_at INTEGER NOT NULL,
  answer TEXT, answered_by TEXT, answered_at INTEGER, ended_at INTEGER
)
"""
_COLUMNS = (
    "number, household, opened_by, start, month, text, state, opened_at, answer, answered_by, answered_at, ended_at"
)


class DisputeError(Exception):
    """It cannot be done; ``problem`` names why, the message is one line."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Dispute:
    """About the interval that begins at ``start`` [epoch s] or the bill of ``month`` ('2026-07'); the other is None.

    Times are epoch s. ``ended_at``: when it was closed or withdrawn. ``opened_by`` and ``answered_by`` are names, empty
    once the account is erased.
    """

    number: int
    household: str
    opened_by: str
    start: int | None
    month: str | None
    text: str
    state: State
    opened_at: int
    answer: str | None
    answered_by: str | None
    answered_at: int | None
    ended_at: int | None


def begin(db: Database) -> None:
    """Make the table where there is none."""
    db.write(SCHEMA)
    db.write("CREATE INDEX IF NOT EXISTS dispute_household ON dispute(household, number)")


def open_dispute(
    db: Database,
    household: str,
    opened_by: str,
    text: str,
    now: int,
    *,
    start: int | None = None,
    month: str | None = None,
) -> Dispute:
    """A new question. Raises DisputeError for a text that is none, and when too many wait."""
    assert (start is None) != (month is None)
    text = bounded(text)
    with db.transaction():
        row = db.row("SELECT count(*) FROM dispute WHERE household = ? AND state IN ('open', 'answered')", (household,))
        if row is not None and row[0] >= MOST_OPEN:
            raise DisputeError("too-many-disputes", f"{MOST_OPEN} questions wait already; close or withdraw one first")
        db.write(
            "INSERT INTO dispute(household, opened_by, start, month, text, state, opened_at)"
            " VALUES(?, ?, ?, ?, ?, 'open', ?)",
            (household, opened_by, start, month, text, now),
        )
        (number,) = db.rows("SELECT last_insert_rowid()")[0]
    found = find(db, number)
    assert found is not None
    return found


def find(db: Database, number: int) -> Dispute | None:
    row = db.row(f"SELECT {_COLUMNS} FROM dispute WHERE number = ?", (number,))
    return None if row is None else _dispute(row)


def of_household(db: Database, household: str, most: int = 100) -> list[Dispute]:
    """The newest first."""
    return _disputes(db, "WHERE household = ? ORDER BY number DESC LIMIT ?", (household, most))


def open_disputes(db: Database, most: int = 100) -> list[Dispute]:
    """Those that wait for the operator, the oldest first."""
    return _disputes(db, "WHERE state = 'open' ORDER BY number LIMIT ?", (most,))


def count_open(db: Database) -> int:
    row = db.row("SELECT count(*) FROM dispute WHERE state = 'open'")
    return 0 if row is None else int(row[0])


def answer(db: Database, number: int, answered_by: str, text: str, now: int) -> Dispute:
    """The operator's answer, or its newer words while the household has not ended the matter. Raises DisputeError."""
    text = bounded(text)
    return _move(
        db, number, ("open", "answered"),
        "UPDATE dispute SET state = 'answered', answer = ?, answered_by = ?, answered_at = ? WHERE number = ?",
        (text, answered_by, now, number),
    )  # fmt: skip


def close(db: Database, number: int, now: int) -> Dispute:
    """The household is content with the answer. Raises DisputeError."""
    return _move(
        db, number, ("answered",), "UPDATE dispute SET state = 'closed', ended_at = ? WHERE number = ?", (now, number)
    )


def withdraw(db: Database, number: int, now: int) -> Dispute:
    """The household does not ask any more. Raises DisputeError."""
    return _move(
        db, number, ("open",), "UPDATE dispute SET state = 'withdrawn', ended_at = ? WHERE number = ?", (now, number)
    )


def forget(db: Database, name: str) -> None:
    """Take the name of whose account is erased from the questions and answers; their texts stay."""
    begin(db)
    db.write("UPDATE dispute SET opened_by = '' WHERE opened_by = ?", (name,))
    db.write("UPDATE dispute SET answered_by = '' WHERE answered_by = ?", (name,))


def bounded(text: str) -> str:
    """The text as it is kept. Raises DisputeError for none and for too much."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    text = "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))
    text = TURNING.sub("", text).strip()
    if not text:
        raise DisputeError("no-text", "say in a few words what seems wrong")
    if len(text) > LONGEST_TEXT:
        raise DisputeError("text-too-long", f"the text has {len(text)} characters, {LONGEST_TEXT} are read")
    return text


def _move(db: Database, number: int, before: tuple[State, ...], sql: str, values: tuple[object, ...]) -> Dispute:
    with db.transaction():
        found = find(db, number)
        if found is None:
            raise DisputeError("no-dispute", f"there is no question {number}")
        if found.state not in before:
            raise DisputeError("dispute-ended", f"question {number} is {found.state}")
        db.write(sql, values)
    moved = find(db, number)
    assert moved is not None
    return moved


def _disputes(db: Database, where: str, values: tuple[object, ...]) -> list[Dispute]:
    return [_dispute(row) for row in db.rows(f"SELECT {_COLUMNS} FROM dispute {where}", values)]


def _dispute(row: tuple[Any, ...]) -> Dispute:
    return Dispute(*row)
