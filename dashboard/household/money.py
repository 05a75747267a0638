"""What a span's energy came to, with neighbours and without: by its intervals, or by its bill where months decide.

A month that is closed is what its bill says. Under a tariff whose kWh have their value by the month, an open month is
the bill as it stands, and a shorter span can only be told what its trades are worth at the least.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import msgspec

from dashboard.household.home import Home
from market.billing.result import carry_over
from market.billing.so_far import bill_so_far
from market.billing.usage import CarryOver, IntervalResult
from market.mechanisms.reference import posted_price
from market.record import Record
from market.series.points import HouseholdPoint, HouseholdTotals
from market.service import months
from market.settlement.interval import PartnerTrade, Position
from market.settlement.rules import Rules
from market.tariffs.months import Month
from market.tariffs.tariff import Metering, TariffError

Basis = Literal["intervals", "at-least", "so-far", "bill", "months"]
MONTHS_KEPT = 24


@dataclass(frozen=True, slots=True)
class Money:
    """What a household received, negative: paid [1e-8 of the currency].

    ``basis``: the ledger's own sums by interval; what trades were worth at the least (then only ``saved_money`` and
    the trades mean anything); the month's bill as it stands; the closed month's bill; or months, each by its own.
    ``trade_money`` is ``sold_money - bought_money - gifts_money - fees_money`` where these are known: all that was
    traded at the posted price, less what would have been got for gifts given, and paid for those received (negative).
    ``supplier_money`` is what was
    left with the supplier, ``shared_money`` what the month's bill moved between members and rounded.
    """

    basis: Basis
    with_money: int
    alone_money: int
    saved_money: int
    trade_money: int
    supplier_money: int
    shared_money: int = 0
    sold_money: int | None = None
    bought_money: int | None = None
    gifts_money: int | None = None
    fees_money: int | None = None


class _Total(msgspec.Struct):
    total: int


class _Trades(msgspec.Struct):
    bought: int
    sold: int
    fees: int
    rounding: int
    gifts: int = 0


class _Bill(msgspec.Struct):
    """What of a bill is shown here."""

    household: str
    own: _Total
    alone: _Total
    trades: _Trades
    true_up: int
    total: int
    gain: int


class _Month(msgspec.Struct):
    bills: list[_Bill]


class Bills:
    """Closed months' bills, read once for everybody: a closure never changes. For several threads."""

    def __init__(self) -> None:
        self._read: OrderedDict[int, dict[str, _Bill]] = OrderedDict()
        self._lock = Lock()

    def of(self, record: Record, number: int, household: str) -> _Bill | None:
        """The household's bill in the month's closure with that number."""
        with self._lock:
            known = self._read.get(number)
        if known is None:
            month = msgspec.json.decode(record.result(number), type=_Month)
            known = {bill.household: bill for bill in month.bills}
        with self._lock:
            self._read[number] = known
            self._read.move_to_end(number)
            while len(self._read) > MONTHS_KEPT:
                self._read.popitem(last=False)
        return known.get(household)


def by_intervals(home: Home, sums: HouseholdTotals, start: int) -> Money:
    """A span by its intervals' own money; ``start`` [epoch s] tells which tariff holds."""
    member = home.member
    least = member.tariff.at(start).by_month
    return Money(
        basis="at-least" if least else "intervals",
        with_money=sums.trade_money + sums.residual_money,
        alone_money=sums.alone_money,
        saved_money=sums.saved_money,
        trade_money=sums.trade_money,
        supplier_money=sums.residual_money,
    )


def by_month(home: Home, bills: Bills, month: Month, sums: HouseholdTotals) -> Money:
    """A month by its bill, by its bill so far, or by its intervals, as its state and the tariff have it."""
    record = home.site.record.read()
    gate = months.newest(record, month, home.rules)
    bill = None if gate is None else bills.of(record, gate.number, home.household)
    if bill is not None:
        return _of_bill(bill)
    start = month.start(home.zone)
    if gate is None and home.member.tariff.at(start).by_month:
        return _so_far(home, record, month) or by_intervals(home, sums, start)
    return by_intervals(home, sums, start)


def by_months(parts: Iterable[Money]) -> Money:
    """Several months as one sum."""
    parts = list(parts)
    bases = {part.basis for part in parts}
    return Money(
        basis=bases.pop() if len(bases) == 1 else "months",
        with_money=sum(part.with_money for part in parts),
        alone_money=sum(part.alone_money for part in parts),
        saved_money=sum(part.saved_money for part in parts),
        trade_money=sum(part.trade_money for part in parts),
        supplier_money=sum(part.supplier_money for part in parts),
        shared_money=sum(part.shared_money for part in parts),
    )


def _of_bill(bill: _Bill) -> Money:
    trades = bill.trades
    return Money(
        basis="bill",
        with_money=-bill.total,
        alone_money=-bill.alone.total,
        saved_money=bill.gain,
        trade_money=trades.sold - trades.bought - trades.gifts - trades.fees,
        supplier_money=-bill.own.total,
        shared_money=bill.true_up - trades.rounding,
        sold_money=trades.sold,
        bought_money=trades.bought,
        gifts_money=trades.gifts,
        fees_money=trades.fees,
    )


def _so_far(home: Home, record: Record, month: Month) -> Money | None:
    """None where the month before, whose credits are needed, is not closed, or where the tariff does not hold."""
    before = CarryOver()
    first, start = record.first_start(), month.start(home.zone)
    version = home.member.tariff.at(start)
    if isinstance(version.export, Metering) and first is not None and first < start:
        gate = months.newest(record, month.plus(-1), home.rules)
        if gate is None:
            return None
        before = carry_over(msgspec.json.decode(record.result(gate.number))).get(home.household, before)
    points = home.site.series.household(home.household, start, month.end(home.zone))
    try:
        found = bill_so_far(home.rules, month, home.household, _intervals(record, points), before)
    except TariffError:
        return None
    if found is None:
        return None
    use = found.use
    return Money(
        basis="so-far",
        with_money=-found.total,
        alone_money=-found.alone.total,
        saved_money=found.gain,
        trade_money=use.trade_money,
        supplier_money=-found.own.total,
        sold_money=use.sold_at_price,
        bought_money=use.bought_at_price,
        gifts_money=use.gift_money,
        fees_money=use.fees,
    )


def _intervals(record: Record, points: list[HouseholdPoint]) -> Iterator[IntervalResult]:
    """The household's own part of its settled intervals, with the rules that each was settled by."""
    if not points:
        return
    changes = sorted({points[0].start} | {version.stored_at for version in record.input_history()})
    rules_at: dict[int, Rules] = {}
    for point in points:
        change = changes[bisect_right(changes, point.start) - 1]
        if change not in rules_at:
            rules_at[change] = record.rules(record.input_versions(change))
        rules = rules_at[change]
        if not any(member.household == point.household for member in rules.members):
            continue
        reference = rules.reference
        yield IntervalResult(
            point.start,
            rules,
            posted_price(reference.retail_ticks, reference.feed_in_ticks),
            [_position(point)],
            (),
            partners=_gifts(point),
        )


def _gifts(point: HouseholdPoint) -> list[PartnerTrade]:
    """What the household received and gave; its other side is not told."""
    given = (
        PartnerTrade(point.household, "", point.given_wh, True),
        PartnerTrade("", point.household, point.received_wh, True),
    )
    return [trade for trade in given if trade.energy_wh]


def _position(point: HouseholdPoint) -> Position:
    return Position(
        household=point.household,
        heard=point.heard,
        import_wh=point.import_wh,
        export_wh=point.export_wh,
        generation_wh=point.generation_wh,
        consumption_wh=point.consumption_wh,
        bought_wh=point.bought_wh,
        sold_wh=point.sold_wh,
        trade_money=point.trade_money,
        residual_money=point.residual_money,
        alone_money=point.alone_money,
    )
