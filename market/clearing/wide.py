"""Exact comparison and division of 128-bit products with 64-bit arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from market.clearing.problem import Flags, Ints

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def _product(a: Ints, b: Ints) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(high, low) 64-bit halves of a * b for a, b >= 0."""
    x, y = a.astype(np.uint64), b.astype(np.uint64)
    x0, x1, y0, y1 = x & _LOW, x >> _HALF, y & _LOW, y >> _HALF
    low, cross, other = x0 * y0, x0 * y1, x1 * y0
    middle = (low >> _HALF) + (cross & _LOW) + (other & _LOW)
    high = x1 * y1 + (cross >> _HALF) + (other >> _HALF) + (middle >> _HALF)
    return high, (low & _LOW) | (middle << _HALF)


def compare_products(a: Ints, b: Ints, c: Ints, d: Ints) -> Ints:
    """Sign of a * b - c * d, where a, b, d >= 0 and c may be negative; all below 2^63 in magnitude."""
    negative = c < 0
    left_high, left_low = _product(a, b)
    right_high, right_low = _product(np.where(negative, 0, c), d)
    more: Flags = (left_high > right_high) | ((left_high == right_high) & (left_low > right_low))
    less: Flags = (left_high < right_high) | ((left_high == right_high) & (left_low < right_low))
    sign = more.astype(np.int64) - less
    # A negative c with d > 0 makes the right side negative, the left side is not.
    return np.where(negative & (d > 0), 1, sign)


def divide_product(factor: Ints, numerator: Ints, denominator: Ints) -> tuple[Ints, Ints]:
    """Quotient and remainder of factor * numerator / denominator.

    ``0 <= factor < 2^31``, ``0 <= numerator <= denominator < 2^61``, ``denominator >= 1``.
    A float quotient is off by one at most; the remainder's wrapped 64-bit arithmetic is exact then.
    """
    guess = (factor * (numerator / denominator)).astype(np.int64)
    with np.errstate(over="ignore"):
        rest = factor * numerator - guess * denominator
    for _ in range(2):
        low, high = rest < 0, rest >= denominator
        guess += high.astype(np.int64) - low
        rest += np.where(low, denominator, 0) - np.where(high, denominator, 0)
    return guess, rest


def divide_wide_product(factor: Ints, numerator: Ints, denominator: Ints) -> tuple[Ints, Ints]:
    """As :func:`divide_product`, for ``0 <= factor < 2^61``: the factor is taken in two halves of 31 bits."""
    half = np.int64(31)
    upper, lower = factor >> half, factor & ((1 << 31) - 1)
    whole, rest = divide_product(upper, numerator, denominator)
    # rest * 2^31 = rest * (2^31 - 1) + rest keeps every factor below 2^31.
    shifted, shifted_rest = divide_product(np.full_like(factor, (1 << 31) - 1), rest, denominator)
    quotient = (whole << half) + shifted
    lower_quotient, lower_rest = divide_product(lower, numerator, denominator)
    total = shifted_rest + rest
    carry = total >= denominator
    total -= np.where(carry, denominator, 0)
    quotient += carry + lower_quotient
    total += lower_rest
    carry = total >= denominator
    return quotient + carry, total - np.where(carry, denominator, 0)
