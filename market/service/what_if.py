"""What settled intervals would have been for one household under another offer of its own, everything else as it was.

The books are those that were settled, order by order, with that household's limit in place of the one it had; the
mechanism that settled them clears them again, as many intervals at once as went by the same rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from market.clearing.problem import Book, Ints
from market.mechanisms.partners import Wishes, trade_with_partners
from market.mechanisms.reference import mid_market_price
from market.record import Gate, Record
from market.settlement.energy import energy_of
from market.settlement.households import at_tariff
from market.settlement.limits import order_limits, values_at
from market.settlement.partners import wishes_of
from market.settlement.rules import MID_MARKET, Member, Rules

ORDERS_BOUND = 1_000_000
"""So many orders are read and cleared for one question: a week of more homes than that takes is refused by name."""


class WhatIfError(ValueError):
    """The question is too large, or there is nothing to ask of; ``name`` is stable, the message says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True)
class Limits:
    """An offer: the least to sell for and the most to buy for [ticks], None where the tariff decides.

    ``prefer`` and ``give``: households to trade with before all others, and to give surplus to, first choice first.
    """

    min_sell_ticks: int | None
    max_buy_ticks: int | None
    prefer: tuple[str, ...] = ()
    give: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What an interval came to for the household: energy traded [Wh] and all its money in it [Wh x tick]."""

    bought_wh: int
    sold_wh: int
    money: int


@dataclass(frozen=True)
class Interval:
    """An interval as it was settled, and as it would have been."""

    start: int
    was: Outcome
    would_be: Outcome


class _Order(msgspec.Struct):
    order: str
    node: str
    side: str
    limit_ticks: int
    energy_wh: int


class _Position(msgspec.Struct):
    household: str
    heard: bool
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    bought_wh: int
    sold_wh: int
    trade_money: int
    residual_money: int


class _Result(msgspec.Struct):
    start: int
    mechanism: str
    orders: list[_Order]
    households: list[_Position]


_DECODER = msgspec.json.Decoder(_Result)


@dataclass(frozen=True)
class _Asked:
    """An interval whose book differs under the other limits, as columns: thousands of order objects are not kept."""

    start: int
    rules: Rules
    member: Member
    position: _Position
    node: Ints
    sell: Ints
    price_ticks: Ints
    energy_wh: Ints
    rank: Ints
    own: int
    """The household's place among the orders."""


_Indices = tuple[dict[str, int], dict[str, int]]
"""Of nodes and households: their places in the rules."""


def what_if(
    record: Record, household: str, limits: Limits, start: int, end: int, *, named_then: bool = False
) -> list[Interval]:
    """The household's settled intervals with ``start <= interval start < end``, in order of time.

    ``named_then``: of the homes in ``limits`` only those count that its offer named in the interval, too. What others
    would have traded with it tells how much they used, which they have not shown it. Intervals in which its meter was
    not heard stay as they were. Raises WhatIfError.
    """
    # Of each interval the newest revision stands.
    gates = list({gate.start: gate for gate in record.gates_between(start, end)}.values())
    rules_of = {gate.number: record.rules(gate.inputs) for gate in gates}
    orders = sum(len(rules.members) for rules in rules_of.values())
    if orders > ORDERS_BOUND:
        raise WhatIfError(
            "too-many-orders",
            f"{len(gates)} intervals of {orders // len(gates)} homes are {orders} orders,"
            f" at most {ORDERS_BOUND} are looked at",
        )
    found: dict[int, Interval] = {}
    asked: dict[int, list[_Asked]] = defaultdict(list)
    indices: dict[int, _Indices] = {}
    for gate in gates:
        rules = rules_of[gate.number]
        result = _DECODER.decode(record.result(gate.number))
        position = next((one for one in result.households if one.household == household), None)
        if position is None:
            continue
        was = _was(position)
        found[gate.start] = Interval(gate.start, was, was)
        if id(rules) not in indices:
            indices[id(rules)] = _indices(rules)
        wanted = _named_then(rules, household, limits) if named_then else limits
        changed = _changed(rules, result, position, wanted, indices[id(rules)])
        if changed is not None:
            asked[id(rules)].append(changed)
    for same in asked.values():
        for one, would_be in zip(same, _cleared(same), strict=True):
            found[one.start] = replace(found[one.start], would_be=would_be)
    return list(found.values())


def _indices(rules: Rules) -> _Indices:
    return (
        {node: place for place, node in enumerate(rules.nodes)},
        {member.household: rank for rank, member in enumerate(rules.members)},
    )


def _named_then(rules: Rules, household: str, limits: Limits) -> Limits:
    """The limits without the homes that the household's offer did not name under these rules."""
    then = next(member for member in rules.members if member.household == household)
    prefer, give = (
        tuple(home for home in wanted if home in named)
        for wanted, named in ((limits.prefer, then.prefer), (limits.give, then.give))
    )
    return replace(limits, prefer=prefer, give=give)


def _was(position: _Position) -> Outcome:
    return Outcome(position.bought_wh, position.sold_wh, position.trade_money + position.residual_money)


def _changed(rules: Rules, result: _Result, position: _Position, limits: Limits, indices: _Indices) -> _Asked | None:
    """The interval with the household's new limit; None where it had no order, or the same limit."""
    own = next((place for place, order in enumerate(result.orders) if order.order == position.household), None)
    if own is None:
        return None
    if result.mechanism != MID_MARKET:
        raise WhatIfError("other-mechanism", f"intervals settled by {result.mechanism} cannot be asked of")
    order = result.orders[own]
    now = next(member for member in rules.members if member.household == position.household)
    member = replace(
        now,
        min_sell_ticks=limits.min_sell_ticks,
        max_buy_ticks=limits.max_buy_ticks,
        prefer=limits.prefer,
        give=limits.give,
    )
    effective = order_limits(member, values_at(rules, result.start)[member.tariff_name])
    limit = effective.least_ticks if order.side == "sell" else effective.most_ticks
    if (limit, limits.prefer, limits.give) == (order.limit_ticks, now.prefer, now.give):
        return None
    places, ranks = indices
    price_ticks = np.array([order.limit_ticks for order in result.orders], np.int64)
    price_ticks[own] = limit
    return _Asked(
        start=result.start,
        rules=rules,
        member=member,
        position=position,
        node=np.array([places[order.node] for order in result.orders], np.int64),
        sell=np.array([order.side == "sell" for order in result.orders], np.int64),
        price_ticks=price_ticks,
        energy_wh=np.array([order.energy_wh for order in result.orders], np.int64),
        rank=np.array([ranks[order.order] for order in result.orders], np.int64),
        own=own,
    )


def _cleared(asked: Sequence[_Asked]) -> list[Outcome]:
    """All intervals in one call of the mechanism; they went by the same rules."""
    rules = asked[0].rules
    sizes = [one.node.size for one in asked]
    book = Book(
        interval=np.repeat(np.arange(len(asked)), sizes),
        node=np.concatenate([one.node for one in asked]),
        sell=np.concatenate([one.sell for one in asked]),
        price_ticks=np.concatenate([one.price_ticks for one in asked]),
        energy_wh=np.concatenate([one.energy_wh for one in asked]),
        id=np.concatenate([one.rank for one in asked]),
        intervals=len(asked),
    )
    price_ticks = mid_market_price(book, rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    # Both solvers find the same to the last unit; this one takes all intervals in one pass.
    outcome, _ = trade_with_partners(book, rules.network, price_ticks, _wishes(asked, sizes), "curve")
    own = np.cumsum([0, *sizes[:-1]]) + [one.own for one in asked]
    return [
        _outcome(one, int(accepted), int(money))
        for one, accepted, money in zip(asked, outcome.accepted_wh[own], outcome.money[own], strict=True)
    ]


def _wishes(asked: Sequence[_Asked], sizes: Sequence[int]) -> Wishes:
    """Whom the orders of all intervals name; the household whom it would name."""
    member, members = asked[0].member, asked[0].rules.members
    naming = [one for one in asked[0].rules.naming if one.household != member.household]
    if member.prefer or member.give:
        naming.append(member)
    give: dict[int, Sequence[int | None]] = {}
    prefer: dict[int, Sequence[int | None]] = {}
    for one, first in zip(asked, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True):
        found = wishes_of(naming, [members[rank].household for rank in one.rank.tolist()], first)
        give.update(found.give)
        prefer.update(found.prefer)
    return Wishes(give, prefer)


def _outcome(asked: _Asked, traded_wh: int, money: int) -> Outcome:
    position = asked.position
    energy = energy_of(position.import_wh, position.export_wh, position.generation_wh, position.consumption_wh)
    # Not the energy says on which side: a correction of a final interval may have turned it, and its trades stand.
    bought, sold = (0, traded_wh) if asked.sell[asked.own] else (traded_wh, 0)
    worth = values_at(asked.rules, asked.start)[asked.member.tariff_name]
    residual, _ = at_tariff(worth, energy, bought, sold)
    return Outcome(bought, sold, money + residual)


def latest_week(gate: Gate) -> tuple[int, int]:
    """The seven days that end with a closure's interval [epoch s]."""
    end = gate.start + gate.length
    return end - 7 * 86_400, end
