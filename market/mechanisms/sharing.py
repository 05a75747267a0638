"""The sharing keys of law: generated energy is allotted by a rule, not by prices.

A key says what part of an interval's surplus each consumer is allotted; nobody is allotted more than it used.
The price per kWh is the members' contract. Fees fall on the pairs the rule prescribes, each Wh its whole way,
even where pairs cross and net flows are smaller. Keys are parts per million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from market.clearing.problem import Book, Flags, Ints, Network, ProblemError
from market.clearing.remainder import split
from market.clearing.tree import plant
from market.mechanisms.outcome import Outcome, by_interval, own_welfare
from market.mechanisms.posted import accepts

WHOLE = 1_000_000
"""A key of one: all of the surplus."""

TABLE_CELLS = 2**20
"""Pairs of nodes whose fees are kept in a table stay below this."""


def static(book: Book, network: Network, *, price_ticks: int, key: Ints) -> Outcome:
    """Fixed shares of the surplus; what a consumer does not use stays with the producers.

    ``key`` (orders,) is each bid's share [ppm]; shares of an interval add up to a million at most.
    """
    return _keyed("static", book, network, price_ticks, key, exact=False)


def ex_ante(book: Book, network: Network, *, price_ticks: int, key: Ints) -> Outcome:
    """As :func:`static`, with shares fixed beforehand per hour: those of each interval's bids add up to a million."""
    return _keyed("ex-ante", book, network, price_ticks, key, exact=True)


def proportional(book: Book, network: Network, *, price_ticks: int) -> Outcome:
    """Shares in proportion to use."""
    live = _live(book, network, price_ticks)
    energy = np.where(live, book.energy_wh, 0)
    surplus = _total(book, energy, book.sell)
    allotted = _fill(book, energy, np.minimum(surplus, _total(book, energy, ~book.sell)), ~book.sell)
    return _settle("proportional", book, network, price_ticks, energy, allotted)


def hierarchical(book: Book, network: Network, *, price_ticks: int, priority: Ints) -> Outcome:
    """Lower ``priority`` (orders,) is served first; equal ones share in proportion to use."""
    live = _live(book, network, price_ticks)
    energy = np.where(live, book.energy_wh, 0)
    left = _total(book, energy, book.sell)
    allotted = np.zeros(book.orders, np.int64)
    for rank in np.unique(priority[~book.sell]).tolist():
        which = ~book.sell & (priority == rank)
        given = np.minimum(left, _total(book, energy, which))
        allotted += _fill(book, energy, given, which)
        left -= given
    return _settle("hierarchical", book, network, price_ticks, energy, allotted)


def per_pair(book: Book, network: Network, *, price_ticks: int, seller: Ints, buyer: Ints, key: Ints) -> Outcome:
    """A key for each pair: ``key`` [ppm] of the ask ``seller`` (a row of the book) goes to the bid ``buyer``.

    A bid allotted more than it used gives back in proportion to what each pair brought.
    """
    if (key < 0).any():
        raise ProblemError("key-negative", int(np.argmax(key < 0)), "a key must be 0 or more")
    if not book.sell[seller].all() or book.sell[buyer].any() or (book.interval[seller] != book.interval[buyer]).any():
        raise ProblemError("pair-unfit", None, "a pair joins an ask and a bid of one interval")
    energy = np.where(_live(book, network, price_ticks), book.energy_wh, 0)
    offered = np.zeros(book.orders, np.int64)
    np.add.at(offered, seller, key)
    _check_whole(offered > WHOLE, "the keys of an ask add up to more than a million")
    share = np.where(energy[buyer] > 0, energy[seller] * key // WHOLE, 0)
    wanted = np.zeros(book.orders, np.int64)
    np.add.at(wanted, buyer, share)
    share = split(np.minimum(wanted, energy), buyer, share, seller)
    accepted = np.zeros(book.orders, np.int64)
    np.add.at(accepted, seller, share)
    np.add.at(accepted, buyer, share)
    owed = np.zeros(book.orders, np.int64)
    np.add.at(owed, buyer, share * way_fees(network, book.node[seller], book.node[buyer]))
    return _outcome("per-pair", book, network, price_ticks, accepted, owed)


def _live(book: Book, network: Network, price_ticks: int) -> Flags:
    return accepts(book, network, np.full(book.intervals, price_ticks, np.int64))


def _check_whole(bad: Flags, reason: str) -> None:
    if bad.any():
        raise ProblemError("keys-do-not-sum", int(np.flatnonzero(bad)[0]), reason)


def _total(book: Book, energy: Ints, which: Flags) -> Ints:
    return by_interval(book, np.where(which, energy, 0))


def _fill(book: Book, energy: Ints, total: Ints, which: Flags) -> Ints:
    """Split each interval's total among the orders ``which`` in proportion to their energy."""
    rows = np.flatnonzero(which & (energy > 0))
    filled = np.zeros(book.orders, np.int64)
    filled[rows] = split(total, book.interval[rows], energy[rows], _queue(book, rows))
    return filled


def _queue(book: Book, rows: Ints) -> Ints:
    """The rows' places when ties are broken: by id, then greater energy."""
    place = np.empty(rows.size, np.int64)
    place[np.lexsort((-book.energy_wh[rows], book.id[rows]))] = np.arange(rows.size)
    return place


def _keyed(name: str, book: Book, network: Network, price_ticks: int, key: Ints, *, exact: bool) -> Outcome:
    if key.shape != book.node.shape or (key < 0).any():
        raise ProblemError("key-negative", None, "there must be one key of 0 or more per order")
    shares = _total(book, key, ~book.sell)
    _check_whole(shares > WHOLE, "the keys of an interval add up to more than a million")
    if exact:
        _check_whole(
            (shares != WHOLE) & (_total(book, np.ones_like(key), ~book.sell) > 0), "the keys must add up to one"
        )
    energy = np.where(_live(book, network, price_ticks), book.energy_wh, 0)
    rows = np.flatnonzero(~book.sell)
    # One more item per interval takes the part of the surplus that no key names.
    group = np.concatenate([book.interval[rows], np.arange(book.intervals)])
    weight = np.concatenate([key[rows], WHOLE - shares])
    tie = np.concatenate([_queue(book, rows), np.full(book.intervals, book.orders)])
    parts = split(_total(book, energy, book.sell), group, weight, tie)[: rows.size]
    allotted = np.zeros(book.orders, np.int64)
    allotted[rows] = np.minimum(parts, energy[rows])
    return _settle(name, book, network, price_ticks, energy, allotted)


def _settle(name: str, book: Book, network: Network, price_ticks: int, energy: Ints, allotted: Ints) -> Outcome:
    """Producers supply what was allotted in proportion to their surplus, and every consumer alike."""
    accepted = allotted + _fill(book, energy, _total(book, allotted, ~book.sell), book.sell)
    return _outcome(name, book, network, price_ticks, accepted, _fees_of_all(book, network, accepted))


def _fees_of_all(book: Book, network: Network, accepted: Ints) -> Ints:
    """What each bid owes when every seller supplies all buyers of its interval, over orders [Wh x tick]."""
    owed = np.zeros(book.orders, np.int64)
    if not (network.fee_ticks.any() or network.fee_down_ticks.any()):
        return owed
    asks, bids = np.flatnonzero((accepted > 0) & book.sell), np.flatnonzero((accepted > 0) & ~book.sell)
    fees = _fee_lookup(network, book.node[asks], book.node[bids])
    for ask, bid, share in _turns(book, accepted, asks, bids):
        owed[bid] += share * fees(book.node[ask], book.node[bid])
    return owed


def _turns(book: Book, accepted: Ints, asks: Ints, bids: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Every seller's energy split among all buyers in proportion to what each still lacks, sellers by id.

    A seller waits for those before it in its interval, so intervals take turns side by side: first each one's first
    seller, then the second where there is one. A turn is its pairs' rows of the book, (pairs,) asks and bids, no bid
    twice, and what each pair trades [Wh]; pairs of other turns are not kept.
    """
    sellers = np.bincount(book.interval[asks], minlength=book.intervals)
    # Intervals with the most sellers come first: those that still take part, and their bids, are the first ones.
    group = np.empty(book.intervals, np.int64)
    group[np.argsort(-sellers, kind="stable")] = np.arange(book.intervals)
    asks, turn = _line_up(book, asks, group)
    bids, place = _line_up(book, bids, group)
    inside, lacking = group[book.interval[bids]], accepted[bids]
    for here in np.split(asks[np.argsort(turn, kind="stable")], np.cumsum(np.bincount(turn))[:-1]):
        count = int(np.searchsorted(inside, here.size))
        share = split(accepted[here], inside[:count], lacking[:count], place[:count])
        lacking[:count] -= share
        yield here[inside[:count]], bids[:count], share


def _line_up(book: Book, rows: Ints, group: Ints) -> tuple[Ints, Ints]:
    """The rows by the group of their interval and in it by id, then greater energy; and their places in the group."""
    rows = rows[np.lexsort((-book.energy_wh[rows], book.id[rows], group[book.interval[rows]]))]
    inside = group[book.interval[rows]]
    return rows, np.arange(rows.size) - np.searchsorted(inside, inside)


def _outcome(name: str, book: Book, network: Network, price_ticks: int, accepted: Ints, owed: Ints) -> Outcome:
    """Book the price and the fees ``owed`` (orders,) by the bids [Wh x tick]."""
    _check_limits(book, network, accepted)
    worth = price_ticks * accepted
    fees = by_interval(book, owed)
    nothing = np.zeros_like(fees)
    money = np.where(book.sell, worth, -worth) - owed
    return Outcome(name, accepted, money, fees, nothing, nothing, own_welfare(book, accepted, fees), False, None)


def way_fees(network: Network, start: Ints, end: Ints) -> Ints:
    """Sum of fees on the way from each node of ``start`` up and down to its partner in ``end`` [ticks]."""
    tree = plant(network)
    depth = np.zeros(network.nodes, np.int64)
    for level in tree.to_leaves():
        depth[tree.node[level.start : level.stop]] = depth[tree.node[level.parent]] + 1
    here, there = start.copy(), end.copy()
    fees = np.zeros(start.shape, np.int64)
    while (here != there).any():
        rise = (here != there) & (depth[here] >= depth[there])
        sink = (here != there) & (depth[there] >= depth[here])
        fees += np.where(rise, network.fee_ticks[here], 0) + np.where(sink, network.fee_down_ticks[there], 0)
        here, there = np.where(rise, network.parent[here], here), np.where(sink, network.parent[there], there)
    return fees


def _fee_lookup(network: Network, start: Ints, end: Ints) -> Callable[[Ints, Ints], Ints]:
    """:func:`way_fees` from nodes of ``start`` to nodes of ``end``, worked out once while they are few."""
    starts, ends = np.unique(start), np.unique(end)
    if starts.size * ends.size > TABLE_CELLS:
        return partial(way_fees, network)
    table = way_fees(network, np.repeat(starts, ends.size), np.tile(ends, starts.size))
    row, column = np.zeros(network.nodes, np.int64), np.zeros(network.nodes, np.int64)
    row[starts], column[ends] = np.arange(starts.size) * ends.size, np.arange(ends.size)
    return lambda here, there: table[row[here] + column[there]]


def _check_limits(book: Book, network: Network, accepted: Ints) -> None:
    """A key cannot give way to a limit: refuse what would pass one."""
    tree = plant(network)
    flow = np.zeros((network.nodes, book.intervals), np.int64)
    np.add.at(flow, (book.node, book.interval), np.where(book.sell, accepted, -accepted))
    for level in tree.from_leaves():
        nodes = tree.node[level.start : level.stop]
        np.add.at(flow, tree.node[level.parent], flow[nodes])
    for limit, passed in ((network.limit_wh, flow.T), (network.limit_down_wh, -flow.T)):
        over = (limit >= 0) & (passed > limit) & (network.parent >= 0)
        if over.any():
            interval, node = (int(i) for i in np.argwhere(over)[0])
            raise ProblemError("limit-exceeded", node, f"interval {interval}: the keys pass the node's limit")
