"""Preferred pairs: the model, its integrality and its certificate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market import Book, Network, ProblemError, clear
from market.clearing.preferences import Pairs, clear_preferred, verify_preferred
from tests.market.clearing.problems import random_problem

ONE = Network([-1], [-1], [0])


def pairs(*entries: tuple[int, int, int]) -> Pairs:
    return Pairs(*(np.array([entry[at] for entry in entries], np.int64) for at in range(3)))


def test_a_preferred_partner_is_served_first() -> None:
    book = Book([0] * 3, [0] * 3, [1, 0, 0], [10, 20, 20], [4, 4, 4])
    assert clear(book, ONE).accepted_wh.tolist() == [4, 2, 2]
    result = clear_preferred(book, ONE, pairs((0, 2, 1)))
    assert (result.accepted_wh.tolist(), result.pair_wh.tolist()) == ([4, 0, 4], [4])
    assert verify_preferred(book, ONE, result) == []


def test_a_gift_beats_the_higher_bid_only_with_its_bonus() -> None:
    book = Book([0] * 3, [0] * 3, [1, 0, 0], [0, 30, 0], [4, 4, 4])
    assert clear_preferred(book, ONE, pairs((0, 2, 29))).accepted_wh.tolist() == [4, 4, 0]
    assert clear_preferred(book, ONE, pairs((0, 2, 31))).accepted_wh.tolist() == [4, 0, 4]


def test_a_pair_takes_its_own_way_and_its_room() -> None:
    network = Network([-1, 0, 0], [-1, 3, -1], [0, 2, 1])
    book = Book([0] * 4, [1, 2, 1, 2], [1, 0, 0, 1], [10, 20, 20, 10], [5, 5, 5, 5])
    result = clear_preferred(book, network, pairs((0, 1, 50)))
    assert result.pair_wh.tolist() == [3]
    assert verify_preferred(book, network, result) == []


def test_random_problems_are_proven_whole_and_no_worse_than_without() -> None:
    used = 0
    for seed in range(200):
        book, network = random_problem(seed)
        rng = np.random.default_rng(seed)
        if book.orders and book.energy_wh.max() > 2**20:
            continue
        listed = [
            (int(s), int(b), int(rng.integers(-3, 12)))
            for s in np.flatnonzero(book.sell)
            for b in np.flatnonzero(~book.sell)
            if book.interval[s] == book.interval[b] and rng.random() < 0.3
        ]
        result = clear_preferred(book, network, pairs(*listed))
        assert verify_preferred(book, network, result) == [], seed
        assert (result.primal >= clear(book, network).primal).all(), seed
        used += bool(result.pair_wh.any())
    assert used > 10


@pytest.mark.parametrize(
    ("field", "change", "name"),
    [
        ("pair_wh", 1, "energy-over-order"),
        ("order_rent", -1, "rents-too-low"),
        ("order_rent", 1, "not-optimal"),
        ("price", 30, "rents-too-low"),
        ("primal", 1, "objective-wrong"),
    ],
)
def test_tampering_is_named(field: str, change: int, name: str) -> None:
    book = Book([0] * 3, [0] * 3, [1, 0, 0], [10, 20, 20], [4, 4, 4])
    result = clear_preferred(book, ONE, pairs((0, 2, 1)))
    assert name in verify_preferred(book, ONE, replace(result, **{field: getattr(result, field) + change}))


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ([(0, 9, 1)], "pair-unknown"),
        ([(1, 0, 1)], "pair-unfit"),
        ([(0, 3, 1)], "pair-unfit"),
        ([(0, 1, 2**30)], "price-too-large"),
        ([(0, 1, 1), (0, 1, 2)], "pair-twice"),
    ],
)
def test_unfit_pairs_are_refused(entries: list[tuple[int, int, int]], name: str) -> None:
    book = Book([0, 0, 0, 1], [0] * 4, [1, 0, 0, 0], [10, 20, 20, 20], [4, 4, 4, 4])
    with pytest.raises(ProblemError) as caught:
        clear_preferred(book, ONE, pairs(*entries))
    assert caught.value.name == name
