"""The record: append-only, versions of inputs, acknowledged outboxes, transfers that cannot be booked twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.contract import Reading
from market.record import Record, RecordError
from market.record.record import FILE_NAME, Gate, Transfer, transfer_id
from market.record.schema import APPEND_ONLY, metadata
from market.settlement.rules import Registers
from tests.market.bodies import COMMUNITY, TARIFFS

BODIES: dict[str, Any] = {
    "community": COMMUNITY,
    "tariffs": TARIFFS,
    "network": [{"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"}],
    "members": [
        {"household": "h1", "node": "root", "tariff": "standard", "meters": [{"meter": "m1", "kid": 1, "since": 0}]}
    ],
    "offers": {},
}


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    yield record
    record.close()


def gate(record: Record, start: int) -> Gate:
    return record.close_gate(start, 900, now=start + 900, versions={"engine": "1"}, horizon=0, inputs={"members": 1})


def test_there_is_no_reading_a_record_that_is_not_there(store: Path) -> None:
    with pytest.raises(RecordError, match="no record here"):
        Record(store, read_only=True)


def test_a_newer_format_is_refused_by_name(store: Path) -> None:
    record = Record(store)
    record._db.execute("UPDATE alembic_version SET version_num = '99'")
    if (store / FILE_NAME).exists():
        record._db.execute("PRAGMA user_version = 99")
    record.close()
    for options in ({}, {"read_only": True}, {"sole": True}):
        with pytest.raises(RecordError, match=r"format 99 of a newer pumasi; this version reads 2"):
            Record(store, **options)


def test_what_is_committed_is_written_through(record: Record, store: Path) -> None:
    if (store / FILE_NAME).exists():
        settings = {"journal_mode": "wal", "synchronous": 2}
        assert {name: record._db.one(f"PRAGMA {name}")[0] for name in settings} == settings
    else:
        assert record._db.one("SHOW synchronous_commit") == ("on",)


def test_a_change_of_inputs_applies_to_intervals_that_start_after_it(record: Record) -> None:
    assert set(record.store_inputs(BODIES, now=5_000)) == set(BODIES)
    assert record.store_inputs(BODIES, now=6_000) == []
    cheaper = BODIES | {"tariffs": {"standard": {"retail_per_kwh": "0.25", "feed_in_per_kwh": "0.08"}}}
    assert record.store_inputs(cheaper, now=9_001) == ["tariffs"]
    assert record.input_versions(0)["tariffs"] == 1, "the first version applies from the beginning"
    assert record.input_versions(9_000)["tariffs"] == 1
    assert record.input_versions(9_900)["tariffs"] == 2
    assert record.document(9_000)["tariffs"]["standard"]["retail_per_kwh"] == "0.30"
    assert record.document(9_900)["tariffs"]["standard"]["retail_per_kwh"] == "0.25"


def test_a_record_without_a_community_says_so(record: Record) -> None:
    with pytest.raises(RecordError, match="no community"):
        record.input_versions(0)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_nothing_that_was_recorded_can_be_changed_or_deleted(record: Record, table: str) -> None:
    record.store_inputs(BODIES, now=0)
    with record.transaction():
        record.quarantine("forged", "t", b"x", 0, sealed=False)
        closed = gate(record, 0)
        record.add_result(closed, "{}")
        record.book(closed, [Transfer("t1", "pool", "household:h1", 5, "trade")])
        record.add_correction("m1", 0, 900, Registers(1, 0, 0, 1), reason="read by hand", author="a", now=900)
        record.add_chain(closed.number, "{}", "{}", "1" * 64, None)
        record.add_reading("m1", Reading(1, 1, "o", 0, 0, 0, 900, 0, 0, 0, 0, [], ""), b"")
    column = next(iter(metadata.tables[table].columns)).name
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(RecordError, match="append-only"):
            record._db.execute(statement)
    assert record._db.one(f"SELECT count(*) FROM {table}")[0] > 0


def test_booking_the_same_again_is_harmless_and_another_amount_is_an_error(record: Record) -> None:
    first = Transfer("t1", "pool", "household:h1", 5, "trade")
    with record.transaction():
        closed = gate(record, 0)
        record.book(closed, [first])
        record.book(closed, [first])
    assert record.transfers(closed.number) == [first]
    with pytest.raises(RecordError, match="another content"), record.transaction():
        record.book(closed, [replace(first, amount=6)])
    assert record.transfers(closed.number) == [first]


def test_what_revisions_booked_is_summed_from_the_pools_side(record: Record) -> None:
    with record.transaction():
        first = gate(record, 0)
        record.book(
            first,
            [Transfer("a", "pool", "household:h1", 5, "trade"), Transfer("b", "household:h2", "pool", 9, "trade")],
        )
        second = gate(record, 0)
        record.book(second, [Transfer("c", "household:h1", "pool", 2, "trade")])
    assert second.revision == 1
    assert record.booked(0, 900, 1) == {("household:h1", "trade"): 5, ("household:h2", "trade"): -9}
    assert record.booked(0, 900, 2) == {("household:h1", "trade"): 3, ("household:h2", "trade"): -9}


def test_a_transaction_that_fails_leaves_nothing(record: Record) -> None:
    with pytest.raises(ZeroDivisionError), record.transaction():
        gate(record, 0)
        raise ZeroDivisionError
    assert record.last_gate() is None


@pytest.mark.parametrize(
    ("arrivals", "following"),
    [
        ([(0, 0)], 1),
        ([(0, 0), (1, 0), (2, 0)], 3),
        ([(0, 0), (2, 0)], 1),
        ([(0, 0), (2, 0), (3, 0), (1, 0)], 4),
        ([(0, 0), (0, 0)], 1),
        ([(5, 5)], 6),
        ([(5, 0)], 0),
        ([(7, 0), (9, 8)], 8),
        ([(3, 0), (9, 2), (2, 2)], 4),
        ([(9, 9), (3, 0)], 10),
    ],
)
def test_next_is_never_simply_the_highest_seen(record: Record, arrivals: list[tuple[int, int]], following: int) -> None:
    with record.transaction():
        got = [record.advance_outbox("m1", "o", seq, first) for seq, first in arrivals]
    assert got[-1] == following
    assert got == sorted(got)


def test_raw_bytes_of_refused_messages_are_bounded(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market.record.messages.QUARANTINE_BOUND", 3)
    with record.transaction():
        for i in range(5):
            record.quarantine("forged", "t", b"x", 0, sealed=False)
            record.quarantine("conflicting", "t", b"%d" % i, 0, sealed=True)
        record.quarantine("conflicting", "u", b"x", 0, sealed=True)
    rows = dict(record._db.execute("SELECT outcome, count(*) FROM quarantine GROUP BY outcome"))
    assert rows == {"forged": 3, "conflicting": 3 + 1}


def test_a_transfers_id_is_decided_by_interval_account_reason_and_revision() -> None:
    one = Gate(1, 900, 900, 0, 0, 0, {}, {})
    ids = {
        transfer_id("c", one, "household:h1", "trade"),
        transfer_id("d", one, "household:h1", "trade"),
        transfer_id("c", one, "household:h2", "trade"),
        transfer_id("c", one, "household:h1", "residual"),
        transfer_id("c", Gate(2, 1800, 900, 0, 0, 0, {}, {}), "household:h1", "trade"),
        transfer_id("c", Gate(2, 900, 900, 1, 0, 0, {}, {}), "household:h1", "trade"),
    }
    assert len(ids) == 6
    assert transfer_id("c", Gate(7, 900, 900, 0, 9, 9, {}, {}), "household:h1", "trade") in ids
