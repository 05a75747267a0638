"""Clear and settle a stretch of measured time under each mechanism: one batch, in pieces of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from market.backtest.meters import Meters
from market.clearing.problem import Book, Ints, Network
from market.mechanisms import Outcome

CHUNK_ORDERS = 2**18
CHUNK_CELLS = 2**20
"""Intervals of one piece times households, or times nodes, stay below these."""


class BacktestError(Exception):
    """A result that breaks a rule every clearing must keep; the message is one line."""


@dataclass(frozen=True)
class Prices:
    """Every household's outside option [ticks]."""

    retail_ticks: int
    feed_in_ticks: int


@dataclass(frozen=True, eq=False)
class Piece:
    """Some intervals of a backtest: the book of what was measured and whose order is whose.

    Attributes:
        book: one order per household and interval that has something to sell or to buy, ``id`` the household's rank.
        household: over orders, index of the household.
        households: how many there are.
        network: where they trade; its limits hold for every interval.
        rows: the meters' intervals.
    """

    book: Book
    household: Ints
    households: int
    network: Network
    prices: Prices
    rows: slice


@dataclass(frozen=True)
class Rule:
    """A mechanism with everything it needs besides the piece.

    Attributes:
        gifts: members offer at zero or less, whatever feed-in would pay them.
        every_bid: the book has a bid of every household, of 0 Wh when it needs nothing.
    """

    name: str
    run: Callable[[Piece], Outcome]
    gifts: bool = False
    every_bid: bool = False


@dataclass(frozen=True, eq=False)
class Settled:
    """What a mechanism did with all intervals.

    Attributes:
        mechanism: its name.
        starts: over intervals, when each begins [s].
        bought_wh, sold_wh: over households [Wh].
        money: over households, what the trades paid them, negative where they paid [Wh x tick]; exact integers.
        traded_wh: over intervals [Wh].
        paid, received: over intervals, by the buyers with their fees and by the sellers [Wh x tick].
        fees, rent, pool: over intervals [Wh x tick].
        full_edges: over intervals, edges of the network that carry all they may.
        seconds: what clearing and settling took [s].
    """

    mechanism: str
    starts: range
    bought_wh: Ints
    sold_wh: Ints
    money: tuple[int, ...]
    traded_wh: Ints
    paid: Ints
    received: Ints
    fees: Ints
    rent: Ints
    pool: Ints
    full_edges: Ints
    seconds: float


def pieces(meters: Meters, network: Network, node: Ints, prices: Prices, rule: Rule) -> Iterator[Piece]:
    """Cut the meters into pieces, with the books the rule needs. ``node`` is over households.

    What a household took and gave within one interval is not offered: it would trade with itself. Raises
    :class:`~market.clearing.problem.ProblemError`.
    """
    homes = len(meters.households)
    rank = np.empty(homes, np.int64)
    rank[sorted(range(homes), key=meters.households.__getitem__)] = np.arange(homes)
    least = min(prices.feed_in_ticks, 0) if rule.gifts else prices.feed_in_ticks
    step = max(1, min(CHUNK_ORDERS // max(homes, 1), CHUNK_CELLS // network.nodes))
    for first in range(0, meters.intervals, step):
        rows = slice(first, min(first + step, meters.intervals))
        net = meters.import_wh[rows] - meters.export_wh[rows]
        interval, home = np.nonzero(net)
        energy = net[interval, home]
        sell = energy < 0
        if rule.every_bid:
            idle = np.nonzero(net <= 0)
            interval, home = np.append(interval, idle[0]), np.append(home, idle[1])
            energy, sell = np.append(energy, np.zeros_like(idle[0])), np.append(sell, np.zeros_like(idle[0], np.bool_))
        limit = np.where(sell, least, prices.retail_ticks)
        book = Book(interval, node[home], sell, limit, np.abs(energy), id=rank[home], intervals=net.shape[0])
        yield Piece(book, home.astype(np.int64), homes, network, prices, rows)


def settle(
    meters: Meters,
    network: Network,
    node: Ints,
    prices: Prices,
    rule: Rule,
    clock: Callable[[], float],
    progress: Callable[[int], None],
) -> Settled:
    """Run one mechanism over all intervals; ``progress`` hears how many are done.

    Raises BacktestError when a result breaks energy or money, ProblemError when the input cannot be cleared.
    """
    homes = len(meters.households)
    bought, sold = np.zeros(homes, np.int64), np.zeros(homes, np.int64)
    money = [0] * homes
    over = {key: np.zeros(meters.intervals, np.int64) for key in _OVER_INTERVALS}
    seconds = 0.0
    for piece in pieces(meters, network, node, prices, rule):
        began = clock()
        outcome = rule.run(piece)
        check(piece, outcome)
        book = piece.book
        _add(bought, piece.household, np.where(book.sell, 0, outcome.accepted_wh))
        _add(sold, piece.household, np.where(book.sell, outcome.accepted_wh, 0))
        money = [a + b for a, b in zip(money, exact_sums(outcome.money, piece.household, homes), strict=True)]
        for key, values in _by_interval(piece, outcome).items():
            over[key][piece.rows] = values
        seconds += clock() - began
        progress(piece.rows.stop)
    return Settled(rule.name, meters.starts, bought, sold, tuple(money), **over, seconds=seconds)


_OVER_INTERVALS = ("traded_wh", "paid", "received", "fees", "rent", "pool", "full_edges")


def _by_interval(piece: Piece, outcome: Outcome) -> dict[str, Ints]:
    book = piece.book
    sums = {key: np.zeros(book.intervals, np.int64) for key in ("traded_wh", "paid", "received")}
    _add(sums["traded_wh"], book.interval, np.where(book.sell, outcome.accepted_wh, 0))
    _add(sums["paid"], book.interval, np.where(book.sell, 0, -outcome.money))
    _add(sums["received"], book.interval, np.where(book.sell, outcome.money, 0))
    return {
        **sums,
        "fees": outcome.fees,
        "rent": outcome.rent,
        "pool": outcome.pool,
        "full_edges": _full_edges(piece.network, outcome),
    }


def _full_edges(network: Network, outcome: Outcome) -> Ints:
    count = np.zeros(outcome.fees.size, np.int64)
    if outcome.clearing is None:
        return count
    flow = outcome.clearing.flow_wh
    for limit, way in ((network.limit_wh, flow), (network.limit_down_wh, -flow)):
        full = (limit >= 0) & (way > 0) & (way >= limit) & (network.parent >= 0)
        count += full.sum(axis=1)
    return count


def _add(total: Ints, index: Ints, values: Ints) -> None:
    np.add.at(total, index, values)


def exact_sums(amounts: Ints, index: Ints, size: int) -> list[int]:
    """Sums of 64-bit amounts by index as Python integers, in two halves so that nothing can overflow."""
    high, low = np.zeros(size, np.int64), np.zeros(size, np.int64)
    _add(high, index, amounts >> 32)
    _add(low, index, amounts & 0xFFFF_FFFF)
    return [(h << 32) + part for h, part in zip(high.tolist(), low.tolist(), strict=True)]


def check(piece: Piece, outcome: Outcome) -> None:
    """Energy, limits and money of every interval, and the certificate where the mechanism promises the optimum.

    Raises BacktestError.
    """
    book = piece.book
    accepted, money = outcome.accepted_wh, outcome.money
    if (accepted < 0).any() or (accepted > book.energy_wh).any():
        raise BacktestError(f"{outcome.mechanism}: an order trades more than it offers")
    balance = np.zeros(book.intervals, np.int64)
    _add(balance, book.interval, np.where(book.sell, accepted, -accepted))
    _refuse(piece, outcome, balance, "sold and bought energy differ")
    left = outcome.fees + outcome.rent + outcome.pool
    _add(left, book.interval, money)
    _refuse(piece, outcome, left, "money does not sum to zero")
    worse = money + np.where(book.sell, -1, 1) * accepted * book.price_ticks < 0
    if worse.any():
        at = piece.rows.start + int(book.interval[np.argmax(worse)])
        raise BacktestError(f"{outcome.mechanism}: interval {at}: an order trades against its limit")
    if outcome.efficient and outcome.clearing is not None:
        _refuse(piece, outcome, outcome.clearing.gap, "the certificate has a gap")


def _refuse(piece: Piece, outcome: Outcome, wrong: Ints, what: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong != 0))
        raise BacktestError(f"{outcome.mechanism}: interval {piece.rows.start + at}: {what}, by {int(wrong[at])}")
