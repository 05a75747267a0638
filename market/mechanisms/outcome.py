"""What a mechanism decides: who trades, and who pays what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.clearing.clear import Clearing
from market.clearing.problem import Book, Ints, Network


@dataclass(frozen=True, eq=False)
class Outcome:
    """A mechanism's result. Per interval, money + fees + rent + pool add up to zero.

    Attributes:
        mechanism: its name.
        accepted_wh: over orders [Wh].
        money: over orders [Wh x tick], what the household receives; negative where it pays.
        fees: over intervals, what the network operator receives [Wh x tick].
        rent: over intervals, congestion rent [Wh x tick].
        pool: over intervals, what rounding or the rule leaves to the community pool [Wh x tick].
        welfare: over intervals, the orders' gain at their own limit prices less fees [Wh x tick].
        efficient: whether the mechanism promises the greatest welfare of the book as given.
        clearing: the clearing behind it with its witness, None where pairs are prescribed.
    """

    mechanism: str
    accepted_wh: Ints
    money: Ints
    fees: Ints
    rent: Ints
    pool: Ints
    welfare: Ints
    efficient: bool
    clearing: Clearing | None


def by_interval(book: Book, amounts: Ints) -> Ints:
    """Sum amounts over orders into intervals."""
    total = np.zeros(book.intervals, np.int64)
    np.add.at(total, book.interval, amounts)
    return total


def network_fees(network: Network, flow_wh: Ints) -> Ints:
    """Fees of the flows (intervals, nodes) over intervals [Wh x tick]."""
    edges = network.parent >= 0
    up, down = np.maximum(flow_wh, 0)[:, edges], np.maximum(-flow_wh, 0)[:, edges]
    fees: Ints = up @ network.fee_ticks[edges]
    back: Ints = down @ network.fee_down_ticks[edges]
    return fees + back


def own_welfare(book: Book, accepted_wh: Ints, fees: Ints) -> Ints:
    """Gain of the accepted energy at the orders' own limits, less fees, over intervals [Wh x tick]."""
    worth = book.price_ticks * accepted_wh
    return by_interval(book, np.where(book.sell, -worth, worth)) - fees
