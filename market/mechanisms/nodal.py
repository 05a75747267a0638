"""Everyone pays or gets the price of the own node, the middle of the witness."""

from __future__ import annotations

import numpy as np

from market.clearing.clear import clear
from market.clearing.problem import Book, Network
from market.mechanisms.outcome import Outcome, by_interval, network_fees


def nodal(book: Book, network: Network) -> Outcome:
    """Clear at nodal prices. What buyers pay above what sellers get is network fees and congestion rent.

    Raises :class:`~market.clearing.problem.ProblemError`.
    """
    clearing = clear(book, network)
    price = clearing.price_ticks[book.interval, book.node]
    worth = np.where(clearing.accepted_wh > 0, price, 0) * clearing.accepted_wh
    money = np.where(book.sell, worth, -worth)
    fees = network_fees(network, clearing.flow_wh)
    rent = -by_interval(book, money) - fees
    return Outcome(
        "nodal",
        clearing.accepted_wh,
        money,
        fees,
        rent,
        np.zeros_like(fees),
        clearing.welfare,
        True,
        clearing,
    )
