"""Everything one household's page shows, gathered from record and series for one day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from dashboard import figures
from dashboard.days import LAST_DAY, LocalDay, clock, day_of, local_day
from dashboard.record import CommunityInfo, CommunityRecord, HouseholdInfo, LastInterval
from market.series.points import HouseholdPoint, HouseholdTotals, PartnerTotal, Series

FOREVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Partner:
    """A neighbour and the energy traded; permille of the largest partner, for the bars."""

    name: str
    bought_wh: int
    sold_wh: int
    bought_permille: int
    sold_permille: int


@dataclass(frozen=True, slots=True)
class Now:
    """The last settled interval."""

    date: date
    clock: str
    until: str
    point: HouseholdPoint | None
    flow: figures.Flow | None
    partners: Sequence[Partner]
    price: figures.PriceScale | None
    paid_ticks: int


@dataclass(frozen=True, slots=True)
class DayView:
    """One local day. `follows` says that the page moves on to the next day by itself."""

    day: LocalDay
    follows: bool
    is_latest: bool
    previous: date | None
    next: date | None
    rows: Sequence[figures.Row]
    money: figures.Money
    partners: Sequence[Partner]
    use_came_from: Sequence[figures.Share]
    generation_went: Sequence[figures.Share]
    without_grid: figures.Part | None


@dataclass(frozen=True, slots=True)
class View:
    """A household's page."""

    counter: int
    community: CommunityInfo
    households: Sequence[HouseholdInfo]
    household: HouseholdInfo
    now: Now | None
    day: DayView
    so_far: HouseholdTotals


def view(
    record: CommunityRecord,
    series: Series,
    households: Sequence[HouseholdInfo],
    household: HouseholdInfo,
    day: date | None,
    today: date,
) -> View:
    """Gather a page. Without a `day` it is the last settled interval's day, and `today` before there is one."""
    community = record.community()
    # The counter is read before the figures: a change in between is then announced once more, not missed.
    counter = record.change_counter()
    last = record.last_interval()
    zone = ZoneInfo(community.timezone)
    names = {h.household: h.name for h in households}
    latest = day_of(last.start, zone).date if last is not None else today
    so_far = series.totals(household.household, 0, FOREVER)
    first = day_of(so_far.first, zone).date if so_far.first is not None else latest
    return View(
        counter=counter,
        community=community,
        households=households,
        household=household,
        now=_now(series, community, zone, household, last, names) if last is not None else None,
        day=_day(series, community, household, local_day(day or latest, zone), day is None, first, latest, names),
        so_far=so_far,
    )


def day_chart(
    record: CommunityRecord, series: Series, household: str, day: date | None, today: date
) -> dict[str, object]:
    """The chart's columns for a day; see `view` for a missing day."""
    community = record.community()
    counter = record.change_counter()
    last = record.last_interval()
    zone = ZoneInfo(community.timezone)
    latest = day_of(last.start, zone).date if last is not None else today
    span = local_day(day or latest, zone)
    rows = figures.day_rows(span, community.interval_s, series.household(household, span.start, span.end), [])
    return {"counter": counter, **figures.chart(span, rows, community.interval_s)}


def _now(
    series: Series,
    community: CommunityInfo,
    zone: ZoneInfo,
    household: HouseholdInfo,
    last: LastInterval,
    names: dict[str, str],
) -> Now:
    start, end = last.start, last.start + community.interval_s
    point = next(iter(series.household(household.household, start, end)), None)
    prices = next(iter(series.community(start, end)), None)
    price = (
        figures.PriceScale(prices.price_ticks, prices.feed_in_ticks, prices.retail_ticks)
        if prices is not None
        else None
    )
    heard = point is not None and point.heard
    return Now(
        date=day_of(start, zone).date,
        clock=clock(start, zone),
        until=clock(end, zone),
        point=point,
        flow=figures.flow(point) if point is not None and heard else None,
        partners=_partners(series.partners(household.household, start, end), names),
        price=price,
        paid_ticks=figures.paid_ticks(point, price.price_ticks) if point is not None and price is not None else 0,
    )


def _day(
    series: Series,
    community: CommunityInfo,
    household: HouseholdInfo,
    day: LocalDay,
    follows: bool,
    first: date,
    latest: date,
    names: dict[str, str],
) -> DayView:
    points = series.household(household.household, day.start, day.end)
    rows = figures.day_rows(day, community.interval_s, points, series.community(day.start, day.end))
    money = figures.money(rows)
    return DayView(
        day=day,
        follows=follows,
        is_latest=day.date == latest,
        previous=min(day.date - timedelta(days=1), latest) if day.date > first else None,
        next=max(day.date + timedelta(days=1), first) if day.date < latest and day.date < LAST_DAY else None,
        rows=rows,
        money=money,
        partners=_partners(series.partners(household.household, day.start, day.end), names),
        use_came_from=figures.use_came_from(money.sums),
        generation_went=figures.generation_went(money.sums),
        without_grid=figures.without_grid(money.sums),
    )


def _partners(found: Sequence[PartnerTotal], names: dict[str, str]) -> list[Partner]:
    most = max((p.bought_wh + p.sold_wh for p in found), default=0)
    return [
        Partner(
            names.get(p.partner, p.partner),
            p.bought_wh,
            p.sold_wh,
            p.bought_wh * 1000 // most,
            p.sold_wh * 1000 // most,
        )
        for p in found
    ]
