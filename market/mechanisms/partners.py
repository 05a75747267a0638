"""Preferred partners and gifts: who named whom trades first, at the posted price; the rest goes to the market.

Of the orders that accept the price, gifts come first, rank by rank: everybody's first name, then everybody's second.
A seller offers the home it names at a rank all it has left; a home that is offered more than it still needs takes from
each in proportion, by largest remainder, ties by id. Then the short side chooses, by the same rule: where less is left
to sell than is wanted, sellers sell to the partners they prefer; where more is, buyers buy from theirs. The short side
trades all it has in any case, so that naming somebody gets nobody more of the market for itself.

Room under a trading limit belongs to all: in a network that has one, everybody meets in the market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from market.clearing.clear import Solver
from market.clearing.frame import fitting_tree
from market.clearing.preferences import ways
from market.clearing.problem import Book, Flags, Ints, Network
from market.clearing.remainder import split
from market.mechanisms.outcome import Outcome, by_interval, own_welfare
from market.mechanisms.posted import accepts, posted_book, trade_at

Named = Mapping[int, Sequence[int | None]]
"""By an order's row: the rows of the orders it names, first choice first; None where that home has none."""


@dataclass(frozen=True)
class Wishes:
    """Whom orders give their surplus to, and whom they prefer to trade with."""

    give: Named
    prefer: Named


@dataclass(frozen=True, eq=False)
class PartnerTrades:
    """Arrays over trades: rows of the book, energy [Wh], whether it is a gift, and the fees of its way [ticks]."""

    seller: Ints
    buyer: Ints
    energy_wh: Ints
    gift: Flags
    fee_ticks: Ints

    def traded_wh(self, orders: int) -> Ints:
        """What each of the book's orders traded so [Wh]."""
        traded = np.zeros(orders, np.int64)
        np.add.at(traded, self.seller, self.energy_wh)
        np.add.at(traded, self.buyer, self.energy_wh)
        return traded

    def given_wh(self, orders: int) -> Ints:
        """What each order gave away, negative where it was given [Wh]."""
        given, energy_wh = np.zeros(orders, np.int64), self.energy_wh[self.gift]
        np.add.at(given, self.seller[self.gift], energy_wh)
        np.subtract.at(given, self.buyer[self.gift], energy_wh)
        return given


def trade_with_partners(
    book: Book, network: Network, price_ticks: Ints, wishes: Wishes, solver: Solver = "curve"
) -> tuple[Outcome, PartnerTrades]:
    """Trade at a price per interval (intervals,), partners first. Without wishes it is what the market alone does.

    ``clearing`` is that of the posted book without what partners traded; all else in the outcome is with it. A gift
    costs nothing but the fees of its way, which the buyer pays as in every trade. Raises
    :class:`~market.clearing.problem.ProblemError`.
    """
    trades = partner_trades(book, network, price_ticks, wishes)
    if not trades.energy_wh.size:
        return trade_at("mid-market", book, network, price_ticks, solver), trades
    # The market is asked of the rest alone: the whole must be within the bounds, too.
    fitting_tree(posted_book(book, network, price_ticks), network)
    traded_wh = trades.traded_wh(book.orders)
    market = trade_at("mid-market", without(book, traded_wh), network, price_ticks, solver)
    accepted_wh = market.accepted_wh + traded_wh
    fees = market.fees + by_interval(book, partner_fees(book, trades))
    outcome = replace(
        market,
        accepted_wh=accepted_wh,
        money=market.money + partner_money(book, trades, price_ticks),
        fees=fees,
        welfare=own_welfare(book, accepted_wh, fees),
    )
    return outcome, trades


def without(book: Book, traded_wh: Ints) -> Book:
    """The book less what each order has traded already (orders,) [Wh]."""
    return Book(
        book.interval, book.node, book.sell, book.price_ticks, book.energy_wh - traded_wh,
        id=book.id, intervals=book.intervals,
    )  # fmt: skip


def partner_fees(book: Book, trades: PartnerTrades) -> Ints:
    """What each buyer pays for the ways of its partners' energy, over orders [Wh x tick]."""
    fees = np.zeros(book.orders, np.int64)
    np.add.at(fees, trades.buyer, trades.fee_ticks * trades.energy_wh)
    return fees


def partner_money(book: Book, trades: PartnerTrades, price_ticks: Ints) -> Ints:
    """What each order receives for its trades with partners, over orders; negative where it pays [Wh x tick]."""
    money = -partner_fees(book, trades)
    worth = np.where(trades.gift, 0, price_ticks[book.interval[trades.seller]] * trades.energy_wh)
    np.add.at(money, trades.seller, worth)
    np.subtract.at(money, trades.buyer, worth)
    return money


def partner_trades(book: Book, network: Network, price_ticks: Ints, wishes: Wishes) -> PartnerTrades:
    """What partners trade before the market, by the rule above; ``price_ticks`` is over intervals."""
    trades: dict[tuple[bool, int, int], int] = {}
    if not (wishes.give or wishes.prefer) or limited(network):
        return _in_columns(book, network, trades)
    left = np.where(accepts(book, network, price_ticks), book.energy_wh, 0)
    for rank in range(_ranks(wishes.give)):
        _trade(book, left, _named_at(book, wishes.give, rank, book.sell), True, trades)
    free = np.where(book.sell, left, -left)
    over = by_interval(book, free)[book.interval]
    short = np.where(book.sell, over < 0, over > 0)
    for rank in range(_ranks(wishes.prefer)):
        _trade(book, left, _named_at(book, wishes.prefer, rank, short), False, trades)
    return _in_columns(book, network, trades)


def limited(network: Network) -> bool:
    """Whether some edge has a trading limit: then nobody trades before the market."""
    edges = network.parent >= 0
    return any(bool((limit[..., edges] >= 0).any()) for limit in (network.limit_wh, network.limit_down_wh))


def _ranks(named: Named) -> int:
    return max(map(len, named.values()), default=0)


def _named_at(book: Book, named: Named, rank: int, choose: Flags) -> Ints:
    """(row, the row it names at this rank) of those who may ``choose`` and name somebody on the other side."""
    pairs = [
        (row, other)
        for row, names in named.items()
        if choose[row] and rank < len(names) and (other := names[rank]) is not None
        if book.sell[row] != book.sell[other]
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _trade(book: Book, left: Ints, pairs: Ints, gift: bool, trades: dict[tuple[bool, int, int], int]) -> None:
    """Let each first of ``pairs`` trade all it has ``left`` with the second, or its share where that is too much."""
    rows, named = pairs.T
    takers, group = np.unique(named, return_inverse=True)
    offered = np.zeros(takers.size, np.int64)
    np.add.at(offered, group, left[rows])
    share = split(left[takers], group, left[rows], book.id[rows])
    energy_wh = np.where(offered[group] <= left[named], left[rows], share)
    np.subtract.at(left, rows, energy_wh)
    np.subtract.at(left, named, energy_wh)
    for row, other, wh in zip(rows.tolist(), named.tolist(), energy_wh.tolist(), strict=True):
        key = (gift, row, other) if book.sell[row] else (gift, other, row)
        trades[key] = trades.get(key, 0) + wh


def _in_columns(book: Book, network: Network, trades: Mapping[tuple[bool, int, int], int]) -> PartnerTrades:
    """Gifts first, then by interval and the ids of seller and buyer."""
    rank, node = book.id, book.node
    keys = sorted(
        (key for key, energy_wh in trades.items() if energy_wh),
        key=lambda key: (not key[0], int(book.interval[key[1]]), int(rank[key[1]]), int(rank[key[2]])),
    )
    parent = network.parent.tolist()
    over = {(int(node[seller]), int(node[buyer])) for _, seller, buyer in keys}
    fees = {way: _fee(network, *ways(parent, *way)) for way in over}
    columns = [(*key, trades[key], fees[int(node[key[1]]), int(node[key[2]])]) for key in keys]
    gift, seller, buyer, energy_wh, fee_ticks = np.array(columns, np.int64).reshape(-1, 5).T
    return PartnerTrades(seller, buyer, energy_wh, gift.astype(bool), fee_ticks)


def _fee(network: Network, rising: list[int], sinking: list[int]) -> int:
    """The fees of a way up and down the tree [ticks]."""
    return int(network.fee_ticks[rising].sum() + network.fee_down_ticks[sinking].sum())
