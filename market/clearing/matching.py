"""Who traded with whom: partners under the same node first, then one level up, and so on.

Matches are information; no money hangs on them. Whatever a node's own orders and its children's leftovers
can settle among themselves is settled there, so energy travels no further than the flows of the clearing say,
and each match uses up at least one order: there are never more matches than orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.clearing.ordering import order_by
from market.clearing.problem import Book, Flags, Ints, Network
from market.clearing.tree import plant


@dataclass(frozen=True, eq=False)
class _Open:
    """What is not yet matched: rows of the book, the cell they stand in, energy left; sorted by cell."""

    row: Ints
    cell: Ints
    energy: Ints

    def within(self, first: int, last: int) -> slice:
        """Where the cells first to last - 1 stand."""
        start, stop = np.searchsorted(self.cell, [first, last])
        return slice(int(start), int(stop))


def match(book: Book, network: Network, accepted_wh: Ints) -> tuple[Ints, Ints, Ints]:
    """Return arrays seller order, buyer order, energy [Wh] over matches, ordered by interval, seller and buyer."""
    tree = plant(network)
    intervals = book.intervals
    traded = np.flatnonzero(accepted_wh)
    cell = tree.position[book.node[traded]] * intervals + book.interval[traded]
    queue = order_by(cell, book.id[traded], book.price_ticks[traded], -book.energy_wh[traded])
    traded, cell = traded[queue], cell[queue]
    asks, bids = book.sell[traded], ~book.sell[traded]
    own_asks = _Open(traded[asks], cell[asks], accepted_wh[traded[asks]])
    own_bids = _Open(traded[bids], cell[bids], accepted_wh[traded[bids]])
    nothing = np.zeros(0, np.int64)
    left_asks = left_bids = _Open(nothing, nothing, nothing)
    found: list[tuple[Ints, Ints, Ints]] = []
    for level in tree.from_leaves():
        first, last = level.start * intervals, level.stop * intervals
        left_asks, left_bids = _settle(own_asks, own_bids, left_asks, left_bids, first, last, found)
        above = (level.parent[:, None] * intervals + np.arange(intervals)).reshape(-1)
        left_asks, left_bids = (_Open(o.row, above[o.cell - first], o.energy) for o in (left_asks, left_bids))
    _settle(own_asks, own_bids, left_asks, left_bids, 0, intervals, found)
    if not found:
        return nothing, nothing, nothing
    seller, buyer, energy = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = order_by(book.interval[seller], seller, buyer)
    return seller[order], buyer[order], energy[order]


def _settle(
    own_asks: _Open,
    own_bids: _Open,
    up_asks: _Open,
    up_bids: _Open,
    first: int,
    last: int,
    found: list[tuple[Ints, Ints, Ints]],
) -> tuple[_Open, _Open]:
    """Match within the cells first to last - 1; append what was found and return what is left."""
    asks, bids = _merge(own_asks, up_asks, first, last), _merge(own_bids, up_bids, first, last)
    cells = last - first
    ask_total, bid_total = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    np.add.at(ask_total, asks.cell - first, asks.energy)
    np.add.at(bid_total, bids.cell - first, bids.energy)
    common = np.minimum(ask_total, bid_total)
    # Lay the matched energy of all cells end to end; every order covers a stretch of that line.
    ends = np.cumsum(common)
    ask_stop = _stops(asks, first, ask_total, common, ends)
    bid_stop = _stops(bids, first, bid_total, common, ends)
    marks = np.sort(np.concatenate([ask_stop, bid_stop]))
    marks = marks[np.diff(marks, prepend=0) > 0]
    if marks.size:
        seller = asks.row[np.searchsorted(ask_stop, marks)]
        buyer = bids.row[np.searchsorted(bid_stop, marks)]
        found.append((seller, buyer, np.diff(marks, prepend=0)))
    return _leftover(asks, first, ask_total, common), _leftover(bids, first, bid_total, common)


def _merge(own: _Open, up: _Open, first: int, last: int) -> _Open:
    """Own orders before leftovers from below, by cell."""
    here = own.within(first, last)
    if not up.row.size:
        return _Open(own.row[here], own.cell[here], own.energy[here])
    row = np.concatenate([own.row[here], up.row])
    cell = np.concatenate([own.cell[here], up.cell])
    energy = np.concatenate([own.energy[here], up.energy])
    order = order_by(cell)
    return _Open(row[order], cell[order], energy[order])


def _running(orders: _Open, first: int, total: Ints) -> Ints:
    """Energy of each cell's orders up to and including each one."""
    begin = np.cumsum(total) - total
    running: Ints = np.cumsum(orders.energy) - begin[orders.cell - first]
    return running


def _stops(orders: _Open, first: int, total: Ints, common: Ints, ends: Ints) -> Ints:
    """Where each order's matched stretch stops on the line of all matched energy."""
    at = orders.cell - first
    stops: Ints = (ends - common)[at] + np.minimum(_running(orders, first, total), common[at])
    return stops


def _leftover(orders: _Open, first: int, total: Ints, common: Ints) -> _Open:
    rest = np.minimum(_running(orders, first, total) - common[orders.cell - first], orders.energy)
    some: Flags = rest > 0
    return _Open(orders.row[some], orders.cell[some], rest[some])
