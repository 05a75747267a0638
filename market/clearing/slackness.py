"""Prices from an allocation, by complementary slackness alone: the certificate's own reading of the problem.

An order used in part fixes its node's price, a used or unused one bounds it; an edge below its limit keeps the
price difference within its fee, a used edge makes it at least the fee. On a tree one pass up and one pass down
carry each bound everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from market.clearing.problem import NO_PRICE, Book, Ints, Network

_FAR = 2**60


@dataclass(frozen=True, eq=False)
class _Rank:
    """The nodes of one depth, siblings together; ``above`` their parents, ``first`` where each parent's begin."""

    node: Ints
    above: Ints
    first: Ints

    @property
    def parents(self) -> Ints:
        return self.above[self.first]


def _ranks(network: Network) -> list[_Rank]:
    """Nodes by distance from the root, nearest first, the root left out."""
    parent = network.parent
    # Pointer doubling: every round doubles the distance that ``above`` looks ahead.
    above, steps = np.append(parent, -1), np.append((parent >= 0).astype(np.int64), 0)
    while (above >= 0).any():
        steps, above = steps + steps[above], above[above]
    depth = steps[:-1]
    order = np.lexsort((parent, depth))
    cuts = np.searchsorted(depth[order], np.arange(1, int(depth.max()) + 2))
    ranks = []
    for start, stop in pairwise(cuts.tolist()):
        node = order[start:stop]
        over = parent[node]
        ranks.append(_Rank(node, over, np.flatnonzero(np.concatenate([[True], over[1:] != over[:-1]]))))
    return ranks


def ends(book: Book, network: Network, accepted_wh: Ints, flow_wh: Ints) -> tuple[Ints, Ints]:
    """Least and greatest prices an optimal allocation leaves, (intervals, nodes); NO_PRICE where unbounded."""
    low, high = np.full(flow_wh.T.shape, -_FAR), np.full(flow_wh.T.shape, _FAR)
    used, rest = accepted_wh > 0, accepted_wh < book.energy_wh
    at_least, at_most = np.where(book.sell, used, rest), np.where(book.sell, rest, used)
    cell = book.node * book.intervals + book.interval
    np.maximum.at(low.reshape(-1), cell[at_least], book.price_ticks[at_least])
    np.minimum.at(high.reshape(-1), cell[at_most], book.price_ticks[at_most])
    rise = _Rise(network, flow_wh)
    ranks = _ranks(network)
    for rank in reversed(ranks):
        least, most = rise.range(rank.node)
        _tighten(low, high, rank, low[rank.node] + least, high[rank.node] + most)
    for rank in ranks:
        least, most = rise.range(rank.node)
        low[rank.node] = np.maximum(low[rank.node], low[rank.above] - most)
        high[rank.node] = np.minimum(high[rank.node], high[rank.above] - least)
    return np.where(low <= -_FAR // 2, NO_PRICE, low).T, np.where(high >= _FAR // 2, NO_PRICE, high).T


def _tighten(low: Ints, high: Ints, rank: _Rank, least: Ints, most: Ints) -> None:
    """Narrow the parents' range by what each child asks for."""
    parents = rank.parents
    low[parents] = np.maximum(low[parents], np.maximum.reduceat(least, rank.first, axis=0))
    high[parents] = np.minimum(high[parents], np.minimum.reduceat(most, rank.first, axis=0))


class _Rise:
    """How much a parent's price may exceed its child's, given the flow between them."""

    def __init__(self, network: Network, flow_wh: Ints) -> None:
        shape = flow_wh.T.shape
        self._flow = flow_wh.T
        self._up = np.broadcast_to(np.atleast_2d(network.limit_wh).T, shape)
        self._down = np.broadcast_to(np.atleast_2d(network.limit_down_wh).T, shape)
        self._fee_up, self._fee_down = network.fee_ticks[:, None], network.fee_down_ticks[:, None]

    def range(self, node: Ints) -> tuple[Ints, Ints]:
        flow, up, down = self._flow[node], self._up[node], self._down[node]
        room_up, room_down = (up < 0) | (flow < up), (down < 0) | (-flow < down)
        least = np.where(room_down, -self._fee_down[node], -_FAR)
        least = np.where(flow > 0, self._fee_up[node], least)
        most = np.where(room_up, self._fee_up[node], _FAR)
        most = np.where(flow < 0, -self._fee_down[node], most)
        return least, most


def stand_in(network: Network, price_ticks: Ints) -> Ints:
    """Give nodes without a price one that fits their neighbours, so that the dual can be evaluated.

    From the leaves up each such node learns the range its children leave it; from the root down it takes the
    price in that range nearest to its parent's. An edge that can carry nothing in a direction does not tie the two
    prices in that direction.
    """
    if not (price_ticks == NO_PRICE).any():
        return price_ticks
    missing = (price_ticks == NO_PRICE).T
    price = price_ticks.T.copy()
    low, high = np.where(missing, -_FAR, price), np.where(missing, _FAR, price)
    rise = _Rise(network, np.zeros_like(price_ticks))
    ranks = _ranks(network)
    for rank in reversed(ranks):
        least, most = rise.range(rank.node)
        parents = rank.parents
        given = low[parents], high[parents]
        _tighten(low, high, rank, low[rank.node] + least, high[rank.node] + most)
        low[parents] = np.where(missing[parents], low[parents], given[0])
        high[parents] = np.where(missing[parents], high[parents], given[1])
    root = network.root
    price[root] = np.where(missing[root], np.clip(0, low[root], np.maximum(low[root], high[root])), price[root])
    for rank in ranks:
        least, most = rise.range(rank.node)
        wish, node = price[rank.above], rank.node
        floor, ceiling = np.maximum(low[node], wish - most), np.minimum(high[node], wish - least)
        price[node] = np.where(missing[node], np.clip(wish, floor, np.maximum(floor, ceiling)), price[node])
    return price.T
