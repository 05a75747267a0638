"""Sessions: an opaque token of 256 random bits in the browser's cookie, its hash here."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from dashboard.accounts.database import Database

IDLE_S = 14 * 86_400
LONGEST_S = 90 * 86_400
SEEN_EVERY_S = 300
"""How exact the time of the last visit is: not every request writes."""
MOST_PER_ACCOUNT = 50


@dataclass(frozen=True, slots=True)
class Session:
    """``session`` is the number people revoke it by, never its token. Times are epoch s."""

    session: str
    account: str
    made_at: int
    seen_at: int
    address: str
    agent: str


def digest(token: str) -> bytes:
    """What is stored of a random token; 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def begin(db: Database, account: str, address: str, agent: str, now: int) -> str:
    """A new session's token. The oldest of too many ends."""
    token = secrets.token_urlsafe(32)
    with db.transaction():
        db.write("DELETE FROM session WHERE seen_at < ? OR made_at < ?", (now - IDLE_S, now - LONGEST_S))
        db.write(
            "DELETE FROM session WHERE id IN"
            " (SELECT id FROM session WHERE account = ? ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
            (account, MOST_PER_ACCOUNT - 1),
        )
        db.write(
            "INSERT INTO session VALUES(?, ?, ?, ?, ?, ?, ?)",
            (digest(token), secrets.token_hex(8), account, now, now, address[:64], agent[:200]),
        )
    return token


def find(db: Database, token: str, now: int) -> Session | None:
    """The session of a token, unless it ended."""
    row = db.row("SELECT id, account, made_at, seen_at, address, agent FROM session WHERE hash = ?", (digest(token),))
    if row is None:
        return None
    session = Session(*row)
    if now - session.seen_at > IDLE_S or now - session.made_at > LONGEST_S:
        return None
    if now - session.seen_at > SEEN_EVERY_S:
        db.write("UPDATE session SET seen_at = ? WHERE id = ?", (now, session.session))
    return session


def of(db: Database, account: str, now: int) -> list[Session]:
    """The account's sessions that work, the last used first."""
    rows = db.rows(
        "SELECT id, account, made_at, seen_at, address, agent FROM session"
        " WHERE account = ? AND seen_at >= ? AND made_at >= ? ORDER BY seen_at DESC, id",
        (account, now - IDLE_S, now - LONGEST_S),
    )
    return [Session(*row) for row in rows]


def end(db: Database, account: str, session: str) -> bool:
    """Whether the account had such a session."""
    return db.write("DELETE FROM session WHERE account = ? AND id = ?", (account, session)) > 0


def end_all(db: Database, account: str, but: str | None = None) -> int:
    return db.write("DELETE FROM session WHERE account = ? AND id IS NOT ?", (account, but))
