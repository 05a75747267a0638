"""128-bit arithmetic against Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.clearing.remainder import split
from market.clearing.wide import compare_products, divide_product, divide_wide_product

BIG = st.integers(0, 2**63 - 1)


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@settings(max_examples=400, deadline=None)
@given(BIG, BIG, st.integers(-(2**63) + 1, 2**63 - 1), BIG)
def test_compare_products(a: int, b: int, c: int, d: int) -> None:
    for left, right in (((a, b), (c, d)), ((a, b), (b, a)), ((a, b), (a, max(b - 1, 0)))):
        expected = (left[0] * left[1] > right[0] * right[1]) - (left[0] * left[1] < right[0] * right[1])
        got = compare_products(array(left[0]), array(left[1]), array(right[0]), array(right[1]))
        assert got.tolist() == [expected]


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 2**61 - 1), st.data())
def test_divide(denominator: int, data: st.DataObject) -> None:
    numerator = data.draw(st.integers(0, denominator) | st.just(denominator) | st.just(denominator - 1))
    for divide, bound in ((divide_product, 2**31), (divide_wide_product, 2**61)):
        factor = data.draw(st.integers(0, bound - 1) | st.just(bound - 1))
        quotient, rest = divide(array(factor), array(numerator), array(denominator))
        assert (int(quotient[0]), int(rest[0])) == divmod(factor * numerator, denominator)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**31), st.integers(0, 3)), max_size=12), st.data())
def test_split_is_proportional_and_whole(items: list[tuple[int, int, int]], data: st.DataObject) -> None:
    total = data.draw(st.lists(st.integers(0, 2**60), min_size=4, max_size=4))
    group, weight, tie = (array(*(item[at] for item in items)) for at in range(3))
    share = split(array(*total), group, weight, tie).tolist()
    for index in range(4):
        members = [at for at, item in enumerate(items) if item[0] == index]
        weights = sum(items[at][1] for at in members)
        if not weights:
            assert all(share[at] == 0 for at in members)
            continue
        assert sum(share[at] for at in members) == total[index]
        for at in members:
            assert share[at] - total[index] * items[at][1] // weights in (0, 1)


@pytest.mark.parametrize(("tie", "expected"), [([0, 1, 2], [2, 1, 1]), ([2, 1, 0], [1, 1, 2])])
def test_split_breaks_ties_by_rank(tie: list[int], expected: list[int]) -> None:
    assert split(array(4), array(0, 0, 0), array(1, 1, 1), array(*tie)).tolist() == expected
