"""A month's intervals added up: each household's energy by band of its tariff's price, its trades and its partners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from market.settlement.interval import Match, PartnerTrade, Position
from market.settlement.rules import Member, Rules
from market.tariffs.bill import Amount, Usage
from market.tariffs.credits import Credit
from market.tariffs.months import Month
from market.tariffs.pricing import Band, Progressive, Series
from market.tariffs.tariff import Metering, Tariff, Version

ONE_BAND = Band("", 0)


@dataclass(frozen=True)
class IntervalResult:
    """An interval's newest settled result and the rules it was settled by; ``estimated`` names households.

    ``partners`` are in ``matches`` too; of one household's positions alone, its own side of them counts.
    """

    start: int
    rules: Rules
    price_ticks: int
    positions: Sequence[Position]
    matches: Sequence[Match]
    estimated: Sequence[str] = ()
    partners: Sequence[PartnerTrade] = ()


class CarryOver(NamedTuple):
    """Net metering's credits from the months before: the household's own, and those it would have alone."""

    own: tuple[Credit, ...] = ()
    alone: tuple[Credit, ...] = ()


@dataclass
class Flow:
    """Energy by band of price, as it adds up: all of it, and what was left after trading; [Wh, Wh x tick]."""

    gross: dict[str, list[int]] = field(default_factory=dict)
    rest: dict[str, list[int]] = field(default_factory=dict)

    def add(self, band: Band, gross_wh: int, rest_wh: int) -> None:
        for amounts, energy_wh in ((self.gross, gross_wh), (self.rest, rest_wh)):
            if energy_wh:
                amount = amounts.setdefault(band.name, [0, 0])
                amount[0] += energy_wh
                amount[1] += energy_wh * band.ticks

    def take(self, energy_wh: int, ticks: int) -> None:
        """What was traded of the month as a whole leaves the rest, whose energy has one price [ticks] then.

        A correction of a final month may leave less than was traded.
        """
        self.add(Band(ONE_BAND.name, ticks), 0, -energy_wh)


@dataclass
class HouseholdUse:
    """One household's month as it adds up [Wh, Wh x tick].

    ``bought_at_price`` and ``sold_at_price`` are its trades at the posted price, gifts among them; ``received`` and
    ``given`` are the gifts, at the same price, which nobody pays. ``gifts`` is what it got and gave by neighbour.
    """

    member: Member
    node: str
    tariff: Tariff
    version: Version
    first: int
    last: int = 0
    intervals: int = 0
    heard: int = 0
    estimated: int = 0
    import_wh: int = 0
    export_wh: int = 0
    generation_wh: int = 0
    consumption_wh: int = 0
    bought_wh: int = 0
    sold_wh: int = 0
    bought_at_price: int = 0
    sold_at_price: int = 0
    received_wh: int = 0
    given_wh: int = 0
    received_at_price: int = 0
    given_at_price: int = 0
    trade_money: int = 0
    residual_money: int = 0
    imports: Flow = field(default_factory=Flow)
    exports: Flow = field(default_factory=Flow)
    partners: dict[str, list[int]] = field(default_factory=dict)
    gifts: dict[str, list[int]] = field(default_factory=dict)

    @property
    def gift_money(self) -> int:
        """What it would have been paid for its gifts, less what it would have paid for those it received."""
        return self.given_at_price - self.received_at_price

    @property
    def fees(self) -> int:
        """The network's, on what it bought and was given."""
        return self.sold_at_price - self.bought_at_price - self.gift_money - self.trade_money

    def usage(self) -> Usage:
        """With the community: what was not traded is with the supplier."""
        return Usage(_amounts(self.imports.rest), _amounts(self.exports.rest), self.bought_wh, self.sold_wh)

    def alone(self) -> Usage:
        """All of it with the supplier."""
        return Usage(_amounts(self.imports.gross), _amounts(self.exports.gross))

    def traded_with(self, partner: str, bought_wh: int, sold_wh: int) -> None:
        _count(self.partners, partner, bought_wh, sold_wh)

    def give(self, buyer: str, energy_wh: int, price_ticks: int) -> None:
        self.given_wh += energy_wh
        self.given_at_price += energy_wh * price_ticks
        _count(self.gifts, buyer, 0, energy_wh)

    def receive(self, seller: str, energy_wh: int, price_ticks: int) -> None:
        self.received_wh += energy_wh
        self.received_at_price += energy_wh * price_ticks
        _count(self.gifts, seller, energy_wh, 0)


@dataclass(frozen=True)
class MonthUse:
    """Every household that was a member in the month, by id; the month's first and last interval, and how many."""

    households: Mapping[str, HouseholdUse]
    first: int
    last: int
    intervals: int


def add_up(rules: Rules, month: Month, intervals: Iterable[IntervalResult]) -> MonthUse:
    """Add up a month's intervals, which come in order of time.

    A household's month is billed by the tariff it had in its first interval, in its newest words: ``rules`` are
    those in force when the month closes. Raises TariffError when a tariff does not hold for all of the month.
    """
    found: dict[str, HouseholdUse] = {}
    first = last = count = 0
    for interval in intervals:
        first, last, count = (interval.start if not count else first), interval.start, count + 1
        members = {member.household: member for member in interval.rules.members}
        bands: dict[int, tuple[Band, Band]] = {}
        for position in interval.positions:
            use = found.get(position.household)
            if use is None:
                use = found[position.household] = _begin(rules, month, members[position.household], interval)
            known = bands.get(id(use.tariff))
            if known is None:
                known = bands[id(use.tariff)] = _band(use, "energy", interval), _band(use, "export", interval)
            _add(use, interval, position, *known)
        for household in interval.estimated:
            found[household].estimated += 1
        for match in interval.matches:
            found[match.buyer].traded_with(match.seller, match.energy_wh, 0)
            found[match.seller].traded_with(match.buyer, 0, match.energy_wh)
        for trade in interval.partners:
            if trade.gift and trade.seller in found:
                found[trade.seller].give(trade.buyer, trade.energy_wh, interval.price_ticks)
            if trade.gift and trade.buyer in found:
                found[trade.buyer].receive(trade.seller, trade.energy_wh, interval.price_ticks)
    return MonthUse(dict(sorted(found.items())), first, last, count)


def _begin(rules: Rules, month: Month, member: Member, interval: IntervalResult) -> HouseholdUse:
    tariff = rules.tariffs.get(member.tariff_name, member.tariff)
    return HouseholdUse(member, interval.rules.nodes[member.node], tariff, tariff.of_month(month), interval.start)


def _band(use: HouseholdUse, way: Literal["energy", "export"], interval: IntervalResult) -> Band:
    """The interval's price one way; '' where only the month has one.

    A price series' price is looked for in what is known at closing, then in what was known at the interval.
    """
    pricing = getattr(use.version, way)
    if pricing is None or isinstance(pricing, Progressive | Metering):
        return ONE_BAND
    if isinstance(pricing, Series) and pricing.listed(interval.start) is None:
        then = interval.rules.tariffs.get(use.member.tariff_name)
        known = getattr(then.at(interval.start), way) if then else None
        if isinstance(known, Series) and known.listed(interval.start) is not None:
            pricing = known
    found: Band = pricing.band(interval.start, use.tariff.zone)
    return found


def _add(use: HouseholdUse, interval: IntervalResult, position: Position, imports: Band, exports: Band) -> None:
    use.last = interval.start
    use.intervals += 1
    if not position.heard:
        return
    use.heard += 1
    bought, sold = position.bought_wh, position.sold_wh
    # A correction of a final interval may leave less than was traded.
    if position.import_wh or bought:
        use.import_wh += position.import_wh
        use.imports.add(imports, position.import_wh, position.import_wh - bought)
    if position.export_wh or sold:
        use.export_wh += position.export_wh
        use.exports.add(exports, position.export_wh, position.export_wh - sold)
    use.generation_wh += position.generation_wh
    use.consumption_wh += position.consumption_wh
    use.residual_money += position.residual_money
    if bought or sold:
        use.bought_wh += bought
        use.sold_wh += sold
        use.bought_at_price += bought * interval.price_ticks
        use.sold_at_price += sold * interval.price_ticks
        use.trade_money += position.trade_money


def _count(by_neighbour: dict[str, list[int]], neighbour: str, came_wh: int, went_wh: int) -> None:
    total = by_neighbour.setdefault(neighbour, [0, 0])
    total[0] += came_wh
    total[1] += went_wh


def _amounts(sums: Mapping[str, Sequence[int]]) -> dict[str, Amount]:
    return {name: Amount(energy_wh, money) for name, (energy_wh, money) in sums.items()}
