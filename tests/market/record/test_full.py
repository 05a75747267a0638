"""No room to write: a named error, nothing half kept, and the same goes through once there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from market.record import Record, RecordFullError
from market.record.schema import metadata
from market.service.gates import Gates
from market.service.ingest import Ingest
from tests.market.record.killed import MASTER, METERS, SINCE, document, message


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store, sole=True)
    record.store_document(document(), now=0, author="a")
    yield record
    record.close()


def no_room(record: Record, table: str) -> Callable[[], None]:
    """From now on nothing more fits into the record (PostgreSQL: into the table); returns what gives room again."""
    if record.name.endswith(".sqlite"):
        pages = record._db.one("PRAGMA page_count")[0]
        record._db.execute(f"PRAGMA max_page_count = {pages}")
        return lambda: record._db.execute("PRAGMA max_page_count = 1000000")
    record._db.execute(
        "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    record._db.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION no_room()")
    return lambda: record._db.execute(f"DROP TRIGGER no_room ON {table}")


def rows(record: Record) -> dict[str, list[Any]]:
    return {name: sorted(map(tuple, record._db.execute(f"SELECT * FROM {name}"))) for name in metadata.tables}


def test_a_batch_that_does_not_fit_is_not_kept_and_not_acknowledged(record: Record) -> None:
    ingest = Ingest(record, MASTER)
    ingest.store([message("m1", 0)], now=SINCE + 900, closed_before=SINCE)
    before = rows(record)
    give_room = no_room(record, "reading")
    batch = [message(meter, step) for step in range(1, 40) for meter in METERS]
    with pytest.raises(RecordFullError, match="no room to write"):
        ingest.store(batch, now=SINCE + 900 * 40, closed_before=SINCE)
    assert rows(record) == before
    assert record.next_seq("m1", "0123456789abcdef") == 1, "what was remembered is forgotten with it"
    give_room()
    stored = ingest.store(batch, now=SINCE + 900 * 40, closed_before=SINCE)
    assert stored.outcomes == {"stored": len(batch)}
    assert record.reading_count() == 1 + len(batch)


@pytest.mark.parametrize("table", ["gate", "result", "transfer"])
def test_a_settlement_that_does_not_fit_books_nothing_and_is_done_later(record: Record, table: str) -> None:
    ingest, gates = Ingest(record, MASTER), Gates(record, grace_s=0.0)
    steps = 40
    ingest.store(
        [message(meter, step) for step in range(steps) for meter in METERS], now=SINCE + 900 * steps, closed_before=0
    )
    gates.tick(SINCE + 900 * steps, 0.0)
    give_room = no_room(record, table)
    with pytest.raises(RecordFullError):
        while gates.due(0.0):
            gates.close_next()
    closed = record.last_gate_number()
    assert record.counts()["result"] == closed < steps
    assert all(record.transfers(number) for number in range(1, closed + 1))
    give_room()
    while gates.due(0.0):
        gates.close_next()
    assert [gate.start for gate in record.gates()] == [SINCE + 900 * step for step in range(steps)]
    assert sum(record.balances().values()) == 0


def test_a_document_that_does_not_fit_is_not_stored(record: Record) -> None:
    give_room = no_room(record, "input")
    big = document()
    big["members"][0]["name"] = "x" * 64
    big["network"] += [{"node": f"n{i}", "parent": "root"} for i in range(400)]
    with pytest.raises(RecordFullError):
        record.store_document(big, now=9_000, author="a")
    assert record.inputs_version() == 5
    give_room()
    assert record.store_document(big, now=9_000, author="a") == ["network", "members"]
