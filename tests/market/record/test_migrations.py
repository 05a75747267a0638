"""A record of every released version is brought to the present format, all of it or nothing, and means the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import OperationalError

from market.record import Record, RecordError
from market.record.migrate import upgrade
from market.record.place import FILE_NAME, record_url
from market.record.schema import APPEND_ONLY, FORMAT, metadata
from market.service.audit import audit
from market.service.market import MASTER_KEY_FILE
from market.service.replay import replay

RELEASED = Path(__file__).parent
DIGEST = "5b833e595196645d7b079601d53133c1f90d6dbb1b1df5d4535182df40f5fe01"
"""Of every result and transfer, as version 0.1.0's own replay printed it."""


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A store that version 0.1.0 made: five homes, five intervals, one revision, a change of tariffs."""
    store = tmp_path / "released"
    store.mkdir()
    (store / MASTER_KEY_FILE).write_text(bytes(range(32)).hex() + "\n")
    (store / MASTER_KEY_FILE).chmod(0o600)
    db = sqlite3.connect(store / FILE_NAME)
    db.executescript((RELEASED / "format_1.sql").read_text())
    db.close()
    return store


def dump(store: Path) -> list[str]:
    db = sqlite3.connect(store / FILE_NAME)
    lines = [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone()[0])]
    db.close()
    return lines


def quiet(done: int, total: int) -> None:
    pass


def test_what_version_0_1_0_settled_comes_out_identical(released: Path) -> None:
    told: list[str] = []
    record = Record(released, sole=True, say=told.append)
    assert len(told) == 1 and "format 1 (pumasi 0.1.0) is brought to format 2" in told[0]
    done = replay(record, quiet)
    assert (done.gates, done.revisions, done.transfers, done.digest) == (6, 1, 54, DIGEST)
    audited = audit(record, released, quiet)
    assert (audited.readings, audited.seals_checked, audited.gates, audited.transfers) == (25, True, 6, 54)
    assert [(g.kind, g.state, g.corrections) for g in record.gates(kind=None)][2:4] == [
        ("interval", "provisional", 0),
        ("interval", "corrected", 0),
    ]
    assert [(row.number, row.kind, row.author) for row in record.input_history()][-1] == (6, "tariffs", "")
    assert record.outcomes() == {"duplicate": 1, "forged": 1, "late": 1, "malformed": 1, "stored": 24}
    assert sum(record.balances().values()) == 0
    record.close()
    again = Record(released, sole=True, say=told.append)
    again.close()
    assert len(told) == 1, "once"


def test_a_migrated_record_goes_on(released: Path) -> None:
    record = Record(released, sole=True)
    assert record.store_document(record.document(), now=2_000_000_000 - 500_000_000, author="a") == []
    with record.transaction():
        gate = record.close_gate(0, 900, now=0, versions={}, horizon=0, inputs={})
    assert gate.number == 7
    for table in APPEND_ONLY:
        if record._db.one(f"SELECT count(*) FROM {table}")[0]:
            with pytest.raises(RecordError, match="append-only"):
                record._db.execute(f"DELETE FROM {table}")
    record.close()


def test_only_a_market_migrates(released: Path) -> None:
    before = dump(released)
    for options in ({}, {"read_only": True}):
        with pytest.raises(RecordError, match=r"format 1 \(pumasi 0.1.0\); `pumasi market run` brings it to format 2"):
            Record(released, **options)
    assert dump(released) == before


def test_a_migration_that_fails_changes_nothing(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(released)

    def fail_at_the_end(connection: Connection, from_format: int) -> None:
        upgrade(connection, from_format)
        raise OperationalError("COMMIT", None, Exception("the disk is full"))

    monkeypatch.setattr("market.record.migrate.upgrade", fail_at_the_end)
    with pytest.raises(RecordError, match=r"cannot be brought to the present format: the disk is full$"):
        Record(released, sole=True)
    assert dump(released) == before


def made_by(store: Path, make: Callable[[Path], None]) -> Any:
    make(store)
    engine = create_engine(record_url(store))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differing = compare_metadata(context, metadata)
        look = inspect(connection)
        shape = {
            table: (
                [(column["name"], str(column["type"])) for column in look.get_columns(table)],
                sorted(look.get_pk_constraint(table)["constrained_columns"]),
                sorted(str(index["column_names"]) for index in look.get_indexes(table)),
                sorted(str(unique["column_names"]) for unique in look.get_unique_constraints(table)),
                sorted(str(check["sqltext"]) for check in look.get_check_constraints(table)),
            )
            for table in sorted(look.get_table_names())
        }
        kind = connection.dialect.name
        guards = (
            "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"
            if kind == "sqlite"
            else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        )
        triggers = [row[0] for row in connection.exec_driver_sql(guards)]
    engine.dispose()
    return differing, shape, triggers


def by_migrations(store: Path) -> None:
    engine = create_engine(record_url(store))
    with engine.begin() as connection:
        upgrade(connection, from_format=0)
    engine.dispose()


def test_a_migrated_record_has_the_tables_of_a_new_one(new_store: Callable[[], Path]) -> None:
    created = made_by(new_store(), lambda store: Record(store).close())
    migrated = made_by(new_store(), by_migrations)
    assert created[0] == []
    # 0.1.0 declared that results and transfers name their gate, and left unsaid that a row's number is never
    # NULL: in SQLite the first was never enforced and the second always is.
    assert {str(change[0] if isinstance(change, tuple) else change[0][0]) for change in migrated[0]} <= {
        "remove_fk",
        "modify_nullable",
    }
    assert migrated[1:] == created[1:]
    assert len(created[2]) in (len(APPEND_ONLY), 2 * len(APPEND_ONLY))


def test_the_format_is_the_newest_migrations() -> None:
    versions = sorted(int(path.stem.removeprefix("format_")) for path in _versions().glob("format_*.py"))
    assert versions == list(range(1, FORMAT + 1))


def _versions() -> Path:
    import market.record.migrations

    return Path(market.record.migrations.__file__).parent / "versions"
