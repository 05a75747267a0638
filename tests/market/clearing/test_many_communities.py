"""Many communities in one call: each hangs under a root of nobody's, by an edge that carries nothing."""

from __future__ import annotations

import numpy as np
import pytest

from market import NO_PRICE, Book, Network, clear
from tests.market.clearing.problems import random_problem

FIELDS = ("accepted_wh", "price_ticks", "price_low", "price_high", "flow_wh", "welfare", "dual")


@pytest.mark.parametrize("seed", range(60))
def test_communities_cleared_together_come_out_as_alone(seed: int) -> None:
    problems = [random_problem(3 * seed + k) for k in range(3)]
    problems = [(book, network) for book, network in problems if network.limit_intervals is None]
    alone = [clear(book, network) for book, network in problems]
    intervals = max((book.intervals for book, _ in problems), default=0)
    parent, limits, fees = [np.array([-1])], [np.array([[0], [0]])], [np.array([[0], [0]])]
    orders: list[list[np.ndarray]] = []
    first = 1
    places = []
    for book, network in problems:
        parent.append(np.where(network.parent < 0, 0, network.parent + first))
        # The edge above each community's root carries nothing in either direction.
        limits.append(np.where(network.parent < 0, 0, np.array([network.limit_wh, network.limit_down_wh])))
        fees.append(np.array([network.fee_ticks, network.fee_down_ticks]))
        orders.append([book.interval, book.node + first, book.sell, book.price_ticks, book.energy_wh, book.id])
        places.append(slice(first, first + network.nodes))
        first += network.nodes
    (up, down), (fee_up, fee_down) = np.concatenate(limits, axis=1), np.concatenate(fees, axis=1)
    whole = Network(np.concatenate(parent), up, fee_up, limit_down_wh=down, fee_down_ticks=fee_down)
    columns = [np.concatenate(column) for column in zip(*orders, strict=True)] if orders else [np.array([], int)] * 6
    together = clear(Book(*columns[:5], id=columns[5], intervals=intervals), whole)
    row = 0
    for (book, _), one, place in zip(problems, alone, places, strict=True):
        assert together.accepted_wh[row : row + book.orders].tolist() == one.accepted_wh.tolist()
        row += book.orders
        for name in FIELDS[1:5]:
            assert getattr(together, name)[: book.intervals, place].tolist() == getattr(one, name).tolist(), name
    for name in FIELDS[5:]:
        total = np.zeros(intervals, np.int64)
        for one in alone:
            total[: getattr(one, name).size] += getattr(one, name)
        assert getattr(together, name).tolist() == total.tolist(), name
    assert (together.price_ticks[:, 0] == NO_PRICE).all()
