"""What a settled day would have been under another offer is what settling it under that offer gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from market.record import Record
from market.service import what_if as asked
from market.service.gates import Gates
from market.service.what_if import Interval, Limits, WhatIfError, what_if
from market.settlement.interval import settle
from market.settlement.rules import parse, split
from tests.market.settled import settle_street

FOREVER = (0, 2**40)
NO_LIMITS = Limits(None, None)
OTHERS = Limits(25_000, None), Limits(18_000, None)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    store = tmp_path_factory.mktemp("store")
    settle_street(store, eventful=True)
    record = Record(store, read_only=True)
    yield record
    record.close()


def settled_under(record: Record, household: str, limits: Limits) -> list[tuple[int, int, int, int]]:
    """(start, bought, sold, money) of every interval, settled anew from the registers with that offer."""
    document = record.document()
    for member in document["members"]:
        if member["household"] == household:
            texts = (None if t is None else f"{t / 100_000:.5f}" for t in (limits.min_sell_ticks, limits.max_buy_ticks))
            member["offer"] = dict(zip(("min_sell_per_kwh", "max_buy_per_kwh"), texts, strict=True))
            member["offer"] |= {"prefer": limits.prefer, "give": limits.give}
    rules = parse(split(document))
    found = []
    for gate in {gate.start: gate for gate in record.gates()}.values():
        registers = record.registers(gate.start, gate.length, gate.horizon, gate.corrections)
        position = next(p for p in settle(rules, gate.start, registers, "pulp").positions if p.household == household)
        money = position.trade_money + position.residual_money
        found.append((gate.start, position.bought_wh, position.sold_wh, money))
    return sorted(found)


def told(intervals: list[Interval]) -> list[tuple[int, int, int, int]]:
    return [(one.start, one.would_be.bought_wh, one.would_be.sold_wh, one.would_be.money) for one in intervals]


@pytest.mark.parametrize("household", ["h001", "h002", "h006"])
@pytest.mark.parametrize(
    "limits",
    [NO_LIMITS, Limits(19_000, 21_000), Limits(19_001, None), Limits(None, 20_999), Limits(25_000, 9_000)],
)
def test_it_is_what_settling_gives(record: Record, household: str, limits: Limits) -> None:
    found = what_if(record, household, limits, *FOREVER)
    assert len(found) == 6
    assert told(found) == settled_under(record, household, limits)


def test_the_same_offer_changes_nothing_and_another_does(record: Record) -> None:
    same = what_if(record, "h001", NO_LIMITS, *FOREVER)
    assert all(one.was == one.would_be for one in same)
    assert any(one.was.sold_wh for one in same), "the home sells in these intervals"
    nothing = what_if(record, "h001", Limits(25_000, None), *FOREVER)
    assert all(one.would_be.sold_wh == 0 for one in nothing)
    assert sum(one.would_be.money for one in nothing) < sum(one.was.money for one in nothing)


def test_trades_of_a_final_interval_stand_on_their_side(tmp_path: Path) -> None:
    """A home that sold is found to have imported more than it exported: it has still sold, or would have."""
    settle_street(tmp_path)
    record = Record(tmp_path)
    first = record.first_start()
    assert first is not None
    was = what_if(record, "h001", NO_LIMITS, first, first + 900)[0].was
    assert was.sold_wh
    registers = record.registers(first, 900, record.horizon())["m001", first]
    with record.transaction():
        more = registers._replace(import_wh=registers.import_wh + 50_000)
        record.add_correction("m001", first, 900, more, reason="why", author="who", now=0)
    gates = Gates(record, grace_s=0.0)
    gates.now = first + 900 + 120 * 86_400
    assert first in [closed.gate.start for closed in gates.run_again()]
    refused, below = (what_if(record, "h001", limits, first, first + 900)[0] for limits in OTHERS)
    record.close()
    assert refused.was.sold_wh == was.sold_wh and refused.was.money < was.money
    assert (refused.would_be.bought_wh, refused.would_be.sold_wh) == (0, 0)
    assert (below.would_be.bought_wh, below.would_be.sold_wh) == (0, was.sold_wh)
    assert below.would_be.money == below.was.money


def test_without_trades_it_is_the_grid_alone(record: Record) -> None:
    """Money of a home that sits out is what its tariff says of all of its energy."""
    for one in what_if(record, "h001", Limits(30_000, 0), *FOREVER):
        gate = record.newest_gate(one.start, 900)
        assert gate is not None
        result = json.loads(record.result(gate.number))
        position = next(row for row in result["households"] if row["household"] == "h001")
        assert one.would_be.money == position["alone_money"]


def test_spans_are_half_open_and_strangers_have_nothing(record: Record) -> None:
    starts = [one.start for one in what_if(record, "h001", NO_LIMITS, *FOREVER)]
    assert [one.start for one in what_if(record, "h001", NO_LIMITS, starts[1], starts[3])] == starts[1:3]
    assert what_if(record, "nobody", NO_LIMITS, *FOREVER) == []


def test_too_large_a_question_is_refused_by_name(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "ORDERS_BOUND", 71)
    with pytest.raises(WhatIfError, match="6 intervals of 12 homes are 72 orders, at most 71") as refused:
        what_if(record, "h001", NO_LIMITS, *FOREVER)
    assert refused.value.name == "too-many-orders"
