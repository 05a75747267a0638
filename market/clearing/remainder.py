"""Split integers in proportion to weights, exactly: floors, then one unit each by largest remainder."""

from __future__ import annotations

import numpy as np

from market.clearing.ordering import order_by
from market.clearing.problem import Ints
from market.clearing.wide import divide_wide_product


def split(total: Ints, group: Ints, weight: Ints, tie: Ints) -> Ints:
    """Return what each item gets of its group's total.

    Args:
        total: (groups,) what to hand out, 0 or more.
        group: (items,) index of each item's group.
        weight: (items,) 0 or more, below 2^61 in sum per group. A group of weight 0 gets nothing.
        tie: (items,) equal remainders: lower goes first, then the item's place.

    The shares of a group with weight add up to its total; each is its proportional share, floored or one more.
    """
    weights = np.zeros(total.size, np.int64)
    np.add.at(weights, group, weight)
    amount = np.where(weights > 0, total, 0)
    share = np.zeros(group.size, np.int64)
    some = np.flatnonzero((weight > 0) & (amount[group] > 0))
    if not some.size:
        return share
    inside, part = group[some], weight[some]
    whole, over = np.divmod(amount, np.maximum(weights, 1))
    quotient, rest = divide_wide_product(part, over[inside], weights[inside])
    share[some] = whole[inside] * part + quotient
    left = amount.copy()
    np.subtract.at(left, inside, share[some])
    queue = np.flatnonzero((rest > 0) & (left[inside] > 0))
    if not queue.size:
        return share
    inside, rest = inside[queue], rest[queue]
    # A float's leading bits sort almost everything; the exact remainder settles what they leave equal.
    lead = -(rest / weights[inside] * 2**30).astype(np.int64)
    order = order_by(inside, lead, -rest, tie[some[queue]])
    inside = inside[order]
    begin = np.concatenate([[True], inside[1:] != inside[:-1]])
    place = np.arange(order.size)
    place -= np.maximum.accumulate(np.where(begin, place, 0))
    share[some[queue[order]]] += place < left[inside]
    return share
