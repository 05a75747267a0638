"""The mechanisms a backtest compares, each with the agreement a community would have to make for it.

The sharing keys of law need an agreement that no meter shows. The ones here are plain and stated: see ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

import numpy as np

from market.backtest.meters import Meters
from market.backtest.run import Piece, Rule
from market.clearing.problem import Ints
from market.mechanisms import (
    Outcome,
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
from market.mechanisms.reference import posted_price
from market.mechanisms.sharing import WHOLE

PARTNERS = 5
"""Homes each producer shares with under per-pair keys."""
HOURS = 24
DEFAULT = "mid-market"


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the rules need to know of the community beforehand.

    Attributes:
        static_key: over households, equal parts of a million [ppm].
        hourly_key: (hours of the local day, households), parts of a million by mean import in that hour [ppm].
        hour: over intervals, the local hour of the day.
        priority: over households, 0 without a roof of their own, else 1: they are served first.
        partners: (households, PARTNERS), the next homes without a roof; -1 where there are no more.
    """

    static_key: Ints
    hourly_key: Ints
    hour: Ints
    priority: Ints
    partners: Ints


def agreement(meters: Meters, zone: tzinfo) -> Agreement:
    """The plain agreement of these households."""
    homes = len(meters.households)
    hour = np.array([datetime.fromtimestamp(at, zone).hour for at in meters.starts], np.int64)
    used = np.zeros((HOURS, homes), np.int64)
    np.add.at(used, hour, meters.import_wh)
    roofs = meters.prosumers
    return Agreement(
        np.full(homes, WHOLE // homes, np.int64),
        np.array([_parts_of_whole(row) for row in used.tolist()], np.int64),
        hour,
        roofs.astype(np.int64),
        _partners(roofs.tolist()),
    )


def _parts_of_whole(weights: list[int]) -> list[int]:
    """Parts of a million in proportion, by largest remainder; equal ones where nothing weighs."""
    weights = weights if any(weights) else [1] * len(weights)
    total = sum(weights)
    parts = [WHOLE * weight // total for weight in weights]
    largest = sorted(range(len(weights)), key=lambda at: (-(WHOLE * weights[at] % total), at))
    for at in largest[: WHOLE - sum(parts)]:
        parts[at] += 1
    return parts


def _partners(roofs: list[bool]) -> Ints:
    homes = len(roofs)
    found = np.full((homes, PARTNERS), -1, np.int64)
    for home in range(homes):
        around = [(home + step) % homes for step in range(1, homes)]
        following = [other for other in around if not roofs[other]][:PARTNERS]
        found[home, : len(following)] = following
    return found


def _mid_market(piece: Piece, agreed: Agreement) -> Outcome:
    prices = piece.prices
    return mid_market(piece.book, piece.network, retail_ticks=prices.retail_ticks, feed_in_ticks=prices.feed_in_ticks)


def _ratio(piece: Piece, agreed: Agreement) -> Outcome:
    prices = piece.prices
    return supply_demand_ratio(
        piece.book, piece.network, retail_ticks=prices.retail_ticks, feed_in_ticks=prices.feed_in_ticks
    )


def _nodal(piece: Piece, agreed: Agreement) -> Outcome:
    return nodal(piece.book, piece.network)


def _pay_as_bid(piece: Piece, agreed: Agreement) -> Outcome:
    return pay_as_bid(piece.book, piece.network)


def _bill(piece: Piece, agreed: Agreement) -> Outcome:
    return bill_sharing(piece.book, piece.network)


def _proportional(piece: Piece, agreed: Agreement) -> Outcome:
    return proportional(piece.book, piece.network, price_ticks=_contract(piece))


def _contract(piece: Piece) -> int:
    return posted_price(piece.prices.retail_ticks, piece.prices.feed_in_ticks)


def _static(piece: Piece, agreed: Agreement) -> Outcome:
    key = agreed.static_key[piece.household]
    return static(piece.book, piece.network, price_ticks=_contract(piece), key=key)


def _ex_ante(piece: Piece, agreed: Agreement) -> Outcome:
    key = agreed.hourly_key[agreed.hour[piece.rows][piece.book.interval], piece.household]
    return ex_ante(piece.book, piece.network, price_ticks=_contract(piece), key=key)


def _hierarchical(piece: Piece, agreed: Agreement) -> Outcome:
    priority = agreed.priority[piece.household]
    return hierarchical(piece.book, piece.network, price_ticks=_contract(piece), priority=priority)


def _per_pair(piece: Piece, agreed: Agreement) -> Outcome:
    book = piece.book
    bid = np.full((book.intervals, piece.households), -1, np.int64)
    bids = np.flatnonzero(~book.sell)
    bid[book.interval[bids], piece.household[bids]] = bids
    asks = np.flatnonzero(book.sell)
    partners = agreed.partners[piece.household[asks]]
    agreed_pairs = (partners >= 0).sum(axis=1, keepdims=True)
    row = np.where(partners >= 0, bid[book.interval[asks, None], partners], -1)
    ask, place = np.nonzero(row >= 0)
    key = WHOLE // np.maximum(agreed_pairs, 1)[ask, 0]
    return per_pair(book, piece.network, price_ticks=_contract(piece), seller=asks[ask], buyer=row[ask, place], key=key)


@dataclass(frozen=True)
class Named:
    """A mechanism of the backtest.

    Attributes:
        says: one line for people.
        gifts: members offer at zero or less, whatever feed-in would pay them.
        every_bid: the book has a bid of every household, of 0 Wh when it needs nothing.
    """

    says: str
    run: Callable[[Piece, Agreement], Outcome]
    gifts: bool = False
    every_bid: bool = False


RULES = {
    "mid-market": Named("one price for all, halfway between retail and feed-in, known beforehand", _mid_market),
    "nodal": Named("the price that proves the clearing: high when energy is short, low when there is plenty", _nodal),
    "pay-as-bid": Named("buyers pay retail, sellers get feed-in; the community keeps the difference", _pay_as_bid),
    "supply-demand-ratio": Named("the price falls from retail to feed-in as supply grows towards demand", _ratio),
    "bill-sharing": Named("surplus is a gift to those who use it; members split the bill by use", _bill, gifts=True),
    "proportional": Named("shares in proportion to use, at the mid-market price", _proportional),
    "static": Named("an equal fixed share for every household; what it does not use is not shared", _static),
    "ex-ante": Named("shares fixed beforehand for each hour of the day, by mean use in it", _ex_ante, every_bid=True),
    "hierarchical": Named("households without solar are served first", _hierarchical),
    "per-pair": Named(f"each producer shares equally with the {PARTNERS} homes without solar next to it", _per_pair),
}


def rule(name: str, agreed: Agreement) -> Rule:
    """The mechanism of that name with its agreement. Raises KeyError."""
    named = RULES[name]
    return Rule(name, lambda piece: named.run(piece, agreed), named.gifts, named.every_bid)
