"""Opening the record. One market writes; any number of processes read, and may store inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from market.record.chained import Chained
from market.record.inputs import Inputs
from market.record.ledger import Ledger
from market.record.messages import Messages
from market.record.overview import Overview
from market.record.place import FILE_NAME, keep_url, record_url
from market.record.postgresql import PostgresqlDatabase
from market.record.rows import Gate, RecordError, Transfer, transfer_id
from market.record.schema import FORMAT, FORMAT_NAMES
from market.record.sqlite import SqliteDatabase

__all__ = ["FILE_NAME", "Gate", "Record", "RecordError", "Transfer", "transfer_id"]


class Record(Inputs, Messages, Ledger, Chained, Overview):
    """The community's record of the store ``directory``: the SQLite file in it, or what ``url`` or its record.url says.

    ``sole``: be the community's only market until ``close``, and bring an older record to this version's
    format; ``say`` is told. Raises RecordError when another market is running, when there is no record to
    read, or when its format is another's.
    """

    def __init__(
        self,
        directory: Path,
        *,
        read_only: bool = False,
        url: str | None = None,
        sole: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        place = record_url(directory, url)
        kind = SqliteDatabase if place.get_backend_name() == "sqlite" else PostgresqlDatabase
        self._db = kind(place, read_only=read_only)
        self._sole = sole
        self._rules = {}
        self.name = self._db.name
        self._forget()
        try:
            if sole:
                self._db.lease("another market")
            found = self._db.format()
            if found == 0:
                if read_only:
                    raise RecordError(f"{self.name}: there is no record here")
                self._db.create()
                found = self._db.format()
            if sole and 0 < found < FORMAT:
                found = self._migrate(found, say)
            if found != FORMAT:
                raise RecordError(f"{self.name}: {_unreadable(found)}")
            if not read_only:
                keep_url(directory, place)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def _migrate(self, found: int, say: Callable[[str], None]) -> int:
        # Alembic is not needed, nor its time to load, by a record that is of this format.
        from market.record.migrate import migrate

        say(
            f"{self.name}: format {found} (pumasi {FORMAT_NAMES[found]}) is brought to format {FORMAT}, all or nothing;"
            " an older pumasi cannot read it afterwards, a copy made before can be gone back to"
        )
        migrate(self._db)
        return self._db.format()

    def _begun(self) -> None:
        if not self._sole:
            self._forget()
        self._begin_inputs()

    def _flush(self) -> None:
        self._flush_readings()
        self._flush_messages()

    def _forget(self) -> None:
        self._begin_inputs()
        self._forget_readings()
        self._forget_messages()


def _unreadable(found: int) -> str:
    if found > FORMAT:
        return f"this record has format {found} of a newer pumasi; this version reads {FORMAT}"
    known = FORMAT_NAMES.get(found, "no released version")
    return f"this record has format {found} (pumasi {known}); `pumasi market run` brings it to format {FORMAT}"
