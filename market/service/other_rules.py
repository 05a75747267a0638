"""What settled intervals would have been under another mechanism: their stored orders, run by the engine's own rules.

Orders, metered energy and the tariffs' values are those of each interval's newest closure. A rule that needs an
agreement no meter shows (the sharing keys of law) is given the plain one that a backtest states. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from market.backtest.figures import exact_total
from market.backtest.meters import Meters
from market.backtest.rules import RULES, Agreement, agreement, rule
from market.backtest.run import CHUNK_CELLS, CHUNK_ORDERS, BacktestError, Piece, Prices, Rule, check, exact_sums
from market.clearing.problem import NO_PRICE, Book, Flags, Ints, ProblemError
from market.mechanisms import Outcome
from market.record import Gate, Record
from market.settlement.limits import values_at
from market.settlement.rules import MONTHLY_NETTING, Rules

NAMES = tuple(RULES)
BY_USE = frozenset({"ex-ante", "hierarchical", "per-pair"})
"""Rules whose agreement follows from what the households did: one interval alone says too little."""
CELLS_BOUND = 2**22
"""Intervals times households that are looked at in one go stay below: a month of 1,400 homes."""


class TooMuchError(ValueError):
    """More than can be looked at in one go."""


class _Order(msgspec.Struct, gc=False):
    order: str
    side: str
    limit_ticks: int
    energy_wh: int


class _Household(msgspec.Struct, gc=False):
    household: str
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int


class _Result(msgspec.Struct):
    orders: list[_Order]
    households: list[_Household]


Small = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
_RESULT = msgspec.json.Decoder(_Result)
ENERGIES = ("import_wh", "export_wh", "generation_wh", "consumption_wh")


@dataclass(frozen=True, eq=False)
class Stretch:
    """Intervals that follow one another under the same inputs.

    Attributes:
        rules: they were settled by.
        starts: over intervals [epoch s].
        interval, member, sell, price_ticks, energy_wh: over orders.
        import_wh: (intervals, members).
        generates: over members, whether anything was generated.
        tariff: over members, the place of its tariff among ``rules.tariffs``.
        bought_ticks, sold_ticks: (intervals, tariffs), what a bought kWh spared and a sold one would have brought.
        own_use_wh, consumption_wh: of all members.
        alone_money: of all members without the community; None where only the month decides.
    """

    rules: Rules
    starts: tuple[int, ...]
    interval: Small
    member: Small
    sell: Flags
    price_ticks: Small
    energy_wh: Small
    import_wh: Small
    generates: Flags
    tariff: Ints
    bought_ticks: Ints
    sold_ticks: Ints
    own_use_wh: int
    consumption_wh: int
    alone_money: int | None


class Moved(NamedTuple):
    """A household under a rule: what it traded [Wh], what that paid it, and what that was worth [Wh x tick]."""

    bought_wh: int
    sold_wh: int
    money: int
    gain_money: int


@dataclass(frozen=True)
class Under:
    """Intervals under one rule. ``refused`` names why it cannot be applied; then there is nothing else.

    ``alone_money`` is None where a member's tariff gives kWh their value only by the month.
    """

    mechanism: str
    households: dict[str, Moved]
    traded_wh: int = 0
    consumption_wh: int = 0
    own_use_wh: int = 0
    fees: int = 0
    kept: int = 0
    welfare: int = 0
    alone_money: int | None = None
    refused: str | None = None

    @property
    def gain_money(self) -> int:
        """What trading was worth to all members together, with what stays with the community [Wh x tick]."""
        return sum(moved.gain_money for moved in self.households.values()) + self.kept


def newest_gates(gates: Iterable[Gate]) -> list[Gate]:
    """The newest closure of each interval, in the order of time."""
    newest = {gate.start: gate for gate in sorted(gates, key=lambda gate: gate.number)}
    return [gate for _, gate in sorted(newest.items())]


def stretches(record: Record, gates: Sequence[Gate], progress: Callable[[int], None]) -> list[Stretch]:
    """What the closures had settled, in stretches of bounded size; ``progress`` hears how many are read.

    Raises TooMuchError before anything is read.
    """
    cells = sum(len(record.rules(gate.inputs).members) for gate in gates)
    if cells >= CELLS_BOUND:
        raise TooMuchError(f"{cells} households' intervals at once, fewer than {CELLS_BOUND} are possible")
    found: list[Stretch] = []
    done = 0
    for _, group in groupby(gates, key=lambda gate: sorted(gate.inputs.items())):
        same = list(group)
        rules = record.rules(same[0].inputs)
        step = max(1, min(CHUNK_ORDERS // len(rules.members), CHUNK_CELLS // len(rules.nodes)))
        for first in range(0, len(same), step):
            part = same[first : first + step]
            found.append(_stretch(record, rules, part))
            done += len(part)
            progress(done)
    return found


def _stretch(record: Record, rules: Rules, gates: Sequence[Gate]) -> Stretch:
    place = {member.household: i for i, member in enumerate(rules.members)}
    orders: list[tuple[int, int, bool, int, int]] = []
    metered = np.zeros((len(ENERGIES), len(gates), len(rules.members)), np.int64)
    for row, gate in enumerate(gates):
        result = _RESULT.decode(record.result(gate.number))
        orders.extend((row, place[o.order], o.side == "sell", o.limit_ticks, o.energy_wh) for o in result.orders)
        at = [place[one.household] for one in result.households]
        for i, name in enumerate(ENERGIES):
            metered[i, row, at] = [getattr(one, name) for one in result.households]
    imported, exported, generated, consumed = metered
    # Prices and energies of an order have 32 bits: kept so, a month of a thousand homes takes half the memory.
    interval, member, sell, price, energy = np.array(orders, np.int32).reshape(-1, 5).T.copy()
    starts = tuple(gate.start for gate in gates)
    tariff = _tariffs_of(rules)
    bought_ticks, sold_ticks, import_ticks, export_ticks = _worth(rules, starts)
    by_month = (import_ticks[:, tariff] == NO_PRICE).any()
    alone = 0 if by_month else exact_total(exported * export_ticks[:, tariff] - imported * import_ticks[:, tariff])
    return Stretch(
        rules, starts, interval, member, sell.astype(np.bool_), price, energy,
        import_wh=imported.astype(np.int32),
        generates=generated.max(axis=0) > 0,
        tariff=tariff,
        bought_ticks=bought_ticks,
        sold_ticks=sold_ticks,
        own_use_wh=exact_total(generated) - exact_total(exported),
        consumption_wh=exact_total(consumed),
        alone_money=None if by_month else alone,
    )  # fmt: skip


def _tariffs_of(rules: Rules) -> Ints:
    names = list(rules.tariffs)
    return np.array([names.index(member.tariff_name) for member in rules.members], np.int64)


def _worth(rules: Rules, starts: Sequence[int]) -> tuple[Ints, Ints, Ints, Ints]:
    """Over (intervals, tariffs) [ticks]: what trading a kWh is set against, and what a kWh costs and earns alone.

    As `market.settlement.interval.at_tariff` has it; NO_PRICE alone where only the month decides.
    """
    found = np.zeros((4, len(starts), len(rules.tariffs)), np.int64)
    for row, start in enumerate(starts):
        for column, worth in enumerate(values_at(rules, start).values()):
            rates = worth.rates
            found[:, row, column] = (
                (worth.safe.most_ticks, worth.safe.least_ticks, NO_PRICE, NO_PRICE)
                if rates is None
                else (
                    rates.import_ticks - rates.bought_ticks,
                    rates.export_ticks + rates.sold_ticks,
                    rates.import_ticks,
                    rates.export_ticks,
                )
            )
    bought, sold, imported, exported = found
    return bought, sold, imported, exported


def agreed(parts: Sequence[Stretch]) -> dict[int, Agreement]:
    """The plain agreement of each community these stretches had, by ``id`` of their rules."""
    found = {}
    for rules, same in _by_rules(parts):
        homes = tuple(member.household for member in rules.members)
        nodes = tuple(rules.nodes[member.node] for member in rules.members)
        import_wh = np.concatenate([part.import_wh for part in same], dtype=np.int64)
        # An agreement looks at who takes how much when, and at who generates at all: one row says that.
        generates = np.array([part.generates for part in same]).astype(np.int64)
        nothing = np.zeros_like(generates)
        meters = Meters(homes, nodes, same[0].starts[0], rules.interval_s, import_wh, nothing, generates, nothing)
        found[id(rules)] = agreement(meters, ZoneInfo(rules.timezone))
    return found


def under(parts: Sequence[Stretch], name: str, agreements: dict[int, Agreement]) -> Under:
    """The stretches under the mechanism of that name. A rule that cannot be applied to them says why."""
    total = Under(name, {}, alone_money=0)
    offset: dict[int, int] = {}
    for part in parts:
        if part.rules.mechanism == MONTHLY_NETTING:
            return Under(name, {}, refused="its intervals hold no orders: this community nets whole months")
        key = id(part.rules)
        first = offset.get(key, 0)
        offset[key] = first + len(part.starts)
        chosen = rule(name, agreements[key])
        piece = _piece(part, chosen, first)
        try:
            outcome = chosen.run(piece)
            check(piece, outcome)
        except (ProblemError, BacktestError) as error:
            return Under(name, {}, refused=str(error))
        total = _added(total, part, piece, outcome)
    return total


def _piece(part: Stretch, chosen: Rule, first: int) -> Piece:
    """The stored book as the rule wants it; ``first`` counts the intervals under the same rules before it."""
    rules = part.rules
    interval, member, sell = part.interval.astype(np.int64), part.member.astype(np.int64), part.sell
    price, energy = part.price_ticks.astype(np.int64), part.energy_wh.astype(np.int64)
    if chosen.gifts:
        price = np.where(sell, np.minimum(price, 0), price)
    if chosen.every_bid:
        idle = np.ones((len(part.starts), len(rules.members)), np.bool_)
        idle[interval[~sell], member[~sell]] = False
        row, home = np.nonzero(idle)
        interval, member = np.append(interval, row), np.append(member, home)
        sell = np.append(sell, np.zeros(row.size, np.bool_))
        price = np.append(price, np.full(row.size, rules.reference.retail_ticks))
        energy = np.append(energy, np.zeros(row.size, np.int64))
    node = np.array([one.node for one in rules.members], np.int64)
    book = Book(interval, node[member], sell, price, energy, id=member, intervals=len(part.starts))
    prices = Prices(rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    return Piece(book, member, len(rules.members), rules.network, prices, slice(first, first + len(part.starts)))


def _added(total: Under, part: Stretch, piece: Piece, outcome: Outcome) -> Under:
    book, homes = piece.book, piece.households
    at = (book.interval, part.tariff[piece.household])
    worth = np.where(book.sell, -part.sold_ticks[at], part.bought_ticks[at])
    columns = [
        exact_sums(amounts, piece.household, homes)
        for amounts in (
            np.where(book.sell, 0, outcome.accepted_wh),
            np.where(book.sell, outcome.accepted_wh, 0),
            outcome.money,
            outcome.money + outcome.accepted_wh * worth,
        )
    ]
    households = dict(total.households)
    for member, values in zip(part.rules.members, zip(*columns, strict=True), strict=True):
        before = households.get(member.household, Moved(0, 0, 0, 0))
        households[member.household] = Moved(*(a + b for a, b in zip(before, values, strict=True)))
    known = part.alone_money is not None and total.alone_money is not None
    return replace(
        total,
        households=households,
        traded_wh=total.traded_wh + sum(columns[1]),
        consumption_wh=total.consumption_wh + part.consumption_wh,
        own_use_wh=total.own_use_wh + part.own_use_wh,
        fees=total.fees + exact_total(outcome.fees),
        kept=total.kept + exact_total(outcome.rent) + exact_total(outcome.pool),
        welfare=total.welfare + exact_total(outcome.welfare),
        alone_money=(total.alone_money or 0) + (part.alone_money or 0) if known else None,
    )


def _by_rules(parts: Sequence[Stretch]) -> Iterator[tuple[Rules, list[Stretch]]]:
    for key in dict.fromkeys(id(part.rules) for part in parts):
        same = [part for part in parts if id(part.rules) == key]
        yield same[0].rules, same
