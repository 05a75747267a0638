"""Preferred partners and gifts: who named whom trades first, nobody more than it has, and the rest as without them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.clearing import certificate
from market.clearing.problem import Book, Network
from market.mechanisms.partners import Named, PartnerTrades, Wishes, partner_trades, trade_with_partners, without
from market.mechanisms.posted import accepts, posted_book, trade_at

PRICE = np.array([19_000])
NOBODY = Wishes({}, {})


def street(*orders: tuple[int, bool, int, int]) -> Book:
    """(node, whether it sells, limit [ticks], energy [Wh]) of each home."""
    node, sell, limit, energy = (np.array(column) for column in zip(*orders, strict=True))
    return Book(np.zeros(len(orders), int), node, sell, limit, energy, id=np.arange(len(orders)), intervals=1)


FLAT = Network(np.array([-1]), np.array([-1]), np.array([0]))
FEES = Network(np.array([-1, 0, 0]), np.array([-1, -1, -1]), np.array([0, 1_000, 500]))
LIMITED = Network(np.array([-1, 0, 0]), np.array([-1, 10_000, -1]), np.array([0, 0, 0]))
SELLS, BUYS = (0, True, 8_000), (0, False, 30_000)


def told(trades: PartnerTrades) -> list[tuple[int, int, int, bool]]:
    columns = trades.seller, trades.buyer, trades.energy_wh, trades.gift
    return list(zip(*(column.tolist() for column in columns), strict=True))


def first(
    book: Book, network: Network = FLAT, give: Named | None = None, prefer: Named | None = None
) -> list[tuple[int, int, int, bool]]:
    return told(partner_trades(book, network, PRICE, Wishes(give or {}, prefer or {})))


def test_the_partner_is_served_before_the_others() -> None:
    book = street((*SELLS, 600), (*BUYS, 500), (*BUYS, 500))
    assert first(book, prefer={0: [2]}) == [(0, 2, 500, False)]
    outcome, _ = trade_with_partners(book, FLAT, PRICE, Wishes({}, {0: [2]}))
    assert outcome.accepted_wh.tolist() == [600, 100, 500]
    assert outcome.money.tolist() == [600 * 19_000, -100 * 19_000, -500 * 19_000]
    even, _ = trade_with_partners(book, FLAT, PRICE, NOBODY)
    assert even.accepted_wh.tolist() == [600, 300, 300]


def test_the_short_side_chooses() -> None:
    """Who is on the long side would take from others by naming: it cannot."""
    enough = street((*SELLS, 500), (*SELLS, 500), (*BUYS, 600))
    assert first(enough, prefer={2: [1]}) == [(1, 2, 500, False)]
    assert first(enough, prefer={1: [2]}) == []
    scarce = street((*SELLS, 500), (*BUYS, 500), (*BUYS, 600))
    assert first(scarce, prefer={2: [0]}) == []
    assert first(scarce, prefer={0: [2]}) == [(0, 2, 500, False)]
    even = street((*SELLS, 500), (*BUYS, 200), (*BUYS, 300))
    assert first(even, prefer={0: [2], 1: [0], 2: [0]}) == []


def test_what_is_given_is_not_counted_when_the_short_side_is_looked_for() -> None:
    book = street((*SELLS, 500), (*SELLS, 300), (*BUYS, 500), (*BUYS, 200))
    assert first(book, prefer={1: [3]}) == [], "800 Wh for 700"
    assert first(book, give={0: [2]}, prefer={3: [1]}) == [(0, 2, 500, True), (1, 3, 200, False)]


def test_gifts_come_before_preferences_and_cost_nothing() -> None:
    book = street((*SELLS, 600), (*BUYS, 500), (*BUYS, 500))
    wishes = Wishes({0: [1]}, {0: [2]})
    outcome, trades = trade_with_partners(book, FLAT, PRICE, wishes)
    assert told(trades) == [(0, 1, 500, True), (0, 2, 100, False)]
    assert outcome.money.tolist() == [100 * 19_000, 0, -100 * 19_000]
    assert trades.given_wh(3).tolist() == [500, -500, 0]


def test_the_second_name_is_for_what_the_first_leaves() -> None:
    book = street((*SELLS, 600), (*BUYS, 500), (*BUYS, 500))
    assert first(book, give={0: [2, 1]}) == [(0, 1, 100, True), (0, 2, 500, True)]
    assert first(book, give={0: [None, 1]}) == [(0, 1, 500, True)]


def test_who_is_offered_too_much_takes_in_proportion() -> None:
    book = street((*SELLS, 300), (*SELLS, 100), (*BUYS, 101))
    # 75.75 and 25.25: the Wh that is left goes to the larger remainder.
    assert first(book, give={0: [2], 1: [2]}) == [(0, 2, 76, True), (1, 2, 25, True)]
    even = street((*SELLS, 100), (*SELLS, 100), (*BUYS, 101))
    assert first(even, give={0: [2], 1: [2]}) == [(0, 2, 51, True), (1, 2, 50, True)], "ties by id"


@pytest.mark.parametrize(
    "book",
    [
        street((0, True, 19_001, 600), (*BUYS, 500)),
        street((*SELLS, 600), (0, False, 18_999, 500)),
        street((*SELLS, 600), (*SELLS, 500)),
        street((*BUYS, 600), (*BUYS, 500)),
        street((*SELLS, 0), (*BUYS, 500)),
    ],
)
def test_only_who_accepts_the_price_and_stands_on_the_other_side(book: Book) -> None:
    assert first(book, give={0: [1]}, prefer={0: [1], 1: [0]}) == []


def test_intervals_are_apart() -> None:
    """Two of them in one book, the one short of what the other has too much of."""
    book = Book(
        np.array([0, 0, 0, 1, 1]), np.zeros(5, int), np.array([True, False, False, True, False]),
        np.array([8_000, 30_000, 30_000, 8_000, 30_000]), np.array([500, 400, 600, 900, 500]),
        id=np.array([0, 1, 2, 0, 1]), intervals=2,
    )  # fmt: skip
    wishes = Wishes({}, {0: [2], 3: [4], 4: [3]})
    trades = partner_trades(book, FLAT, np.array([19_000, 19_000]), wishes)
    assert told(trades) == [(0, 2, 500, False), (3, 4, 500, False)]


def test_the_way_is_paid_by_who_receives_also_a_gift() -> None:
    book = street((1, True, 8_000, 600), (2, False, 30_000, 500))  # more than is wanted: the buyer chooses
    for wishes, paid in ((Wishes({0: [1]}, {}), 0), (Wishes({}, {1: [0]}), 19_000)):
        outcome, trades = trade_with_partners(book, FEES, PRICE, wishes)
        assert trades.fee_ticks.tolist() == [1_500]
        assert outcome.money.tolist() == [500 * paid, -500 * (paid + 1_500)]
        assert outcome.fees.tolist() == [500 * 1_500]


def test_where_there_is_a_limit_they_meet_in_the_market() -> None:
    book = street((1, True, 8_000, 600), (2, False, 30_000, 500), (1, False, 30_000, 100))
    assert first(book, LIMITED, give={0: [1, 2]}, prefer={0: [2]}) == []
    outcome, _ = trade_with_partners(book, LIMITED, PRICE, Wishes({0: [1]}, {}))
    assert outcome.accepted_wh.tolist() == [600, 500, 100]


@st.composite
def streets(draw: st.DrawFn) -> tuple[Book, Network, Wishes]:
    nodes = draw(st.integers(1, 4))
    parent = [-1, *(draw(st.integers(0, node - 1)) for node in range(1, nodes))]
    limits = [-1] * nodes if draw(st.integers(0, 4)) else [draw(st.sampled_from([-1, 0, 300])) for _ in range(nodes)]
    network = Network(np.array(parent), np.array(limits), np.array([draw(st.integers(0, 900)) for _ in range(nodes)]))
    homes = draw(st.integers(1, 8))
    book = street(*(
        (draw(st.integers(0, nodes - 1)), draw(st.booleans()), draw(st.sampled_from([8_000, 19_000, 21_000, 30_000])),
         draw(st.integers(0, 900)))
        for _ in range(homes)
    ))  # fmt: skip
    some = st.lists(st.one_of(st.none(), st.integers(0, homes - 1)), max_size=3)
    named = {home: draw(some) for home in range(homes) if draw(st.booleans())}
    return book, network, Wishes({home: draw(some) for home in named}, named)


def shared(need: int, offers: Sequence[int]) -> list[int]:
    """By largest remainder, the first of equals before."""
    total = sum(offers)
    if total <= need:
        return list(offers)
    exact = [Fraction(need * offer, total) for offer in offers]
    parts = [int(one) for one in exact]
    for place in sorted(range(len(offers)), key=lambda i: (parts[i] - exact[i], i))[: need - sum(parts)]:
        parts[place] += 1
    return parts


def by_hand(book: Book, network: Network, wishes: Wishes) -> list[tuple[int, int, int, bool]]:
    """The rule as docs/model.md has it, one home after another."""
    left = [int(e) if a else 0 for e, a in zip(book.energy_wh, accepts(book, network, PRICE), strict=True)]
    total: dict[tuple[bool, int, int], int] = {}
    if any(network.limit_wh[node] >= 0 for node in range(network.nodes) if network.parent[node] >= 0):
        return []

    def one_round(named: Named, rank: int, gift: bool, sells: bool) -> None:
        asked: dict[int, list[int]] = {}
        for row in sorted(named):
            other = named[row][rank] if rank < len(named[row]) else None
            if other is not None and bool(book.sell[row]) == sells and bool(book.sell[other]) != sells:
                asked.setdefault(other, []).append(row)
        for other, rows in asked.items():
            parts = shared(left[other], [left[row] for row in rows])
            for row, part in zip(rows, parts, strict=True):
                left[row] -= part
                left[other] -= part
                key = (gift, row, other) if sells else (gift, other, row)
                total[key] = total.get(key, 0) + part

    for rank in range(3):
        one_round(wishes.give, rank, gift=True, sells=True)
    supply = sum(wh for wh, sell in zip(left, book.sell, strict=True) if sell)
    demand = sum(left) - supply
    for rank in range(3):
        if supply != demand:
            one_round(wishes.prefer, rank, gift=False, sells=supply < demand)
    keys = sorted(total, key=lambda key: (not key[0], *key[1:]))
    return [(*key[1:], total[key], key[0]) for key in keys if total[key]]


@settings(max_examples=400, deadline=None)
@given(streets())
def test_it_is_the_rule_and_the_rest_is_the_market(case: tuple[Book, Network, Wishes]) -> None:
    book, network, wishes = case
    outcome, trades = trade_with_partners(book, network, PRICE, wishes)
    assert told(trades) == by_hand(book, network, wishes)
    rest = without(book, trades.traded_wh(book.orders))
    market = trade_at("mid-market", rest, network, PRICE)
    assert (outcome.accepted_wh - trades.traded_wh(book.orders)).tolist() == market.accepted_wh.tolist()
    cleared = outcome.clearing
    assert cleared is not None
    published = certificate.Published(
        market.accepted_wh, cleared.flow_wh, cleared.price_ticks, cleared.price_low, cleared.price_high
    )
    assert not certificate.verify(posted_book(rest, network, PRICE), network, published)
    sell = book.sell
    assert outcome.accepted_wh[sell].sum() == outcome.accepted_wh[~sell].sum()
    assert (outcome.accepted_wh <= book.energy_wh).all()
    assert outcome.money.sum() + outcome.fees.sum() == 0
    # As if gifts had been paid, nobody trades against its own limit.
    worth = outcome.money + trades.given_wh(book.orders) * PRICE[0]
    at_limit = np.where(sell, 1, -1) * book.price_ticks * outcome.accepted_wh
    assert (worth >= at_limit).all()


@settings(max_examples=100, deadline=None)
@given(streets(), st.randoms(use_true_random=False))
def test_the_order_of_input_does_not_matter(case: tuple[Book, Network, Wishes], chance: object) -> None:
    book, network, wishes = case
    order = list(range(book.orders))
    chance.shuffle(order)  # type: ignore[attr-defined]
    place = {row: at for at, row in enumerate(order)}
    mixed = Book(
        book.interval, book.node[order], book.sell[order], book.price_ticks[order], book.energy_wh[order],
        id=book.id[order], intervals=1,
    )  # fmt: skip

    def moved(named: Named) -> Named:
        rows = [(place[row], [None if n is None else place[n] for n in names]) for row, names in named.items()]
        return dict(sorted(rows))

    same = partner_trades(mixed, network, PRICE, Wishes(moved(wishes.give), moved(wishes.prefer)))
    found = [(order[seller], order[buyer], energy_wh, gift) for seller, buyer, energy_wh, gift in told(same)]
    assert found == told(partner_trades(book, network, PRICE, wishes))


@settings(max_examples=300, deadline=None)
@given(streets(), st.data())
def test_naming_gets_nobody_more_for_itself(case: tuple[Book, Network, Wishes], data: st.DataObject) -> None:
    """Whatever one home prefers, it trades what it would trade if it preferred nobody."""
    book, network, wishes = case
    one = data.draw(st.integers(0, book.orders - 1))
    without_it = Wishes(wishes.give, {row: names for row, names in wishes.prefer.items() if row != one})
    named, not_named = (trade_with_partners(book, network, PRICE, w)[0].accepted_wh[one] for w in (wishes, without_it))
    assert named == not_named
