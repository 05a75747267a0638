"""Now: what flowed in the last settled interval, what a kWh costs in the next hours, and what today came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from dashboard.household.energy import Energy, Flow, Gauge, energy_of, flow, self_sufficiency
from dashboard.household.home import Home
from dashboard.household.money import Basis, Bills, by_intervals, by_month
from dashboard.household.prices import Prices, Step
from dashboard.household.spans import span_of
from market.series.points import HouseholdPoint


@dataclass(frozen=True, slots=True)
class Latest:
    """The last settled interval ``[start, end)`` [epoch s].

    ``written``: its figures are in the series; ``heard``: the meter's reading was there, and ``flow`` tells. ``age_s``
    is how long ago it ended. ``price_ticks`` is what was paid or received per kWh, network fees included.
    """

    start: int
    start_iso: str
    end: int
    age_s: int
    revision: int
    written: bool
    heard: bool
    flow: Flow | None
    buyers: int
    sellers: int
    price_ticks: int
    fees_included: bool


@dataclass(frozen=True, slots=True)
class Worth:
    """What being in the community was worth over a span [1e-8 of the currency]."""

    saved_money: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class LiveView:
    """What a new interval changes.

    ``meter_heard_to`` [epoch s] is the end of the newest interval of which every meter's reading is stored.
    """

    household: str
    name: str
    counter: int
    timezone: str
    currency: str
    clock: int
    generates: bool
    meter_heard_to: int | None
    latest: Latest | None
    today: str
    today_energy: Energy
    today_self_sufficiency: Gauge | None
    today_worth: Worth


@dataclass(frozen=True, slots=True)
class NowView:
    """A household's first page: ``live``, what it saved this ``month``, and the prices ahead with its own limits."""

    live: LiveView
    month: str
    month_worth: Worth
    price: Step
    coming: Sequence[Step]
    min_sell_ticks: int | None
    max_buy_ticks: int | None


def live_view(home: Home) -> LiveView:
    """Raises SeriesError."""
    rules, member = home.rules, home.member
    clock = int(home.site.clock())
    today = span_of("day", _day(home), home.zone)
    sums = home.site.series.totals(home.household, today.start, today.end)
    money = by_intervals(home, sums, today.start)
    return LiveView(
        household=home.household,
        name=member.name,
        counter=home.counter,
        timezone=rules.timezone,
        currency=rules.currency,
        clock=clock,
        generates=member.generates or sums.generation_wh > 0,
        meter_heard_to=_heard_to(home),
        latest=_latest(home, clock),
        today=today.name,
        today_energy=energy_of(sums),
        today_self_sufficiency=self_sufficiency(energy_of(sums)),
        today_worth=Worth(money.saved_money, money.basis),
    )


def now_view(home: Home, bills: Bills, prices: Prices) -> NowView:
    """Raises SeriesError."""
    live = live_view(home)
    month = span_of("month", _day(home), home.zone)
    sums = home.site.series.totals(home.household, month.start, month.end)
    money = by_month(home, bills, month.months()[0], sums)
    steps = prices.coming(home, live.clock - live.clock % home.rules.interval_s)
    return NowView(
        live=live,
        month=month.name,
        month_worth=Worth(money.saved_money, money.basis),
        price=steps[0],
        coming=steps,
        min_sell_ticks=home.member.min_sell_ticks,
        max_buy_ticks=home.member.max_buy_ticks,
    )


def _day(home: Home) -> date:
    """The local day of the last settled interval."""
    return datetime.fromtimestamp(home.settled_to - 1, home.zone).date()


def _latest(home: Home, clock: int) -> Latest | None:
    if home.last is None:
        return None
    start, end = home.last.start, home.settled_to
    series = home.site.series
    point = next(iter(series.household(home.household, start, end)), None)
    community = next(iter(series.community(start, end)), None)
    partners = series.partners(home.household, start, end)
    heard = point is not None and point.heard
    posted = 0 if community is None else community.price_ticks
    paid = posted if point is None else _paid_ticks(point, posted)
    return Latest(
        start=start,
        start_iso=datetime.fromtimestamp(start, UTC).isoformat(),
        end=end,
        age_s=max(0, clock - end),
        revision=home.last.revision,
        written=point is not None,
        heard=heard,
        flow=flow(point) if point is not None and heard else None,
        buyers=sum(partner.sold_wh > 0 for partner in partners),
        sellers=sum(partner.bought_wh > 0 for partner in partners),
        price_ticks=paid,
        fees_included=point is not None and _fees(point, posted) > 0,
    )


def _paid_ticks(point: HouseholdPoint, price_ticks: int) -> int:
    """Price per kWh a buyer really paid on average, network fees included [ticks]; the posted one for anyone else."""
    if point.bought_wh and not point.sold_wh:
        return (-point.trade_money + point.bought_wh // 2) // point.bought_wh
    return price_ticks


def _fees(point: HouseholdPoint, price_ticks: int) -> int:
    """What the ledger has beyond the posted price, which gifts do not cost [1e-8 of the currency]."""
    paid_wh = point.sold_wh - point.given_wh - point.bought_wh + point.received_wh
    return paid_wh * price_ticks - point.trade_money


def _heard_to(home: Home) -> int | None:
    record = home.site.record.read()
    newest = [record.neighbours(meter.meter, 2**62, 0)[0] for meter in home.member.meters]
    if not all(newest):
        return None
    return min(place[0] for place in newest if place is not None) + home.rules.interval_s
