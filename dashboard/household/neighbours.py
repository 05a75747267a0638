"""Whom a household traded with over a span, how much, and how far it travelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from dashboard.household.home import Home
from dashboard.household.partners import Neighbour, Neighbours, Way, way_between
from dashboard.household.spans import Kind, Span, span_of

SHOWN = 24
"""Rows of a page; the others are added up."""


@dataclass(frozen=True, slots=True)
class Partner:
    """What was traded with one neighbour [Wh]; ``way`` is None for one that has left the community.

    ``bought_permille`` and ``sold_permille`` are of the largest partner's energy, for bars. ``preferred``, ``given``:
    whether the household's offer prefers it, and gives to it.
    """

    neighbour: Neighbour
    way: Way | None
    bought_wh: int
    sold_wh: int
    bought_permille: int
    sold_permille: int
    preferred: bool
    given: bool


@dataclass(frozen=True, slots=True)
class Distance:
    """All energy traded over so many lines of the network; ``fee_ticks`` are the least and most a kWh paid there."""

    lines: int
    partners: int
    bought_wh: int
    sold_wh: int
    permille: int
    least_fee_ticks: int
    most_fee_ticks: int


@dataclass(frozen=True, slots=True)
class NeighboursView:
    """A span's partners, most energy first; of those beyond the first pages only ``rest_*`` is told."""

    household: str
    name: str
    counter: int
    currency: str
    timezone: str
    kind: Kind
    span: str
    first: date
    last: date
    latest: bool
    earlier: str | None
    later: str | None
    bought_wh: int
    sold_wh: int
    partners: Sequence[Partner]
    rest: int
    rest_bought_wh: int
    rest_sold_wh: int
    distances: Sequence[Distance]
    named: bool


def neighbours_view(home: Home, kind: Kind, span: Span | None) -> NeighboursView:
    """Raises SeriesError. Matches say who traded with whom; they are told, never booked."""
    latest = span_of(kind, datetime.fromtimestamp(home.settled_to - 1, home.zone).date(), home.zone)
    span = span or latest
    first = home.site.record.read().first_start()
    found = home.site.series.partners(home.household, span.start, span.end)
    nodes = {member.household: member.node for member in home.rules.members}
    most = max((total.bought_wh + total.sold_wh for total in found), default=1)
    neighbours = Neighbours(home)
    partners = [
        Partner(
            neighbour=neighbours.of(total.partner),
            way=way_between(home.rules, nodes[total.partner], home.member.node) if total.partner in nodes else None,
            bought_wh=total.bought_wh,
            sold_wh=total.sold_wh,
            bought_permille=total.bought_wh * 1000 // most,
            sold_permille=total.sold_wh * 1000 // most,
            preferred=total.partner in home.member.prefer,
            given=total.partner in home.member.give,
        )
        for total in found
    ]
    rest = partners[SHOWN:]
    return NeighboursView(
        household=home.household,
        name=home.member.name,
        counter=home.counter,
        currency=home.rules.currency,
        timezone=home.rules.timezone,
        kind=kind,
        span=span.name,
        first=span.first,
        last=span.last,
        latest=span == latest,
        earlier=None if first is None or span.start <= first else span.plus(-1).name,
        later=None if span.start >= latest.start else span.plus(1).name,
        bought_wh=sum(partner.bought_wh for partner in partners),
        sold_wh=sum(partner.sold_wh for partner in partners),
        partners=partners[:SHOWN],
        rest=len(rest),
        rest_bought_wh=sum(partner.bought_wh for partner in rest),
        rest_sold_wh=sum(partner.sold_wh for partner in rest),
        distances=_distances(partners),
        named=neighbours.named,
    )


def _distances(partners: Sequence[Partner]) -> list[Distance]:
    by_lines: dict[int, list[Partner]] = defaultdict(list)
    for partner in partners:
        if partner.way is not None:
            by_lines[partner.way.lines].append(partner)
    energy = {lines: sum(p.bought_wh + p.sold_wh for p in found) for lines, found in by_lines.items()}
    most = max(energy.values(), default=1)
    found = []
    for lines, those in sorted(by_lines.items()):
        fees = [partner.way.fee_ticks for partner in those if partner.way is not None]
        bought, sold = sum(p.bought_wh for p in those), sum(p.sold_wh for p in those)
        found.append(Distance(lines, len(those), bought, sold, energy[lines] * 1000 // most, min(fees), max(fees)))
    return found
