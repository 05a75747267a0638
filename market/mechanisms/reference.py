"""Prices from two reference values: what the community's kWh costs (retail) and earns (feed-in) outside."""

from __future__ import annotations

import numpy as np

from market.clearing.clear import Solver
from market.clearing.problem import PRICE_BOUND_TICKS, Book, Ints, Network, ProblemError
from market.mechanisms.outcome import Outcome
from market.mechanisms.posted import trade_at


def mid_market_price(book: Book, retail_ticks: int, feed_in_ticks: int) -> Ints:
    """m = (retail + feed-in) // 2 in every interval [ticks]."""
    return np.full(book.intervals, posted_price(retail_ticks, feed_in_ticks), np.int64)


def posted_price(retail_ticks: int, feed_in_ticks: int) -> int:
    """The mid-market price m [ticks], known before anyone offers."""
    for name, value in (("retail", retail_ticks), ("feed-in", feed_in_ticks)):
        if not -PRICE_BOUND_TICKS < value < PRICE_BOUND_TICKS:
            raise ProblemError("price-too-large", None, f"{name} must stay below {PRICE_BOUND_TICKS} ticks")
    return (retail_ticks + feed_in_ticks) // 2


def mid_market(
    book: Book, network: Network, *, retail_ticks: int, feed_in_ticks: int, solver: Solver = "curve"
) -> Outcome:
    """Trade at m = (retail + feed-in) // 2. Sellers get m; buyers pay m and the fees of the energy they received."""
    return trade_at("mid-market", book, network, mid_market_price(book, retail_ticks, feed_in_ticks), solver)


def ratio_price(book: Book, retail_ticks: int, feed_in_ticks: int) -> Ints:
    """Supply-demand ratio price over intervals: F R / ((R - F) r + F) with r = surplus / deficit <= 1, else F.

    Floored to whole ticks; R where nobody offers anything. Source: N. Liu et al., IEEE Transactions on Power
    Systems 32(5), 2017. What buyers pay in sum, (price) r + R (1 - r), follows from the residual at retail.
    """
    posted_price(retail_ticks, feed_in_ticks)
    if not 0 <= feed_in_ticks <= retail_ticks:
        raise ProblemError("reference-order", None, "the ratio needs 0 <= feed-in <= retail")
    surplus, deficit = (np.zeros(book.intervals, np.int64) for _ in range(2))
    np.add.at(surplus, book.interval[book.sell], book.energy_wh[book.sell])
    np.add.at(deficit, book.interval[~book.sell], book.energy_wh[~book.sell])
    price = []
    for g, d in zip(surplus.tolist(), deficit.tolist(), strict=True):
        below = (retail_ticks - feed_in_ticks) * g + feed_in_ticks * d
        price.append(
            feed_in_ticks if g > d else retail_ticks if not below else feed_in_ticks * retail_ticks * d // below
        )
    return np.array(price, np.int64)


def supply_demand_ratio(book: Book, network: Network, *, retail_ticks: int, feed_in_ticks: int) -> Outcome:
    """Trade at the price that falls from retail to feed-in as supply grows towards demand."""
    return trade_at("supply-demand-ratio", book, network, ratio_price(book, retail_ticks, feed_in_ticks))


def bill_sharing(book: Book, network: Network) -> Outcome:
    """Share the community's outside bill by energy: what is produced inside costs nothing but its network fees.

    Each kWh used then costs retail times the part the community bought outside, each kWh generated earns feed-in
    times the part it sold outside. Members must offer their surplus at zero or less, as a gift to the community.
    Source: C. Long et al., IEEE Power and Energy Society General Meeting, 2017.
    """
    return trade_at("bill-sharing", book, network, np.zeros(book.intervals, np.int64))
