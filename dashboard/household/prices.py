"""What a kWh costs and earns in the coming intervals: the posted price and the household's own tariff."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dashboard.household.home import Home
from market.mechanisms.reference import posted_price
from market.mechanisms.tracing import dearest_way_in
from market.settlement.limits import order_limits
from market.settlement.rules import MONTHLY_NETTING, Member, Rules
from market.tariffs.values import Values, values

AHEAD_S = 24 * 3600
KEPT = 64
"""So many tariffs' coming hours are kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """Prices that stay the same over ``[start, end)`` [epoch s; ticks per kWh].

    ``grid_price_ticks`` and ``grid_pays_ticks`` are the tariff's; where only the month decides (``by_month``) they
    are the most and the least that a kWh is safely worth. ``would_buy``, ``would_sell``: whether the posted price, for
    a buyer with the dearest way's fees, lies within the household's limits.
    """

    start: int
    end: int
    price_ticks: int
    grid_price_ticks: int
    grid_pays_ticks: int
    by_month: bool
    would_buy: bool
    would_sell: bool


def step_at(rules: Rules, member: Member, start: int) -> Step:
    """The prices of the interval that starts at ``start``."""
    worth = values(member.tariff, start, rules.promise)
    dearest_ticks = int(dearest_way_in(rules.network)[member.node])
    return _step(rules, member, start, start + rules.interval_s, worth, dearest_ticks)


class Prices:
    """What the coming hours are worth, kept as long as the community's inputs stay. For several threads."""

    def __init__(self) -> None:
        self._inputs: dict[str, int] = {}
        self._worth: dict[tuple[str, int], list[tuple[int, int, Values]]] = {}
        self._dearest_ticks: list[int] = []

    def coming(self, home: Home, start: int) -> Sequence[Step]:
        """The steps of a day from the interval at ``start`` on: equal neighbours are one. By today's rules."""
        rules, member = home.rules, home.member
        if self._inputs != home.inputs or len(self._worth) >= KEPT:
            self._worth, self._dearest_ticks = {}, dearest_way_in(rules.network).tolist()
            self._inputs = home.inputs
        worth, dearest_ticks = self._worth, self._dearest_ticks[member.node]
        known = worth.get((member.tariff_name, start))
        if known is None:
            known = worth[member.tariff_name, start] = list(_worth(rules, member, start))
        steps = (_step(rules, member, begin, end, what, dearest_ticks) for begin, end, what in known)
        return _joined(steps)


def _worth(rules: Rules, member: Member, start: int) -> Iterator[tuple[int, int, Values]]:
    """A day's stretches of the same values, under the member's tariff."""
    begin, before = start, values(member.tariff, start, rules.promise)
    for at in range(start + rules.interval_s, start + AHEAD_S, rules.interval_s):
        what = values(member.tariff, at, rules.promise)
        if what != before:
            yield begin, at, before
            begin, before = at, what
    yield begin, start + AHEAD_S, before


def _joined(steps: Iterable[Step]) -> list[Step]:
    found: list[Step] = []
    for step in steps:
        if found and replace(step, start=found[-1].start, end=found[-1].end) == found[-1]:
            step = replace(step, start=found.pop().start)
        found.append(step)
    return found


def _step(rules: Rules, member: Member, start: int, end: int, worth: Values, dearest_ticks: int) -> Step:
    limits = order_limits(member, worth)
    price = posted_price(rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    rates, trades = worth.rates, rules.mechanism != MONTHLY_NETTING
    return Step(
        start=start,
        end=end,
        price_ticks=price,
        grid_price_ticks=worth.safe.most_ticks if rates is None else rates.import_ticks,
        grid_pays_ticks=worth.safe.least_ticks if rates is None else rates.export_ticks,
        by_month=rates is None,
        would_buy=trades and price + dearest_ticks <= limits.most_ticks,
        would_sell=trades and price >= limits.least_ticks,
    )
