"""Everyone settles at the own limit; what lies between goes to the pool."""

from __future__ import annotations

import numpy as np

from market.clearing.clear import clear
from market.clearing.problem import Book, Network
from market.mechanisms.outcome import Outcome, by_interval, network_fees


def pay_as_bid(book: Book, network: Network) -> Outcome:
    """Clear for greatest welfare; buyers pay their bid, sellers get their ask, the pool keeps what fees leave.

    Raises :class:`~market.clearing.problem.ProblemError`.
    """
    clearing = clear(book, network)
    worth = book.price_ticks * clearing.accepted_wh
    money = np.where(book.sell, worth, -worth)
    fees = network_fees(network, clearing.flow_wh)
    return Outcome(
        "pay-as-bid",
        clearing.accepted_wh,
        money,
        fees,
        np.zeros_like(fees),
        -by_interval(book, money) - fees,
        clearing.welfare,
        True,
        clearing,
    )
