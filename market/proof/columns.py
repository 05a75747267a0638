"""Commitments by the thousand: the arithmetic of ``curve`` on points in columns, for trees of many accounts.

Points are int64 arrays (4, 10, n): the limbs of X, Y, Z and T of n points, as ``field`` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from market.proof import curve, field
from market.proof.field import Ints, times

LANES = 1024
"""Points that are worked on at a time: their limbs stay in the processor's cache."""
WINDOW_BITS = 11
"""23 windows make a blinding's 253 bits."""
_X, _Y, _Z, _T = range(4)


def commitments(energy_wh: Sequence[int], money: Sequence[int], blindings: Sequence[int]) -> Ints:
    """``curve.commit`` of each account's figures, which stay below 2^255."""
    figures = [(_table("energy"), *_digits(energy_wh)), (_table("money"), *_digits(money))]
    blinding, _ = _digits(blindings)
    found = np.empty((4, field.LIMBS, len(blindings)), np.int64)
    for begin in range(0, len(blindings), LANES):
        lanes = slice(begin, begin + LANES)
        points = _zeros(blinding[:, lanes].shape[1])
        points = _table("base").added(points, blinding[:, lanes])
        for table, digits, negative in figures:
            sign = np.where(negative[lanes], -1, 1)
            points[[_X, _T]] *= sign
            points = table.added(points, digits[:, lanes])
            points[[_X, _T]] *= sign
        found[:, :, lanes] = points
    return found


def sums(points: Ints) -> list[Ints]:
    """The points, and level by level the sums of neighbours up to one; the last of an odd number goes up as it is."""
    levels = [points]
    while (count := levels[-1].shape[2]) > 1:
        below = levels[-1]
        odd = below[:, :, count - count % 2 :]
        levels.append(np.concatenate([_plus(below[:, :, 0 : count - 1 : 2], below[:, :, 1::2]), odd], axis=2))
    return levels


def encoded(levels: Sequence[Ints]) -> list[list[bytes]]:
    """The points of each level in 32 bytes each (RFC 8032, section 5.1.2)."""
    points = np.concatenate(levels, axis=2)
    data = bytearray()
    for begin in range(0, points.shape[2], LANES):
        x, y = (field.reduced(part) for part in _affine(points[:, :, begin : begin + LANES]))
        words = field.to_words(y)
        words[:, -1] |= (x[0] & 1).astype(np.uint64) << np.uint64(63)
        data += words.tobytes()
    whole = bytes(data)
    each = iter([whole[i : i + field.BYTES] for i in range(0, len(whole), field.BYTES)])
    return [[next(each) for _ in range(level.shape[2])] for level in levels]


def _plus(a: Ints, b: Ints) -> Ints:
    """The sums of points, one by one."""
    found = np.empty(a.shape, np.int64)
    for begin in range(0, a.shape[2], LANES):
        lanes = slice(begin, begin + LANES)
        found[:, :, lanes] = _plus_some(a[:, :, lanes], b[:, :, lanes])
    return found


def _plus_some(a: Ints, b: Ints) -> Ints:
    doubled = field.from_numbers([2 * curve.D % field.P])
    low, high, bend, twice = times(
        np.stack([a[_Y] - a[_X], a[_Y] + a[_X], a[_T], 2 * a[_Z]]),
        np.stack([b[_Y] - b[_X], b[_Y] + b[_X], b[_T], b[_Z]]),
    )
    return _closed(low, high, times(bend, doubled), twice)


def _closed(low: Ints, high: Ints, twist: Ints, twice: Ints) -> Ints:
    """The last step of every addition: (E F, G H, F G, E H)."""
    e, f, g, h = high - low, twice - twist, twice + twist, high + low
    return times(np.stack([e, g, f, e]), np.stack([f, h, g, h]))


def _affine(points: Ints) -> Ints:
    return times(points[:_Z], field.inverses(points[_Z]))


def _zeros(count: int) -> Ints:
    points = np.zeros((4, field.LIMBS, count), np.int64)
    points[_Y, 0] = points[_Z, 0] = 1
    return points


def _digits(numbers: Sequence[int]) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The windows' digits of the numbers' amounts, (windows in use, n), and which of them are negative."""
    data = b"".join([abs(number).to_bytes(field.BYTES, "little") for number in numbers])
    digits = field.digits(data, WINDOW_BITS)
    used = np.flatnonzero(digits.any(axis=1))
    return digits[: used[-1] + 1 if len(used) else 0], np.array([number < 0 for number in numbers], bool)


class _Table:
    """Multiples of a point, made as far as they are needed: row i holds those by j 2^(11 i) for j from 0 to 2047.

    A row is an array (3, 10, 2048): y + x, y - x and 2 d x y of each, ready to be added.
    """

    def __init__(self, point: curve.Point) -> None:
        self._unit = point
        self._rows: list[Ints] = []

    def added(self, points: Ints, digits: Ints) -> Ints:
        """The points and, to each, the multiple that its digits (windows, n) say."""
        self._reach(len(digits))
        for row, digit in zip(self._rows, digits, strict=False):
            rise, fall, bend = row[:, :, digit]
            x, y, z, t = points
            low, high, twist = times(np.stack([y - x, y + x, t]), np.stack([fall, rise, bend]))
            points = _closed(low, high, twist, 2 * z)
        return points

    def _reach(self, rows: int) -> None:
        """Make the rows that are missing, side by side: each power of two doubles what is there."""
        missing = rows - len(self._rows)
        if missing <= 0:
            return
        powers: list[list[curve.Point]] = []
        for _ in range(missing):
            powers.append([])
            for _ in range(WINDOW_BITS):
                powers[-1].append(self._unit)
                self._unit = curve.add(self._unit, self._unit)
        multiples = _zeros(missing)[:, :, :, None]
        for bit in range(WINDOW_BITS):
            step = _columns([row[bit] for row in powers])[:, :, :, None]
            count = multiples.shape[3]
            raised = _plus(
                multiples.reshape(4, field.LIMBS, -1), np.repeat(step, count, axis=3).reshape(4, field.LIMBS, -1)
            )
            multiples = np.concatenate([multiples, raised.reshape(multiples.shape)], axis=3)
        doubled = field.from_numbers([2 * curve.D % field.P])
        for row in range(missing):
            x, y = _affine(multiples[:, :, row])
            steps = (y + x, y - x, times(times(x, y), doubled))
            self._rows.append(np.stack([field.reduced(step) for step in steps]))


def _columns(points: Sequence[curve.Point]) -> Ints:
    return np.stack([field.from_numbers(numbers) for numbers in zip(*points, strict=True)])


@cache
def _table(name: str) -> _Table:
    return _Table(curve.base() if name == "base" else curve.generator(name))
