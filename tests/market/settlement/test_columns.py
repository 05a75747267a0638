"""All households at once come to what one after another comes to: energy, orders, positions, postings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.settlement.columns import EnergyColumns, PositionColumns, energy_columns, order_columns, position_columns
from market.settlement.energy import Energy, energies, energy_of
from market.settlement.households import book_of, positions_of
from market.settlement.interval import Position, SettlementError, _check_positions, postings_of, settle
from market.settlement.rules import Registers, Rules, parse, split
from tests.market.bodies import COMMUNITY
from tests.market.tariffs.documents import blocks, document, version

START, LENGTH = 900_000, 900
FEEDERS = ("left", "right")
TARIFFS: dict[str, Any] = {
    "flat": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"},
    "dear": {"retail_per_kwh": "0.41", "feed_in_per_kwh": "0"},
    "by-month": document(version(energy=blocks({"up_to_kwh": 10, "per_kwh": "0.10"}, {"per_kwh": "0.50"}))),
}
PRICES = st.sampled_from([None, "0.05", "0.10", "0.19", "0.25", "0.9"])
ENERGIES = st.one_of(st.just(0), st.integers(0, 900))
SINCE = st.sampled_from([START - LENGTH, START - LENGTH, START, START + LENGTH])
Known = dict[tuple[str, int], Registers]


@st.composite
def named(draw: st.DrawFn, home: int, homes: int) -> dict[str, list[str]]:
    """Whom a home prefers and gives to: nobody, mostly."""
    others = [f"h{other}" for other in range(homes) if other != home]
    some = st.permutations(others).flatmap(lambda names: st.integers(0, min(3, len(names))).map(lambda n: names[:n]))
    return {} if draw(st.integers(0, 2)) else {"prefer": draw(some), "give": draw(some)}


@st.composite
def communities(draw: st.DrawFn, mechanism: str = "mid-market") -> tuple[Rules, Known]:
    """Homes with one to three meters, some of them new, later, silent, or with registers that fall."""
    members, known = [], {}
    homes = draw(st.integers(1, 7))
    for home in range(homes):
        meters = []
        for count in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            name, since = f"m{home}-{count}", draw(SINCE)
            seed = draw(st.tuples(*[st.integers(0, 3)] * 4))
            meters.append({"meter": name, "kid": 1, "since": since, **dict(zip(Registers._fields, seed, strict=True))})
            before = Registers(*draw(st.tuples(*[st.integers(1, 5)] * 4)))
            counted = draw(st.tuples(ENERGIES, ENERGIES, ENERGIES, ENERGIES))
            if draw(st.integers(0, 9)):
                known[name, START - LENGTH] = before
            if draw(st.integers(0, 9)):
                fallen = 9 if draw(st.integers(0, 19)) == 0 else 0
                begun = Registers(*seed) if since == START else before
                known[name, START] = Registers(*(a + b - fallen for a, b in zip(begun, counted, strict=True)))
        offer = {"min_sell_per_kwh": draw(PRICES), "max_buy_per_kwh": draw(PRICES)}
        members.append({
            "household": f"h{home}",
            "node": draw(st.sampled_from(["root", *FEEDERS])),
            "tariff": draw(st.sampled_from([*TARIFFS])),
            "offer": {name: price for name, price in offer.items() if price} | draw(named(home, homes)),
            "meters": meters,
        })  # fmt: skip
    body = {
        **COMMUNITY,
        "promise": "month",
        "mechanism": mechanism,
        "tariffs": TARIFFS if mechanism == "mid-market" else {name: TARIFFS[name] for name in ("flat", "dear")},
        "network": [{"node": "root"}, *({"node": n, "parent": "root", "fee_per_kwh": "0.01"} for n in FEEDERS)],
        "members": members,
    }  # fmt: skip
    if mechanism != "mid-market":
        for member in members:
            member["tariff"] = "flat"
            member["offer"] = {name: price for name, price in member["offer"].items() if name.endswith("_per_kwh")}
    return parse(split(body)), known


def rows(rules: Rules, energy: EnergyColumns, position: PositionColumns) -> tuple[Position, ...]:
    columns = [column.tolist() for one in (energy, position) for column in vars(one).values()]
    return tuple(map(Position, rules.columns.households, *columns))


def compare(rules: Rules, known: Known, accepted: st.SearchStrategy[int], data: st.DataObject) -> None:
    heard, energy = energies(rules, START, known), energy_columns(rules, START, known)
    owners, book = book_of(rules, START, heard)
    found, same = order_columns(rules, START, energy)
    assert [rules.members[i] for i in found.tolist()] == owners
    for name in ("interval", "node", "sell", "price_ticks", "energy_wh", "id"):
        assert getattr(same, name).tolist() == getattr(book, name).tolist(), name
    # Whatever the mechanism may accept, and whatever money that may be.
    amounts, money = (np.array([data.draw(accepted) for _ in owners], np.int64) for _ in range(2))
    names = [owner.household for owner in owners]
    due = positions_of(
        rules,
        START,
        heard,
        dict(zip(names, amounts.tolist(), strict=True)),
        dict(zip(names, money.tolist(), strict=True)),
    )
    assert rows(rules, energy, position_columns(rules, START, energy, found, amounts, money)) == due


@settings(max_examples=150, deadline=None)
@given(communities(), st.data())
def test_every_household_comes_to_the_same(community: tuple[Rules, Known], data: st.DataObject) -> None:
    compare(*community, st.integers(0, 900), data)


@settings(max_examples=15, deadline=None)
@given(communities("monthly-netting"), st.data())
def test_where_months_are_netted_nobody_has_an_order(community: tuple[Rules, Known], data: st.DataObject) -> None:
    rules, known = community
    compare(rules, known, st.integers(0, 900), data)
    assert not len(order_columns(rules, START, energy_columns(rules, START, known))[0])


@settings(max_examples=40, deadline=None)
@given(communities(), st.integers(1, 2**52), st.data())
def test_money_beyond_64_bits_is_exact(community: tuple[Rules, Known], both_wh: int, data: st.DataObject) -> None:
    """What goes in and out within the interval is no order, so that no bound on orders refuses it."""
    rules, known = community
    known |= {
        key: Registers(at.import_wh + both_wh, at.export_wh + both_wh, at.generation_wh, at.consumption_wh)
        for key, at in known.items()
        if key[1] == START
    }
    compare(rules, known, st.integers(0, 900), data)


def test_64_bits_would_not_do() -> None:
    """The sums that the test above is about do pass 64 bits."""
    rules = home(TARIFFS["flat"])
    known = {("m", START - LENGTH): Registers(0, 0, 0, 0), ("m", START): Registers(2**52, 2**52, 0, 0)}
    (position,) = settle(rules, START, known, "curve").positions
    assert position.residual_money == position.alone_money == 2**52 * (8_000 - 30_000) < -(2**63)


def test_a_sum_over_all_meters_may_pass_64_bits() -> None:
    homes, meters, most = 40, 64, 2**53 - 1
    members = [
        {
            "household": f"h{i:02}",
            "node": "root",
            "tariff": "t",
            "meters": [{"meter": f"m{i}-{j}", "kid": 1, "since": START - LENGTH} for j in range(meters)],
        }
        for i in range(homes)
    ]
    network = [{"node": "root"}]
    rules = parse(split({**COMMUNITY, "tariffs": {"t": TARIFFS["flat"]}, "network": network, "members": members}))
    names = [meter.meter for member in rules.members for meter in member.meters]
    known = {(name, START - LENGTH): Registers(0, 0, 0, 0) for name in names}
    known |= {(name, START): Registers(most, 0, 0, most) for name in names}
    assert homes * meters * most > 2**64
    assert energy_columns(rules, START, known).import_wh.tolist() == [meters * most] * homes


def home(tariff: dict[str, Any]) -> Rules:
    return parse(split({
        **COMMUNITY,
        "promise": "month",
        "tariffs": {"t": tariff},
        "network": [{"node": "root"}],
        "members": [{
            "household": "h", "node": "root", "tariff": "t",
            "meters": [{"meter": "m", "kid": 1, "since": START - LENGTH}],
        }],
    }))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(communities(), st.sampled_from(["curve", "pulp"]))
def test_a_settlement_is_what_its_orders_make_of_each_household(community: tuple[Rules, Known], solver: Any) -> None:
    rules, known = community
    settled = settle(rules, START, known, solver)
    orders = settled.result["orders"]
    accepted, money = ({row["order"]: row[name] for row in orders} for name in ("accepted_wh", "money"))
    assert settled.positions == positions_of(rules, START, energies(rules, START, known), accepted, money)
    assert settled.postings == postings_of(settled.positions, settled.fees)
    assert sum(posting.money for posting in settled.postings) == 0
    assert settled.energy_traded_wh == sum(accepted.values()) // 2
    assert [dict(row) for row in settled.result["households"]] == [
        {name: getattr(position, name) for name in Position.__struct_fields__} for position in settled.positions
    ]


BROKEN = [
    ("bought_wh", 301, "bought more than it imported"),
    ("bought_wh", -1, "bought more than it imported"),
    ("sold_wh", 1, "sold more than it exported"),
    ("trade_money", -(10**9), "is worse off than alone"),
]


@pytest.mark.parametrize(("name", "value", "said"), BROKEN)
def test_what_cannot_be_is_refused_by_name(name: str, value: int, said: str) -> None:
    rules = home(TARIFFS["flat"])
    known = {("m", START - LENGTH): Registers(0, 0, 0, 0), ("m", START): Registers(300, 0, 0, 300)}
    energy = energy_columns(rules, START, known)
    owners, _ = order_columns(rules, START, energy)
    good = position_columns(rules, START, energy, owners, np.array([100]), np.array([-100 * 19_000]))
    _check_positions(rules, START, energy, good, np.array([0]))
    bad = getattr(good, name).copy()
    bad[0] = value
    with pytest.raises(SettlementError, match=f"interval {START}: h {said}"):
        _check_positions(rules, START, energy, replace(good, **{name: bad}), np.array([0]))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_energy_for_others_is_what_did_not_go_in_and_out(imported: int, exported: int) -> None:
    one: Energy = energy_of(imported, exported, 0, 0)
    columns = EnergyColumns(np.array([True]), *(np.array([value]) for value in (imported, exported, 0, 0)))
    assert (columns.wanted_wh.tolist(), columns.surplus_wh.tolist()) == ([one.wanted_wh], [one.surplus_wh])
