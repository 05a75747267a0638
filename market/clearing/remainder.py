"""Split integers in proportion to weights, exactly: floors, then one unit each by largest remainder."""

from __future__ import annotations

import numpy as np

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
    whole, part = np.divmod(np.where(weights > 0, total, 0), np.maximum(weights, 1))
    quotient, rest = divide_wide_product(weight, part[group], np.maximum(weights, 1)[group])
    share = whole[group] * weight + quotient
    left = np.where(weights > 0, total, 0)
    np.subtract.at(left, group, share)
    order = np.lexsort((tie, -rest, group))
    sorted_group = group[order]
    first = np.searchsorted(sorted_group, sorted_group)
    share[order] += np.arange(order.size) - first < left[sorted_group]
    return share
