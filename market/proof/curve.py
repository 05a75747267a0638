"""Commitments on edwards25519: they hide a household's figures, bind it to them, and add up.

C = e E + m M + r B commits to an energy e [Wh] and money m [Wh x tick] under the blinding r. B is the curve's base
point; E and M come out of a hash, so that nobody knows how the three relate: with another (e, m) no r would fit.
Source of the scheme: T. P. Pedersen, CRYPTO '91; of the curve: RFC 8032, section 5.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
"""The number of points in the group that B generates; blindings are counted modulo it."""
D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""(X, Y, Z, T) with x = X / Z, y = Y / Z, x y = T / Z."""
_Step = tuple[int, int, int]
"""A table's point as (y + x, y - x, 2 d x y): ready to be added."""

ZERO: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    low, high = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    t, z = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = high - low, z - t, z + t, high + low
    return e * f % P, g * h % P, f * g % P, e * h % P


def negative(a: Point) -> Point:
    x, y, z, t = a
    return P - x, y, z, P - t


def multiply(scalar: int, point: Point) -> Point:
    found = ZERO
    while scalar:
        if scalar & 1:
            found = add(found, point)
        point = add(point, point)
        scalar >>= 1
    return found


def affine(points: Sequence[Point]) -> list[tuple[int, int]]:
    """(x, y) of each point, for the price of one inversion in all."""
    products, product = [], 1
    for point in points:
        products.append(product)
        product = product * point[2] % P
    inverse = pow(product, -1, P)
    found = [(0, 0)] * len(points)
    for i in range(len(points) - 1, -1, -1):
        x, y, z, _ = points[i]
        over = inverse * products[i] % P
        inverse = inverse * z % P
        found[i] = x * over % P, y * over % P
    return found


def encode(points: Sequence[Point]) -> list[bytes]:
    """Each point in 32 bytes (RFC 8032, section 5.1.2)."""
    return [(y | (x & 1) << 255).to_bytes(32, "little") for x, y in affine(points)]


def decode(data: bytes) -> Point | None:
    """The point that 32 bytes stand for; None when they stand for none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        return None
    above, below = y * y - 1, D * y * y + 1
    x = above * pow(below, 3, P) * pow(above * pow(below, 7, P), (P - 5) // 8, P) % P
    if (below * x * x - above) % P:
        x = x * _ROOT_OF_MINUS_1 % P
    if (below * x * x - above) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


@cache
def generator(name: str) -> Point:
    """A point that nobody can express by another: the first hash of the name and a counter that is one, times 8."""
    for counter in range(256):
        point = decode(hashlib.sha256(f"pumasi/1 generator {name} {counter}".encode()).digest())
        if point is not None:
            lifted = multiply(8, point)
            if encode([lifted]) != encode([ZERO]):
                return lifted
    raise AssertionError("one hash in two is a point")


@cache
def base() -> Point:
    point = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


def commit(energy_wh: int, money: int, blinding: int) -> Point:
    """The commitment to both figures; a negative figure counts down."""
    found = _multiple(ZERO, _table("base"), blinding % ORDER)
    for name, figure in (("energy", energy_wh), ("money", money)):
        if figure < 0:
            found = negative(_multiple(negative(found), _table(name), -figure))
        elif figure:
            found = _multiple(found, _table(name), figure)
    return found


WINDOW_BITS = 10


class _Table:
    """Multiples of a point, made as far as they are needed: row i holds those by j 2^(10 i) for j from 1 to 1023."""

    def __init__(self, point: Point) -> None:
        self._unit = point
        self._rows: list[list[_Step]] = []

    def row(self, i: int) -> list[_Step]:
        while len(self._rows) <= i:
            multiples = [self._unit]
            for _ in range((1 << WINDOW_BITS) - 1):
                multiples.append(add(multiples[-1], self._unit))
            self._unit = multiples.pop()
            self._rows.append([((y + x) % P, (y - x) % P, 2 * D * x * y % P) for x, y in affine(multiples)])
        return self._rows[i]


@cache
def _table(name: str) -> _Table:
    return _Table(base() if name == "base" else generator(name))


def _multiple(found: Point, table: _Table, scalar: int) -> Point:
    """``found`` and the multiple of the table's point by a scalar that is not negative."""
    x, y, z, t = found
    i, mask = 0, (1 << WINDOW_BITS) - 1
    while scalar:
        digit = scalar & mask
        if digit:
            rise, fall, bend = table.row(i)[digit - 1]
            low, high, twist, twice = (y - x) * fall % P, (y + x) * rise % P, t * bend % P, 2 * z
            e, f, g, h = high - low, twice - twist, twice + twist, high + low
            x, y, z, t = e * f % P, g * h % P, f * g % P, e * h % P
        scalar >>= WINDOW_BITS
        i += 1
    return x, y, z, t
