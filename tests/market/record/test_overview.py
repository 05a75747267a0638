"""What an operator asks of the whole record, in SQLite and in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from market.record import Record
from market.record.rows import ESTIMATED
from market.settlement.rules import Registers
from tests.market.settled import settle_street


def test_the_operators_questions(store: Path) -> None:
    settle_street(store, steps=5, homes=12, eventful=True)
    record = Record(store)
    heard = record.last_heard()
    assert len(heard) == 12
    gates = list(record.gates())
    last = max(gate.start for gate in gates)
    assert set(heard.values()) == {last}
    first = min(gate.start for gate in gates)
    assert record.gates_between(first, last + 1) == sorted(gates, key=lambda gate: (gate.start, gate.revision))
    assert [gate.revision for gate in record.gates_between(first + 1800, first + 2700)] == [0, 1]
    assert record.gates_between(last + 900, last + 9000) == []

    (kept,) = record.newest_refused(["conflicting", "impossible"], 5)
    assert (kept.outcome, kept.topic.split("/")[-1]) == ("conflicting", "reading")
    assert b'"import_wh"' in kept.payload
    assert record.newest_refused(["malformed", "conflicting"], 1)[0].arrival >= kept.arrival
    assert record.newest_refused(["impossible"], 5) == []

    assert record.correction_counts() == (1, 0)
    with record.transaction():
        for start in (first, first, last):
            record.add_correction("x", start, 900, Registers(1, 2, 3, 4), reason=ESTIMATED, author="market", now=5)
    assert record.correction_counts() == (1, 3)
    assert [one.reason for one in record.newest_corrections(9, estimated=False)] == ["meter read wrongly"]
    assert [one.start for one in record.newest_corrections(2, estimated=True)] == [last, first]
    assert record.estimated_meters(first, last + 1) == {"x": 2}
    assert record.estimated_meters(first, last) == {"x": 1}
    record.close()


def test_an_empty_record_has_nothing_to_tell(store: Path) -> None:
    record = Record(store)
    assert record.last_heard() == {}
    assert record.gates_between(0, 2**40) == []
    assert record.newest_refused(["conflicting"], 5) == []
    assert record.correction_counts() == (0, 0)
    record.close()
