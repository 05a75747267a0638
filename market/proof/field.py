"""Numbers modulo 2^255 - 19 in columns: thousands are multiplied at once, by numpy.

A number is ten limbs of 26 bits, the lowest first, in an int64 array (…, 10, n) of n numbers. Limbs may be negative or
a few bits too long, and the number above the modulus, until ``reduced``: ``times`` takes limbs below 2^29.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

P = 2**255 - 19
LIMBS, LIMB_BITS = 10, 26
_MASK = (1 << LIMB_BITS) - 1
_FOLD = 19 << LIMBS * LIMB_BITS - 255
"""What 2^260, the weight of an eleventh limb, is modulo P."""
BYTES = 32


def from_bytes(data: bytes) -> Ints:
    """The limbs of numbers of 32 bytes each, the lowest byte first."""
    return digits(data, LIMB_BITS)


def digits(data: bytes, width: int) -> Ints:
    """Numbers of 32 bytes each in digits of ``width`` bits: an array (digits, n), the lowest digits first."""
    words = np.frombuffer(data, "<u8").reshape(-1, BYTES // 8).T
    rows = []
    for bit in range(0, 8 * BYTES, width):
        word, shift = divmod(bit, 64)
        row = words[word] >> np.uint64(shift)
        if shift + width > 64 and word + 1 < len(words):
            row = row | words[word + 1] << np.uint64(64 - shift)
        rows.append(row & np.uint64((1 << width) - 1))
    return np.array(rows, np.int64)


def from_numbers(numbers: Iterable[int]) -> Ints:
    return from_bytes(b"".join([number.to_bytes(BYTES, "little") for number in numbers]))


def times(a: Ints, b: Ints) -> Ints:
    """The products; limbs come out below 2^27.3, all but the lowest below 2^26.1. Ten sums of 2^58 stay below 2^62."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    long = np.zeros((*shape[:-2], 2 * LIMBS, shape[-1]), np.int64)
    part = np.empty(shape, np.int64)
    for i in range(LIMBS):
        np.multiply(a[..., i : i + 1, :], b, out=part)
        long[..., i : i + LIMBS, :] += part
    carry = long >> LIMB_BITS
    long &= _MASK
    long[..., 1:, :] += carry[..., :-1, :]
    short, above = long[..., :LIMBS, :], long[..., LIMBS:, :]
    above *= _FOLD
    short += above
    carry = short >> LIMB_BITS
    short &= _MASK
    short[..., 1:, :] += carry[..., :-1, :]
    short[..., 0, :] += _FOLD * carry[..., -1, :]
    return short


def reduced(a: Ints) -> Ints:
    """The same numbers (10, n), each in [0, P) and each limb in [0, 2^26)."""
    a = a.copy()
    top = 255 - (LIMBS - 1) * LIMB_BITS

    def carried() -> None:
        for i in range(LIMBS - 1):
            a[i + 1] += a[i] >> LIMB_BITS
            a[i] &= _MASK

    def folded() -> None:
        a[0] += 19 * (a[-1] >> top)
        a[-1] &= (1 << top) - 1

    for _ in range(2):
        carried()
        folded()
    # Now it is below 2^255 + 2^10: 19 more passes 2^255 just where it is not below P.
    a[0] += 19
    carried()
    folded()
    a[0] -= 19
    carried()
    return a


def to_words(a: Ints) -> npt.NDArray[np.uint64]:
    """``reduced`` numbers as an array (n, 4) of 64 bits each, the lowest first: 32 bytes a number."""
    limbs = a.astype(np.uint64)
    words = np.zeros((BYTES // 8, a.shape[1]), np.uint64)
    for i in range(LIMBS):
        word, shift = divmod(LIMB_BITS * i, 64)
        words[word] |= limbs[i] << np.uint64(shift)
        if shift + LIMB_BITS > 64 and word + 1 < len(words):
            words[word + 1] |= limbs[i] >> np.uint64(64 - shift)
    return np.ascontiguousarray(words.T).astype("<u8")


def inverses(a: Ints) -> Ints:
    """One over each number (10, n), none of them 0, for the price of one inversion in all."""
    if a.shape[1] == 1:
        (number,) = to_numbers(a)
        return from_numbers([pow(number, -1, P)])
    pairs = a.shape[1] // 2
    left, right = a[:, :pairs], a[:, pairs : 2 * pairs]
    both = np.concatenate([times(left, right), a[:, 2 * pairs :]], axis=1)
    over = inverses(both)
    return np.concatenate([times(over[:, :pairs], right), times(over[:, :pairs], left), over[:, pairs:]], axis=1)


def to_numbers(a: Ints) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in to_words(reduced(a))]
