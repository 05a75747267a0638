"""The network's nodes level by level, so that a whole level is one numpy pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from market.clearing.problem import Ints, Network


@dataclass(frozen=True, eq=False)
class Level:
    """The nodes of one depth below the root, as positions ``start`` to ``stop`` of the tree's order.

    ``parent`` (stop - start,) holds the parents' positions, ascending, so siblings are neighbours;
    ``first_child`` marks where each parent's children begin, ``parents`` are those parents.
    """

    start: int
    stop: int
    parent: Ints
    parents: Ints
    first_child: Ints


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes in order of depth. ``node[position]`` and ``position[node]`` translate; position 0 is the root."""

    node: Ints
    position: Ints
    parent: Ints
    levels: tuple[Level, ...]

    def from_leaves(self) -> Iterator[Level]:
        """Levels below the root, deepest first."""
        return reversed(self.levels)

    def to_leaves(self) -> Iterator[Level]:
        """Levels below the root, from the top down."""
        return iter(self.levels)


def plant(network: Network) -> Tree:
    """Arrange the network's nodes breadth first; siblings stay together in order of their index."""
    parent = network.parent
    nodes = parent.size
    by_parent = np.argsort(parent, kind="stable")[1:]  # the root, parent -1, comes first
    offset = np.searchsorted(parent[by_parent], np.arange(nodes + 1))
    order = np.empty(nodes, np.int64)
    order[0] = network.root
    positions = np.zeros(nodes, np.int64)
    levels = []
    start, stop = 0, 1
    while stop < nodes:
        above = order[start:stop]
        count = offset[above + 1] - offset[above]
        below = int(count.sum())
        ends = np.cumsum(count)
        picks = np.arange(below) + np.repeat(offset[above] - ends + count, count)
        order[stop : stop + below] = by_parent[picks]
        parents = start + np.flatnonzero(count)
        first = (ends - count)[count > 0]
        above_of = np.repeat(np.arange(start, stop), count)
        positions[stop : stop + below] = above_of
        levels.append(Level(stop, stop + below, above_of, parents, first))
        start, stop = stop, stop + below
    position = np.empty(nodes, np.int64)
    position[order] = np.arange(nodes)
    return Tree(order, position, positions, tuple(levels))


def path_fees(tree: Tree, fee_ticks: Ints) -> Ints:
    """Sum of ``fee_ticks`` (by node) from each node to the root, by position [ticks]."""
    fee = fee_ticks[tree.node]
    total = np.zeros(tree.node.size, np.int64)
    for level in tree.to_leaves():
        here = slice(level.start, level.stop)
        total[here] = total[level.parent] + fee[here]
    return total
