"""The hours ahead for one household, and when to use energy: market.forecast over the series' own points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dashboard.advice.meters import Hourly, reversed_since, silent_since
from dashboard.days import day_of
from market.forecast import DAYS, Accuracy, Forecast, Hour, Source, Window, best_window, forecast
from market.settlement.rules import MID_MARKET, Member, Rules
from market.tariffs.tariff import TariffError
from market.tariffs.values import values

if TYPE_CHECKING:
    from dashboard.site import Site

HOUR_S, DAY_S = 3600, 86_400
AHEAD_S = DAY_S
LOOKED_BACK_S = (DAYS + 8) * DAY_S
"""The fortnight before the oldest day that the forecast is tested on."""
OWN_LOOKED_BACK_S = 10 * DAY_S
"""Of one home: it is read for each, and what people do changes sooner than what the sun does."""
WASHING_WH, WASHING_S = 1_000, 2 * HOUR_S
CAR_WH, CAR_S = 10_000, 4 * HOUR_S


@dataclass(frozen=True, slots=True)
class HourView:
    """One hour ahead. ``surplus_wh``: what the community's homes are expected to give beyond what they take; below zero
    they take more. ``error_wh``: by how much that was missed at this time of day, None where it was not tested.
    ``own_wh`` and ``own_error_wh`` are the same of this home alone. Prices are for one more kWh [ticks]."""

    start: int
    surplus_wh: int
    error_wh: int | None
    own_wh: int | None
    own_error_wh: int | None
    neighbour_ticks: int | None
    supplier_ticks: int


@dataclass(frozen=True, slots=True)
class AccuracyView:
    """How the same forecast did on the ``days`` before: of ``hours``, whether there is a surplus was right in
    ``right``; saying always what is commoner would have been right in ``usual_right``."""

    days: int
    hours: int
    error_wh: int
    right: int
    usual_right: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """The cheapest time for a use of ``energy_wh``; costs are estimates."""

    start: int
    end: int
    energy_wh: int
    cost_money: int
    at_once_money: int
    dearest_money: int


@dataclass(frozen=True, slots=True)
class AdviceView:
    """``days``: past days the forecast rests on. ``reversed_since`` (a date) and ``silent_since`` [epoch s]: the meter
    looks reversed, or was last heard then. ``today_to``: when the day of ``made_at`` ends."""

    household: str
    made_at: int
    today_to: int
    length_s: int
    days: int
    accuracy: AccuracyView | None
    own_accuracy: AccuracyView | None
    hours: Sequence[HourView]
    washing: WindowView | None
    car: WindowView | None
    reversed_since: str | None
    silent_since: int | None


def advice_view(site: Site, household: str) -> AdviceView:
    """The advice of this hour; made once an hour for each household that asks."""
    last = site.record.last_interval()
    settled_hour = -1 if last is None else last.start // HOUR_S
    return _of_hour(site, household, int(site.clock()) // HOUR_S, settled_hour)


@dataclass(frozen=True)
class _Community:
    """What is the same for every household: the forecast, the dark hours, the price between neighbours."""

    length: int
    surplus: Forecast
    dark: frozenset[int]
    price_ticks: int | None


@lru_cache(maxsize=4096)
def _of_hour(site: Site, household: str, hour: int, settled_hour: int) -> AdviceView:
    now, rules = hour * HOUR_S, site.record.rules()
    zone = ZoneInfo(rules.timezone)
    with _community_lock:
        community = _of_community(site, hour, settled_hour)
    length = community.length
    own = _own_hours(site, household, now, length, rules.interval_s)
    net = {one.start: one.export_wh - one.import_wh for one in own if one.heard}
    starts = _starts(now, length)
    alone = forecast(net, starts, length, zone)
    member = next(one for one in rules.members if one.household == household)
    rows = _rows(community, alone, rules, member, len(starts))
    hours = [_hour(row, rules, member) for row in rows]
    found = reversed_since(own, community.dark, zone)
    return AdviceView(
        household=household,
        made_at=now,
        today_to=day_of(now, zone).end,
        length_s=length,
        days=community.surplus.days,
        accuracy=_accuracy(community.surplus.accuracy),
        own_accuracy=_accuracy(alone.accuracy),
        hours=rows,
        washing=_window(best_window(hours, length, WASHING_WH, WASHING_S), WASHING_WH),
        car=_window(best_window(hours, length, CAR_WH, CAR_S), CAR_WH),
        reversed_since=None if found is None else found.isoformat(),
        silent_since=silent_since(own, length),
    )


@lru_cache(maxsize=2)
def _of_community(site: Site, hour: int, _settled_hour: int) -> _Community:
    now, rules = hour * HOUR_S, site.record.rules()
    length = HOUR_S if HOUR_S % rules.interval_s == 0 else rules.interval_s
    points = site.series.community(now - LOOKED_BACK_S, now + DAY_S)
    net, given, counts = Counter[int](), Counter[int](), Counter[int]()
    for point in points:
        start = point.start - point.start % length
        net[start] += point.export_wh - point.import_wh
        given[start] += point.generation_wh
        counts[start] += 1
    whole = [start for start, count in counts.items() if count == length // rules.interval_s]
    return _Community(
        length,
        forecast({start: net[start] for start in whole}, _starts(now, length), length, ZoneInfo(rules.timezone)),
        frozenset(start for start in whole if given[start] == 0),
        points[-1].price_ticks if points and rules.mechanism == MID_MARKET else None,
    )


_community_lock = Lock()
"""Many ask at once after an interval has settled: one of them makes it."""


def _own_hours(site: Site, household: str, now: int, length: int, interval_s: int) -> list[Hourly]:
    """The household's settled hours, those at the beginning without anything left out."""
    first = (now - OWN_LOOKED_BACK_S) // length * length
    bounds = range(first, now + DAY_S + length, length)
    found = []
    for start, sums in zip(bounds, site.series.sums(household, bounds), strict=False):
        if sums.intervals:
            heard = sums.heard == length // interval_s
            found.append(Hourly(start, sums.import_wh, sums.export_wh, heard, sums.heard > 0))
    return found


def _starts(now: int, length: int) -> range:
    """The hours ahead: those that begin after the present one."""
    first = now + HOUR_S + -(now + HOUR_S) % length
    return range(first, first + AHEAD_S, length)


def _rows(community: _Community, alone: Forecast, rules: Rules, member: Member, hours_ahead: int) -> list[HourView]:
    surplus, price = community.surplus, community.price_ticks
    own = {ahead.start: ahead for ahead in alone.ahead}
    rows: list[HourView] = []
    if len(surplus.ahead) * 4 < 3 * hours_ahead:
        # Not a day of readings yet: the hours that are known would pass for the best of the day.
        return rows
    for ahead in surplus.ahead:
        home = own.get(ahead.start)
        rows.append(
            HourView(
                start=ahead.start,
                surplus_wh=ahead.expected_wh,
                error_wh=ahead.error_wh,
                own_wh=None if home is None else home.expected_wh,
                own_error_wh=None if home is None else home.error_wh,
                neighbour_ticks=price,
                supplier_ticks=_supplier(rules, member, ahead.start)[0],
            )
        )
    return rows


def likely_wh(expected_wh: int | None, error_wh: int | None) -> int:
    """What of an expected surplus can be counted on: as much as exceeds the mean error; nothing that was not tested."""
    return 0 if expected_wh is None or error_wh is None else max(0, expected_wh - error_wh)


def _hour(row: HourView, rules: Rules, member: Member) -> Hour:
    """Where one more kWh would come from: the own roof, neighbours who have too much, the supplier.

    What the own roof has over is not free: it would have been sold, to neighbours while they lack, else to the
    supplier.
    """
    retail, feed_in = _supplier(rules, member, row.start)
    own, surplus = likely_wh(row.own_wh, row.own_error_wh), likely_wh(row.surplus_wh, row.error_wh)
    price = row.neighbour_ticks
    sources = [Source(own, feed_in if price is None or surplus else price)]
    if price is not None:
        sources.append(Source(max(0, surplus - own), price))
    return Hour(row.start, tuple(sources), retail)


def _supplier(rules: Rules, member: Member, start: int) -> tuple[int, int]:
    """What a kWh costs and earns at the supplier; the community's reference where only the month's total tells."""
    try:
        rates = values(member.tariff, start, rules.promise).rates
    except TariffError:
        # A price that is not published yet.
        rates = None
    if rates is None:
        return rules.reference.retail_ticks, rules.reference.feed_in_ticks
    return rates.import_ticks, rates.export_ticks


def _accuracy(found: Accuracy | None) -> AccuracyView | None:
    if found is None:
        return None
    return AccuracyView(found.days, found.intervals, found.error_wh, found.sign_right, found.usual_right)


def _window(found: Window | None, energy_wh: int) -> WindowView | None:
    if found is None:
        return None
    return WindowView(found.start, found.end, energy_wh, found.cost, found.cost_at_once, found.cost_dearest)
