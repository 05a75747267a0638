"""A book and its network in the layout the solvers work in.

A *cell* is one node in one interval. Cells are numbered position by position (nodes in order of
depth), intervals within a position, so all cells of one level of the tree are one slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from market.clearing.problem import LIMIT_BOUND_WH, Book, Flags, Ints, Network, check
from market.clearing.tree import Tree, path_fees, plant

INFINITE = 2**61
"""Stands for an unbounded price while solving."""
_FAR = 2**60

CHUNK_CELLS = 2**21
CHUNK_ORDERS = 2**21
CHUNK_ENERGY_WH = 2**62


@dataclass(frozen=True, eq=False)
class Frame:
    """Some intervals of a problem, arrays over cells as (nodes, intervals) and over orders.

    ``order`` are the book's rows kept here (positive energy); ``cell``, ``sell``, ``price``, ``energy``, ``id``
    belong to them. ``up``/``down`` are the limits [Wh] (a huge number when unlimited) and ``fee_up``/``fee_down``
    the fees [ticks] by position.
    """

    tree: Tree
    intervals: int
    order: Ints
    cell: Ints
    sell: Flags
    price: Ints
    energy: Ints
    id: Ints
    up: Ints
    down: Ints
    fee_up: Ints
    fee_down: Ints

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return int(self.tree.node.size)

    @property
    def shape(self) -> tuple[int, int]:
        """(nodes, intervals)."""
        return self.nodes, self.intervals

    def sum_by_cell(self, values: Ints, cell: Ints | None = None) -> Ints:
        """Sum values over orders into (nodes, intervals)."""
        total = np.zeros(self.nodes * self.intervals, np.int64)
        np.add.at(total, self.cell if cell is None else cell, values)
        return total.reshape(self.shape)


def settle_far(price: Ints) -> Ints:
    """Bring prices that drifted by a fee from infinity back to it."""
    return np.where(price >= _FAR, INFINITE, np.where(price <= -_FAR, -INFINITE, price))


def _limits(limit: Ints, tree: Tree, first: int, last: int) -> Ints:
    rows = limit[first:last] if limit.ndim == 2 else limit[None, :]
    by_position = rows[:, tree.node].T
    by_position = np.where(by_position < 0, LIMIT_BOUND_WH, by_position)
    return np.broadcast_to(by_position, (tree.node.size, last - first))


def _spans(book: Book, nodes: int, orders_before: Ints, energy: Ints) -> Iterator[tuple[int, int]]:
    """Cut the intervals into runs that keep memory and 64-bit sums bounded; a run holds at least one."""
    first = 0
    total = 0
    for at in range(book.intervals):
        full = (
            (at - first + 1) * nodes > CHUNK_CELLS
            or orders_before[at + 1] - orders_before[first] > CHUNK_ORDERS
            or total + int(energy[at]) >= CHUNK_ENERGY_WH
        )
        if at > first and full:
            yield first, at
            first, total = at, 0
        total += int(energy[at])
    if first < book.intervals:
        yield first, book.intervals


def fitting_tree(book: Book, network: Network) -> Tree:
    """Return the network's tree; raises ProblemError if book and network do not fit or exceed a bound."""
    tree = plant(network)
    dearest = max(int(path_fees(tree, fee).max()) for fee in (network.fee_ticks, network.fee_down_ticks))
    check(book, network, dearest)
    return tree


def frames(book: Book, network: Network, tree: Tree) -> Iterator[tuple[int, Frame]]:
    """Yield (first interval, frame) over the book, bounded in size."""
    live = np.flatnonzero(book.energy_wh)
    interval = book.interval[live]
    if interval.size and (interval[1:] < interval[:-1]).any():
        live = live[np.argsort(interval, kind="stable")]
        interval = book.interval[live]
    before = np.searchsorted(interval, np.arange(book.intervals + 1))
    energy = np.zeros(book.intervals, np.int64)
    np.add.at(energy, book.interval, book.energy_wh)
    root = tree.node[0]
    fee_up, fee_down = network.fee_ticks[tree.node], network.fee_down_ticks[tree.node]
    fee_up[0] = fee_down[0] = 0
    assert network.parent[root] == -1
    for first, last in _spans(book, network.nodes, before, energy):
        rows = live[before[first] : before[last]]
        cell = tree.position[book.node[rows]] * (last - first) + (book.interval[rows] - first)
        yield (
            first,
            Frame(
                tree,
                last - first,
                rows,
                cell,
                book.sell[rows],
                book.price_ticks[rows],
                book.energy_wh[rows],
                book.id[rows],
                _limits(network.limit_wh, tree, first, last),
                _limits(network.limit_down_wh, tree, first, last),
                fee_up,
                fee_down,
            ),
        )
