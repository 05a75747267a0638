"""STORE/dashboard/accounts.sqlite: one file, mode 0600, one connection behind a lock."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILE_NAME = "accounts.sqlite"
FORMAT = 1
SCHEMA = """
CREATE TABLE account(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, sign_in TEXT NOT NULL UNIQUE, role TEXT NOT NULL, household TEXT,
  language TEXT, password TEXT, shown INTEGER NOT NULL DEFAULT 0, made_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE session(
  hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL REFERENCES account(id) ON DELETE CASCADE,
  made_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_account ON session(account);
CREATE TABLE token(
  hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL REFERENCES account(id) ON DELETE CASCADE,
  name TEXT NOT NULL, scopes TEXT NOT NULL, made_at INTEGER NOT NULL, used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX token_account ON token(account);
CREATE TABLE passkey(
  credential BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL REFERENCES account(id) ON DELETE CASCADE,
  name TEXT NOT NULL, public_key BLOB NOT NULL, count INTEGER NOT NULL, made_at INTEGER NOT NULL, used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX passkey_account ON passkey(account);
CREATE TABLE invitation(
  hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, role TEXT NOT NULL, household TEXT, account TEXT,
  made_by TEXT NOT NULL, made_at INTEGER NOT NULL, ends_at INTEGER NOT NULL, used_at INTEGER
) WITHOUT ROWID;
CREATE TABLE log(
  number INTEGER PRIMARY KEY, at INTEGER NOT NULL, account TEXT, name TEXT NOT NULL, role TEXT NOT NULL,
  action TEXT NOT NULL, household TEXT, detail TEXT NOT NULL
);
CREATE INDEX log_household ON log(household, number);
CREATE TABLE secret(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class AccountsError(Exception):
    """The accounts cannot be read or changed as asked; the message is one line that says why."""


class Database:
    """Rows by SQL, from any thread; what is inside ``transaction()`` is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._lock = threading.RLock()
        self._depth = 0
        new = not self.path.exists()
        try:
            # SQLite gives its journal the mode of the file it belongs to.
            self.path.touch(mode=0o600)
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        except (OSError, sqlite3.Error) as error:
            raise AccountsError(f"{self.path}: {error}") from None
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            # What was erased is overwritten, not only unlinked.
            self._connection.execute("PRAGMA secure_delete=ON")
            with self.transaction():
                self._begin()
        except BaseException as error:
            self._connection.close()
            if new:
                self.path.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error):
                raise AccountsError(f"{self.path}: {error}") from None
            raise

    def _begin(self) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            for statement in SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute("INSERT INTO secret VALUES('key', ?)", (secrets.token_bytes(32),))
            self._connection.execute(f"PRAGMA user_version={FORMAT}")
        elif found != FORMAT:
            raise AccountsError(f"{self.path}: accounts of format {found}; this version reads {FORMAT}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
            return found

    def write(self, sql: str, values: Sequence[object] = ()) -> int:
        """How many rows it changed."""
        with self.transaction():
            return self._connection.execute(sql, values).rowcount

    def close(self) -> None:
        with self._lock:
            self._connection.close()
