"""The record: append-only, versions of inputs, acknowledged outboxes, transfers that cannot be booked twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from market.record import Record, RecordError
from market.record.record import FILE_NAME, Gate, Transfer, transfer_id
from market.record.schema import APPEND_ONLY
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
def record(tmp_path: Path) -> Any:
    record = Record(tmp_path)
    yield record
    record.close()


def gate(record: Record, start: int) -> Gate:
    return record.close_gate(start, 900, now=start + 900, versions={"engine": "1"}, horizon=0, inputs={"members": 1})


def test_there_is_no_reading_a_record_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no record here"):
        Record(tmp_path, read_only=True)


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    Record(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RecordError, match="format 99"):
        Record(tmp_path)


def test_a_change_of_inputs_applies_to_intervals_that_start_after_it(record: Record) -> None:
    assert set(record.store_inputs(BODIES, now=5_000)) == set(BODIES)
    assert record.store_inputs(BODIES, now=6_000) == []
    cheaper = BODIES | {"tariffs": {"standard": {"retail_per_kwh": "0.25", "feed_in_per_kwh": "0.08"}}}
    assert record.store_inputs(cheaper, now=9_001) == ["tariffs"]
    assert record.input_versions(0)["tariffs"] == 1, "the first version applies from the beginning"
    assert record.input_versions(9_000)["tariffs"] == 1
    assert record.input_versions(9_900)["tariffs"] == 2
    assert record.rules(record.input_versions(9_900)).members[0].max_buy_ticks == 25_000


def test_a_record_without_a_community_says_so(record: Record) -> None:
    with pytest.raises(RecordError, match="no community"):
        record.input_versions(0)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_nothing_that_was_recorded_can_be_changed_or_deleted(record: Record, tmp_path: Path, table: str) -> None:
    record.store_inputs(BODIES, now=0)
    with record.transaction():
        record.quarantine("forged", "t", b"x", 0, bounded=True)
        closed = gate(record, 0)
        record.add_result(closed, "{}")
        record.book(closed, [Transfer("t1", "pool", "household:h1", 5, "trade")])
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("INSERT INTO reading VALUES (1, 'm1', 0, 900, 0, 0, 0, 0, 'o', 0, x'')")
    db.commit()
    column = db.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()[0]
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


def test_booking_the_same_again_is_harmless_and_another_amount_is_an_error(record: Record) -> None:
    first = Transfer("t1", "pool", "household:h1", 5, "trade")
    with record.transaction():
        closed = gate(record, 0)
        record.book(closed, [first])
        record.book(closed, [first])
    assert record.transfers(closed.number) == [first]
    with pytest.raises(RecordError, match="another content"), record.transaction():
        record.book(closed, [first._replace(amount=6)])
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
    monkeypatch.setattr("market.record.record.QUARANTINE_BOUND", 3)
    with record.transaction():
        for _ in range(5):
            record.quarantine("forged", "t", b"x", 0, bounded=True)
            record.quarantine("conflicting", "t", b"x", 0, bounded=False)
    rows = dict(record._db.execute("SELECT outcome, count(*) FROM quarantine GROUP BY outcome"))
    assert rows == {"forged": 3, "conflicting": 5}


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
