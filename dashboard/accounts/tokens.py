"""API tokens: made once, shown once, stored hashed, with the scopes they were given."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from dashboard.accounts.database import AccountsError, Database
from dashboard.accounts.sessions import digest

PREFIX = "pumasi_"
"""So that a token is recognised where it should not be."""
MOST_PER_ACCOUNT = 50
USED_EVERY_S = 60


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token without its secret. Times are epoch s."""

    token: str
    account: str
    name: str
    scopes: frozenset[str]
    made_at: int
    used_at: int | None


def make(db: Database, account: str, name: str, scopes: Collection[str], now: int) -> str:
    """The token, which is nowhere else. Raises AccountsError, whose message names the problem, for one too many."""
    secret = PREFIX + secrets.token_urlsafe(32)
    with db.transaction():
        (count,) = db.row("SELECT count(*) FROM token WHERE account = ?", (account,)) or (0,)
        if count >= MOST_PER_ACCOUNT:
            raise AccountsError("tokens-many")
        db.write(
            "INSERT INTO token VALUES(?, ?, ?, ?, ?, ?, NULL)",
            (digest(secret), secrets.token_hex(8), account, name, " ".join(sorted(scopes)), now),
        )
    return secret


def find(db: Database, secret: str, now: int) -> ApiToken | None:
    row = db.row("SELECT id, account, name, scopes, made_at, used_at FROM token WHERE hash = ?", (digest(secret),))
    if row is None:
        return None
    found = _token(row)
    if found.used_at is None or now - found.used_at > USED_EVERY_S:
        db.write("UPDATE token SET used_at = ? WHERE id = ?", (now, found.token))
    return found


def of(db: Database, account: str) -> list[ApiToken]:
    rows = db.rows(
        "SELECT id, account, name, scopes, made_at, used_at FROM token WHERE account = ? ORDER BY made_at, id",
        (account,),
    )
    return [_token(row) for row in rows]


def end(db: Database, account: str, token: str) -> bool:
    """Whether the account had such a token."""
    return db.write("DELETE FROM token WHERE account = ? AND id = ?", (account, token)) > 0


def _token(row: tuple[object, ...]) -> ApiToken:
    token, account, name, scopes, made_at, used_at = row
    assert isinstance(token, str) and isinstance(account, str) and isinstance(name, str) and isinstance(scopes, str)
    assert isinstance(made_at, int) and (used_at is None or isinstance(used_at, int))
    return ApiToken(token, account, name, frozenset(scopes.split()), made_at, used_at)
