"""Numbers in columns against Python's own integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market.proof import field
from market.proof.field import LIMB_BITS, P, times

EDGES = [0, 1, 2, 18, 19, P - 1, P - 2, P - 19, 2**26 - 1, 2**234, 2**255 - 20]
residues = st.one_of(st.sampled_from(EDGES), st.integers(0, P - 1))
many = st.lists(residues, min_size=1, max_size=9)


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=9))
def test_whatever_32_bytes_say_is_read_and_reduced(numbers: list[int]) -> None:
    assert field.to_numbers(field.from_numbers(numbers)) == [number % P for number in numbers]
    data = b"".join(number.to_bytes(32, "little") for number in numbers)
    for width in (LIMB_BITS, 11, 64):
        rows = field.digits(data, width).astype(object) if width < 64 else field.digits(data, width).view(np.uint64)
        assert [sum(int(d) << width * i for i, d in enumerate(column)) for column in rows.T] == numbers


@settings(deadline=None)
@given(many, st.data())
def test_products_sums_and_differences_are_exact(numbers: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(residues, min_size=len(numbers), max_size=len(numbers)))
    a, b = field.from_numbers(numbers), field.from_numbers(others)
    pairs = list(zip(numbers, others, strict=True))
    assert field.to_numbers(times(a, b)) == [x * y % P for x, y in pairs]
    assert field.to_numbers(times(np.stack([a, b]), np.stack([b, b]))[1]) == [y * y % P for _, y in pairs]
    # As an addition of points goes: products of sums and differences of products.
    low, high, twice = times(a - b, b - a), times(a + b, a + b), 2 * times(a, b)
    e, f = high - low, twice - times(b, b)
    due = [((x + y) ** 2 - (x - y) * (y - x)) * (2 * x * y - y * y) % P for x, y in pairs]
    assert field.to_numbers(times(e, f)) == due
    assert field.to_numbers(-e - f) == [(-((x + y) ** 2) + (x - y) * (y - x) - 2 * x * y + y * y) % P for x, y in pairs]


def test_no_sum_passes_64_bits() -> None:
    """Limbs as long as ``times`` takes them, of either sign: an overflow would come out as another number."""
    longest = 2**29 - 1
    for signs in ((1, 1), (1, -1), (-1, -1)):
        a, b = (np.full((field.LIMBS, 1), sign * longest) for sign in signs)
        value = sum(longest << LIMB_BITS * i for i in range(field.LIMBS))
        product = times(a, b)
        assert field.to_numbers(product) == [signs[0] * signs[1] * value * value % P]
        assert abs(product).max() < 2**28


@settings(deadline=None)
@given(st.lists(residues.filter(bool), min_size=1, max_size=20))
def test_inverses(numbers: list[int]) -> None:
    assert field.to_numbers(field.inverses(field.from_numbers(numbers))) == [pow(number, -1, P) for number in numbers]
