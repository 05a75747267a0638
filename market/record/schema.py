"""The tables of the record, for SQLite and PostgreSQL.

Rows of the append-only tables are never changed or deleted; triggers refuse it, so that not even a
defect in our own code can. ``outbox``, ``held``, ``outcome`` and ``status`` are the only tables that move:
they say how far each meter has been acknowledged, how often each kind of message came and how meters are.

A change of the tables is a new format: raise FORMAT, write ``migrations/versions/format_<n>.py``.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

FORMAT = 2
"""A record of an older format is migrated when a market opens it; one of a newer is refused by name."""
FORMAT_NAMES = {1: "0.1.0"}
"""The first released version of each format but the present."""

APPEND_ONLY = ("input", "reading", "quarantine", "correction", "gate", "result", "transfer", "chain")

metadata = MetaData()
# SQLite takes only INTEGER, which has 64 bits there.
_Whole = BigInteger().with_variant(Integer(), "sqlite")


def _whole(name: str, *constraints: CheckConstraint, primary_key: bool = False) -> Column[int]:
    return Column(name, _Whole, *constraints, primary_key=primary_key, autoincrement=False, nullable=False)


def _text(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=nullable)


def _table(name: str, *parts: Column[int] | Column[str] | Column[bytes] | UniqueConstraint, by_key: bool) -> Table:
    """``by_key``: SQLite keeps the rows themselves in the order of the primary key."""
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=not by_key)


REGISTERS = ("import_wh", "export_wh", "generation_wh", "consumption_wh")

input = _table(  # versioned inputs: the newest stored before an interval starts applies to it
    "input",
    _text("kind", primary_key=True),
    _whole("version", primary_key=True),
    _whole("stored_at"),
    _text("body"),
    _text("author"),
    _whole("number"),
    UniqueConstraint("number"),
    by_key=True,
)
# The bodies are large: what applies when is read from here.
Index("input_applies", input.c.kind, input.c.stored_at, input.c.version)
reading = _table(  # registers [Wh] at the end of [start, start + length)
    "reading",
    _whole("arrival", primary_key=True),
    _text("meter"),
    _whole("start"),
    _whole("length"),
    *(_whole(name) for name in REGISTERS),
    _text("outbox"),
    _whole("seq"),
    Column("payload", LargeBinary, nullable=False),
    UniqueConstraint("start", "length", "meter"),
    by_key=False,
)
Index("reading_of_meter", reading.c.meter, reading.c.start)
quarantine = _table(  # messages that were not stored as readings, with their raw bytes
    "quarantine",
    _whole("arrival", primary_key=True),
    _whole("received_at"),
    _text("outcome"),
    _text("topic"),
    Column("payload", LargeBinary, nullable=False),
    by_key=False,
)
Index("quarantine_of_outcome", quarantine.c.outcome, quarantine.c.topic, quarantine.c.arrival)
outcome = _table(  # how often each named outcome came
    "outcome", _text("name", primary_key=True), _whole("count"), by_key=True
)
outbox = _table(  # every seq below next is kept by the market; advanced: arrivals then
    "outbox",
    _text("meter", primary_key=True),
    _text("outbox", primary_key=True),
    _whole("next"),
    _whole("advanced"),
    by_key=True,
)
held = _table(  # seqs kept out of order, at or above next
    "held",
    _text("meter", primary_key=True),
    _text("outbox", primary_key=True),
    _whole("seq", primary_key=True),
    by_key=True,
)
status = _table(  # what each meter said last of its own health, while it was online; nothing is settled by it
    "status", _text("meter", primary_key=True), _whole("received_at"), _whole("online"), _text("body"), by_key=True
)
correction = _table(  # registers that stand instead of what was heard; a later number wins
    "correction",
    _whole("number", primary_key=True),
    _text("meter"),
    _whole("start"),
    _whole("length"),
    *(_whole(name) for name in REGISTERS),
    _text("reason"),
    _text("author"),
    _whole("stored_at"),
    by_key=False,
)
Index("correction_of_interval", correction.c.start, correction.c.length)
gate = _table(  # gate closures: what an interval's or a month's run saw
    "gate",
    _whole("number", primary_key=True),
    _text("kind"),
    _whole("start"),
    _whole("length"),
    _whole("revision"),
    _whole("closed_at"),
    _whole("horizon"),
    _whole("corrections"),
    _text("state"),
    _text("inputs"),
    _text("versions"),
    UniqueConstraint("kind", "start", "length", "revision"),
    by_key=False,
)
result = _table(  # the publishable result of a gate closure, as it was computed
    "result", _whole("gate", primary_key=True), _text("body"), by_key=False
)
transfer = _table(  # the ledger: money [Wh x tick] from debit to credit
    "transfer",
    _text("id", primary_key=True),
    _whole("gate"),
    _text("debit"),
    _text("credit"),
    _whole("amount", CheckConstraint("amount > 0")),
    _text("reason"),
    by_key=True,
)
Index("transfer_of_gate", transfer.c.gate)
chain = _table(  # each gate closure's entry, chained to the one before
    "chain",
    _whole("gate", primary_key=True),
    _text("entry"),
    _text("sealed"),
    _text("head"),
    _text("signature", nullable=True),
    by_key=False,
)
version = Table(  # the format, where Alembic looks for it
    "alembic_version", metadata, Column("version_num", String(32), primary_key=True)
)


@cache
def statements(dialect: str) -> tuple[str, ...]:
    """What makes an empty record; ``dialect`` is sqlite or postgresql."""
    language = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}[dialect]()
    made: list[CreateTable | CreateIndex] = []
    for table in metadata.sorted_tables:
        made.append(CreateTable(table))
        made.extend(CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    return (
        *(str(element.compile(dialect=language)) for element in made),
        *guards(dialect),
        f"INSERT INTO alembic_version VALUES ('{FORMAT}')",
        *([f"PRAGMA user_version = {FORMAT}"] if dialect == "sqlite" else []),
    )


def guards(dialect: str, tables: tuple[str, ...] = APPEND_ONLY) -> list[str]:
    """The triggers that refuse every change of what was recorded."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_{verb}_refused BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for table in tables
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; "
        "END $$",
        *(
            f"CREATE TRIGGER {table}_change_refused BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            for table in tables
        ),
    ]


def array_type(kind: TypeEngine[object]) -> str:
    """PostgreSQL's name for an array of a column's type."""
    return "bigint[]" if isinstance(kind, Integer) else "bytea[]" if isinstance(kind, LargeBinary) else "text[]"
