"""Commitments in columns against the curve's own, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.proof import columns
from market.proof.curve import ORDER, add, commit, encode

figures = st.tuples(
    st.one_of(st.sampled_from([0, 1, -1, 2047, 2048, -2048]), st.integers(-(2**40), 2**40)),
    st.one_of(st.just(0), st.integers(-(2**70), 2**70)),
    st.one_of(st.sampled_from([0, 1, ORDER - 1]), st.integers(0, ORDER - 1)),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(figures, min_size=1, max_size=7), st.integers(1, 4))
def test_every_commitment_and_every_sum_is_the_curves(rows: list[tuple[int, int, int]], lanes: int) -> None:
    """``lanes`` that are few: columns are cut into several pieces, the last one shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "LANES", lanes)
        energy_wh, money, blindings = (list(column) for column in zip(*rows, strict=True))
        found = columns.encoded(columns.sums(columns.commitments(energy_wh, money, blindings)))
    points = [commit(*row) for row in rows]
    for level in found:
        assert level == encode(points)
        odd = points[len(points) - len(points) % 2 :]
        points = [add(*points[i : i + 2]) for i in range(0, len(points) - 1, 2)] + odd
    assert len(found[-1]) == 1
    total_wh, amount, blinding = (sum(column) for column in zip(*rows, strict=True))
    assert found[-1] == encode([commit(total_wh, amount, blinding)])
