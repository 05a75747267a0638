"""The record in a PostgreSQL database, or in the one schema of it that the URL's search_path names.

Writers take turns by an advisory lock, as SQLite's do; the market's lease is another one, held by the
connection it writes with: who has lost the lease can no longer write. A pooler between must keep sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, Table, create_engine, event
from sqlalchemy.pool import NullPool

from market.record import schema
from market.record.database import WAIT_S, Database
from market.record.rows import RecordError, RecordFullError

if TYPE_CHECKING:
    from psycopg import Connection

LOCK = "SELECT {} (hashtext('pumasi ' || ?), hashtext(current_schema()))"
CONNECTION = {"connect_timeout": 10, "application_name": "pumasi"}
DISK_FULL, LOCK_NOT_AVAILABLE = "53100", "55P03"
SILENCE_S = 60
"""A client's machine that has gone dark keeps its lease for about this long."""
SETTINGS = {
    "synchronous_commit": "on",
    "tcp_keepalives_idle": f"{SILENCE_S // 2}",
    "tcp_keepalives_interval": f"{SILENCE_S // 6}",
    "tcp_keepalives_count": "3",
    "lock_timeout": f"{WAIT_S:.0f}s",
    "client_min_messages": "warning",
}


class PostgresqlDatabase(Database):
    """Raises RecordError where nothing answers."""

    UTF8 = "convert_from(?, 'UTF8')"

    def __init__(self, url: URL, *, read_only: bool) -> None:
        super().__init__(url)
        try:
            import psycopg
        except ImportError as error:
            raise RecordError(f"{self.name}: needs psycopg: pip install -e '.[postgresql]' ({error})") from error
        self._error: type[Exception] = psycopg.Error
        self._engine = create_engine(url, poolclass=NullPool)
        self._read_only = read_only
        self._connection = self._connect()

    def _connect(self) -> Connection[Any]:
        import psycopg

        _, options = self._engine.dialect.create_connect_args(self._engine.url)
        connection = None
        try:
            connection = psycopg.connect(**{**CONNECTION, **options, "autocommit": True})
            for name, value in SETTINGS.items():
                connection.execute(f"SET {name} = '{value}'".encode())
            if self._read_only:
                connection.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            if connection is not None:
                connection.close()
            raise self._named(error) from error
        return connection

    def _named(self, error: Exception) -> RecordError:
        state = getattr(error, "sqlstate", None) or ""
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if state == DISK_FULL:
            return RecordFullError(f"{self.name}: no room to write: {said}")
        if state == LOCK_NOT_AVAILABLE:
            return RecordError(f"{self.name}: another process has been writing for {WAIT_S:.0f} s")
        return RecordError(f"{self.name}: {said}")

    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        if self._read_only and self._connection.closed and not self.in_transaction:
            # A page that reads outlives a restart of the server. A writer does not: its lease is gone.
            self._connection = self._connect()
        try:
            return self._connection.execute(_placed(sql), values)
        except self._error as error:
            raise self._named(error) from error

    def insert(self, table: Table, rows: Iterable[Sequence[object]], otherwise: str = "", **alike: object) -> int:
        """One statement with an array for each column: many times faster than one statement for each row."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        if not columns:
            return 0
        own = [column for column in table.columns if column.name not in alike]
        arrays = ", ".join(f"%s::{schema.array_type(column.type)}" for column in own)
        same = "%s, " * len(alike)
        named = ", ".join([*alike, *(column.name for column in own)])
        sql = f"INSERT INTO {table.name} ({named}) SELECT {same}made.* FROM unnest({arrays}) AS made {otherwise}"
        try:
            return self._connection.execute(sql.encode(), [*alike.values(), *columns]).rowcount
        except self._error as error:
            raise self._named(error) from error

    def columns(self, names: Sequence[str], where: str, values: Sequence[object]) -> list[Sequence[Any]]:
        rows = self.execute(f"SELECT {', '.join(names)} {where}", values).fetchall()
        return list(zip(*rows, strict=True)) if rows else [()] * len(names)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(_placed(sql), rows)
        except self._error as error:
            raise self._named(error) from error

    def format(self) -> int:
        if self.one("SELECT to_regclass('alembic_version') IS NULL")[0]:
            return 0
        return int(self.one("SELECT version_num FROM alembic_version")[0])

    def create(self) -> None:
        self.begin(write=True)
        try:
            if self.format() == 0:
                for statement in schema.statements("postgresql"):
                    self._connection.execute(statement.encode())
            self.commit()
        except self._error as error:
            self.rollback()
            raise self._named(error) from error
        except BaseException:
            self.rollback()
            raise

    def engine(self) -> Engine:
        lock = _placed(LOCK.format("pg_advisory_xact_lock")).decode()
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql(lock, ("write",)))
        return self._engine

    def lease(self, whose: str) -> None:
        if not self.one(LOCK.format("pg_try_advisory_lock"), "market")[0]:
            raise RecordError(f"{self.name}: {whose} is running here already")

    def close(self) -> None:
        self._connection.close()

    def _begin(self, write: bool) -> None:
        if not write:
            self._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return
        self._run("BEGIN")
        try:
            self.execute(LOCK.format("pg_advisory_xact_lock"), ("write",))
        except RecordError:
            self.rollback()
            raise

    def _run(self, verb: str) -> None:
        self.execute(verb)


@cache
def _placed(sql: str) -> bytes:
    """psycopg marks places by %s. No statement of the record holds a question mark or a per cent sign of its own."""
    return sql.replace("?", "%s").encode()
