"""Preferred partners: a bonus per kWh on listed pairs, or a gift to a named home. A PuLP model.

Only listed pairs get variables. Energy of a pair travels its own way through the tree, pays the fees of that way and
takes its room; the rest of each order trades with everyone as ever. All columns are directed ways in a tree, a network
matrix, so whole numbers stay whole.

maximise    pool welfare + sum_pairs (p_bid - p_ask + bonus - fees of the way) y
subject to  pool energy + energy in pairs <= Q per order                        (dual: order rent)
            pool flow + pairs on their way <= K per edge and direction          (dual: edge rent)
            pool injection of each node = pool flow out of it                   (dual: the nodal price)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pulp

from market.clearing.clear import Clearing, clear
from market.clearing.lp import solve_model, whole
from market.clearing.problem import PRICE_BOUND_TICKS, Book, Ints, Network, ProblemError


@dataclass(frozen=True, eq=False)
class Pairs:
    """Who prefers whom: rows of the book and the bonus [ticks], arrays over pairs. Raises ProblemError."""

    seller: Ints
    buyer: Ints
    bonus_ticks: Ints

    def check(self, book: Book) -> None:
        """Refuse pairs that do not join an ask and a bid of one interval, or are listed twice."""
        if not self.seller.shape == self.buyer.shape == self.bonus_ticks.shape:
            raise ProblemError("shape-mismatch", None, "seller, buyer and bonus must have one entry per pair")
        for rows in (self.seller, self.buyer):
            unknown = (rows < 0) | (rows >= book.orders)
            if unknown.any():
                raise ProblemError("pair-unknown", int(np.argmax(unknown)), "the pair names an order that is not there")
        unfit = ~book.sell[self.seller] | book.sell[self.buyer]
        unfit |= book.interval[self.seller] != book.interval[self.buyer]
        if unfit.any():
            raise ProblemError("pair-unfit", int(np.argmax(unfit)), "a pair joins an ask and a bid of one interval")
        large = np.abs(self.bonus_ticks) >= PRICE_BOUND_TICKS
        if large.any():
            raise ProblemError("price-too-large", int(np.argmax(large)), f"a bonus stays below {PRICE_BOUND_TICKS}")
        code = self.seller * book.orders + self.buyer
        first = np.unique(code, return_index=True)[1]
        if first.size < code.size:
            again = np.setdiff1d(np.arange(code.size), first)
            raise ProblemError("pair-twice", int(again[0]), "the pair is listed twice")


@dataclass(frozen=True, eq=False)
class Preferred:
    """A clearing with preferred pairs.

    ``pair_wh`` (pairs,) and ``accepted_wh`` (orders,), pairs included [Wh]; ``pool`` is the clearing of the rest.
    ``price``, ``rent_up``, ``rent_down`` (intervals, nodes) and ``order_rent`` (orders,) are the dual solution [ticks].
    ``primal`` and ``dual`` are over intervals, bonuses included [Wh x tick].
    """

    pairs: Pairs
    pair_wh: Ints
    accepted_wh: Ints
    pool: Clearing
    price: Ints
    order_rent: Ints
    rent_up: Ints
    rent_down: Ints
    primal: Ints
    dual: Ints


def ways(parent: Sequence[int], start: int, end: int) -> tuple[list[int], list[int]]:
    """Nodes whose edges the way from one node to another goes up, and down; ``parent`` is over nodes."""
    above = [start]
    while parent[above[-1]] >= 0:
        above.append(parent[above[-1]])
    down, node = [], end
    while node not in above:
        down.append(node)
        node = parent[node]
    return above[: above.index(node)], down


def clear_preferred(book: Book, network: Network, pairs: Pairs) -> Preferred:
    """Clear with a bonus on the listed pairs. Raises ProblemError and SolverError.

    The energy in pairs is the LP's; what is left of orders and limits is cleared as without preferences, by its tie
    rule. Without pairs the result is that of :func:`~market.clearing.clear.clear`.
    """
    pairs.check(book)
    shape = (book.intervals, network.nodes)
    pair_wh = np.zeros(pairs.seller.size, np.int64)
    price, rent_up, rent_down = (np.zeros(shape, np.int64) for _ in range(3))
    order_rent = np.zeros(book.orders, np.int64)
    clear(book, network)  # refuses what does not fit before the solver sees it
    for interval in range(book.intervals):
        model = _Model(book, network, pairs, interval)
        pair_wh[model.pairs] = model.primal()
        price[interval], order_rent[model.orders], rent_up[interval], rent_down[interval] = model.dual()
    pool = _pool(book, network, pairs, pair_wh)
    accepted = pool.accepted_wh.copy()
    np.add.at(accepted, pairs.seller, pair_wh)
    np.add.at(accepted, pairs.buyer, pair_wh)
    primal = pool.primal.copy()
    np.add.at(primal, book.interval[pairs.seller], _gain(book, network, pairs) * pair_wh)
    dual = np.zeros(book.intervals, np.int64)
    np.add.at(dual, book.interval, order_rent * book.energy_wh)
    for rent, limit in ((rent_up, network.limit_wh), (rent_down, network.limit_down_wh)):
        dual += (rent * np.maximum(np.broadcast_to(limit, shape), 0)).sum(axis=1)
    return Preferred(pairs, pair_wh, accepted, pool, price, order_rent, rent_up, rent_down, primal, dual)


def _gain(book: Book, network: Network, pairs: Pairs) -> Ints:
    """What one Wh in each pair is worth: limits and bonus less the fees of its way [ticks]."""
    fees, parent = [], network.parent.tolist()
    for seller, buyer in zip(pairs.seller.tolist(), pairs.buyer.tolist(), strict=True):
        up, down = ways(parent, int(book.node[seller]), int(book.node[buyer]))
        fees.append(int(network.fee_ticks[up].sum() + network.fee_down_ticks[down].sum()))
    worth: Ints = book.price_ticks[pairs.buyer] - book.price_ticks[pairs.seller] + pairs.bonus_ticks
    return worth - np.array(fees, np.int64)


def _pool(book: Book, network: Network, pairs: Pairs, pair_wh: Ints) -> Clearing:
    """Clear what the pairs leave of orders and limits."""
    energy = book.energy_wh.copy()
    np.subtract.at(energy, pairs.seller, pair_wh)
    np.subtract.at(energy, pairs.buyer, pair_wh)
    shape = (book.intervals, network.nodes)
    up, down = (np.broadcast_to(limit, shape).copy() for limit in (network.limit_wh, network.limit_down_wh))
    parent = network.parent.tolist()
    for seller, buyer, wh in zip(pairs.seller.tolist(), pairs.buyer.tolist(), pair_wh.tolist(), strict=True):
        interval = int(book.interval[seller])
        rising, sinking = ways(parent, int(book.node[seller]), int(book.node[buyer]))
        for limit, nodes in ((up, rising), (down, sinking)):
            limit[interval, nodes] = np.where(limit[interval, nodes] < 0, -1, limit[interval, nodes] - wh)
    rest = Book(book.interval, book.node, book.sell, book.price_ticks, energy, id=book.id, intervals=book.intervals)
    grid = Network(network.parent, up, network.fee_ticks, limit_down_wh=down, fee_down_ticks=network.fee_down_ticks)
    return clear(rest, grid)


class _Model:
    """One interval as columns (gain, rows it uses) over rows (orders, edges up, edges down, node balances)."""

    def __init__(self, book: Book, network: Network, pairs: Pairs, interval: int) -> None:
        orders = np.flatnonzero(book.interval == interval)
        # The solver may choose among equal optima by column: a canonical order keeps the input's order out of it.
        keys = (book.id, book.energy_wh, book.price_ticks, book.sell, book.node)
        self.orders: Ints = orders[np.lexsort(tuple(key[orders] for key in keys))]
        place = {row: at for at, row in enumerate(self.orders.tolist())}
        mine = [at for at, row in enumerate(pairs.seller.tolist()) if book.interval[row] == interval]
        mine.sort(key=lambda at: (place[int(pairs.seller[at])], place[int(pairs.buyer[at])]))
        self.pairs = np.array(mine, np.int64)
        shape = (book.intervals, network.nodes)
        self._nodes = network.nodes
        limits = [np.broadcast_to(limit, shape)[interval] for limit in (network.limit_wh, network.limit_down_wh)]
        self._room = [*book.energy_wh[self.orders].tolist(), *limits[0].tolist(), *limits[1].tolist()]
        up_row, down_row = len(orders), len(orders) + network.nodes
        self._columns: list[tuple[int, list[int], dict[int, int]]] = []
        gain, parent = _gain(book, network, pairs), network.parent.tolist()
        for at in mine:
            seller, buyer = int(pairs.seller[at]), int(pairs.buyer[at])
            rising, sinking = ways(parent, int(book.node[seller]), int(book.node[buyer]))
            rows = [place[seller], place[buyer], *(up_row + n for n in rising), *(down_row + n for n in sinking)]
            self._columns.append((int(gain[at]), rows, {}))
        for at, row in enumerate(self.orders.tolist()):
            sign = 1 if book.sell[row] else -1
            self._columns.append((-sign * int(book.price_ticks[row]), [at], {int(book.node[row]): sign}))
        for node in np.flatnonzero(network.parent >= 0).tolist():
            above = int(network.parent[node])
            self._columns.append((-int(network.fee_ticks[node]), [up_row + node], {node: -1, above: 1}))
            self._columns.append((-int(network.fee_down_ticks[node]), [down_row + node], {node: 1, above: -1}))

    def primal(self) -> list[int]:
        """Energy in this interval's pairs [Wh]."""
        model = pulp.LpProblem("preferences", pulp.LpMaximize)
        most = sum(self._room[: len(self.orders)])
        amount = [model.add_variable(f"c_{at}", 0, most) for at in range(len(self._columns))]
        model += pulp.lpSum(column[0] * amount[at] for at, column in enumerate(self._columns))
        used: dict[int, list[Any]] = {}
        balance: dict[int, list[Any]] = {}
        for at, (_, rows, nodes) in enumerate(self._columns):
            for row in rows:
                used.setdefault(row, []).append(amount[at])
            for node, sign in nodes.items():
                balance.setdefault(node, []).append(sign * amount[at])
        for row, terms in used.items():
            if self._room[row] >= 0:
                model += pulp.lpSum(terms) <= self._room[row]
        for terms in balance.values():
            model += pulp.lpSum(terms) == 0
        solve_model(model)
        return [whole(variable) for variable in amount[: len(self.pairs)]]

    def dual(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Nodal prices, order rents, edge rents up and down [ticks]."""
        model = pulp.LpProblem("rents", pulp.LpMinimize)
        box = 1 + 2 * sum(abs(column[0]) for column in self._columns)
        price = [model.add_variable(f"p_{node}", -box, box) for node in range(self._nodes)]
        rent = [model.add_variable(f"r_{at}", 0, 0 if room < 0 else 2 * box) for at, room in enumerate(self._room)]
        model += pulp.lpSum(max(room, 0) * rent[at] for at, room in enumerate(self._room))
        for gain, rows, nodes in self._columns:
            earned = pulp.lpSum(sign * price[node] for node, sign in nodes.items())
            model += pulp.lpSum(rent[row] for row in rows) - earned >= gain
        solve_model(model)
        rents = [whole(variable) for variable in rent]
        orders = len(self.orders)
        ends = orders, orders + self._nodes
        return [whole(variable) for variable in price], rents[: ends[0]], rents[ends[0] : ends[1]], rents[ends[1] :]


def verify_preferred(book: Book, network: Network, result: Preferred) -> list[str]:
    """What is wrong with a preferred clearing, by name, in integers and apart from the solver; empty when proven."""
    faults = []
    pairs, wh = result.pairs, result.pair_wh
    shape = (book.intervals, network.nodes)
    pool = result.pool.accepted_wh
    total = pool.copy()
    np.add.at(total, pairs.seller, wh)
    np.add.at(total, pairs.buyer, wh)
    if (wh < 0).any() or (pool < 0).any() or (total > book.energy_wh).any() or (total != result.accepted_wh).any():
        faults.append("energy-over-order")
    net = np.zeros(shape, np.int64)
    np.add.at(net, (book.interval, book.node), np.where(book.sell, pool, -pool))
    edges = np.flatnonzero(network.parent >= 0)
    np.add.at(net.T, network.parent[edges], result.pool.flow_wh.T[edges])
    if (net[:, edges] != result.pool.flow_wh[:, edges]).any() or net[:, network.root].any():
        faults.append("balance-broken")
    up, down = np.maximum(result.pool.flow_wh, 0), np.maximum(-result.pool.flow_wh, 0)
    primal, short = np.zeros(book.intervals, np.int64), False
    np.add.at(primal, book.interval, np.where(book.sell, -1, 1) * book.price_ticks * pool)
    for flow, fee in ((up, network.fee_ticks), (down, network.fee_down_ticks)):
        primal -= (flow * fee)[:, edges].sum(axis=1)
    parent = network.parent.tolist()
    for at in range(wh.size):
        seller, buyer, interval = int(pairs.seller[at]), int(pairs.buyer[at]), int(book.interval[pairs.seller[at]])
        rising, sinking = ways(parent, int(book.node[seller]), int(book.node[buyer]))
        up[interval, rising] += wh[at]
        down[interval, sinking] += wh[at]
        gain = int(book.price_ticks[buyer] - book.price_ticks[seller] + pairs.bonus_ticks[at])
        gain -= int(network.fee_ticks[rising].sum() + network.fee_down_ticks[sinking].sum())
        primal[interval] += gain * wh[at]
        rents = result.rent_up[interval, rising].sum() + result.rent_down[interval, sinking].sum()
        short |= bool(result.order_rent[seller] + result.order_rent[buyer] + rents < gain)
    for flow, limit in ((up, network.limit_wh), (down, network.limit_down_wh)):
        if ((limit >= 0) & (flow > limit))[:, edges].any():
            faults.append("limit-exceeded")
    gap = result.price[book.interval, book.node] - book.price_ticks
    short |= bool((result.order_rent < np.maximum(np.where(book.sell, gap, -gap), 0)).any())
    rise = result.price[:, network.parent[edges]] - result.price[:, edges]
    dual = np.zeros(book.intervals, np.int64)
    np.add.at(dual, book.interval, result.order_rent * book.energy_wh)
    for over, rent, limit in (
        (rise - network.fee_ticks[edges], result.rent_up, network.limit_wh),
        (-rise - network.fee_down_ticks[edges], result.rent_down, network.limit_down_wh),
    ):
        room = np.broadcast_to(limit, shape)
        short |= bool((rent[:, edges] < np.maximum(over, 0)).any() or ((room < 0) & (rent > 0)).any())
        dual += (rent * np.maximum(room, 0))[:, edges].sum(axis=1)
    if short:
        faults.append("rents-too-low")
    if (primal != result.primal).any() or (dual != result.dual).any():
        faults.append("objective-wrong")
    if (primal != dual).any():
        faults.append("not-optimal")
    return faults
