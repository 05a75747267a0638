"""Published numbers and rules of law, as tables."""

from __future__ import annotations

import numpy as np
import pytest

from market import Book, Network, ProblemError
from market.mechanisms import (
    PRESETS,
    bill_sharing,
    ex_ante,
    hierarchical,
    mid_market,
    nodal,
    pay_as_bid,
    per_pair,
    proportional,
    static,
    supply_demand_ratio,
)
from market.mechanisms.presets import fee_ticks
from market.mechanisms.reference import ratio_price
from market.mechanisms.sharing import way_fees
from market.mechanisms.tracing import dearest_way_in

ONE = Network([-1], [-1], [0])


def sharing_book(generated: list[int], used: list[int]) -> Book:
    orders = len(generated) + len(used)
    sell = np.arange(orders) < len(generated)
    return Book(np.zeros(orders), np.zeros(orders), sell, np.where(sell, 0, 50), [*generated, *used])


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_austria_static() -> None:
    # Shares 50/30/20 % of 10; use 3/6/2: 3, 3, 2 allotted, 2 left.
    outcome = static(sharing_book([10], [3, 6, 2]), ONE, price_ticks=10, key=array(0, 500_000, 300_000, 200_000))
    assert outcome.accepted_wh.tolist() == [8, 3, 3, 2]
    assert outcome.money.tolist() == [80, -30, -30, -20]


def test_austria_dynamic_never_above_use() -> None:
    assert proportional(sharing_book([10], [3, 6, 2]), ONE, price_ticks=10).accepted_wh.tolist() == [10, 3, 5, 2]
    assert proportional(sharing_book([10, 30], [3, 6, 2]), ONE, price_ticks=10).accepted_wh.tolist() == [3, 8, 3, 6, 2]


def test_france_pairs() -> None:
    outcome = per_pair(
        sharing_book([10, 10], [12, 20]),
        ONE,
        price_ticks=10,
        seller=array(0, 0, 1),
        buyer=array(2, 3, 2),
        key=array(500_000, 500_000, 1_000_000),
    )
    # The first consumer is allotted 15 but used 12: each pair gives back in proportion.
    assert outcome.accepted_wh.tolist() == [9, 8, 12, 5]


def test_spain_coefficients_sum_to_one() -> None:
    book = sharing_book([10], [9, 9])
    assert ex_ante(book, ONE, price_ticks=10, key=array(0, 700_000, 300_000)).accepted_wh.tolist() == [10, 7, 3]
    with pytest.raises(ProblemError) as caught:
        ex_ante(book, ONE, price_ticks=10, key=array(0, 700_000, 200_000))
    assert caught.value.name == "keys-do-not-sum"


def test_priority_serves_the_first_fully() -> None:
    outcome = hierarchical(sharing_book([10], [6, 8, 8]), ONE, price_ticks=10, priority=array(0, 1, 2, 2))
    assert outcome.accepted_wh.tolist() == [10, 6, 2, 2]


def test_switzerland_fee_by_level() -> None:
    # -40 % within one transformer, -20 % beyond.
    swiss = PRESETS["switzerland"]
    assert [fee_ticks(swiss, 10_000, level) for level in (0, 1, 2)] == [6_000, 8_000, 8_000]
    assert fee_ticks(PRESETS["germany"], 10_000, 0) == 10_000


def test_keyed_fees_fall_on_gross_pairs() -> None:
    # Two asks and two bids on both sides: net flow is zero, half of each ask's energy still crosses.
    network = Network([-1, 0, 0], [-1, -1, -1], [0, 1, 1])
    book = Book([0] * 4, [1, 2, 1, 2], [1, 1, 0, 0], [0, 0, 50, 50], [4, 4, 4, 4])
    outcome = proportional(book, network, price_ticks=10)
    assert outcome.fees.tolist() == [4 * 2]
    assert outcome.money.tolist() == [40, 40, -44, -44]


def test_keys_do_not_pass_limits() -> None:
    network = Network([-1, 0], [-1, 3], [0, 0])
    with pytest.raises(ProblemError) as caught:
        proportional(Book([0, 0], [1, 0], [1, 0], [0, 50], [4, 4]), network, price_ticks=10)
    assert (caught.value.name, caught.value.row) == ("limit-exceeded", 1)


@pytest.mark.parametrize(
    ("surplus", "deficit", "price"),
    [
        # F R / ((R - F) r + F) with R = 30, F = 8.
        (0, 10, 30_000),
        (5, 10, 8_000 * 30_000 * 10 // (22_000 * 5 + 8_000 * 10)),
        (10, 10, 8_000),
        (20, 10, 8_000),
    ],
)
def test_supply_demand_ratio(surplus: int, deficit: int, price: int) -> None:
    book = Book([0, 0], [0, 0], [1, 0], [0, 40_000], [surplus, deficit])
    assert ratio_price(book, 30_000, 8_000).tolist() == [price]
    outcome = supply_demand_ratio(book, ONE, retail_ticks=30_000, feed_in_ticks=8_000)
    assert outcome.money.tolist() == [price * min(surplus, deficit), -price * min(surplus, deficit)]


def test_mid_market_rate_and_the_rest() -> None:
    # (R + F) / 2 for the matched part, shared by the longer side; the rest stays outside the community.
    book = Book([0] * 3, [0] * 3, [1, 1, 0], [8, 8, 30], [10, 20, 15])
    outcome = mid_market(book, ONE, retail_ticks=30, feed_in_ticks=8)
    assert outcome.accepted_wh.tolist() == [5, 10, 15]
    assert outcome.money.tolist() == [95, 190, -285]


def test_mid_market_buyers_carry_the_fees_of_what_reached_them() -> None:
    # Node 1 uses half of its own surplus; the other half travels to node 2 for 3 + 4.
    network = Network([-1, 0, 0], [-1, -1, -1], [0, 3, 2], fee_down_ticks=[0, 9, 4])
    assert dearest_way_in(network).tolist() == [3, 11, 7]
    book = Book([0] * 3, [1, 1, 2], [1, 0, 0], [8, 40, 40], [10, 5, 5])
    outcome = mid_market(book, network, retail_ticks=30, feed_in_ticks=8)
    assert outcome.accepted_wh.tolist() == [10, 5, 5]
    assert outcome.money.tolist() == [190, -95, -95 - 35]
    assert outcome.fees.tolist() == [35]


def test_nodal_rent_and_fees() -> None:
    network = Network([-1, 0], [-1, 2], [0, 3])
    outcome = nodal(Book([0, 0], [1, 0], [1, 0], [10, 30], [5, 5]), network)
    assert outcome.money.tolist() == [20, -60]
    assert (outcome.fees.tolist(), outcome.rent.tolist(), outcome.pool.tolist()) == ([6], [34], [0])


def test_pay_as_bid_leaves_the_rest_to_the_pool() -> None:
    outcome = pay_as_bid(Book([0, 0], [0, 0], [1, 0], [10, 30], [5, 5]), ONE)
    assert (outcome.money.tolist(), outcome.pool.tolist()) == ([50, -150], [100])


def test_bill_sharing_trades_gifts() -> None:
    outcome = bill_sharing(Book([0] * 3, [0] * 3, [1, 0, 0], [0, 30, 30], [6, 4, 8]), ONE)
    assert (outcome.accepted_wh.tolist(), outcome.money.tolist()) == ([6, 2, 4], [0, 0, 0])


def test_way_fees_up_and_down() -> None:
    network = Network([-1, 0, 0, 1, 2], [-1] * 5, [0, 1, 2, 4, 8], fee_down_ticks=[0, 16, 32, 64, 128])
    got = way_fees(network, array(3, 3, 0, 4, 3), array(4, 3, 4, 1, 1))
    assert got.tolist() == [4 + 1 + 32 + 128, 0, 32 + 128, 8 + 2 + 16, 4]
