"""The chain over the gate closures, and the rows of every table as they are stored, which it commits to."""

from __future__ import annotations

from collections.abc import Iterator

from market.record import schema
from market.record.part import Part
from market.record.rows import ChainRow

ROWS_PER_PAGE = 500
NUMBERED = {"input": "number", "reading": "arrival", "quarantine": "arrival", "correction": "number"}
"""The column that says in which order a table's rows were stored, from 1 and without a gap."""
MOVING = ("outbox", "held", "outcome")


class Chained(Part):
    """The part of a Record that holds the chain."""

    def add_chain(self, gate: int, entry: str, sealed: str, head: str, signature: str | None) -> None:
        """Chain a gate closure, within its transaction; each has one place."""
        self._db.insert(schema.chain, [(gate, entry, sealed, head, signature)])

    def chain_rows(self, after: int = 0) -> Iterator[ChainRow]:
        """The chain above gate closure ``after``, in order."""
        while rows := self._db.execute(
            f"SELECT * FROM chain WHERE gate > ? ORDER BY gate LIMIT {ROWS_PER_PAGE}", (after,)
        ).fetchall():
            yield from (ChainRow(*row) for row in rows)
            after = rows[-1][0]

    def chain_row(self, gate: int) -> ChainRow | None:
        """The closure's place in the chain, if it has one."""
        row = self._db.execute("SELECT * FROM chain WHERE gate = ?", (gate,)).fetchone()
        return None if row is None else ChainRow(*row)

    def last_chain(self) -> ChainRow | None:
        """The chain's end: its head commits to everything before."""
        row = self._db.execute("SELECT * FROM chain ORDER BY gate DESC LIMIT 1").fetchone()
        return None if row is None else ChainRow(*row)

    def last_row(self, table: str) -> int:
        """The number of the newest row of ``table``, one of NUMBERED; 0 when there is none."""
        self._flush()
        return int(self._db.one(f"SELECT coalesce(max({NUMBERED[table]}), 0) FROM {table}")[0])

    def rows(self, table: str, after: int, up_to: int) -> Iterator[tuple[object, ...]]:
        """Whole rows of ``table``, one of NUMBERED, with a number above ``after`` and at most ``up_to``, in order.

        The columns are in the order of schema.py.
        """
        self._flush()
        number = NUMBERED[table]
        columns = list(schema.metadata.tables[table].columns.keys())
        place = columns.index(number)
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {number} > ? AND {number} <= ? ORDER BY {number}"
        while rows := self._db.execute(f"{query} LIMIT {ROWS_PER_PAGE}", (after, up_to)).fetchall():
            yield from (tuple(row) for row in rows)
            after = rows[-1][place]

    def moving(self, table: str) -> list[tuple[object, ...]]:
        """Every row of ``table``, one of MOVING, in the order of its key."""
        self._flush()
        keys = ", ".join(column.name for column in schema.metadata.tables[table].primary_key)
        return [tuple(row) for row in self._db.execute(f"SELECT * FROM {table} ORDER BY {keys}")]
