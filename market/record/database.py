"""One connection to the record's database, spoken to in SQL that SQLite and PostgreSQL both understand.

SQLAlchemy knows the tables and connects; statements go straight to the driver, because readings come
by the ten thousand a second. Placeholders are question marks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import URL, Engine, Table

from market.record.place import named
from market.record.rows import RecordError

WAIT_S = 30.0
"""How long a writer waits for another one: settling a large interval takes seconds."""


class Database(ABC):
    """Raises RecordError, naming the place, for everything that goes wrong in it."""

    UTF8: str
    """What takes bytes in a statement as text."""

    def __init__(self, url: URL) -> None:
        self.name = named(url)
        self.in_transaction = False
        self.writing = False

    @abstractmethod
    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        """The driver's cursor, which can be iterated over."""

    @abstractmethod
    def insert(self, table: Table, rows: Iterable[Sequence[object]], otherwise: str = "", **alike: object) -> int:
        """Insert whole rows, in the order of the table's columns; ``otherwise``: ON CONFLICT …

        ``alike``: columns that are the same in all rows, which then go without them. Returns how many rows were
        written.
        """

    @abstractmethod
    def columns(self, names: Sequence[str], where: str, values: Sequence[object]) -> list[Sequence[Any]]:
        """The columns ``names`` of the rows ``FROM … WHERE …``, one after another: faster than row by row."""

    @abstractmethod
    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """The same statement for every row."""

    @abstractmethod
    def format(self) -> int:
        """The format of the record; 0 where there is none."""

    @abstractmethod
    def create(self) -> None:
        """Make an empty record, if nobody else did meanwhile."""

    @abstractmethod
    def engine(self) -> Engine:
        """For a migration: its transactions are real ones, begun so that nobody else writes."""

    @abstractmethod
    def lease(self, whose: str) -> None:
        """Become the only ``whose`` until this connection ends, however that comes. Raises RecordError."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _run(self, verb: str) -> None:
        """BEGIN, COMMIT and the like."""

    def one(self, sql: str, *values: object) -> tuple[Any, ...]:
        """The only row."""
        row = self.execute(sql, values).fetchone()
        assert row is not None
        return tuple(row)

    def begin(self, *, write: bool) -> None:
        """Begin a transaction: one writer at a time, or all that is read of one moment."""
        assert not self.in_transaction, "transactions do not nest"
        self._begin(write)
        self.in_transaction, self.writing = True, write

    @abstractmethod
    def _begin(self, write: bool) -> None: ...

    def commit(self) -> None:
        self._run("COMMIT")
        self.in_transaction = self.writing = False

    def rollback(self) -> None:
        """Ends the transaction if there still is one; never raises: what led here is the news."""
        self.in_transaction = self.writing = False
        try:
            self._run("ROLLBACK")
        except RecordError:
            return
