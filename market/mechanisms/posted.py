"""Trade at a price that no order can move: who accepts it trades as much as the network lets through."""

from __future__ import annotations

import numpy as np

from market.clearing.clear import Solver, clear
from market.clearing.problem import PRICE_BOUND_TICKS, Book, Flags, Ints, Network
from market.clearing.tree import path_fees, plant
from market.mechanisms.outcome import Outcome, network_fees, own_welfare
from market.mechanisms.tracing import dearest_way_in, fees_paid


def accepts(book: Book, network: Network, price_ticks: Ints) -> Flags:
    """Who accepts its interval's price: asks at most that; bids at least that plus the dearest way to their node.

    ``price_ticks`` is over intervals.
    """
    price = price_ticks[book.interval]
    ceiling = price + dearest_way_in(network)[book.node]
    accepted: Flags = np.where(book.sell, book.price_ticks <= price, book.price_ticks >= ceiling)
    return accepted


def posted_book(book: Book, network: Network, price_ticks: Ints) -> Book:
    """The book that is cleared: those who accept, asks at the price and bids at one value above every fee.

    Their own limits decide whether they trade, never how much: outbidding gains nothing. So the LP trades as much
    energy as the network lets through, over the cheapest ways, and shares it evenly.
    """
    price = price_ticks[book.interval]
    return Book(
        book.interval,
        book.node,
        book.sell,
        np.where(book.sell, price, bid_price(network, price)),
        np.where(accepts(book, network, price_ticks), book.energy_wh, 0),
        id=book.id,
        intervals=book.intervals,
    )


def bid_price(network: Network, price_ticks: Ints) -> Ints:
    """What bids that accept a price are cleared at: so much more that no fee of any way is worth a Wh not traded."""
    dearest = 2 * int(path_fees(plant(network), np.maximum(network.fee_ticks, network.fee_down_ticks)).max())
    return np.minimum(price_ticks + dearest + 1, PRICE_BOUND_TICKS - 1)


def posted_money(book: Book, network: Network, accepted_wh: Ints, flow_wh: Ints, price_ticks: Ints) -> Ints:
    """Sellers get the price; buyers pay it and the fees of the energy they received, over orders [Wh x tick]."""
    worth = price_ticks[book.interval] * accepted_wh
    return np.where(book.sell, worth, -worth) - fees_paid(book, network, accepted_wh, flow_wh)


def trade_at(name: str, book: Book, network: Network, price_ticks: Ints, solver: Solver = "curve") -> Outcome:
    """Trade at a price per interval (intervals,). Rent and pool are zero; ``clearing`` is that of the posted book.

    Raises :class:`~market.clearing.problem.ProblemError`.
    """
    clearing = clear(posted_book(book, network, price_ticks), network, solver)
    accepted = clearing.accepted_wh
    fees = network_fees(network, clearing.flow_wh)
    return Outcome(
        name,
        accepted,
        posted_money(book, network, accepted, clearing.flow_wh, price_ticks),
        fees,
        np.zeros_like(fees),
        np.zeros_like(fees),
        own_welfare(book, accepted, fees),
        False,
        clearing,
    )
