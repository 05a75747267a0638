"""The keyed mechanisms against plain loops: every seller in turn, every pair by its own way through the tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from market import Book, Network, ProblemError
from market.mechanisms import Outcome, ex_ante, hierarchical, proportional, sharing, static
from tests.market.clearing.problems import random_network

PRICE = 5
"""Between what most random asks want and what most random bids pay."""


def in_interval(book: Book, at: int, *, sell: bool) -> list[int]:
    return np.flatnonzero((book.interval == at) & (book.sell == sell)).tolist()


def shares(book: Book, whole: int) -> np.ndarray:
    """Nearly equal keys that add up to ``whole`` among the bids of each interval."""
    key = np.zeros(book.orders, np.int64)
    for at in range(book.intervals):
        for place, bid in enumerate(bids := in_interval(book, at, sell=False)):
            key[bid] = whole // len(bids) + (place < whole % len(bids))
    return key


MECHANISMS: dict[str, Callable[[Book, Network], Outcome]] = {
    "proportional": lambda book, network: proportional(book, network, price_ticks=PRICE),
    "static": lambda book, network: static(book, network, price_ticks=PRICE, key=shares(book, 700_000)),
    "ex-ante": lambda book, network: ex_ante(book, network, price_ticks=PRICE, key=shares(book, 1_000_000)),
    "hierarchical": lambda book, network: hierarchical(book, network, price_ticks=PRICE, priority=book.node % 3),
}


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Exact shares, floored; the units left go one each to the largest remainders, the first of equal ones."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    floors = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda n: floors[n] - exact[n])
    for n in by_remainder[: total - sum(floors)]:
        floors[n] += 1
    return floors


def way_up(network: Network, node: int) -> list[int]:
    way = [node]
    while network.parent[way[-1]] >= 0:
        way.append(int(network.parent[way[-1]]))
    return way


def way_fee(network: Network, start: int, end: int) -> int:
    up, down = way_up(network, start), way_up(network, end)
    paid_up = sum(int(network.fee_ticks[node]) for node in up if node not in down)
    return paid_up + sum(int(network.fee_down_ticks[node]) for node in down if node not in up)


def fees_owed(book: Book, network: Network, accepted: np.ndarray) -> list[int]:
    """What each order owes: sellers by id split what they sold in proportion to what every buyer still lacks."""
    owed = [0] * book.orders
    lacking = accepted.tolist()
    for at in range(book.intervals):
        sellers, buyers = (
            sorted(
                (row for row in in_interval(book, at, sell=sell) if accepted[row] > 0),
                key=lambda row: (int(book.id[row]), -int(book.energy_wh[row])),
            )
            for sell in (True, False)
        )
        for seller in sellers:
            split = largest_remainder(int(accepted[seller]), [lacking[buyer] for buyer in buyers])
            for buyer, share in zip(buyers, split, strict=True):
                lacking[buyer] -= share
                owed[buyer] += share * way_fee(network, int(book.node[seller]), int(book.node[buyer]))
    assert not any(lacking[row] for row in np.flatnonzero(~book.sell))
    return owed


def passed_limits(book: Book, network: Network, accepted: np.ndarray) -> set[int]:
    """Nodes whose edge would carry more than its limit in some interval."""
    flow = np.zeros((book.intervals, network.nodes), np.int64)
    for row in range(book.orders):
        for node in way_up(network, int(book.node[row])):
            flow[book.interval[row], node] += accepted[row] if book.sell[row] else -accepted[row]
    up, down = (np.where(limit < 0, 2**62, limit) for limit in (network.limit_wh, network.limit_down_wh))
    over = (flow > up) | (-flow > down)
    over[:, network.root] = False
    return set(np.flatnonzero(over.any(axis=0)).tolist())


def without_limits(network: Network) -> Network:
    return Network(network.parent, [-1] * network.nodes, network.fee_ticks, fee_down_ticks=network.fee_down_ticks)


def crowded_problem(seed: int) -> tuple[Book, Network]:
    """Many intervals with anything from no seller to many, energies that tie, ids that repeat."""
    rng = np.random.default_rng(seed)
    intervals, orders = int(rng.integers(1, 12)), int(rng.integers(1, 90))
    energy = int(rng.choice([1, 3, 10, 5000, 2**31 - 1]))
    network = random_network(rng, intervals, energy, 20)
    interval = rng.integers(0, intervals, orders)
    sell = rng.random(orders) < rng.random(intervals)[interval]
    book = Book(
        interval,
        rng.integers(0, network.nodes, orders),
        sell,
        np.where(sell, rng.choice([0, 0, 0, 9], orders), rng.choice([4, 900, 900], orders)),
        rng.integers(0, energy + 1, orders),
        id=rng.integers(0, max(1, orders // 2), orders),
        intervals=intervals,
    )
    return book, network


@pytest.mark.parametrize("cells", [0, sharing.TABLE_CELLS])
@pytest.mark.parametrize("name", MECHANISMS)
def test_fees_are_those_of_plain_loops(name: str, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "TABLE_CELLS", cells)
    charged, busiest = 0, 0
    for seed in range(120):
        book, limited = crowded_problem(seed)
        network = without_limits(limited)
        outcome = MECHANISMS[name](book, network)
        owed = fees_owed(book, network, outcome.accepted_wh)
        worth = np.where(book.sell, PRICE, -PRICE) * outcome.accepted_wh
        assert outcome.money.tolist() == (worth - owed).tolist(), seed
        assert outcome.fees.tolist() == [sum(np.array(owed)[book.interval == at]) for at in range(book.intervals)], seed
        charged += any(owed)
        selling = book.interval[book.sell & (outcome.accepted_wh > 0)]
        busiest = max(busiest, int(np.bincount(selling, minlength=1).max()))
    assert charged > 30 and busiest > 12


@pytest.mark.parametrize("name", MECHANISMS)
def test_refuses_exactly_what_passes_a_limit(name: str) -> None:
    refused, kept = 0, 0
    for seed in range(100):
        book, network = crowded_problem(seed)
        accepted = MECHANISMS[name](book, without_limits(network)).accepted_wh
        over = passed_limits(book, network, accepted)
        if over:
            with pytest.raises(ProblemError) as caught:
                MECHANISMS[name](book, network)
            assert caught.value.name == "limit-exceeded" and caught.value.row in over, seed
        else:
            outcome = MECHANISMS[name](book, network)
            owed = fees_owed(book, network, accepted)
            assert outcome.accepted_wh.tolist() == accepted.tolist(), seed
            assert outcome.fees.sum() == sum(owed), seed
        refused, kept = refused + bool(over), kept + bool(not over and accepted.any())
    assert refused > 5 and kept > 5


def test_a_seller_supplies_from_what_the_one_before_left() -> None:
    # Seller 0 splits 1 Wh: the bids lack 1 and 2, the second gets it. Seller 1 finds both lacking 1.
    network = Network([-1, 0, 0], [-1] * 3, [0, 100, 1])
    book = Book([0] * 4, [1, 2, 1, 2], [1, 1, 0, 0], [0, 0, 900, 900], [1, 2, 1, 2])
    outcome = proportional(book, network, price_ticks=PRICE)
    assert outcome.money.tolist() == [5, 10, -5 - 101, -10 - 101]
    assert outcome.fees.tolist() == [202]
