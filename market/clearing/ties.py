"""The tie rule: which of the optimal allocations is the result.

Among the optima: greatest traded energy, then the least sum of q^2 / Q (equal fill ratios wherever
limits allow), rounded down the tree by largest remainder at each node so that no limit breaks. It is a
pure function of book, network and witness, in integers.

The witness leaves free exactly the orders priced at their node's price and the edges whose price
difference is exactly their fee. From there:

1. ``_sides``: a Wh more traded is worth one. The dual of that problem gives every node 0 (its asks share,
   its bids are full) or 1 (its bids share, its asks are full) and closes the edges between the two.
2. ``_pools``: nodes joined by edges that are neither closed nor full share one fill ratio, a fraction of
   integers. Edges that the common ratio would overfill are set to their limit and part the pool.
3. ``_round``: from each pool's top down, every node hands the units that rounding left over to its own
   orders and to its children, by largest remainder; ties go to own orders before children, then by id,
   then to the greater energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.clearing.frame import Frame
from market.clearing.ordering import order_by
from market.clearing.problem import LIMIT_BOUND_WH, NO_PRICE, Flags, Ints
from market.clearing.tree import Level
from market.clearing.wide import compare_products, divide_product, divide_wide_product


@dataclass(frozen=True, eq=False)
class Allocation:
    """``accepted`` over the frame's orders [Wh], ``flow`` (nodes, intervals) to the parent [Wh]."""

    accepted: Ints
    flow: Ints


def share(frame: Frame, price: Ints) -> Allocation:
    """Return the one allocation the tie rule picks. ``price`` (nodes, intervals) is an optimal witness."""
    at_node = price.reshape(-1)[frame.cell]
    marginal = frame.price == at_node
    full = np.where(frame.sell, frame.price < at_node, frame.price > at_node)
    accepted = np.where(full, frame.energy, 0)
    fixed = frame.sum_by_cell(np.where(frame.sell, accepted, -accepted))
    rows = np.flatnonzero(marginal)
    lower, upper = _leeway(frame, price)
    free = _Free(rows, frame.cell[rows], frame.sell[rows], frame.energy[rows])
    asks = frame.sum_by_cell(np.where(free.sell, free.energy, 0), free.cell)
    bids = frame.sum_by_cell(np.where(free.sell, 0, free.energy), free.cell)
    bids_share = _sides(frame, fixed, asks, bids, lower, upper)
    pools = _pools(frame, fixed, asks, bids, bids_share, lower, upper)
    shared, flow = _round(frame, free, pools)
    accepted[rows] = shared
    return Allocation(accepted, flow)


@dataclass(frozen=True, eq=False)
class _Free:
    """The orders at their node's price: rows of the frame, cells, sides, energy."""

    row: Ints
    cell: Ints
    sell: Flags
    energy: Ints


def _leeway(frame: Frame, price: Ints) -> tuple[Ints, Ints]:
    """Least and greatest flow of each edge that the witness allows."""
    lower, upper = np.zeros(frame.shape, np.int64), np.zeros(frame.shape, np.int64)
    for level in frame.tree.to_leaves():
        at = slice(level.start, level.stop)
        here, above = price[at], price[level.parent]
        known = (here != NO_PRICE) & (above != NO_PRICE)
        rise = np.where(known, above, 0) - np.where(known, here, 0)
        fee_up, fee_down = frame.fee_up[at, None], frame.fee_down[at, None]
        up, down = frame.up[at], -frame.down[at]
        upper[at] = np.where(rise >= fee_up, up, np.where(rise < -fee_down, down, 0))
        lower[at] = np.where(rise <= -fee_down, down, np.where(rise > fee_up, up, 0))
        # Nothing bounds a price where nothing can flow.
        upper[at][~known] = 0
        lower[at][~known] = 0
    return lower, upper


def _add_up(total: Ints, level: Level, child: Ints) -> None:
    """Add a level's values to its parents'."""
    total[level.parents] += np.add.reduceat(child, level.first_child, axis=0)


def _sides(frame: Frame, fixed: Ints, asks: Ints, bids: Ints, lower: Ints, upper: Ints) -> Flags:
    """Whether a node's bids share (true) or its asks; closes edges between the two kinds at their limit."""
    if not (asks.any() and bids.any()):
        bids_share = np.zeros(frame.shape, np.bool_)
        if bids.any():
            bids_share[:] = True
        return bids_share
    # Net supply of each subtree below 0, between 0 and 1, above 1.
    least, between, most = fixed - bids, fixed + asks - bids, fixed + asks
    for level in frame.tree.from_leaves():
        at = slice(level.start, level.stop)
        for curve in (least, between, most):
            _add_up(curve, level, np.clip(curve[at], lower[at], upper[at]))
    bids_share = np.empty(frame.shape, np.bool_)
    bids_share[0] = between[0] < 0
    for level in frame.tree.to_leaves():
        at = slice(level.start, level.stop)
        above = bids_share[level.parent]
        # At the parent's price the child would pass its limit: its own price is the other one.
        too_much, too_little = between[at] > upper[at], between[at] < lower[at]
        here = np.where(above, ~too_much, too_little)
        bids_share[at] = here
        closed = here != above
        lower[at] = np.where(closed & ~here, upper[at], lower[at])
        upper[at] = np.where(closed & here, lower[at], upper[at])
    return bids_share


@dataclass(frozen=True, eq=False)
class _Pools:
    """Fill ratio ``numerator / denominator`` of each cell's pool, and the edges' state.

    ``sign`` is -1 where bids share: flows, constants and limits are then counted towards the leaves. ``joined``
    edges lie within a pool; the others carry ``set_flow`` (to the parent). ``constant`` is what leaves each node
    apart from its sharing orders and joined edges; ``below`` and ``weight`` sum constants and sharing energy over
    the pool's nodes at or under each cell.
    """

    sign: Ints
    numerator: Ints
    denominator: Ints
    joined: Flags
    set_flow: Ints
    constant: Ints
    below: Ints
    weight: Ints


def _pools(frame: Frame, fixed: Ints, asks: Ints, bids: Ints, bids_share: Flags, lower: Ints, upper: Ints) -> _Pools:
    sign = np.where(bids_share, -1, 1)
    constant = np.where(bids_share, -(fixed + asks), fixed - bids)
    own = np.where(bids_share, bids, asks)
    low, high = np.where(bids_share, -upper, lower), np.where(bids_share, -lower, upper)
    joined = low < high
    joined[0] = False
    set_flow = np.where(joined, 0, lower)
    set_flow[0] = 0
    _part(frame, constant, sign, set_flow, ~joined)
    size = frame.shape
    pools = _Pools(
        sign,
        np.zeros(size, np.int64),
        np.ones(size, np.int64),
        joined,
        set_flow,
        constant,
        constant.copy(),
        own.copy(),
    )
    columns = np.arange(frame.intervals)
    while columns.size:
        columns = columns[_try(frame, pools, own, low, high, columns)]
    return pools


def _part(frame: Frame, constant: Ints, sign: Ints, set_flow: Ints, where: Flags) -> None:
    """Count the set flows of the edges ``where`` as constants of the nodes at their two ends."""
    moved = np.where(where, set_flow, 0)
    constant -= sign * moved
    for level in frame.tree.from_leaves():
        arriving = np.add.reduceat(moved[level.start : level.stop], level.first_child, axis=0)
        constant[level.parents] += sign[level.parents] * arriving


def _try(frame: Frame, pools: _Pools, own: Ints, low: Ints, high: Ints, columns: Ints) -> Flags:
    """Fill every pool by one ratio; part the pools where that overfills an edge. Returns the columns changed.

    At ratio r a pool supplies g(r), with each edge's flow cut to its limits; g rises. If g(r) < 0 the true ratio
    is greater, so the edges cut from above at r stay cut at the true ratio and can be set; likewise from below.
    """
    everything = columns.size == frame.intervals
    which = slice(None) if everything else columns
    joined, constant, weight = pools.joined[:, which], pools.constant[:, which], own[:, which]
    low, high = low[:, which], high[:, which]
    levels = frame.tree.levels

    below, under = constant.copy(), weight.copy()
    for level in reversed(levels):
        at = slice(level.start, level.stop)
        _add_up(below, level, np.where(joined[at], below[at], 0))
        _add_up(under, level, np.where(joined[at], under[at], 0))
    numerator = np.clip(-below, 0, under)
    denominator = np.maximum(under, 1)
    for level in levels:
        at = slice(level.start, level.stop)
        numerator[at] = np.where(joined[at], numerator[level.parent], numerator[at])
        denominator[at] = np.where(joined[at], denominator[level.parent], denominator[at])

    over, short = np.zeros(joined.shape, np.bool_), np.zeros(joined.shape, np.bool_)
    cut, slope = constant.copy(), weight.copy()
    for level in reversed(levels):
        at = slice(level.start, level.stop)
        ratio = slope[at], numerator[at]
        over[at] = joined[at] & (compare_products(*ratio, high[at] - cut[at], denominator[at]) > 0)
        short[at] = joined[at] & (compare_products(*ratio, low[at] - cut[at], denominator[at]) < 0)
        free = joined[at] & ~over[at] & ~short[at]
        limit = np.where(over[at], high[at], np.where(short[at], low[at], 0))
        _add_up(cut, level, np.where(free, cut[at], limit))
        _add_up(slope, level, np.where(free, slope[at], 0))
    pools.numerator[:, which], pools.denominator[:, which] = numerator, denominator
    pools.below[:, which], pools.weight[:, which] = below, under
    if not (over.any() or short.any()):
        return np.zeros(columns.size, np.bool_)

    supply = compare_products(slope, numerator, -cut, denominator)
    for level in levels:
        at = slice(level.start, level.stop)
        above = level.parent
        supply[at] = np.where(joined[at], supply[above], supply[at])
    # A cut from above lowers the ratio below it, a cut from below raises it. So the judgement holds for an edge
    # unless one of the same kind lies between it and the pool's top.
    parted = np.zeros(joined.shape, np.bool_)
    for cuts, settled in ((over, supply <= 0), (short, supply >= 0)):
        hidden = np.zeros(joined.shape, np.bool_)
        for level in levels:
            at = slice(level.start, level.stop)
            hidden[at] = joined[at] & (cuts | hidden)[level.parent]
        parted |= cuts & settled & ~hidden
    sign = pools.sign[:, which]
    flow = np.where(parted, sign * np.where(over, high, low), 0)
    _part(frame, constant, sign, flow, parted)
    pools.joined[:, which] = joined & ~parted
    pools.set_flow[:, which] += flow
    pools.constant[:, which] = constant
    changed: Flags = np.any(parted, axis=0)
    return changed


def _round(frame: Frame, free: _Free, pools: _Pools) -> tuple[Ints, Ints]:
    """Whole Wh for the free orders and all edges, by largest remainder from each pool's top down."""
    sharing = free.sell == (pools.sign.reshape(-1)[free.cell] > 0)
    accepted = free.energy.copy()
    rows = np.flatnonzero(sharing)
    cell = free.cell[rows]
    floor, rest = divide_product(
        free.energy[rows], pools.numerator.reshape(-1)[cell], pools.denominator.reshape(-1)[cell]
    )
    carried, carried_rest = np.zeros(frame.shape, np.int64), np.zeros(frame.shape, np.int64)
    edge = np.nonzero(pools.joined)
    quotient, carried_rest[edge] = divide_wide_product(
        pools.weight[edge], pools.numerator[edge], pools.denominator[edge]
    )
    carried[edge] = pools.below[edge] + quotient
    bonus_order, rank_edge = _ranks(frame, free, pools, rows, rest, carried_rest)

    # What each node still has to hand out once every share under it is floored.
    given = frame.sum_by_cell(floor, cell)
    for level in frame.tree.from_leaves():
        at = slice(level.start, level.stop)
        _add_up(given, level, np.where(pools.joined[at], carried[at], 0))
    left = -pools.constant - given
    for level in frame.tree.to_leaves():
        at = slice(level.start, level.stop)
        carried[at] += pools.joined[at] & (rank_edge[at] < left[level.parent])
        left[at] += np.where(pools.joined[at], carried[at], 0)
    accepted[rows] = floor + (bonus_order < left.reshape(-1)[cell])
    return accepted, np.where(pools.joined, pools.sign * carried, pools.set_flow)


_LAST = LIMIT_BOUND_WH


def _ranks(frame: Frame, free: _Free, pools: _Pools, rows: Ints, rest: Ints, carried_rest: Ints) -> tuple[Ints, Ints]:
    """Each share's place in its node's queue for the units left over, for orders and for edges."""
    rank_order = np.full(rows.size, _LAST, np.int64)
    rank_edge = np.full(frame.shape, _LAST, np.int64)
    some = np.flatnonzero(rest)
    position, interval = np.nonzero(carried_rest)
    parent_cell = frame.tree.parent[position] * frame.intervals + interval
    source = free.row[rows[some]]
    cell = np.concatenate([frame.cell[source], parent_cell])
    if not cell.size:
        return rank_order, rank_edge
    remainder = np.concatenate([rest[some], carried_rest[position, interval]])
    child = np.concatenate([np.zeros(some.size, np.int64), frame.tree.node[position] + 1])
    name = np.concatenate([frame.id[source], np.zeros(position.size, np.int64)])
    energy = np.concatenate([frame.energy[source], np.zeros(position.size, np.int64)])
    # A float's leading bits of the ratio sort almost everything; the exact keys settle what they leave equal.
    share = remainder / pools.denominator.reshape(-1)[cell]
    order = order_by(cell, -(share * 2**32).astype(np.int64), -remainder, child, name, -energy)
    cell = cell[order]
    begins = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
    place = np.arange(cell.size) - np.repeat(begins, np.diff(np.append(begins, cell.size)))
    rank = np.empty(cell.size, np.int64)
    rank[order] = place
    rank_order[some] = rank[: some.size]
    rank_edge[position, interval] = rank[some.size :]
    return rank_order, rank_edge
