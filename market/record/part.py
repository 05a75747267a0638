"""What the parts of a Record share: its database, and transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from market.record.database import Database


class Part(ABC):
    """Tables of the record and what is asked of them."""

    _db: Database
    name: str
    """Where the record lies, for people."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept when the block ends, or nothing of it.

        One writer at a time: another process's transaction is waited for.
        """
        self._db.begin(write=True)
        try:
            self._begun()
            yield
            self._flush()
            self._db.commit()
        except BaseException:
            self._db.rollback()
            self._forget()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment, also while the market goes on."""
        self._db.begin(write=False)
        try:
            self._begun()
            yield
        finally:
            self._db.rollback()

    @abstractmethod
    def _begun(self) -> None:
        """A transaction has begun: what others may have written meanwhile is not remembered."""

    @abstractmethod
    def _flush(self) -> None:
        """Write what the transaction has gathered."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop what is remembered of the database."""
