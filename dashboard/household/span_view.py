"""A day, week, month or year of a household: everything its page and its JSON show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from itertools import pairwise

from dashboard.household import money as moneys
from dashboard.household.energy import Energy, Gauge, energy_of, self_consumption, self_sufficiency
from dashboard.household.home import Home
from dashboard.household.money import Bills, Money
from dashboard.household.spans import Kind, Span, span_of
from market.series.points import HouseholdTotals, totals


@dataclass(frozen=True, slots=True)
class Part:
    """One row: an interval of a day, a day of a week or month, a month of a year [epoch s, Wh, 1e-8 currency].

    ``intervals`` are settled in it, ``heard`` of them with readings; ``price_ticks`` is an interval's posted price.
    ``basis`` says what a month's ``saved_money`` comes from.
    """

    start: int
    end: int
    day: date
    intervals: int
    heard: int
    energy: Energy
    saved_money: int
    price_ticks: int | None
    basis: moneys.Basis


@dataclass(frozen=True, slots=True)
class Carbon:
    """What the energy means in CO2 [g], every kWh of the grid at ``g_per_kwh``; own and neighbours' roofs at none."""

    g_per_kwh: int
    source: str
    from_grid_g: int
    avoided_g: int


@dataclass(frozen=True, slots=True)
class Before:
    """The span before, up to the same day and time of day where this one is not over (``until`` [epoch s])."""

    name: str
    first: date
    last: date
    until: int
    whole: bool
    energy: Energy
    saved_money: int | None


@dataclass(frozen=True, slots=True)
class SpanView:
    """A span of local days from ``first`` to ``last``.

    ``settled_to`` [epoch s] is how far it is settled, None if not at all. ``over``: nothing more will come in time
    order. ``before`` is None where the span before was not settled from its beginning. ``carbon`` is None where the
    community names no figure for its grid.
    """

    household: str
    name: str
    kind: Kind
    counter: int
    timezone: str
    currency: str
    interval_s: int
    span: str
    first: date
    last: date
    start: int
    start_iso: str
    end: int
    settled_to: int | None
    over: bool
    latest: bool
    earlier: str | None
    later: str | None
    intervals: int
    heard: int
    energy: Energy
    self_sufficiency: Gauge | None
    self_consumption: Gauge | None
    money: Money
    carbon: Carbon | None
    before: Before | None
    parts: Sequence[Part]


def span_view(home: Home, bills: Bills, kind: Kind, span: Span | None) -> SpanView:
    """The span; without one that of the last settled interval. Raises SeriesError."""
    length = home.rules.interval_s
    latest = span_of(kind, datetime.fromtimestamp(home.settled_to - 1, home.zone).date(), home.zone)
    span = span or latest
    parts = _intervals(home, span) if kind == "day" else _sums(home, span)
    whole = added(part.sums for part in parts)
    settled_to = None if whole.last is None else whole.last + length
    over = span.start < latest.start or settled_to == span.end
    money, basis = _money(home, bills, span, parts, whole)
    energy = energy_of(whole)
    first = home.site.record.read().first_start()
    return SpanView(
        household=home.household,
        name=home.member.name,
        kind=kind,
        counter=home.counter,
        timezone=home.rules.timezone,
        currency=home.rules.currency,
        interval_s=length,
        span=span.name,
        first=span.first,
        last=span.last,
        start=span.start,
        start_iso=_iso(span.start),
        end=span.end,
        settled_to=settled_to,
        over=over,
        latest=span == latest,
        earlier=_earlier(span, latest, first),
        later=_later(span, latest, first),
        intervals=whole.intervals,
        heard=whole.heard,
        energy=energy,
        self_sufficiency=self_sufficiency(energy),
        self_consumption=self_consumption(energy),
        money=money,
        carbon=_carbon(home, energy),
        before=_before(home, bills, span, None if over else settled_to or span.start, money.basis),
        parts=[_part(home, part, basis) for part in parts],
    )


@dataclass(frozen=True)
class _Sums:
    """A part as it is read."""

    start: int
    end: int
    sums: HouseholdTotals
    price_ticks: int | None = None


def _intervals(home: Home, span: Span) -> list[_Sums]:
    points = {point.start: point for point in home.site.series.household(home.household, span.start, span.end)}
    prices = {point.start: point.price_ticks for point in home.site.series.community(span.start, span.end)}
    return [
        _Sums(start, end, totals([points[start]] if start in points else []), prices.get(start))
        for start, end in pairwise(span.bounds(home.rules.interval_s))
    ]


def _sums(home: Home, span: Span) -> list[_Sums]:
    bounds = span.bounds(home.rules.interval_s)
    found = home.site.series.sums(home.household, bounds)
    return [_Sums(start, end, sums) for (start, end), sums in zip(pairwise(bounds), found, strict=True)]


def _money(
    home: Home, bills: Bills, span: Span, parts: Sequence[_Sums], whole: HouseholdTotals
) -> tuple[Money, dict[int, Money]]:
    """The span's money, and that of its parts, by their starts, where they are months."""
    if span.kind == "year":
        each = {
            part.start: moneys.by_month(home, bills, month, part.sums)
            for part, month in zip(parts, span.months(), strict=True)
            if part.sums.intervals
        }
        return moneys.by_months(each.values()) if each else moneys.by_intervals(home, whole, span.start), each
    if span.kind == "month":
        return moneys.by_month(home, bills, span.months()[0], whole), {}
    found = moneys.by_intervals(home, whole, span.start)
    traded = [part for part in parts if part.price_ticks is not None]
    if span.kind == "day" and len(traded) == whole.intervals:
        sold = sum(part.sums.sold_wh * (part.price_ticks or 0) for part in traded)
        bought = sum(part.sums.bought_wh * (part.price_ticks or 0) for part in traded)
        gifts = sum((part.sums.given_wh - part.sums.received_wh) * (part.price_ticks or 0) for part in traded)
        # What the ledger has beyond the posted price are network fees.
        fees = sold - bought - gifts - found.trade_money
        found = replace(found, sold_money=sold, bought_money=bought, gifts_money=gifts, fees_money=fees)
    return found, {}


def _part(home: Home, part: _Sums, months: dict[int, Money]) -> Part:
    own = months.get(part.start)
    least = home.member.tariff.at(part.start).by_month
    day = datetime.fromtimestamp(part.start, home.zone).date()
    return Part(
        start=part.start,
        end=part.end,
        day=day,
        intervals=part.sums.intervals,
        heard=part.sums.heard,
        energy=energy_of(part.sums),
        saved_money=part.sums.saved_money if own is None else own.saved_money,
        price_ticks=part.price_ticks,
        basis=own.basis if own is not None else "at-least" if least else "intervals",
    )


def _before(home: Home, bills: Bills, span: Span, settled_to: int | None, basis: moneys.Basis) -> Before | None:
    """The span before, as far as this one has come."""
    before = span.plus(-1)
    until = before.end if settled_to is None else before.reached(settled_to, span)
    bounds = before.bounds(home.rules.interval_s)
    parts = [_Sums(before.start, until, home.site.series.totals(home.household, before.start, until))]
    sums = parts[0].sums
    if sums.first != bounds[0]:
        return None
    saved: int | None = sums.saved_money
    if basis in ("bill", "so-far", "months") and span.kind != "year":
        money = moneys.by_month(home, bills, before.months()[0], sums) if until == before.end else None
        saved = money.saved_money if money is not None and money.basis == basis == "bill" else None
    elif basis != "intervals":
        saved = None
    return Before(before.name, before.first, before.last, until, until == before.end, energy_of(sums), saved)


def _earlier(span: Span, latest: Span, first: int | None) -> str | None:
    if first is None or span.start <= first:
        return None
    return (latest if span.start > latest.start else span.plus(-1)).name


def _later(span: Span, latest: Span, first: int | None) -> str | None:
    if span.start >= latest.start:
        return None
    if first is not None and span.end <= first:
        return span_of(span.kind, datetime.fromtimestamp(first, span.zone).date(), span.zone).name
    return span.plus(1).name


def _carbon(home: Home, energy: Energy) -> Carbon | None:
    known = home.site.settings.carbon
    if known is None:
        return None
    from_grid_g, avoided_g = (
        (wh * known.g_per_kwh + 500) // 1000 for wh in (energy.from_grid_wh, energy.use_wh - energy.from_grid_wh)
    )
    return Carbon(known.g_per_kwh, known.source, from_grid_g, avoided_g)


def added(parts: Iterable[HouseholdTotals]) -> HouseholdTotals:
    """Totals of consecutive spans as one."""
    parts = [part for part in parts if part.intervals]
    if not parts:
        return HouseholdTotals()
    names = [field.name for field in fields(HouseholdTotals) if field.name not in ("first", "last")]
    sums = {name: sum(getattr(part, name) for part in parts) for name in names}
    return HouseholdTotals(**sums, first=parts[0].first, last=parts[-1].last)


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
