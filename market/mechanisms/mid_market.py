"""A posted price halfway between retail and feed-in: known beforehand, the same for all."""

from __future__ import annotations

import numpy as np

from market.clearing.clear import Solver, clear
from market.clearing.problem import PRICE_BOUND_TICKS, Book, Flags, Ints, Network, ProblemError
from market.clearing.tree import path_fees, plant
from market.mechanisms.outcome import Outcome, network_fees, own_welfare
from market.mechanisms.tracing import dearest_way_in, fees_paid


def posted_price(retail_ticks: int, feed_in_ticks: int) -> int:
    """The price m all sellers get [ticks]."""
    return (retail_ticks + feed_in_ticks) // 2


def accepts(book: Book, network: Network, price_ticks: int) -> Flags:
    """Who accepts the posted price: asks at most m; bids at least m plus the dearest fees that could reach them."""
    ceiling = price_ticks + dearest_way_in(network)[book.node]
    accepted: Flags = np.where(book.sell, book.price_ticks <= price_ticks, book.price_ticks >= ceiling)
    return accepted


def posted_book(book: Book, network: Network, price_ticks: int) -> Book:
    """The book that is cleared: those who accept, all asks at m and all bids at one price above every fee.

    Their own limits decide whether they trade, never how much: outbidding gains nothing. So the LP trades as much
    energy as the network lets through, over the cheapest ways, and shares it evenly.
    """
    # More than any way through the tree costs, so that no fee is worth a Wh not traded.
    dearest = 2 * int(path_fees(plant(network), np.maximum(network.fee_ticks, network.fee_down_ticks)).max())
    bid = min(price_ticks + dearest + 1, PRICE_BOUND_TICKS - 1)
    return Book(
        book.interval,
        book.node,
        book.sell,
        np.where(book.sell, price_ticks, bid),
        np.where(accepts(book, network, price_ticks), book.energy_wh, 0),
        id=book.id,
        intervals=book.intervals,
    )


def payments(book: Book, network: Network, price_ticks: int, accepted_wh: Ints, flow_wh: Ints) -> tuple[Ints, Ints]:
    """Money over orders and fees over intervals [Wh x tick] that follow from accepted energy and flows."""
    money = np.where(book.sell, price_ticks * accepted_wh, -price_ticks * accepted_wh)
    money -= fees_paid(book, network, accepted_wh, flow_wh)
    return money, network_fees(network, flow_wh)


def mid_market(
    book: Book, network: Network, *, retail_ticks: int, feed_in_ticks: int, solver: Solver = "curve"
) -> Outcome:
    """Trade at m = (retail + feed-in) // 2. Sellers get m; buyers pay m and the fees of the energy they received.

    ``clearing`` is that of :func:`posted_book`. Rent and pool are zero. Raises
    :class:`~market.clearing.problem.ProblemError`.
    """
    for name, value in (("retail", retail_ticks), ("feed-in", feed_in_ticks)):
        if not -PRICE_BOUND_TICKS < value < PRICE_BOUND_TICKS:
            raise ProblemError("price-too-large", None, f"{name} must stay below {PRICE_BOUND_TICKS} ticks")
    price = posted_price(retail_ticks, feed_in_ticks)
    clearing = clear(posted_book(book, network, price), network, solver)
    accepted = clearing.accepted_wh
    money, fees = payments(book, network, price, accepted, clearing.flow_wh)
    return Outcome(
        "mid-market",
        accepted,
        money,
        fees,
        np.zeros_like(fees),
        np.zeros_like(fees),
        own_welfare(book, accepted, fees),
        False,
        clearing,
    )
