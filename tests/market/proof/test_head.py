"""The chain's heads: each leads to every earlier one by some dozens of hashes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from market.proof import verify
from market.proof.head import GENESIS, Link, entry_hash, head_of, skip, way_back


def test_the_skips_of_the_first_heads() -> None:
    assert [skip(number) for number in range(1, 16)] == [0, 1, 0, 3, 4, 3, 0, 7, 8, 7, 10, 11, 10, 7, 0]
    assert [verify._skip(number) for number in range(1, 3000)] == [skip(number) for number in range(1, 3000)]


def no_hashes(number: int) -> Link:
    return Link(number, b"", b"", b"")


@pytest.mark.parametrize("newest", [1, 2, 100, 35_040])
def test_every_way_back_is_short_and_each_step_is_covered(newest: int) -> None:
    for number in range(1, newest + 1, max(1, newest // 500)):
        numbers = [link.number for link in way_back(newest, number, no_hashes)] + [number]
        assert numbers[0] == newest
        assert all(earlier in (later - 1, skip(later)) for later, earlier in pairwise(numbers))
        assert len(numbers) <= 36


def test_a_head_covers_all_of_its_parts() -> None:
    parts = (1, GENESIS, GENESIS, entry_hash("{}"))
    heads = {head_of(*parts)}
    for place, other in enumerate((2, b"\1" * 32, b"\1" * 32, entry_hash("{ }"))):
        heads.add(head_of(*(other if i == place else part for i, part in enumerate(parts))))  # type: ignore[arg-type]
    assert len(heads) == 5
