"""The tie rule's last units, as a table: one price, so only the rule decides."""

from __future__ import annotations

import pytest

from market import Book, Network, clear

FLAT = Network([-1, 0, 0], [-1, -1, -1], [0, 0, 0])


@pytest.mark.parametrize(
    ("asks", "demand", "ids", "expected"),
    [
        # (node, energy) of each ask; the bid stands at the root.
        ([(0, 1), (0, 2)], 2, None, [1, 1]),  # shares 0.67 and 1.33: the larger remainder first
        ([(0, 3), (0, 5)], 4, None, [1, 3]),  # equal remainders, no ids: greater energy first
        ([(0, 3), (0, 5)], 4, [0, 1], [2, 2]),  # lower id first
        ([(0, 3), (0, 3)], 3, [1, 0], [1, 2]),
        ([(0, 3), (1, 3)], 3, [1, 0], [2, 1]),  # own orders before what comes from below
        ([(2, 3), (1, 3)], 3, [0, 1], [1, 2]),  # then children by node
        ([(1, 3), (1, 3), (2, 3)], 4, [1, 0, 2], [1, 2, 1]),  # 2.67 rounds up at the root, 1.33 down
        ([(0, 5), (0, 5)], 0, None, [0, 0]),
        ([(0, 5), (1, 5)], 99, None, [5, 5]),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_last_units(
    asks: list[tuple[int, int]], demand: int, ids: list[int] | None, expected: list[int], mirrored: bool
) -> None:
    nodes, energy = zip(*asks, strict=True)
    sell = [not mirrored] * len(asks) + [mirrored]
    price = [30 if mirrored else 10] * len(asks) + [10 if mirrored else 30]
    names = None if ids is None else [*ids, 99]
    book = Book([0] * len(sell), [*nodes, 0], sell, price, [*energy, demand], id=names)
    cleared = clear(book, FLAT)
    assert cleared.accepted_wh.tolist() == [*expected, sum(expected)]


def test_the_longer_side_shares_and_the_shorter_is_full() -> None:
    # Asks and bids at one and the same price: most energy first, so the shorter side trades all of it.
    book = Book([0] * 4, [0] * 4, [1, 1, 0, 0], [10] * 4, [6, 2, 3, 1])
    assert clear(book, FLAT).accepted_wh.tolist() == [3, 1, 3, 1]


def test_an_edge_parts_who_shares_with_whom() -> None:
    # Node 1 may send 1 Wh: it fills less than the rest, which share the remainder evenly.
    network = Network([-1, 0, 0], [-1, 1, -1], [0, 0, 0])
    book = Book([0] * 4, [1, 2, 0, 0], [1, 1, 1, 0], [10, 10, 10, 30], [6, 6, 6, 9])
    assert clear(book, network).accepted_wh.tolist() == [1, 4, 4, 9]


def test_a_full_edge_below_a_drained_one() -> None:
    # The bid at node 1 must draw all node 2 may send (2 of 8) and takes 6 from above; the asks above share those.
    network = Network([-1, 0, 1], [-1, 0, 2], [0, 0, 0], limit_down_wh=[-1, 6, 0])
    book = Book([0] * 4, [0, 0, 1, 2], [1, 1, 0, 1], [10, 10, 30, 10], [9, 3, 9, 8])
    cleared = clear(book, network)
    assert cleared.gap.tolist() == [0]
    assert int(cleared.accepted_wh[2]) == 8
    assert cleared.flow_wh.tolist() == [[0, -6, 2]]
