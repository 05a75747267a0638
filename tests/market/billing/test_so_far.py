"""A household's open month is what closing it would bill, but for coins and the true-up."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from market.billing import CarryOver
from market.billing.so_far import bill_so_far
from market.settlement.interval import PartnerTrade
from market.tariffs import Credit, month_of
from tests.market.billing.months import MAY, closed, community, intervals
from tests.market.tariffs.documents import blocks, document, version

FLAT = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
STEEP = document(version(energy=blocks({"up_to_kwh": 3, "per_kwh": "0.10"}, {"per_kwh": "0.50"})))
NET = document(version(energy=blocks({"per_kwh": "0.15"}), export={"kind": "net-metering"}))


def hours(seed: int) -> list[tuple[int, dict[str, tuple[int, int]]]]:
    draw = random.Random(seed)
    return [
        (hour, {"a1": (0, draw.randrange(900)), "a2": (draw.randrange(900), 0), "b1": (draw.randrange(900), 0)})
        for hour in range(30)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("tariff", "promise"), [(FLAT, "interval"), (STEEP, "month"), (NET, "month")])
def test_every_homes_month_is_that_of_the_closing(tariff: dict[str, Any], promise: str, seed: int) -> None:
    rules = community({"t": tariff}, {"a1": "t", "a2": "t", "b1": "t"}, promise=promise)
    before = {"a1": CarryOver((Credit(month_of("2026-04"), 700),), ())}
    settled = intervals(rules, MAY, hours(seed))
    month = closed(rules, hours(seed), before=before)
    assert tariff is NET or any(one.rounding_due for one in month.households), "coins matter here"
    for one in month.households:
        household = one.use.member.household
        own = [
            replace(interval, positions=[p for p in interval.positions if p.household == household], matches=())
            for interval in settled
        ]
        so_far = bill_so_far(rules, MAY, household, own, before.get(household, CarryOver()))
        assert so_far is not None
        assert (so_far.own, so_far.alone) == (one.own, one.alone)
        assert so_far.total == one.total - one.rounding_due + one.true_up
        assert so_far.gain == one.gain + one.rounding_due - one.true_up


def test_gifts_are_in_it_from_the_household_s_own_side() -> None:
    rules = community({"t": FLAT}, {"a1": "t", "a2": "t", "b1": "t"}, offers={"a1": {"give": ["b1"]}})
    month = closed(rules, hours(1))
    assert any(one.use.given_wh for one in month.households)
    for one in month.households:
        household = one.use.member.household
        own = [
            replace(
                interval,
                positions=[p for p in interval.positions if p.household == household],
                matches=(),
                partners=[
                    PartnerTrade(
                        t.seller if t.seller == household else "",
                        t.buyer if t.buyer == household else "",
                        t.energy_wh,
                        t.gift,
                    )
                    for t in interval.partners
                    if household in (t.seller, t.buyer)
                ],
            )
            for interval in intervals(rules, MAY, hours(1))
        ]
        so_far = bill_so_far(rules, MAY, household, own, CarryOver())
        assert so_far is not None
        assert (so_far.use.gift_money, so_far.use.fees) == (one.use.gift_money, one.use.fees)


def test_without_an_interval_there_is_no_month() -> None:
    rules = community({"t": FLAT}, {"a1": "t", "a2": "t", "b1": "t"})
    assert bill_so_far(rules, MAY, "a1", [], CarryOver()) is None
    assert bill_so_far(rules, MAY, "z9", intervals(rules, MAY, hours(1)), CarryOver()) is None
