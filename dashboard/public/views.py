"""What the public page shows: sums of published intervals, the price, the chain's newest head."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dashboard.access import Problem
from dashboard.days import FIRST_DAY, LAST_DAY, day_of, local_day
from dashboard.public.chain import HeadView, newest_head
from dashboard.public.published import LEAST_HOMES, OpenSums, Published
from market.record import RecordError

if TYPE_CHECKING:
    from dashboard.site import Site

SHOWN_DAYS, MOST_DAYS = 31, 366


@dataclass(frozen=True, slots=True)
class SpanView:
    """Sums over the published intervals of a span; None: withheld. ``waiting``: settled, and not published (yet).

    ``self_sufficiency_permille``: the part of the use that came from the homes' own roofs.
    """

    start: int
    end: int
    intervals: int
    waiting: int
    shared_wh: int | None
    consumption_wh: int | None
    generation_wh: int | None
    self_sufficiency_permille: int | None


@dataclass(frozen=True, slots=True)
class PriceView:
    """What a kWh costs between neighbours in the interval that begins at ``start``, and at the supplier [ticks]."""

    start: int
    price_ticks: int
    retail_ticks: int
    feed_in_ticks: int


@dataclass(frozen=True, slots=True)
class PublicView:
    """The community for everybody. ``homes`` is None where there are fewer than five."""

    community: str
    currency: str
    timezone: str
    length_s: int
    homes: int | None
    settled_to: int | None
    today: SpanView
    year: SpanView
    price: PriceView | None
    chain: HeadView | None


def refresh(site: Site, published: Published) -> None:
    """Publish what may be published by now."""
    last = site.record.last_interval()
    if last is not None:
        points = site.series.community(published.wanted_from(), last.start + 1)
        published.publish(points, sum(home.has_generation for home in site.record.households()))


def public_view(site: Site, published: Published) -> PublicView:
    community, last = site.record.community(), site.record.last_interval()
    zone = ZoneInfo(community.timezone)
    settled_to = None if last is None else last.start + community.interval_s
    day = day_of(int(site.clock()) if last is None else last.start, zone)
    new_year = local_day(date(day.date.year, 1, 1), zone).start
    homes = len(site.record.households())
    return PublicView(
        community=community.name,
        currency=community.currency,
        timezone=community.timezone,
        length_s=community.interval_s,
        homes=homes if homes >= LEAST_HOMES else None,
        settled_to=settled_to,
        today=_span(published, day.start, day.end, settled_to, community.interval_s),
        year=_span(published, new_year, day.end, settled_to, community.interval_s),
        price=None if last is None else _price(site, last.start),
        chain=_chain(site),
    )


def _span(published: Published, start: int, end: int, settled_to: int | None, length: int) -> SpanView:
    sums, first = published.sums(start, end), published.first()
    settled = 0 if settled_to is None or first is None else (min(end, settled_to) - max(start, first)) // length
    return SpanView(
        start=start,
        end=end,
        intervals=sums.intervals,
        waiting=max(0, settled - sums.intervals),
        shared_wh=sums.shared_wh,
        consumption_wh=sums.consumption_wh,
        generation_wh=sums.generation_wh,
        self_sufficiency_permille=_self_sufficiency(sums),
    )


def _self_sufficiency(sums: OpenSums) -> int | None:
    if not sums.consumption_wh or sums.shared_wh is None or sums.import_wh is None:
        return None
    from_grid = sums.import_wh - sums.shared_wh
    return max(0, (sums.consumption_wh - from_grid) * 1000 // sums.consumption_wh)


def _price(site: Site, start: int) -> PriceView | None:
    newest = next(iter(site.series.community(start, start + 1)), None)
    if newest is None:
        return None
    return PriceView(start, newest.price_ticks, newest.retail_ticks, newest.feed_in_ticks)


def _chain(site: Site) -> HeadView | None:
    try:
        return newest_head(site.record.read(), site.store)
    except RecordError:
        # The figures come from the series: they are shown while the record cannot be read.
        return None


@dataclass(frozen=True, slots=True)
class Span:
    """Local days, both included, and when they begin and end [epoch s]."""

    first: date
    last: date
    start: int
    end: int


def span_of(site: Site, first: date | None, last: date | None) -> Span:
    """The days asked for; without them the last month. Raises Problem for days that are none or too many."""
    zone = ZoneInfo(site.record.community().timezone)
    newest = site.record.last_interval()
    today = day_of(int(site.clock()) if newest is None else newest.start, zone).date
    last = last or (today if first is None else _moved(first, SHOWN_DAYS - 1))
    first = first or _moved(last, 1 - SHOWN_DAYS)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Problem(422, "bad-span", f"from {first} to {last}: say at most {MOST_DAYS} days in their order")
    return Span(first, last, local_day(first, zone).start, local_day(last, zone).end)


def _moved(day: date, days: int) -> date:
    ordinal = day.toordinal() + days
    return date.fromordinal(min(max(ordinal, FIRST_DAY.toordinal()), LAST_DAY.toordinal()))
