"""Who traded with whom: near before far, exact sums, few matches."""

from __future__ import annotations

import numpy as np

from market import Book, Network, clear
from tests.market.clearing.problems import random_problem


def listed(book: Book, network: Network) -> list[tuple[int, ...]]:
    return list(zip(*(part.tolist() for part in clear(book, network).matches()), strict=True))


def test_neighbours_before_strangers() -> None:
    network = Network([-1, 0, 0, 1, 1], [-1] * 5, [0] * 5)
    book = Book([0] * 5, [3, 3, 4, 2, 2], [1, 0, 0, 0, 1], [10, 30, 30, 30, 10], [9, 2, 3, 8, 4])
    assert listed(book, network) == [(0, 1, 2), (0, 2, 3), (0, 3, 4), (4, 3, 4)]


def test_lower_ids_first() -> None:
    network = Network([-1], [-1], [0])
    book = Book([0] * 3, [0] * 3, [1, 1, 0], [10, 10, 30], [4, 4, 4], id=[2, 1, 3])
    assert listed(book, network) == [(0, 2, 2), (1, 2, 2)]
    book = Book([0] * 4, [0] * 4, [1, 1, 0, 0], [10, 10, 30, 30], [4, 4, 6, 2], id=[2, 1, 4, 3])
    assert listed(book, network) == [(0, 2, 4), (1, 2, 2), (1, 3, 2)]


def test_sums_are_exact_and_matches_few() -> None:
    for seed in range(700):
        book, network = random_problem(seed)
        cleared = clear(book, network)
        seller, buyer, energy = cleared.matches()
        assert energy.size <= book.orders
        assert (energy > 0).all()
        assert book.sell[seller].all() and not book.sell[buyer].any()
        assert (book.interval[seller] == book.interval[buyer]).all()
        total = np.zeros(book.orders, np.int64)
        np.add.at(total, seller, energy)
        np.add.at(total, buyer, energy)
        np.testing.assert_array_equal(total, cleared.accepted_wh)
        assert len(set(zip(seller.tolist(), buyer.tolist(), strict=True))) == energy.size


def test_matches_travel_exactly_what_the_flows_say() -> None:
    # With one direction of fees at each node, the energy leaving a subtree is the flow over its edge.
    for seed in range(300):
        book, network = random_problem(seed)
        cleared = clear(book, network)
        seller, buyer, energy = cleared.matches()
        crossed = np.zeros((book.intervals, network.nodes), np.int64)
        for s, b, wh in zip(seller.tolist(), buyer.tolist(), energy.tolist(), strict=True):
            for row, way in ((s, 1), (b, -1)):
                node = int(book.node[row])
                while node >= 0:
                    crossed[book.interval[s], node] += way * wh
                    node = int(network.parent[node])
        crossed[:, network.root] = 0
        np.testing.assert_array_equal(crossed, cleared.flow_wh)
