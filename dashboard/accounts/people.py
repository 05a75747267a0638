"""People: one row each, with a role and, for those who live here, a household."""

from __future__ import annotations

import secrets
import sqlite3
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dashboard.accounts.database import AccountsError, Database

Role = Literal["household", "operator", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_NAME = 64
_COLUMNS = "id, name, role, household, language, password IS NOT NULL, shown, made_at"


@dataclass(frozen=True, slots=True)
class Account:
    """``shown``: neighbours who agree to it too may see the household's name. ``made_at`` [epoch s]."""

    account: str
    name: str
    role: Role
    household: str | None
    language: str | None
    has_password: bool
    shown: bool
    made_at: int


class NameTakenError(AccountsError):
    """Somebody signs in by this name already; the message is the name of the problem."""


def sign_in_name(name: str) -> str:
    """The form in which names are compared: what looks and reads the same is one name."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def check_name(name: str) -> str:
    """The name without surrounding space. Raises AccountsError, whose message names the problem, for what is none."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= MAX_NAME or any(unicodedata.category(c)[0] == "C" for c in name):
        raise AccountsError("name-bad")
    return name


def new_id() -> str:
    return secrets.token_hex(16)


def add(
    db: Database, name: str, role: Role, household: str | None, language: str | None, now: int, account: str = ""
) -> Account:
    """``account``: its id, drawn before. Raises NameTakenError, and AccountsError for what is no name."""
    name = check_name(name)
    found = Account(account or new_id(), name, role, household, language, False, False, now)
    try:
        db.write(
            "INSERT INTO account(id, name, sign_in, role, household, language, made_at) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (found.account, name, sign_in_name(name), role, household, language, now),
        )
    except sqlite3.IntegrityError:
        raise NameTakenError("name-taken") from None
    return found


def everybody(db: Database) -> list[Account]:
    return [_account(row) for row in db.rows(f"SELECT {_COLUMNS} FROM account ORDER BY role, sign_in")]


def by_id(db: Database, account: str) -> Account | None:
    row = db.row(f"SELECT {_COLUMNS} FROM account WHERE id = ?", (account,))
    return None if row is None else _account(row)


def by_name(db: Database, name: str) -> Account | None:
    row = db.row(f"SELECT {_COLUMNS} FROM account WHERE sign_in = ?", (sign_in_name(name),))
    return None if row is None else _account(row)


def of_household(db: Database, household: str) -> list[Account]:
    return [_account(row) for row in db.rows(f"SELECT {_COLUMNS} FROM account WHERE household = ?", (household,))]


def _account(row: tuple[Any, ...]) -> Account:
    account, name, role, household, language, has_password, shown, made_at = row
    return Account(account, name, role, household, language, bool(has_password), bool(shown), made_at)


def set_language(db: Database, account: str, language: str) -> None:
    db.write("UPDATE account SET language = ? WHERE id = ?", (language, account))


def set_shown(db: Database, account: str, shown: bool) -> None:
    db.write("UPDATE account SET shown = ? WHERE id = ?", (shown, account))


def set_password(db: Database, account: str, hashed: str) -> None:
    db.write("UPDATE account SET password = ? WHERE id = ?", (hashed, account))


def password_of(db: Database, account: str | None) -> str | None:
    """The stored hash, None where there is none."""
    row = db.row("SELECT password FROM account WHERE id = ?", (account,))
    return None if row is None else row[0]


def is_last_operator(db: Database, account: str) -> bool:
    (others,) = db.row("SELECT count(*) FROM account WHERE role = 'operator' AND id != ?", (account,)) or (0,)
    found = by_id(db, account)
    return found is not None and found.role == "operator" and others == 0
