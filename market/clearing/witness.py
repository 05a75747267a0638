"""The witness: both ends of every node's price, and the one price in the middle.

The optimal prices of a tree form a lattice: the joint minimum and the joint maximum are both
optimal, and so is their floored middle (discrete midpoint convexity; Murota, Discrete Convex
Analysis, 2003, theorem 7.7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.clearing.frame import INFINITE, Frame, settle_far
from market.clearing.problem import NO_PRICE, Flags, Ints


@dataclass(frozen=True, eq=False)
class Ends:
    """Prices at which each node's net supply is zero, its limit up and its limit down: low and high ends.

    Arrays are (nodes, intervals); an infinite price where the curve never gets there or nothing bounds it.
    """

    zero_low: Ints
    zero_high: Ints
    up_low: Ints
    up_high: Ints
    down_low: Ints
    down_high: Ints

    def low(self, at: slice, above: Ints, fee_up: Ints, fee_down: Ints) -> Ints:
        """Least optimal price of the nodes ``at``, given their parents' price."""
        return _within(self.zero_low[at], self.up_low[at], self.down_low[at], above, fee_up, fee_down)

    def high(self, at: slice, above: Ints, fee_up: Ints, fee_down: Ints) -> Ints:
        """Greatest optimal price of the nodes ``at``, given their parents' price."""
        return _within(self.zero_high[at], self.up_high[at], self.down_high[at], above, fee_up, fee_down)


def _within(zero: Ints, up: Ints, down: Ints, above: Ints, fee_up: Ints, fee_down: Ints) -> Ints:
    free = np.clip(zero, above - fee_up, above + fee_down)
    return settle_far(np.maximum(down, np.minimum(up, free)))


@dataclass(frozen=True, eq=False)
class Witness:
    """(nodes, intervals) arrays of prices [ticks], NO_PRICE where nothing bounds them."""

    low: Ints
    high: Ints
    price: Ints


def descend(frame: Frame, ends: Ends) -> Witness:
    """Choose every node's low and high end from the root down, and the price between them."""
    low = _from_root(frame, ends.zero_low[0], ends.low)
    high = _from_root(frame, ends.zero_high[0], ends.high)
    return publish(low, high, _middle(frame, ends, low, high))


def _from_root(frame: Frame, root: Ints, rule: Callable[[slice, Ints, Ints, Ints], Ints]) -> Ints:
    price = np.empty(frame.shape, np.int64)
    price[0] = root
    for level in frame.tree.to_leaves():
        at = slice(level.start, level.stop)
        price[at] = rule(at, price[level.parent], frame.fee_up[at, None], frame.fee_down[at, None])
    return price


def halfway(low: Ints, high: Ints) -> Ints:
    """Floored middle; the bounded end where the other is not; zero where neither is."""
    no_low, no_high = low == -INFINITE, high == INFINITE
    middle = (low + high) >> 1
    return np.where(no_low, np.where(no_high, 0, high), np.where(no_high, low, middle))


def one_way(frame: Frame) -> Flags:
    """Edges that let energy through in one direction only, (nodes, intervals)."""
    edges: Flags = (frame.up == 0) != (frame.down == 0)
    edges[0] = False
    return edges


def _middle(frame: Frame, ends: Ends, low: Ints, high: Ints) -> Ints:
    wanted = halfway(low, high)
    if not one_way(frame).any():
        return wanted
    # Behind a one-way edge one node may have both ends and its neighbour only one. Choosing them apart could
    # break the edge's fee, so each price is kept within what the parent's chosen price leaves it.
    price = np.empty(frame.shape, np.int64)
    price[0] = wanted[0]
    for level in frame.tree.to_leaves():
        at = slice(level.start, level.stop)
        given = price[level.parent], frame.fee_up[at, None], frame.fee_down[at, None]
        price[at] = np.clip(wanted[at], ends.low(at, *given), ends.high(at, *given))
    return price


def publish(low: Ints, high: Ints, price: Ints) -> Witness:
    """Replace infinite ends by NO_PRICE."""
    no_low, no_high = low == -INFINITE, high == INFINITE
    return Witness(
        np.where(no_low, NO_PRICE, low),
        np.where(no_high, NO_PRICE, high),
        np.where(no_low & no_high, NO_PRICE, price),
    )
