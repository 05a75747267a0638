"""A month that is final: a correction is its household's own, and nobody else's position moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.billing import CarryOver, IntervalResult, MonthSettled, close_month
from market.billing.result import carry_over, month_result, standing
from market.settlement.final import settle_final
from market.settlement.interval import POOL, PartnerTrade, Settled, household_account, settle
from market.settlement.rules import Registers, Rules
from market.tariffs import Month, month_of
from market.tariffs.amounts import money_text
from tests.market.billing.months import HOUR, MAY, Flows, community
from tests.market.billing.test_properties import COIN, HOMES, months
from tests.market.tariffs.documents import blocks, document, version

FLAT = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
STEEP = blocks({"up_to_kwh": 10, "per_kwh": "0.10"}, {"per_kwh": "0.50"})
VAT = {"name": "vat", "percent": "10", "base": ["energy", "base"], "rounding": {"to": "0.01"}}
EXTERNAL = {"supplier", "network", "state", POOL}

Hours = dict[int, tuple[Flows, Settled]]
"""By hour of a month: what was measured, and how it was settled."""


def registers(start: int, flows: Flows) -> dict[tuple[str, int], Registers]:
    found = {}
    for home, (imported, exported) in flows.items():
        found[home, start - HOUR] = Registers(0, 0, 0, 0)
        found[home, start] = Registers(imported, exported, exported, imported)
    return found


def begin(rules: Rules, month: Month) -> int:
    return month.start(ZoneInfo(rules.timezone))


def settled(rules: Rules, month: Month, hours: list[tuple[int, Flows]]) -> Hours:
    first = begin(rules, month)
    return {
        hour: (flows, settle(rules, first + hour * HOUR, registers(first + hour * HOUR, flows), "curve"))
        for hour, flows in hours
    }


def corrected(rules: Rules, month: Month, hours: Hours, home: str, new: Mapping[int, tuple[int, int]]) -> Hours:
    """After the hours' final deadline ``home`` is found to have had the ``new`` flows."""
    found = dict(hours)
    for hour, flow in new.items():
        start = begin(rules, month) + hour * HOUR
        flows = {**hours[hour][0], home: flow}
        found[hour] = flows, settle_final(rules, start, registers(start, flows), hours[hour][1].result)
    return found


def closed(
    rules: Rules, month: Month, hours: Hours, before: Mapping[str, CarryOver], stands: MonthSettled | None = None
) -> MonthSettled:
    first = begin(rules, month)
    results = [
        IntervalResult(
            first + hour * HOUR,
            rules,
            one.price_ticks,
            one.positions,
            one.matches,
            partners=[PartnerTrade(**row) for row in one.result.get("partners", ())],
        )
        for hour, (_, one) in sorted(hours.items())
    ]
    kept = None if stands is None else standing(month_result(rules, stands))
    return close_month(rules, month, results, before, "curve", kept)


def balances(hours: Hours, month: MonthSettled) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for posting in [*(posting for _, one in hours.values() for posting in one.postings), *month.postings]:
        found[posting.account] += posting.money
        found[POOL] -= posting.money
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data(), st.sampled_from(["mid-market", "monthly-netting"]))
def test_nobody_elses_position_moves(data: st.DataObject, mechanism: str) -> None:
    """Two months, and corrections of one household in the first, or in both; its credits go from one to the next."""
    promise = "month" if mechanism == "monthly-netting" else None
    rules, first = data.draw(months(promise=promise, mechanism=mechanism))
    energy = st.integers(0, 200_000)
    flow = st.tuples(energy, st.just(0)) | st.tuples(st.just(0), energy) | st.tuples(energy, energy)
    second = [(3, {home: data.draw(flow) for home in HOMES})]
    home = data.draw(st.sampled_from(HOMES))
    was: dict[str, CarryOver] = {}
    now: dict[str, CarryOver] = {}
    for number, drawn in enumerate((first, second)):
        month = month_of("2026-05").plus(number)
        hours = settled(rules, month, drawn)
        before = closed(rules, month, hours, was)
        touched = data.draw(st.lists(st.sampled_from(sorted(hours)), min_size=1 - number, unique=True))
        again = corrected(rules, month, hours, home, {hour: data.draw(flow) for hour in touched})
        after = closed(rules, month, again, now, before)

        assert after.final and not before.final
        assert (after.netting, after.true_up) == (before.netting, before.true_up)
        for one, other in zip(before.households, after.households, strict=True):
            assert one.use.member.household == home or one == other
            assert (one.use.bought_wh, one.use.sold_wh) == (other.use.bought_wh, other.use.sold_wh)
            assert (one.trades_due, one.true_up) == (other.trades_due, other.true_up)
        money = balances(hours, before), balances(again, after)
        moved = {name for name in money[0] | money[1] if money[0].get(name, 0) != money[1].get(name, 0)}
        assert moved <= {household_account(home), *EXTERNAL}
        for found in money:
            assert sum(found.values()) == 0
        bill = next(one for one in after.households if one.use.member.household == home)
        assert money[1][household_account(home)] == -bill.total
        assert bill.total % COIN == 0
        # A month's revisions all stand on the one before them.
        assert closed(rules, month, again, now, after).postings == after.postings
        was, now = carry_over(month_result(rules, before)), carry_over(month_result(rules, after))
        assert {name: was[name] for name in was if name != home} == {name: now[name] for name in now if name != home}


def one(month: MonthSettled, home: str) -> Any:
    return next(found for found in month.households if found.use.member.household == home)


def netted() -> tuple[Rules, Hours, MonthSettled]:
    """a2 buys the 5 kWh of its 15 that cost 0.50, of the 9 that a1 makes."""
    tariffs = {"t": document(version(energy=STEEP, levies=[VAT])), "sun": FLAT}
    rules = community(
        tariffs, {"a1": "sun", "a2": "t", "a3": "t"}, mechanism="monthly-netting", promise="month", fee="0"
    )
    flows = {"a1": (0, 9_000), "a2": (15_000, 0), "a3": (11_000, 0)}
    hours = settled(rules, MAY, [(12, flows)])
    return rules, hours, closed(rules, MAY, hours, {})


@pytest.mark.parametrize(
    ("import_wh", "own"),
    [
        (20_000, "3.85"),  # 5 stay bought: 10 x 0.10 + 5 x 0.50, and 10 %
        (10_000, "0.55"),  # 5 x 0.10
        (5_000, "0"),
        (3_000, "-0.22"),  # bought 5, and had 3: 2 x 0.10 come back
        (0, "-0.55"),
    ],
)
def test_the_household_settles_the_difference_with_its_supplier(import_wh: int, own: str) -> None:
    """What it bought stays bought; less import than that is given back at the first block's price, taxes and all."""
    rules, hours, before = netted()
    assert one(before, "a2").use.bought_wh == 5_000
    after = closed(rules, MAY, corrected(rules, MAY, hours, "a2", {12: (import_wh, 0)}), {}, before)
    assert money_text(one(after, "a2").own.total) == own
    assert one(after, "a2").use.bought_wh == 5_000
    assert (one(after, "a1"), one(after, "a3")) == (one(before, "a1"), one(before, "a3"))


def test_a_month_that_is_not_final_is_netted_anew() -> None:
    rules, hours, before = netted()
    again = settled(rules, MAY, [(12, {**hours[12][0], "a2": (11_000, 0)})])
    assert one(closed(rules, MAY, again, {}), "a1") != one(before, "a1")


def test_more_sold_than_was_exported_is_owed_to_the_supplier() -> None:
    rules, hours, before = netted()
    assert one(before, "a1").use.sold_wh == 6_000
    after = closed(rules, MAY, corrected(rules, MAY, hours, "a1", {12: (0, 0)}), {}, before)
    assert money_text(one(after, "a1").own.total) == "0.48", "6 kWh at the 0.08 they would have been fed in at"


def test_a_price_of_one_is_taken_back_at_that_price() -> None:
    """Under a flat tariff, too, a household may have bought more in a month than it turns out to have used."""
    rules = community({"t": FLAT}, {"a1": "t", "a2": "t"}, mechanism="monthly-netting", promise="month", fee="0")
    hours = settled(rules, MAY, [(12, {"a1": (0, 9_000), "a2": (8_000, 0)})])
    before = closed(rules, MAY, hours, {})
    after = closed(rules, MAY, corrected(rules, MAY, hours, "a2", {12: (0, 0)}), {}, before)
    assert money_text(one(after, "a2").own.total) == "-2.4"


def test_the_result_says_that_it_is_final() -> None:
    rules, hours, before = netted()
    result = month_result(rules, closed(rules, MAY, hours, {}, before))
    assert result.pop("final") is True
    assert result == month_result(rules, before)
    assert "final" not in month_result(rules, replace(before, final=False))
