"""Intervals as they were settled: a day's list, and one interval with its book, prices, matches and transfers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from dashboard.access import Problem
from dashboard.days import day_of, local_day
from dashboard.operator.table import Cell, Table, table
from dashboard.site import Site
from market.record import Gate, Record
from market.record.rows import INTERVAL
from market.service.settling import state_now
from market.settlement.rules import Rules

Shown = Literal["households", "orders", "nodes", "matches", "transfers"]


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """An interval's newest revision; figures are None until the time series has them."""

    start: int
    revision: int
    state: str
    heard: int | None
    homes: int | None
    energy_traded_wh: int | None
    price_ticks: int | None
    welfare_money: int | None
    certificate_gap: int | None
    closed_after_s: int


@dataclass(frozen=True, slots=True)
class DayView:
    """A local day's intervals, the newest first."""

    day: date
    previous: date | None
    next: date | None
    intervals: tuple[IntervalRow, ...]
    revised: int


@dataclass(frozen=True, slots=True)
class Revision:
    """One closure of the interval's gate; ``head`` is its place in the chain."""

    revision: int
    state: str
    closed_at: int
    gate: int
    readings: int
    corrections: int
    head: str | None


@dataclass(frozen=True, slots=True)
class IntervalView:
    """One revision of an interval; the newest is in the ``state`` "final" once its deadline has passed.

    ``fees``, ``rent`` and ``pool`` are what the members' trades left to others.
    """

    start: int
    length: int
    revision: int
    newest: int
    state: str
    mechanism: str
    final: bool
    closed_after_s: int
    homes: int
    heard: int
    estimated: tuple[str, ...]
    energy_traded_wh: int
    price_ticks: int
    welfare_money: int
    primal: int
    dual: int
    certificate_gap: int
    fees_money: int
    rent_money: int
    pool_money: int
    gained: int
    lost: int
    gain_money: int
    inputs: dict[str, int]
    versions: dict[str, str]
    revisions: tuple[Revision, ...]
    before: int | None
    after: int | None
    shown: Shown
    table: Table


def gate_at(site: Site, start: int | None, revision: int | None = None) -> Gate:
    """The newest settled interval's newest closure, or the one asked for. Raises Problem."""
    record = site.record.read()
    if start is None:
        gate = record.last_gate()
        if gate is None:
            raise Problem(404, "nothing-settled", "no interval has been settled yet")
        return gate
    length = site.record.community().interval_s
    gate = record.newest_gate(start, length) if revision is None else record.gate_of(start, length, revision)
    if gate is None:
        raise Problem(404, "no-interval", "no such interval has been settled")
    return gate


def day_view(site: Site, day: date | None) -> DayView:
    """The day's intervals; without a ``day`` that of the newest settled one."""
    record, community = site.record.read(), site.record.community()
    zone = ZoneInfo(community.timezone)
    last, first = record.last_gate(), record.first_start()
    latest = day_of(int(site.clock()) if last is None else last.start, zone).date
    span = local_day(day or latest, zone)
    points = {point.start: point for point in site.series.community(span.start, span.end)}
    now = int(site.clock())
    newest: dict[int, Gate] = {gate.start: gate for gate in record.gates_between(span.start, span.end)}
    rows = []
    for start, gate in sorted(newest.items(), reverse=True):
        point = points.get(start)
        rows.append(
            IntervalRow(
                start=start,
                revision=gate.revision,
                state=state_now(record.rules(gate.inputs), gate, now),
                heard=None if point is None else point.heard,
                homes=None if point is None else point.homes,
                energy_traded_wh=None if point is None else point.energy_traded_wh,
                price_ticks=None if point is None else point.price_ticks,
                welfare_money=None if point is None else point.welfare,
                certificate_gap=None if point is None else point.certificate_gap,
                closed_after_s=gate.closed_at - gate.start - gate.length,
            )
        )
    earliest = latest if first is None else day_of(first, zone).date
    return DayView(
        day=span.date,
        previous=min(span.date - timedelta(days=1), latest) if span.date > earliest else None,
        next=max(span.date + timedelta(days=1), earliest) if span.date < latest else None,
        intervals=tuple(rows),
        revised=sum(row.revision > 0 for row in rows),
    )


def interval_view(site: Site, start: int, revision: int | None, shown: Shown, page: int) -> IntervalView:
    """One interval, with a page of one of its tables. Raises Problem."""
    record = site.record.read()
    gate = gate_at(site, start, revision)
    rules = record.rules(gate.inputs)
    result = msgspec.json.decode(record.result(gate.number))
    gains = [gain_money(row) for row in result["households"]]
    revisions = [one for one in record.gates_between(start, start + 1) if one.length == gate.length]
    columns, rows = _TABLES[shown](record, gate, rules, result)
    return IntervalView(
        start=gate.start,
        length=gate.length,
        revision=gate.revision,
        newest=revisions[-1].revision,
        state=state_now(rules, gate, int(site.clock())) if gate.revision == revisions[-1].revision else gate.state,
        mechanism=result["mechanism"],
        final=bool(result.get("final")),
        closed_after_s=gate.closed_at - gate.start - gate.length,
        homes=len(result["households"]),
        heard=sum(row["heard"] for row in result["households"]),
        estimated=tuple(result.get("estimated", ())),
        energy_traded_wh=sum(row["sold_wh"] for row in result["households"]),
        price_ticks=result["price_ticks"],
        welfare_money=result["welfare"],
        primal=result["certificate"]["primal"],
        dual=result["certificate"]["dual"],
        certificate_gap=result["certificate"]["gap"],
        fees_money=result["fees"],
        rent_money=result["rent"],
        pool_money=result["pool"],
        gained=sum(gain > 0 for gain in gains),
        lost=sum(gain < 0 for gain in gains),
        gain_money=sum(gains),
        inputs=gate.inputs,
        versions=gate.versions,
        revisions=tuple(_revision(record, one) for one in revisions),
        before=_settled(record, gate.start - gate.length, gate.length),
        after=_settled(record, gate.start + gate.length, gate.length),
        shown=shown,
        table=table(columns, rows, page),
    )


def gain_money(row: Mapping[str, Any]) -> int:
    """What the community was worth to a household in an interval [Wh x tick], by its settled position."""
    return int(row["trade_money"] + row["residual_money"] - row["alone_money"])


def _settled(record: Record, start: int, length: int) -> int | None:
    gate = record.newest_gate(start, length, INTERVAL)
    return None if gate is None else gate.start


def _revision(record: Record, gate: Gate) -> Revision:
    row = record.chain_row(gate.number)
    return Revision(
        gate.revision, gate.state, gate.closed_at, gate.number, gate.horizon, gate.corrections,
        None if row is None else row.head,
    )  # fmt: skip


Rows = tuple[list[str], list[list[Cell]]]


def _households(record: Record, gate: Gate, rules: Rules, result: Mapping[str, Any]) -> Rows:
    """Who gained most comes first."""
    names = {member.household: member.name for member in rules.members}
    columns = ["household", "name", "heard", "import_wh", "export_wh", "bought_wh", "sold_wh"]
    columns += ["trade_money", "residual_money", "alone_money", "gain_money"]
    rows: list[list[Cell]] = []
    for row in sorted(result["households"], key=lambda row: (-gain_money(row), row["household"])):
        values = {**row, "name": names.get(row["household"], row["household"]), "gain_money": gain_money(row)}
        rows.append([values[column] for column in columns])
    return columns, rows


def _nodes(record: Record, gate: Gate, rules: Rules, result: Mapping[str, Any]) -> Rows:
    rows: list[list[Cell]] = [
        [n["node"], n["flow_wh"], n["price_ticks"], n["price_low"], n["price_high"]] for n in result["nodes"]
    ]
    return ["node", "flow_wh", "price_ticks", "price_low_ticks", "price_high_ticks"], rows


def _matches(record: Record, gate: Gate, rules: Rules, result: Mapping[str, Any]) -> Rows:
    """Partners' trades come first, as in the result."""
    kinds = ["gift" if one["gift"] else "partner" for one in result.get("partners", ())]
    kinds += ["market"] * (len(result["matches"]) - len(kinds))
    rows: list[list[Cell]] = [
        [m["seller"], m["buyer"], m["energy_wh"], kind] for m, kind in zip(result["matches"], kinds, strict=True)
    ]
    return ["seller", "buyer", "energy_wh", "trade"], rows


def _transfers(record: Record, gate: Gate, rules: Rules, result: Mapping[str, Any]) -> Rows:
    rows: list[list[Cell]] = [[t.debit, t.credit, t.reason, t.amount, t.id] for t in record.transfers(gate.number)]
    return ["debit", "credit", "posting", "amount_money", "id"], rows


def _orders(record: Record, gate: Gate, rules: Rules, result: Mapping[str, Any]) -> Rows:
    rows: list[list[Cell]] = [
        [o["order"], o["node"], o["side"], o["limit_ticks"], o["energy_wh"], o["accepted_wh"], o["money"]]
        for o in result["orders"]
    ]
    return ["household", "node", "side", "limit_ticks", "energy_wh", "accepted_wh", "order_money"], rows


_TABLES: dict[Shown, Callable[[Record, Gate, Rules, Mapping[str, Any]], Rows]] = {
    "households": _households,
    "orders": _orders,
    "nodes": _nodes,
    "matches": _matches,
    "transfers": _transfers,
}
