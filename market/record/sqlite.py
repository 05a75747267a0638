"""The record in a SQLite file: WAL, so that readers are never in the way; FULL, so that what is committed stays."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import msgspec
from sqlalchemy import URL, Engine, Table, create_engine, event
from sqlalchemy.pool import NullPool

from broker.private_files import make_private_folder
from market.record import schema
from market.record.database import WAIT_S, Database
from market.record.rows import RecordError, RecordFullError

LOCK_FILE = "market.lock"
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
"""A full disk, a quota, a limit on file sizes."""
ROWS_AT_A_TIME = 100
"""Rows that one statement inserts: almost half faster than one by one."""


class SqliteDatabase(Database):
    """Raises RecordError where there is nothing to read."""

    UTF8 = "CAST(? AS TEXT)"

    def __init__(self, url: URL, *, read_only: bool) -> None:
        super().__init__(url)
        self.path = Path(str(url.database))
        self._lock: TextIO | None = None
        if read_only and not self.path.exists():
            raise RecordError(f"{self.path.parent}: there is no record here ({self.path.name} is missing)")
        if not read_only:
            make_private_folder(self.path.parent)
            # SQLite gives its -wal and -shm the mode of the file. It says itself what is wrong with the place.
            with suppress(OSError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            self._connection = self._connect(read_only)
            if not read_only:
                self._connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        mode = "rwc"
        if read_only:
            # SQLite must be able to make its -shm file, except where nobody can be writing.
            log = self.path.with_name(f"{self.path.name}-wal")
            mode = "ro" if os.access(self.path.parent, os.W_OK) or log.exists() else "ro&immutable=1"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _named(self, error: sqlite3.Error) -> RecordError:
        code = getattr(error, "sqlite_errorcode", None)
        if code in NO_ROOM:
            return RecordFullError(f"{self.name}: no room to write: {error}")
        if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
            return RecordError(f"{self.name}: another process has been writing for {WAIT_S:.0f} s")
        return RecordError(f"{self.name}: {error}")

    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def insert(self, table: Table, rows: Iterable[Sequence[object]], otherwise: str = "", **alike: object) -> int:
        own = [name for name in table.columns.keys() if name not in alike]  # noqa: SIM118
        marks = f"({', '.join([*(f'?{i + 1}' for i in range(len(alike))), *'?' * len(own)])})"
        into = f"INSERT INTO {table.name} ({', '.join([*alike, *own])}) VALUES "
        one, many = (f"{into}{', '.join([marks] * count)} {otherwise}" for count in (1, ROWS_AT_A_TIME))
        same, rest, written = tuple(alike.values()), iter(rows), 0
        try:
            while some := list(islice(rest, ROWS_AT_A_TIME)):
                if len(some) == ROWS_AT_A_TIME:
                    written += self._connection.execute(many, [*same, *chain.from_iterable(some)]).rowcount
                else:
                    written += self._connection.executemany(one, [(*same, *row) for row in some]).rowcount
        except sqlite3.Error as error:
            raise self._named(error) from error
        return written

    def columns(self, names: Sequence[str], where: str, values: Sequence[object]) -> list[Sequence[Any]]:
        # A row that Python steps to costs as much as SQLite's finding five.
        texts = self.execute(f"SELECT {', '.join(f'json_group_array({name})' for name in names)} {where}", values)
        return [msgspec.json.decode(text) for text in texts.fetchone()]

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def format(self) -> int:
        return int(self.one("PRAGMA user_version")[0])

    def create(self) -> None:
        self.begin(write=True)
        try:
            if self.format() == 0:
                for statement in schema.statements("sqlite"):
                    self.execute(statement)
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def engine(self) -> Engine:
        engine = create_engine("sqlite://", creator=lambda: self._connect(False), poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def lease(self, whose: str) -> None:
        path = self.path.with_name(LOCK_FILE)
        self._lock = path.open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RecordError(f"{self.path.parent}: {whose} is running here already") from None

    def close(self) -> None:
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _begin(self, write: bool) -> None:
        self._run("BEGIN IMMEDIATE" if write else "BEGIN")

    def _run(self, verb: str) -> None:
        self.execute(verb)
