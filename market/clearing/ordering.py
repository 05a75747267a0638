"""Sort by several integer keys: as many as fit are packed into one int64, which numpy sorts fastest."""

from __future__ import annotations

import numpy as np

from market.clearing.problem import Ints

_BITS = 62


def order_by(*keys: Ints) -> Ints:
    """Return the order of the items by the keys, most significant first, then by place."""
    items = keys[0].size
    packed, bits, taken = np.zeros(items, np.int64), 0, 0
    if not items:
        return packed
    for key in keys:
        least = int(key.min())
        width = (int(key.max()) - least).bit_length()
        if bits + width > _BITS:
            break
        packed = (packed << width) | (key - least)
        bits, taken = bits + width, taken + 1
    order = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    if not same.any():
        return order
    tied = np.zeros(items, np.bool_)
    tied[1:] = same
    tied[:-1] |= same
    at = np.flatnonzero(tied)
    rows = order[at]
    order[at] = rows[np.lexsort((rows, *(key[rows] for key in reversed(keys[taken:])), packed[at]))]
    return order
