"""What the time series holds: one point per interval, all integers.

The series is a projection of the ledger: every figure here was computed by the engine and booked
before it was written, and the whole series can be rebuilt from the record at any time.

Energy is in Wh, prices are in ticks (0.00001 currency unit per kWh), money is in Wh x tick
(1e-8 currency unit) from the household's side: positive is received, negative is paid.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


class SeriesError(Exception):
    """The series cannot be written or read; the message is one line a person can act on."""


@dataclass(frozen=True, slots=True)
class HouseholdPoint:
    """One household's interval `[start, start + length)`.

    `import_wh` and `export_wh` are gross, at the grid connection; `bought_wh` and `sold_wh` are the
    parts of them traded with neighbours; `received_wh` and `given_wh` the parts of these that were
    gifts. `alone_money` is what the household would have received
    without the community.
    """

    start: int
    length: int
    household: str
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    bought_wh: int
    sold_wh: int
    heard: bool
    trade_money: int
    residual_money: int
    alone_money: int
    revision: int
    received_wh: int = 0
    given_wh: int = 0

    @property
    def saved_money(self) -> int:
        """What the community was worth to the household [Wh x tick]."""
        return self.trade_money + self.residual_money - self.alone_money


@dataclass(frozen=True, slots=True)
class CommunityPoint:
    """The whole community's interval `[start, start + length)`."""

    start: int
    length: int
    homes: int
    heard: int
    energy_traded_wh: int
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    welfare: int
    certificate_gap: int
    price_ticks: int
    retail_ticks: int
    feed_in_ticks: int
    fees: int
    revision: int


@dataclass(frozen=True, slots=True)
class PartnerPoint:
    """What `household` bought from and sold to one other household in an interval (a match; never booked)."""

    start: int
    length: int
    household: str
    partner: str
    bought_wh: int
    sold_wh: int
    revision: int


@dataclass(frozen=True, slots=True)
class FlowPoint:
    """One node's interval: energy that flowed from it to its parent, and the witness's price there.

    ``price_ticks`` is None where nothing bounds it. Evidence of optimality: not what people paid.
    """

    start: int
    length: int
    node: str
    flow_wh: int
    price_ticks: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class ReadingPoint:
    """A meter's cumulative registers at the interval's end, as the settlement saw them."""

    start: int
    length: int
    meter: str
    household: str
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    revision: int


@dataclass(frozen=True, slots=True)
class HealthPoint:
    """How an interval came about: meters that should have been heard and were, and when its gate closed.

    ``closed_after_s`` counts from the interval's end; ``readings`` is how many the record held then.
    """

    start: int
    length: int
    meters: int
    meters_heard: int
    closed_after_s: int
    readings: int
    revision: int


SUMMED = (
    "heard",
    "import_wh",
    "export_wh",
    "generation_wh",
    "consumption_wh",
    "bought_wh",
    "sold_wh",
    "received_wh",
    "given_wh",
    "trade_money",
    "residual_money",
    "alone_money",
)

Point = HouseholdPoint | CommunityPoint | PartnerPoint | FlowPoint | ReadingPoint | HealthPoint

KEYS: dict[type[Point], tuple[str, ...]] = {
    HouseholdPoint: ("household", "start", "length"),
    CommunityPoint: ("start", "length"),
    PartnerPoint: ("household", "start", "length", "partner"),
    FlowPoint: ("node", "start", "length"),
    ReadingPoint: ("meter", "start", "length"),
    HealthPoint: ("start", "length"),
}
"""What names a point of each kind, in the order in which pages read: one household's, node's or meter's span."""


@dataclass(frozen=True, slots=True)
class PartnerTotal:
    """Energy traded with one partner over a span of time [Wh]."""

    partner: str
    bought_wh: int
    sold_wh: int


@dataclass(frozen=True, slots=True)
class HouseholdTotals:
    """Exact sums over a household's intervals; Python integers, so no sum overflows.

    `heard` counts the intervals whose reading was there; `first` and `last` are the first and last
    interval's start, None when there is no interval.
    """

    intervals: int = 0
    heard: int = 0
    import_wh: int = 0
    export_wh: int = 0
    generation_wh: int = 0
    consumption_wh: int = 0
    bought_wh: int = 0
    sold_wh: int = 0
    received_wh: int = 0
    given_wh: int = 0
    trade_money: int = 0
    residual_money: int = 0
    alone_money: int = 0
    first: int | None = None
    last: int | None = None

    @property
    def saved_money(self) -> int:
        """What the community was worth to the household [Wh x tick]."""
        return self.trade_money + self.residual_money - self.alone_money


class Series(Protocol):
    """The time series, wherever it lives. Spans are half-open: `start <= point.start < end`.

    Every method raises SeriesError when the store cannot be reached or refuses.
    """

    def write(self, points: Iterable[Point]) -> None:
        """Store points; the last write of a key (measurement, household, start, length) stands.

        Revisions of an interval are written in their order. A HouseholdPoint and *all* its
        PartnerPoints belong in one call: the partners given replace the household's earlier set for
        that interval, so a partner a later revision drops disappears, and a HouseholdPoint without
        partners empties the set. When one call holds a key twice, the higher revision stands.
        """
        ...

    def household(self, household: str, start: int, end: int) -> list[HouseholdPoint]:
        """The household's points in order of time."""
        ...

    def community(self, start: int, end: int) -> list[CommunityPoint]:
        """The community's points in order of time."""
        ...

    def partners(self, household: str, start: int, end: int) -> list[PartnerTotal]:
        """Whom the household traded with, most energy first, then by partner id."""
        ...

    def totals(self, household: str, start: int, end: int) -> HouseholdTotals:
        """Exact sums of the household's points."""
        ...

    def sums(self, household: str, bounds: Sequence[int]) -> list[HouseholdTotals]:
        """Exact sums of the household's points over consecutive spans: from each of the rising bounds to the next."""
        ...

    def flows(self, node: str, start: int, end: int) -> list[FlowPoint]:
        """The node's points in order of time."""
        ...

    def readings(self, meter: str, start: int, end: int) -> list[ReadingPoint]:
        """The meter's registers in order of time."""
        ...

    def health(self, start: int, end: int) -> list[HealthPoint]:
        """How the intervals came about, in order of time."""
        ...

    def clear(self) -> None:
        """Forget every point of this community, before the series is rebuilt from the record."""
        ...

    def close(self) -> None:
        """Release the store; a closed series may not be used again."""
        ...


def newest(points: Iterable[Point]) -> Sequence[Point]:
    """The points with each key once, its highest revision, and no partner of an older revision.

    This is what a store writes from one call; order of input does not matter.
    """
    points = list(points)
    if not any(point.revision for point in points):
        return points
    kept: dict[tuple[object, ...], Point] = {}
    revision: dict[tuple[str, int, int], int] = {}
    for point in points:
        key = (type(point), *(getattr(point, name) for name in KEYS[type(point)]))
        if isinstance(point, HouseholdPoint | PartnerPoint):
            owner = (point.household, point.start, point.length)
            revision[owner] = max(revision.get(owner, 0), point.revision)
        standing = kept.get(key)
        if standing is None or standing.revision <= point.revision:
            kept[key] = point
    return [
        point
        for point in kept.values()
        if not isinstance(point, PartnerPoint) or point.revision == revision[point.household, point.start, point.length]
    ]


def partner_totals(points: Iterable[PartnerPoint]) -> list[PartnerTotal]:
    """Energy by partner, most first, then by id; partners without energy are left out."""
    bought: dict[str, int] = defaultdict(int)
    sold: dict[str, int] = defaultdict(int)
    for point in points:
        bought[point.partner] += point.bought_wh
        sold[point.partner] += point.sold_wh
    found = [PartnerTotal(partner, bought[partner], sold[partner]) for partner in bought]
    found.sort(key=lambda total: (-total.bought_wh - total.sold_wh, total.partner))
    return [total for total in found if total.bought_wh + total.sold_wh]


def totals(points: Iterable[HouseholdPoint]) -> HouseholdTotals:
    """Exact sums of a household's points."""
    sums: dict[str, int] = defaultdict(int)
    starts = []
    for point in points:
        starts.append(point.start)
        sums["intervals"] += 1
        for name in SUMMED:
            sums[name] += getattr(point, name)
    if not starts:
        return HouseholdTotals()
    return HouseholdTotals(**sums, first=min(starts), last=max(starts))


def sums(points: Iterable[HouseholdPoint], bounds: Sequence[int]) -> list[HouseholdTotals]:
    """``totals`` of the points between each of the rising bounds and the next."""
    parts: list[list[HouseholdPoint]] = [[] for _ in bounds[1:]]
    for point in points:
        parts[bisect_right(bounds, point.start) - 1].append(point)
    return [totals(part) for part in parts]
