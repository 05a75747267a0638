"""Whose energy came which way: fees traced along the flows by proportional sharing.

At each node what flows in mixes, and everything that flows out or is used there draws from the mix in proportion
(J. Bialek, Tracing the flow of electricity, IEE Proceedings 143(4), 1996). Fees paid on the way travel with the
energy, so they end at the buyers who received it. Matches play no part.
"""

from __future__ import annotations

import numpy as np

from market.clearing.ordering import order_by
from market.clearing.problem import Book, Ints, Network
from market.clearing.remainder import split
from market.clearing.tree import Tree, plant


def fees_paid(book: Book, network: Network, accepted_wh: Ints, flow_wh: Ints) -> Ints:
    """What each order owes in network fees, zero for asks [Wh x tick]; adds up to the fees of all flows.

    Whole amounts by largest remainder: a node's own buyers before the ways out of it, buyers by id.
    """
    owed = np.zeros(book.orders, np.int64)
    if not (network.fee_ticks.any() or network.fee_down_ticks.any()) or not flow_wh.any():
        return owed
    tree = plant(network)
    flow = flow_wh[:, tree.node].T
    buyers = np.flatnonzero((accepted_wh > 0) & ~book.sell)
    cell = tree.position[book.node[buyers]] * book.intervals + book.interval[buyers]
    used = np.zeros(flow.size, np.int64)
    np.add.at(used, cell, accepted_wh[buyers])
    carried = _carry(tree, network, flow, used.reshape(flow.shape))
    queue = order_by(book.id[buyers], -book.energy_wh[buyers])
    place = np.empty(buyers.size, np.int64)
    place[queue] = np.arange(buyers.size)
    owed[buyers] = split(carried.reshape(-1), cell, accepted_wh[buyers], place)
    return owed


def _carry(tree: Tree, network: Network, flow: Ints, used: Ints) -> Ints:
    """Fees that arrive with the energy used at each node, (nodes, intervals)."""
    fee_up, fee_down = network.fee_ticks[tree.node, None], network.fee_down_ticks[tree.node, None]
    arriving = np.zeros(flow.shape, np.int64)
    staying = np.zeros(flow.shape, np.int64)
    passed_down = np.zeros(flow.shape, np.int64)
    bounds = [(0, 1), *((level.start, level.stop) for level in tree.levels), (flow.shape[0], flow.shape[0])]
    # A node that imports from its parent waits for it; all others depend on their children alone.
    for depth in range(len(tree.levels), -1, -1):
        here, below = slice(*bounds[depth]), slice(*bounds[depth + 1])
        ready = flow[here] >= 0
        up = _divide(tree, flow, used, arriving, staying, passed_down, here, below, ready)
        if depth:
            np.add.at(arriving, tree.parent[here], up + np.maximum(flow[here], 0) * fee_up[here])
    for depth in range(1, len(tree.levels) + 1):
        here, below = slice(*bounds[depth]), slice(*bounds[depth + 1])
        waits = flow[here] < 0
        arriving[here] += np.where(waits, passed_down[here] - flow[here] * fee_down[here], 0)
        _divide(tree, flow, used, arriving, staying, passed_down, here, below, waits)
    return staying


def _divide(
    tree: Tree,
    flow: Ints,
    used: Ints,
    arriving: Ints,
    staying: Ints,
    passed_down: Ints,
    here: slice,
    below: slice,
    which: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> Ints:
    """Divide what arrived at the nodes ``which`` of a level among use, parent and children; return the parents'."""
    nodes, intervals = flow[here].shape
    cells = np.arange(nodes * intervals)
    child_cell = ((tree.parent[below] - here.start)[:, None] * intervals + np.arange(intervals)).reshape(-1)
    taken = np.maximum(-flow[below], 0).reshape(-1) * which.reshape(-1)[child_cell]
    share = split(
        np.where(which, arriving[here], 0).reshape(-1),
        np.concatenate([cells, cells, child_cell]),
        np.concatenate([used[here].reshape(-1), np.maximum(flow[here], 0).reshape(-1), taken]),
        np.concatenate([np.full(cells.size, -2), np.full(cells.size, -1), np.repeat(tree.node[below], intervals)]),
    )
    own, up, down = np.split(share, [cells.size, 2 * cells.size])
    staying[here] += own.reshape(nodes, intervals)
    passed_down[below] += down.reshape(-1, intervals)
    result: Ints = up.reshape(nodes, intervals)
    return result


def dearest_way_in(network: Network) -> Ints:
    """F(n): the greatest sum of fees on the way from any node of the network to each node [ticks]."""
    tree = plant(network)
    up, down = network.fee_ticks[tree.node], network.fee_down_ticks[tree.node]
    nodes = tree.node.size
    inside = np.zeros(nodes, np.int64)  # from any node at or under it
    second = np.zeros(nodes, np.int64)  # the same, without the dearest child
    dearest = np.full(nodes, -1, np.int64)
    for level in tree.from_leaves():
        at = np.arange(level.start, level.stop)
        for child in at[np.argsort(inside[at] + up[at], kind="stable")].tolist():
            above, way = tree.parent[child], inside[child] + up[child]
            if way >= inside[above]:
                inside[above], second[above], dearest[above] = way, inside[above], child
    outside = np.zeros(nodes, np.int64)  # from anywhere else, through the parent
    for level in tree.to_leaves():
        at = np.arange(level.start, level.stop)
        beside = np.where(dearest[level.parent] == at, second[level.parent], inside[level.parent])
        outside[at] = np.maximum(beside, outside[level.parent]) + down[at]
    way_in = np.empty(nodes, np.int64)
    way_in[tree.node] = np.maximum(inside, outside)
    return way_in
