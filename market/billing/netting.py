"""A month's kWh netted between neighbours, under tariffs whose kWh have their value by the month.

As in Korea's pilot of 2016, where what a neighbour sold was taken off the buyer's month and put onto the seller's
(KEPCO). When the month has ended every block that a household reached is known, so each of its blocks is an order of
its own at exactly what a kWh of it is worth: who has exported sells, who has not buys, and the month is cleared as one
interval at the posted price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from market.billing.usage import CarryOver, HouseholdUse
from market.clearing.clear import Solver
from market.clearing.problem import Book
from market.mechanisms import mid_market
from market.mechanisms.reference import posted_price
from market.settlement.interval import Match, SettlementError
from market.settlement.rules import Rules
from market.tariffs.months import Month
from market.tariffs.pricing import FlatPrice
from market.tariffs.steps import buying, selling


class Order(NamedTuple):
    """``energy_wh`` of a household's month at its limit [ticks]."""

    household: str
    sell: bool
    price_ticks: int
    energy_wh: int


@dataclass(frozen=True)
class Netting:
    """The month cleared: each order's energy and money, who with whom, and what the network gets."""

    price_ticks: int
    orders: tuple[Order, ...]
    accepted_wh: tuple[int, ...]
    moneys: tuple[int, ...]
    matches: tuple[Match, ...]
    fees: int
    gap: int

    @property
    def money(self) -> dict[str, int]:
        """What each household with orders receives [Wh x tick; negative: pays]."""
        found: dict[str, int] = defaultdict(int)
        for order, money in zip(self.orders, self.moneys, strict=True):
            found[order.household] += money
        return dict(found)


def net_month(
    rules: Rules, month: Month, uses: Mapping[str, HouseholdUse], before: Mapping[str, CarryOver], solver: Solver
) -> Netting:
    """Clear the month. ``uses`` are by household, in order of id. Raises SettlementError without a witness."""
    orders = [order for use in uses.values() for order in _orders(use, month, before.get(use.member.household))]
    rank = {household: place for place, household in enumerate(uses)}
    places = _places(rules, uses)
    book = Book(
        interval=np.zeros(len(orders), dtype=np.int64),
        node=np.array([places[order.household] for order in orders], dtype=np.int64),
        sell=np.array([order.sell for order in orders], dtype=bool),
        price_ticks=np.array([order.price_ticks for order in orders], dtype=np.int64),
        energy_wh=np.array([order.energy_wh for order in orders], dtype=np.int64),
        id=np.array([rank[order.household] for order in orders], dtype=np.int64),
        intervals=1,
    )
    retail_ticks, feed_in_ticks = rules.reference.retail_ticks, rules.reference.feed_in_ticks
    outcome = mid_market(book, rules.network, retail_ticks=retail_ticks, feed_in_ticks=feed_in_ticks, solver=solver)
    cleared = outcome.clearing
    if cleared is None:
        raise SettlementError(f"month {month}: the mechanism gave no witness")
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for seller, buyer, energy_wh in zip(*(column.tolist() for column in cleared.matches()), strict=True):
        pairs[orders[seller].household, orders[buyer].household] += energy_wh
    return Netting(
        price_ticks=posted_price(retail_ticks, feed_in_ticks),
        orders=tuple(orders),
        accepted_wh=tuple(outcome.accepted_wh.tolist()),
        moneys=tuple(outcome.money.tolist()),
        matches=tuple(Match(*pair, energy_wh) for pair, energy_wh in sorted(pairs.items())),
        fees=int(outcome.fees[0]),
        gap=int(cleared.gap[0]),
    )


def _places(rules: Rules, uses: Mapping[str, HouseholdUse]) -> dict[str, int]:
    """Each household's node in the network of ``rules``; the root where it and its node have left."""
    known = {member.household: member.node for member in rules.members}
    root = int(np.flatnonzero(rules.network.parent < 0)[0])
    named = {name: place for place, name in enumerate(rules.nodes)}
    return {household: known.get(household, named.get(use.node, root)) for household, use in uses.items()}


def traded(netting: Netting, uses: Mapping[str, HouseholdUse]) -> None:
    """Put what was traded into the households' months."""
    for order, accepted_wh in zip(netting.orders, netting.accepted_wh, strict=True):
        use = uses[order.household]
        at_price = accepted_wh * netting.price_ticks
        if order.sell:
            use.sold_wh += accepted_wh
            use.sold_at_price += at_price
            use.exports.take(accepted_wh, _one_ticks(use.version.export))
        else:
            use.bought_wh += accepted_wh
            use.bought_at_price += at_price
            use.imports.take(accepted_wh, _one_ticks(use.version.energy))
    for household, money in netting.money.items():
        uses[household].trade_money += money
    for match in netting.matches:
        uses[match.buyer].traded_with(match.seller, match.energy_wh, 0)
        uses[match.seller].traded_with(match.buyer, 0, match.energy_wh)


def _one_ticks(pricing: object) -> int:
    """The price that all of the month's kWh have; 0 where it comes with the month's total."""
    return pricing.per_kwh_ticks if isinstance(pricing, FlatPrice) else 0


def _orders(use: HouseholdUse, month: Month, before: CarryOver | None) -> Iterator[Order]:
    """A household's kWh at what they are worth, within its own limits; what intervals have traded is not there."""
    member, credits, left = use.member, before.own if before else (), use.usage()
    if left.fed_in_wh > 0:
        for step in selling(use.tariff, month, left.supplied_wh, left.fed_in_wh, credits):
            least = step.ticks if member.min_sell_ticks is None else max(step.ticks, member.min_sell_ticks)
            yield Order(member.household, True, least, step.energy_wh)
    elif left.supplied_wh > 0:
        for step in buying(use.tariff, month, left.supplied_wh, credits=credits):
            most = step.ticks if member.max_buy_ticks is None else min(step.ticks, member.max_buy_ticks)
            yield Order(member.household, False, most, step.energy_wh)
