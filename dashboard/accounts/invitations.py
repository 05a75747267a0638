"""Invitations: a link that makes one account, once; stored hashed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from dashboard.accounts.database import Database
from dashboard.accounts.people import Role
from dashboard.accounts.sessions import digest

LIFETIME_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an invitation makes. ``account``: instead, a way in for this account, however often until it ends."""

    invitation: str
    role: Role
    household: str | None
    account: str | None
    made_by: str
    made_at: int
    ends_at: int


def make(
    db: Database,
    role: Role,
    household: str | None,
    made_by: str,
    now: int,
    *,
    account: str | None = None,
    lifetime_s: int = LIFETIME_S,
) -> str:
    """The token of the link /invitation/<token>."""
    token = secrets.token_urlsafe(32)
    with db.transaction():
        db.write("DELETE FROM invitation WHERE ends_at <= ?", (now - LIFETIME_S,))
        db.write(
            "INSERT INTO invitation VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (digest(token), secrets.token_hex(8), role, household, account, made_by, now, now + lifetime_s),
        )
    return token


def find(db: Database, token: str, now: int) -> Invitation | None:
    """The invitation of a token, while it works."""
    rows = _open(db, "hash = ? AND ends_at > ?", (digest(token), now))
    return rows[0] if rows else None


def waiting(db: Database, now: int) -> list[Invitation]:
    """Those that nobody has used yet."""
    return _open(db, "account IS NULL AND ends_at > ? ORDER BY made_at, id", (now,))


def use(db: Database, token: str, now: int) -> bool:
    """Use it up; False when it no longer worked."""
    return db.write(
        "UPDATE invitation SET used_at = ? WHERE hash = ? AND used_at IS NULL AND ends_at > ?",
        (now, digest(token), now),
    ) > 0  # fmt: skip


def withdraw(db: Database, invitation: str) -> bool:
    return db.write("DELETE FROM invitation WHERE id = ? AND used_at IS NULL", (invitation,)) > 0


def _open(db: Database, where: str, values: tuple[object, ...]) -> list[Invitation]:
    rows = db.rows(
        "SELECT id, role, household, account, made_by, made_at, ends_at FROM invitation"
        f" WHERE used_at IS NULL AND {where}",
        values,
    )
    return [Invitation(*row) for row in rows]
