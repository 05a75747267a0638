"""Gates close once, in order; late data makes a revision; the sum of revisions is one run with all data."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.contract import Reading
from market.record import Record
from market.record.record import FILE_NAME
from market.service.gates import ClockError, Gates
from market.service.replay import DifferenceError, replay
from market.settlement.rules import Registers
from tests.market.bodies import COMMUNITY, TARIFFS

SINCE = 900_000
BODIES: dict[str, Any] = {
    "community": COMMUNITY,
    "tariffs": TARIFFS,
    "network": [
        {"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"},
        {"node": "left", "parent": "root", "limit_wh": None, "fee_per_kwh": "0.01"},
        {"node": "right", "parent": "root", "limit_wh": None, "fee_per_kwh": "0.01"},
    ],
    "members": [
        {
            "household": f"h{i}",
            "node": "left" if i < 3 else "right",
            "tariff": "standard",
            "meters": [{"meter": f"m{i}", "kid": 1, "since": SINCE}],
        }
        for i in range(5)
    ],
    "offers": {},
}
HOUSEHOLDS = [f"h{i}" for i in range(5)]
INTERVALS = 4


def week(seed: int) -> dict[tuple[str, int], Registers]:
    """Registers at the end of each interval: some homes export, some import, some both."""
    draw = random.Random(seed)
    found = {}
    for i in range(5):
        registers = [0, 0, 0, 0]
        for step in range(INTERVALS):
            imported = draw.choice([0, draw.randrange(500)])
            exported = draw.choice([0, draw.randrange(500)]) if i < 2 else 0
            for column, energy in enumerate((imported, exported, exported, imported)):
                registers[column] += energy
            found[f"m{i}", SINCE + 900 * step] = Registers(*registers)
    return found


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    record.store_inputs(BODIES, now=0)
    yield record
    record.close()


def add(record: Record, gates: Gates, readings: dict[tuple[str, int], Registers]) -> None:
    with record.transaction():
        for (meter, start), registers in readings.items():
            record.add_reading(meter, Reading(1, 1, "o", 0, 0, start, 900, *registers, [], ""), b"")
    for meter, start in readings:
        gates.heard(start, meter)


def close_all(gates: Gates, monotonic_s: float) -> list[int]:
    closed = []
    while gates.due(monotonic_s):
        closed.append(gates.close_next().gate.start)
    return closed


def balances(record: Record) -> dict[tuple[int, str, str], int]:
    total: dict[tuple[int, str, str], int] = {}
    for gate in record.gates():
        for t in record.transfers(gate.number):
            for account, money in ((t.credit, t.amount), (t.debit, -t.amount)):
                key = (gate.start, account, t.reason)
                total[key] = total.get(key, 0) + money
    return {key: money for key, money in total.items() if money}


def test_a_gate_waits_for_every_meter_or_the_grace(record: Record) -> None:
    gates = Gates(record, grace_s=10.0)
    readings = week(1)
    gates.tick(SINCE, 0.0)
    assert not gates.due(0.0), "the first interval has not ended"
    gates.tick(SINCE + 900, 5.0)
    for meter in ("m0", "m1", "m2", "m3"):
        add(record, gates, {(meter, SINCE): readings[meter, SINCE]})
    assert not gates.due(14.9)
    assert gates.wait_s(14.0) == pytest.approx(1.0)
    assert gates.due(15.0), "the grace is over"
    add(record, gates, {("m4", SINCE): readings["m4", SINCE]})
    assert gates.due(5.0), "everybody has been heard"
    closed = gates.close_next()
    assert (closed.gate.start, closed.gate.revision) == (SINCE, 0)
    assert all(position.heard for position in closed.settled.positions)
    assert not gates.due(99.0), "once"


def test_a_missing_meter_trades_nothing_and_the_rest_goes_on(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    readings = {key: value for key, value in week(2).items() if key[0] != "m1"}
    add(record, gates, readings)
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    assert close_all(gates, 0.0) == [SINCE + 900 * step for step in range(INTERVALS)]
    for gate in record.gates():
        rows = {row["household"]: row for row in msgspec.json.decode(record.result(gate.number))["households"]}
        assert not rows["h1"]["heard"] and rows["h1"]["trade_money"] == 0
        assert rows["h0"]["heard"]


@pytest.mark.parametrize("seed", range(12))
def test_the_sum_of_all_revisions_is_one_run_with_all_data(new_store: Callable[[], Path], seed: int) -> None:
    draw = random.Random(seed)
    readings = week(seed)
    results = []
    for orderly in (True, False):
        record = Record(new_store())
        record.store_inputs(BODIES, now=0)
        gates = Gates(record, grace_s=0.0)
        arriving = list(readings.items())
        if not orderly:
            draw.shuffle(arriving)
        for count, (step, batch) in enumerate(itertools.groupby(enumerate(arriving), lambda item: item[0] // 3)):
            add(record, gates, dict(one for _, one in batch))
            if not orderly:
                gates.tick(SINCE + 900 * min(count + step % 2, INTERVALS), 0.0)
                close_all(gates, 0.0)
                list(gates.run_again())
        gates.tick(SINCE + 900 * INTERVALS, 0.0)
        close_all(gates, 0.0)
        list(gates.run_again())
        assert list(gates.run_again()) == [], "nothing is left to run again"
        newest = {gate.start: record.result(gate.number) for gate in record.gates()}
        results.append((balances(record), newest, sum(gate.revision > 0 for gate in record.gates())))
        replay(record, lambda done, total: None)
        record.close()
    (whole, whole_results, none), (revised, revised_results, some) = results
    assert revised == whole
    assert revised_results == whole_results
    assert none == 0 < some


def test_only_the_difference_is_booked(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    readings = week(3)
    late = {key: value for key, value in readings.items() if key[0] == "m0"}
    add(record, gates, {key: value for key, value in readings.items() if key not in late})
    gates.tick(SINCE + 900, 0.0)
    close_all(gates, 0.0)
    before = record.transfers(1)
    add(record, gates, late)
    (again,) = gates.run_again()
    assert again.gate.revision == 1
    assert record.transfers(1) == before, "nothing already booked is changed"
    assert {t.id for t in before}.isdisjoint(t.id for t in record.transfers(again.gate.number))


def test_every_settlement_sums_to_zero_over_all_accounts(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    add(record, gates, week(4))
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    close_all(gates, 0.0)
    total: dict[tuple[int, str], int] = {}
    for (start, account, _), money in balances(record).items():
        total[start, account] = total.get((start, account), 0) + money
    for step in range(INTERVALS):
        pool = total.get((SINCE + 900 * step, "pool"), 0)
        assert pool == 0, "what members pay in leaves for the network and the supplier"


def test_a_market_that_starts_again_goes_on_where_it_was(record: Record) -> None:
    first = Gates(record, grace_s=0.0)
    add(record, first, week(5))
    first.tick(SINCE + 1800, 0.0)
    close_all(first, 0.0)
    second = Gates(record, grace_s=99.0)
    second.tick(SINCE + 900 * INTERVALS, 0.0)
    assert close_all(second, 0.0) == [SINCE + 1800, SINCE + 2700], "what was heard before is remembered"


def test_a_market_that_starts_after_its_meters_settles_from_their_first_interval(record: Record) -> None:
    late = Gates(record, grace_s=0.0, begin_at=SINCE - 86_400)
    add(record, late, week(7))
    late.tick(SINCE + 900 * INTERVALS, 0.0)
    assert close_all(late, 0.0)[0] == SINCE


def test_a_new_record_does_not_settle_what_can_no_longer_come(record: Record) -> None:
    gates = Gates(record, grace_s=0.0, begin_at=SINCE + 1000)
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    assert close_all(gates, 0.0)[0] == SINCE + 900, "the interval that was running then"


def test_a_clock_that_cannot_be_right_is_refused(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    with pytest.raises(ClockError, match="more than 400 days"):
        gates.tick(SINCE + 401 * 86_400, 0.0)


def test_a_clock_set_back_is_not_followed(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    gates.tick(SINCE + 1800, 0.0)
    assert len(close_all(gates, 0.0)) == 2
    gates.tick(SINCE, 0.0)
    gates.tick(SINCE + 1800, 0.0)
    assert close_all(gates, 0.0) == []


def test_replay_names_what_was_changed_behind_its_back(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    add(record, gates, week(6))
    gates.tick(SINCE + 900 * INTERVALS, 0.0)
    close_all(gates, 0.0)
    replay(record, lambda done, total: None)
    sqlite = record.name.endswith(FILE_NAME)
    record._db.execute(f"DROP TRIGGER transfer_{'UPDATE_refused' if sqlite else 'change_refused ON transfer'}")
    record._db.execute("UPDATE transfer SET amount = amount + 1 WHERE id = (SELECT min(id) FROM transfer)")
    with pytest.raises(DifferenceError, match="transfers come out otherwise"):
        replay(record, lambda done, total: None)
