"""The certificate: whether a published clearing is feasible, and how far below the optimum it is.

Weak duality: for any prices, the dual objective is at least the primal objective of any allocation. Equal
values prove both optimal. This module shares nothing with the solvers; it reads the arrays of book and network
by itself and computes in integers.

primal = sum_bids p q - sum_asks p q - sum_edges fee |flow|
dual   = sum_orders Q max(0, gain per Wh at the node's price)
       + sum_edges limit max(0, price difference beyond the fee), each direction
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.clearing.problem import NO_PRICE, Book, Flags, Ints, Network
from market.clearing.slackness import ends, stand_in


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a published result: a stable name, where, and one sentence."""

    name: str
    interval: int | None
    row: int | None
    reason: str


@dataclass(frozen=True, eq=False)
class Published:
    """What a result claims: accepted energy over orders, flows and prices over (intervals, nodes)."""

    accepted_wh: Ints
    flow_wh: Ints
    price_ticks: Ints
    price_low: Ints
    price_high: Ints


@dataclass(frozen=True, eq=False)
class Values:
    """Primal and dual objective of each interval [Wh x tick]. ``dual`` is exact only where ``bounded``."""

    primal: Ints
    dual: Ints
    bounded: Flags


def values(book: Book, network: Network, accepted_wh: Ints, flow_wh: Ints, price_ticks: Ints) -> Values:
    """Both objectives from the published arrays: orders, (intervals, nodes), (intervals, nodes).

    ``bounded`` is false where prices on an unlimited edge differ by more than its fee, so the dual is infeasible, or
    where prices are so large that the sums leave 64 bits.
    """
    price = stand_in(network, price_ticks)
    return Values(
        _primal(book, network, accepted_wh, flow_wh),
        *_dual(book, network, price),
    )


def _by_interval(book: Book, amounts: Ints) -> Ints:
    total = np.zeros(book.intervals, np.int64)
    np.add.at(total, book.interval, amounts)
    return total


def _primal(book: Book, network: Network, accepted_wh: Ints, flow_wh: Ints) -> Ints:
    worth = book.price_ticks * accepted_wh
    surplus = _by_interval(book, np.where(book.sell, -worth, worth))
    edges = np.flatnonzero(network.parent >= 0)
    flow = flow_wh[:, edges]
    up: Ints = np.maximum(flow, 0) @ network.fee_ticks[edges]
    down: Ints = np.maximum(-flow, 0) @ network.fee_down_ticks[edges]
    return surplus - up - down


def _dual(book: Book, network: Network, price: Ints) -> tuple[Ints, Flags]:
    gap = price[book.interval, book.node] - book.price_ticks
    total = _by_interval(book, np.maximum(np.where(book.sell, gap, -gap), 0) * book.energy_wh)
    # A published price may be anything; where a sum could leave 64 bits it proves nothing.
    dearest = np.abs(price).max(axis=1, initial=0) + float(np.abs(book.price_ticks).max(initial=0))
    bounded = dearest * _by_interval(book, book.energy_wh) < 2.0**63
    edges = np.flatnonzero(network.parent >= 0)
    if edges.size:
        rise = price[:, network.parent[edges]] - price[:, edges]
        for over, limit in (
            (rise - network.fee_ticks[edges], network.limit_wh),
            (-rise - network.fee_down_ticks[edges], network.limit_down_wh),
        ):
            room = np.broadcast_to(limit, price.shape)[:, edges]
            excess = np.maximum(over, 0)
            bounded &= ~((excess > 0) & (room < 0)).any(axis=1)
            used = np.where(excess > 0, np.maximum(room, 0), 0)
            bounded &= (excess.astype(np.float64) * used).sum(axis=1) < 2.0**62
            total += (excess * used).sum(axis=1)
    return total, bounded


def verify(book: Book, network: Network, result: Published) -> list[Violation]:
    """Everything wrong with a result, first fault of each kind; empty when it is proven optimal.

    Feasibility comes first: an infeasible allocation has no objective worth comparing.
    """
    faults = [*_energy(book, result), *_flows(book, network, result), *_prices(book, network, result)]
    if faults:
        return faults
    faults = _optimum(book, network, result, result.price_ticks)
    # The ends are read off the allocation, which must be optimal for that.
    return faults or _ends(book, network, result)


def _first(bad: Flags, name: str, reason: str, by_order: Ints | None = None) -> list[Violation]:
    """Name the first place of an (intervals, nodes) or (orders,) mask, if there is one."""
    if not bad.any():
        return []
    place = [int(i) for i in np.argwhere(bad)[0]]
    if by_order is not None:
        return [Violation(name, int(by_order[place[0]]), place[0], reason)]
    return [Violation(name, place[0], place[1] if len(place) > 1 else None, reason)]


def _energy(book: Book, result: Published) -> list[Violation]:
    q = result.accepted_wh
    return [
        *_first(q < 0, "energy-negative", "an order's accepted energy is below zero", book.interval),
        *_first(q > book.energy_wh, "energy-over-order", "more is accepted than the order offers", book.interval),
    ]


def _flows(book: Book, network: Network, result: Published) -> list[Violation]:
    flow = result.flow_wh
    total = _by_interval(book, book.energy_wh)[:, None]
    if (np.abs(flow) > total).any():
        return _first(np.abs(flow) > total, "flow-impossible", "more flows than all orders hold")
    faults = [
        *_first((network.limit_wh >= 0) & (flow > network.limit_wh), "limit-exceeded", "the flow passes its limit"),
        *_first(
            (network.limit_down_wh >= 0) & (-flow > network.limit_down_wh),
            "limit-exceeded",
            "the flow from the parent passes its limit",
        ),
    ]
    edge = network.parent >= 0
    net = np.zeros(flow.shape, np.int64)
    signed = np.where(book.sell, result.accepted_wh, -result.accepted_wh)
    np.add.at(net, (book.interval, book.node), signed)
    np.add.at(net.T, network.parent[edge], flow.T[edge])
    faults += _first(net != flow * edge, "balance-broken", "what enters the node does not equal what leaves it")
    faults += _first((flow != 0) & ~edge, "balance-broken", "the root has no parent to send energy to")
    return faults


def _prices(book: Book, network: Network, result: Published) -> list[Violation]:
    price, low, high = result.price_ticks, result.price_low, result.price_high
    bound = np.zeros(book.intervals, np.int64)
    np.maximum.at(bound, book.interval, np.abs(book.price_ticks))
    # No way through the tree is dearer than all fees together.
    bound += int(network.fee_ticks.sum()) + int(network.fee_down_ticks.sum())
    faults = []
    for name, values in (("price", price), ("low end", low), ("high end", high)):
        far = (values != NO_PRICE) & ((values > bound[:, None]) | (values < -bound[:, None]))
        faults += _first(far, "price-impossible", f"the {name} lies beyond every order and fee")
    known = price != NO_PRICE
    outside = known & ((low != NO_PRICE) & (price < low) | (high != NO_PRICE) & (price > high))
    faults += _first(outside, "price-outside-interval", "the price is not between its low and high end")
    unsaid = ~known & ((low != NO_PRICE) | (high != NO_PRICE))
    faults += _first(unsaid, "price-missing", "an end is known but no price is given")
    unfounded = known & (low == NO_PRICE) & (high == NO_PRICE)
    faults += _first(unfounded, "price-unfounded", "a price is given where nothing bounds it")
    return faults


def _optimum(book: Book, network: Network, result: Published, price: Ints) -> list[Violation]:
    found = values(book, network, result.accepted_wh, result.flow_wh, price)
    wrong = (found.dual != found.primal) | ~found.bounded
    return _first(wrong[:, None], "not-optimal", "the prices do not prove the welfare to be the greatest possible")


def _ends(book: Book, network: Network, result: Published) -> list[Violation]:
    low, high = ends(book, network, result.accepted_wh, result.flow_wh)
    return [
        *_first(low != result.price_low, "price-low-wrong", "the low end is not the least optimal price"),
        *_first(high != result.price_high, "price-high-wrong", "the high end is not the greatest optimal price"),
    ]
