"""Balances do not overflow; months stand beside intervals; corrections stand instead of readings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.contract import Reading
from market.record import Gate, Record, RecordError, Transfer
from market.record.rows import ESTIMATED, MONTH
from market.settlement.rules import Registers

MOST = 2**63 - 1


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    yield record
    record.close()


def gate(record: Record, start: int = 0, **more: str) -> Gate:
    return record.close_gate(start, 900, now=start + 900, versions={}, horizon=0, inputs={}, **more)


def test_a_balance_beyond_64_bits_is_exact(record: Record) -> None:
    with record.transaction():
        closed = gate(record)
        record.book(closed, [Transfer(f"{i}", "pool", "a", MOST, "trade") for i in range(5)])
        record.book(closed, [Transfer(f"{i}-", "b", "pool", MOST - i, "trade") for i in range(3)])
        record.book(closed, [Transfer("c", "a", "b", 1, "gift")])
    assert record.balances() == {"a": 5 * MOST - 1, "b": -3 * MOST + 3 + 1, "pool": -2 * MOST - 3}
    assert sum(record.balances().values()) == 0
    assert 5 * MOST > 2**65


def test_a_balance_as_of_a_moment(record: Record) -> None:
    with record.transaction():
        for start in (0, 900):
            record.book(gate(record, start), [Transfer(f"{start}", "pool", "a", 7, "trade")])
    assert [record.balances(until)["a"] for until in (900, 1799, 1800)] == [7, 7, 14]
    assert record.balances(899) == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(1, MOST) | st.integers(1, 2**33)),
        max_size=12,
    )
)
def test_balances_are_what_python_adds_up(record: Record, moves: list[tuple[str, str, int]]) -> None:
    before = record.balances()
    with record.transaction():
        closed = gate(record)
        transfers = [Transfer(f"{closed.number}/{i}", *move, "trade") for i, move in enumerate(moves)]
        record.book(closed, transfers)
    for debit, credit, amount in moves:
        before[debit] = before.get(debit, 0) - amount
        before[credit] = before.get(credit, 0) + amount
    assert record.balances() == before


@pytest.mark.parametrize("amount", [0, -1, 2**63])
def test_an_amount_that_cannot_be_is_refused_by_name(record: Record, amount: int) -> None:
    with pytest.raises(RecordError, match=f"transfer t: {amount} cannot be booked"), record.transaction():
        record.book(gate(record), [Transfer("t", "pool", "a", amount, "trade")])
    assert record.last_gate() is None, "nothing half booked"


def test_a_part_that_is_booked_already_is_harmless_and_the_rest_is_booked(record: Record) -> None:
    transfers = [Transfer(f"t{i}", "pool", "a", i + 1, "trade") for i in range(3)]
    with record.transaction():
        closed = gate(record)
        record.book(closed, transfers[:2])
        record.book(closed, transfers)
    assert record.transfers(closed.number) == transfers
    with pytest.raises(RecordError, match="t1 is booked already"), record.transaction():
        record.book(gate(record, 900), transfers[1:2])
    assert record.last_gate_number() == 1


def test_months_stand_beside_intervals(record: Record) -> None:
    with record.transaction():
        first = gate(record)
        month = gate(record, kind=MONTH)
        again = gate(record)
        final = gate(record, state="final")
    assert [(g.number, g.kind, g.revision, g.state) for g in record.gates(kind=None)] == [
        (1, "interval", 0, "provisional"),
        (2, "month", 0, "provisional"),
        (3, "interval", 1, "corrected"),
        (4, "interval", 2, "final"),
    ]
    assert list(record.gates()) == [first, again, final]
    assert list(record.gates(after=1, kind=MONTH)) == [month]
    assert record.last_gate() == final
    assert record.last_gate(kind=MONTH) == month
    assert (record.last_gate_number(), record.last_gate_number(MONTH), record.last_gate_number(None)) == (4, 2, 4)


def test_gates_are_read_in_pages(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market.record.ledger.ROWS_PER_PAGE", 2)
    with record.transaction():
        numbers = [gate(record, 900 * i).number for i in range(5)]
    assert [g.number for g in record.gates()] == numbers


def reading(start: int, energy: int) -> Reading:
    return Reading(1, 1, "o", start // 900, 0, start, 900, energy, 0, 0, energy, [], "")


METERS = {"m0": 0, "m1": 1, "m2": 2}


@pytest.fixture
def sole(store: Path) -> Iterator[Record]:
    """The market's own record, which remembers what it read."""
    record = Record(store, sole=True)
    yield record
    record.close()


def heard(record: Record, start: int, horizon: int, corrections: int = 0) -> list[list[int | None]]:
    """Imports at the interval's beginning and end, by meter: the columns, which say what ``registers`` says."""
    seen = (start, 900, horizon, corrections)
    named = record.registers(*seen)
    found = []
    for at, (values, known) in zip((start - 900, start), record.register_columns(METERS, *seen), strict=True):
        due = [named.get((meter, at)) for meter in METERS]
        assert known.tolist() == [one is not None for one in due]
        assert values.tolist() == [list(one or (0, 0, 0, 0)) for one in due]
        found.append([None if one is None else one.import_wh for one in due])
    return found


def test_what_comes_late_is_read_beside_what_was_read_before(sole: Record) -> None:
    with sole.transaction():
        for meter, start, energy in (("m0", 0, 10), ("m0", 900, 20), ("gone", 900, 5), ("m1", 900, 30)):
            sole.add_reading(meter, reading(start, energy), b"")
    assert heard(sole, 900, 4) == [[10, None, None], [20, 30, None]]
    with sole.transaction():
        for meter, start, energy in (("m2", 900, 40), ("m1", 0, 15), ("m1", 1800, 31)):
            sole.add_reading(meter, reading(start, energy), b"")
    assert heard(sole, 1800, 7) == [[20, 30, 40], [None, 31, None]]
    assert heard(sole, 900, 7) == [[10, 15, None], [20, 30, 40]]
    assert heard(sole, 900, 4) == [[10, None, None], [20, 30, None]], "as it was known before"


def test_what_was_read_in_a_transaction_that_is_lost_is_forgotten(sole: Record) -> None:
    with pytest.raises(ZeroDivisionError), sole.transaction():
        sole.add_reading("m0", reading(900, 10), b"")
        assert heard(sole, 900, 1) == [[None] * 3, [10, None, None]]
        raise ZeroDivisionError
    with sole.transaction():
        sole.add_reading("m1", reading(900, 20), b"")
    assert heard(sole, 1800, 1) == [[None, 20, None], [None] * 3]


def test_a_correction_is_not_taken_for_what_was_heard(sole: Record) -> None:
    options = {"author": "anna", "now": 2_000}
    with sole.transaction():
        sole.add_reading("m0", reading(900, 10), b"")
        sole.add_correction("m0", 900, 900, Registers(11, 0, 0, 11), reason="read by hand", **options)
        sole.add_correction("m1", 900, 900, Registers(5, 0, 0, 5), reason="estimated", **options)
        sole.add_correction("gone", 900, 900, Registers(5, 0, 0, 5), reason="read by hand", **options)
    assert heard(sole, 900, 1, corrections=3) == [[None] * 3, [11, 5, None]]
    assert heard(sole, 1800, 1, corrections=0) == [[10, None, None], [None] * 3]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 251])
def test_any_number_of_transfers_is_booked_and_counted(record: Record, count: int) -> None:
    transfers = [Transfer(f"t{i:03}", "pool", "a", i + 1, "trade") for i in range(count)]
    with record.transaction():
        closed = gate(record)
        record.book(closed, transfers[::3])
        record.book(closed, transfers)
    assert record.transfers(closed.number) == transfers


@pytest.mark.parametrize("body", ['{"name":"김영희"}', ""])
def test_a_result_comes_back_as_it_was_given_as_text_or_as_its_bytes(record: Record, body: str) -> None:
    with record.transaction():
        first, second = gate(record), gate(record, 900)
        record.add_result(first, body)
        record.add_result(second, bytearray(body.encode()))
    assert record.result(first.number) == record.result(second.number) == body


def test_a_correction_stands_instead_of_a_reading_and_the_newest_wins(record: Record) -> None:
    with record.transaction():
        record.add_reading("m1", reading(0, 10), b"")
        record.add_reading("m1", reading(900, 20), b"")
        options = {"reason": "read by hand", "author": "anna", "now": 2_000}
        one = record.add_correction("m1", 900, 900, Registers(25, 0, 0, 25), **options)
        two = record.add_correction("m2", 900, 900, Registers(5, 0, 0, 5), **options)
        three = record.add_correction("m1", 900, 900, Registers(26, 0, 0, 26), **options)
    horizon = record.horizon()
    seen = [
        {key: registers.import_wh for key, registers in record.registers(900, 900, horizon, corrections=n).items()}
        for n in range(4)
    ]
    assert seen == [
        {("m1", 0): 10, ("m1", 900): 20},
        {("m1", 0): 10, ("m1", 900): 25},
        {("m1", 0): 10, ("m1", 900): 25, ("m2", 900): 5},
        {("m1", 0): 10, ("m1", 900): 26, ("m2", 900): 5},
    ]
    assert record.corrected(900, 900, horizon, 3) == {("m1", 900): 3, ("m2", 900): 2}
    assert record.corrections_to(2) == [one, two]
    assert record.corrections_to(3, after=2) == [three]
    assert record.last_correction() == 3
    assert set(record.sent(900, 900, horizon)) == {"m1"}, "what the meter sent is still there"


def test_intervals_with_late_data_or_corrections_are_run_again(record: Record) -> None:
    with record.transaction():
        for start in (0, 900, 1800):
            record.add_reading("m1", reading(start, 10), b"")
        for start in (0, 900, 1800):
            record.close_gate(start, 900, now=0, versions={}, horizon=3, inputs={})
    assert record.gates_to_run_again(0) == []
    with record.transaction():
        record.add_correction("m1", 900, 900, Registers(9, 0, 0, 9), reason="r", author="a", now=0)
    assert record.gates_to_run_again(0) == [900, 1800], "the interval it ends and the one it begins"
    with record.transaction():
        record.close_gate(900, 900, now=0, versions={}, horizon=3, inputs={}, corrections=1)
        record.add_reading("m2", reading(0, 1), b"")
    assert record.gates_to_run_again(0) == [0, 900, 1800]
    assert record.gates_to_run_again(3, after_correction=1) == [0, 900]


def test_the_chain_is_kept_in_order(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market.record.chained.ROWS_PER_PAGE", 2)
    assert record.last_chain() is None
    with record.transaction():
        for i in range(1, 6):
            record.add_chain(i, f"entry {i}", "sealed", f"{i:064x}", None if i % 2 else "signature")
    assert [row.gate for row in record.chain_rows()] == [1, 2, 3, 4, 5]
    assert [row.gate for row in record.chain_rows(after=3)] == [4, 5]
    last = record.last_chain()
    assert last is not None and (last.entry, last.signature) == ("entry 5", None)
    assert record.chain_row(4) is not None and record.chain_row(9) is None
    with pytest.raises(RecordError), record.transaction():
        record.add_chain(5, "another", "", "", None)


def test_whole_rows_in_the_order_they_were_stored(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market.record.chained.ROWS_PER_PAGE", 2)
    with record.transaction():
        for i in range(5):
            record.add_reading("m1", reading(900 * i, i), b"raw %d" % i)
            assert record.last_row("reading") == i + 1
        record.quarantine("forged", "topic", b"\x00\xff", 7, sealed=False)
        record.advance_outbox("m1", "o", 2, 0)
        record.count({"stored": 5})
    assert [row[-1] for row in record.rows("reading", 1, 4)] == [b"raw 1", b"raw 2", b"raw 3"]
    assert list(record.rows("quarantine", 0, record.last_row("quarantine"))) == [(1, 7, "forged", "topic", b"\x00\xff")]
    assert [record.moving(table) for table in ("outbox", "held", "outcome")] == [
        [("m1", "o", 0, 5)],
        [("m1", "o", 2)],
        [("stored", 5)],
    ]


def test_an_estimate_never_stands_before_what_a_person_said(record: Record) -> None:
    with record.transaction():
        for energy, reason in ((10, "read from the display"), (20, ESTIMATED), (30, ESTIMATED)):
            registers = Registers(energy, 0, 0, energy)
            record.add_correction("m0", 900, 900, registers, reason=reason, author="who", now=0)
    assert [record.registers(900, 900, 0, number)["m0", 900].import_wh for number in (1, 2, 3)] == [10, 10, 10]
