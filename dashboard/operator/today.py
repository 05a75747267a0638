"""What needs an operator today: what stands still, who is silent, what waits for an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashboard.bills import disputes
from dashboard.household.home import NEWEST
from dashboard.operator.auditing import audit_view
from dashboard.operator.background import Background
from dashboard.operator.meters import CLOSABLE_S, every_meter
from dashboard.operator.network import overloaded
from dashboard.site import Site
from market.record import Gate, Record

STILL_INTERVALS = 2
"""A market that has closed no gate for so many intervals after one could close is not running."""
BEHIND_GATES = 2
CORRECTIONS_BOUND = 100
"""So many of the newest corrections are looked at for those that wait."""

Weight = Literal["now", "soon", "note"]
WEIGHTS: tuple[Weight, ...] = ("now", "soon", "note")


@dataclass(frozen=True, slots=True)
class Item:
    """Something to look at: ``kind`` names it, ``n`` counts it, ``path`` leads to where more is said.

    ``at`` is when it will be, of what is still to come.
    """

    kind: str
    weight: Weight
    n: int
    path: str
    at: int | None = None


@dataclass(frozen=True, slots=True)
class TodayView:
    """``items`` are what needs somebody, the urgent ones first. The figures are the newest settled interval's."""

    now: int
    start: int | None
    length: int
    homes: int
    heard: int
    meters: int
    online: int
    energy_traded_wh: int
    price_ticks: int | None
    certificate_gap: int
    gates: int
    items: tuple[Item, ...]


def today_view(site: Site, background: Background) -> TodayView:
    """Everything at a glance."""
    record, community = site.record.read(), site.record.community()
    now, length = int(site.clock()), community.interval_s
    last = record.last_gate()
    meters, _ = every_meter(site)
    points = [] if last is None else site.series.community(last.start, last.start + 1)
    point = points[-1] if points else None
    gates = record.last_gate_number(kind=None)
    items = [
        *(_beginning(site, now, length) if last is None else _market(last.start + last.length, now, length)),
        *_counted(
            "series-behind", "now", max(0, gates - site.record.change_counter()), "/operator/intervals", BEHIND_GATES
        ),
        *_counted("silent", "now", sum("silent" in one.reasons for one in meters), "/operator/meters?show=silent"),
        *_counted("offline", "soon", sum(one.state == "offline" for one in meters), "/operator/meters?show=offline"),
        *_network(site, last is not None),
        *_waiting(record, last, length),
        *_counted("disputes", "soon", disputes.count_open(site.accounts.db), "/operator/corrections#disputes"),
        *_outcomes(record.outcomes()),
        *_counted("estimated", "soon", sum(one.estimated > 0 for one in meters), "/operator/meters?show=estimated"),
        *_audit(site, background),
    ]
    items.sort(key=lambda item: WEIGHTS.index(item.weight))
    return TodayView(
        now=now,
        start=None if last is None else last.start,
        length=length,
        homes=len(site.record.households()),
        heard=0 if point is None else point.heard,
        meters=len(meters),
        online=sum(one.state == "online" for one in meters),
        energy_traded_wh=0 if point is None else point.energy_traded_wh,
        price_ticks=None if point is None else point.price_ticks,
        certificate_gap=0 if point is None else point.certificate_gap,
        gates=gates,
        items=tuple(items),
    )


def _counted(kind: str, weight: Weight, n: int, path: str, least: int = 1) -> list[Item]:
    return [Item(kind, weight, n, path)] if n >= least else []


def _beginning(site: Site, now: int, length: int) -> list[Item]:
    """Before anything has been settled: nothing is wrong until the first interval could have been."""
    meters = [meter for member in site.record.rules().members for meter in member.meters]
    end = min((meter.since for meter in meters), default=now) + length
    if now < end + CLOSABLE_S:
        return [Item("first-interval", "note", 0, "/operator/meters", end)]
    return [Item("nothing-settled", "now", 0, "/operator/meters")]


def _market(settled: int, now: int, length: int) -> list[Item]:
    """Whether intervals have ended and stand unsettled; ``settled`` is where the newest settled one ended."""
    waiting = (now - CLOSABLE_S - settled) // length
    if waiting >= STILL_INTERVALS:
        return [Item("market-still", "now", waiting, "/operator/intervals")]
    return _counted("unsettled", "soon", max(0, waiting), "/operator/intervals")


def _waiting(record: Record, last: Gate | None, length: int) -> list[Item]:
    """What is stored and has changed nothing yet: corrections the market has not settled, offers for a later interval.

    A correction also waits where running its interval again failed; where no further interval comes, an offer waits
    for ever.
    """
    if last is None:
        return []
    corrections = record.newest_corrections(CORRECTIONS_BOUND, estimated=False)
    gates = [(one, record.newest_gate(one.start, one.length)) for one in corrections]
    unsettled = sum(gate is not None and gate.corrections < one.number for one, gate in gates)
    stored, applied = record.input_versions(NEWEST)["offers"], record.input_versions(last.start)["offers"]
    if stored == applied:
        offers = 0
    else:
        new, old = record.offers(stored), record.offers(applied)
        offers = sum(new.get(household) != old.get(household) for household in new.keys() | old.keys())
    return [
        *_counted("corrections-waiting", "soon", unsettled, "/operator/corrections#corrections"),
        *([Item("offers-waiting", "note", offers, "/operator/log", last.start + length)] if offers else []),
    ]


def _network(site: Site, settled: bool) -> list[Item]:
    return _counted("overload", "now", overloaded(site) if settled else 0, "/operator/network")


def _outcomes(counts: dict[str, int]) -> list[Item]:
    kept = sum(counts.get(name, 0) for name in ("conflicting", "impossible"))
    return _counted("conflicting", "soon", kept, "/operator/corrections#messages")


def _audit(site: Site, background: Background) -> list[Item]:
    view = audit_view(site, background)
    if view.result is not None and view.result.difference is not None:
        return [Item("audit-differs", "now", 1, "/operator/audit")]
    if view.result is None and view.gates:
        return [Item("never-audited", "soon", view.gates, "/operator/audit")]
    return []
