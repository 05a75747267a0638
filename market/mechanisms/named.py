"""Mechanisms by their names in files and commands: those that need a book, a network and reference prices alone."""

from __future__ import annotations

from market.clearing.problem import Book, Network
from market.mechanisms.nodal import nodal
from market.mechanisms.outcome import Outcome
from market.mechanisms.pay_as_bid import pay_as_bid
from market.mechanisms.reference import (
    bill_sharing,
    mid_market,
    mid_market_price,
    ratio_price,
    supply_demand_ratio,
)

MECHANISMS = ("nodal", "mid-market", "pay-as-bid", "supply-demand-ratio", "bill-sharing")
NEED_REFERENCE = {"mid-market": mid_market_price, "supply-demand-ratio": ratio_price}
"""Mechanisms that post a price made of retail and feed-in, and how."""


def run_mechanism(
    name: str, book: Book, network: Network, *, retail_ticks: int | None = None, feed_in_ticks: int | None = None
) -> Outcome:
    """Run a mechanism by its name. Raises ValueError for an unknown name or a missing reference price."""
    if name == "nodal":
        return nodal(book, network)
    if name == "pay-as-bid":
        return pay_as_bid(book, network)
    if name == "bill-sharing":
        return bill_sharing(book, network)
    if name in NEED_REFERENCE:
        if retail_ticks is None or feed_in_ticks is None:
            raise ValueError(f"{name} needs the reference prices --retail and --feed-in")
        rule = mid_market if name == "mid-market" else supply_demand_ratio
        return rule(book, network, retail_ticks=retail_ticks, feed_in_ticks=feed_in_ticks)
    raise ValueError(f"unknown mechanism {name!r}; known are {', '.join(MECHANISMS)}")
