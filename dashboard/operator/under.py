"""One interval under another mechanism, beside what was settled; and whether it comes out again as it was stored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import msgspec

from dashboard.access import Problem
from dashboard.days import day_of
from dashboard.operator.intervals import gain_money, gate_at
from dashboard.operator.table import ROWS, place
from dashboard.site import Site
from market.record import Gate
from market.service import other_rules
from market.service.replay import DifferenceError, replay_gate


@dataclass(frozen=True, slots=True)
class Side:
    """An interval's totals [Wh, Wh x tick]. ``gain_money`` is of all members with what stays with the community."""

    mechanism: str
    energy_traded_wh: int
    gain_money: int
    fees_money: int
    kept_money: int
    better: int
    worse: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A household in both: what it traded, and what that was worth to it [Wh x tick]."""

    household: str
    name: str
    bought_wh: int
    sold_wh: int
    gain_money: int
    other_bought_wh: int
    other_sold_wh: int
    other_gain_money: int
    difference_money: int


@dataclass(frozen=True, slots=True)
class UnderView:
    """``refused`` says why the other mechanism cannot be applied; then there is no ``other``.

    ``households`` are those of ``page``, who would have gained most first.
    """

    start: int
    length: int
    revision: int
    mechanism: str
    partners: bool
    settled: Side
    other: Side | None
    refused: str | None
    households: tuple[Compared, ...]
    page: int
    pages: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether the interval, run again by the market's own code, is what is stored, byte for byte."""

    start: int
    revision: int
    same: bool
    difference: str | None
    took_ms: int


def under_view(site: Site, start: int, mechanism: str, page: int) -> UnderView:
    """Raises Problem."""
    began = time.perf_counter()
    record = site.record.read()
    gate = gate_at(site, start)
    rules = record.rules(gate.inputs)
    result = msgspec.json.decode(record.result(gate.number))
    parts = other_rules.stretches(record, [gate], lambda done: None)
    looked_at = _day_of(site, gate) if mechanism in other_rules.BY_USE else [gate]
    agreements = other_rules.agreed(other_rules.stretches(record, looked_at, lambda done: None))
    other = other_rules.under(parts, mechanism, agreements)
    stood = {row["household"]: row for row in result["households"]}
    rows = [
        Compared(
            member.household,
            member.name,
            stood[member.household]["bought_wh"],
            stood[member.household]["sold_wh"],
            gain_money(stood[member.household]),
            moved.bought_wh,
            moved.sold_wh,
            moved.gain_money,
            moved.gain_money - gain_money(stood[member.household]),
        )
        for member in rules.members
        if (moved := other.households.get(member.household)) is not None
    ]
    rows.sort(key=lambda row: (-row.difference_money, row.household))
    page, pages = place(len(rows), page)
    gains = [gain_money(row) for row in result["households"]]
    kept = result["rent"] + result["pool"]
    return UnderView(
        start=gate.start,
        length=gate.length,
        revision=gate.revision,
        mechanism=mechanism,
        partners=bool(result.get("partners")),
        settled=Side(
            rules.mechanism,
            sum(row["sold_wh"] for row in result["households"]),
            sum(gains) + kept,
            result["fees"],
            kept,
            sum(gain > 0 for gain in gains),
            sum(gain < 0 for gain in gains),
        ),
        other=None
        if other.refused is not None
        else Side(
            mechanism,
            other.traded_wh,
            other.gain_money,
            other.fees,
            other.kept,
            sum(moved.gain_money > 0 for moved in other.households.values()),
            sum(moved.gain_money < 0 for moved in other.households.values()),
        ),
        refused=other.refused,
        households=tuple(rows[(page - 1) * ROWS : page * ROWS]),
        page=page,
        pages=pages,
        took_ms=round((time.perf_counter() - began) * 1000),
    )


def verify(site: Site, start: int, revision: int | None) -> Verified:
    """Run the closure again. Raises Problem when there is none."""
    began = time.perf_counter()
    record = site.record.read()
    gate = gate_at(site, start, revision)
    difference = None
    try:
        replay_gate(record, gate)
    except DifferenceError as error:
        difference = str(error)
    except Exception as error:
        # A changed record can lead to any failure: that is a finding too.
        difference = f"the record is damaged: {error!r}"
    took = round((time.perf_counter() - began) * 1000)
    return Verified(gate.start, gate.revision, difference is None, difference, took)


def _day_of(site: Site, gate: Gate) -> list[Gate]:
    """The closures of the interval's local day under the same inputs, which say how the households use energy."""
    record = site.record.read()
    span = day_of(gate.start, ZoneInfo(site.record.community().timezone))
    gates = other_rules.newest_gates(record.gates_between(span.start, span.end))
    return [one for one in gates if one.inputs == gate.inputs]


def known_mechanism(name: str) -> str:
    """Raises Problem for a name that no mechanism has."""
    if name not in other_rules.NAMES:
        raise Problem(404, "no-mechanism", f"known are {', '.join(other_rules.NAMES)}")
    return name
