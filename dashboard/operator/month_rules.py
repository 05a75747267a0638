"""A month under other rules: the community's cost and self-sufficiency as they would have been, and who had gained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from statistics import median_low
from zoneinfo import ZoneInfo

import msgspec

from dashboard.access import Problem
from dashboard.days import local_day
from dashboard.operator.background import Background, BusyError, Progress
from dashboard.site import Site
from market.record import Record
from market.service import other_rules

KIND = "other-rules"


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A month under one rule. ``cost_money`` is what all members pay together, what stays with the community set off;
    None where a tariff gives kWh their value by the month. Gains are each household's own."""

    mechanism: str
    refused: str | None
    energy_traded_wh: int
    self_sufficiency_permille: int | None
    cost_money: int | None
    gain_money: int
    kept_money: int
    fees_money: int
    better: int
    worse: int
    least_gain_money: int
    median_gain_money: int
    most_gain_money: int


@dataclass(frozen=True, slots=True)
class MonthResult:
    """``gates`` is the newest closure that was looked at: a later one makes the result old."""

    month: str
    community_mechanism: str
    intervals: int
    households: int
    alone_money: int | None
    self_sufficiency_alone_permille: int | None
    rules: tuple[RuleRow, ...]
    gate: int
    made_at: int
    seconds: int


@dataclass(frozen=True, slots=True)
class MonthView:
    """The month that is asked for; ``result`` is None until it has been worked out, ``old`` when more was settled.

    ``partners``: members name preferred partners or homes to give to, which the other rules leave out.
    """

    month: str
    previous: str | None
    next: str | None
    intervals: int
    partners: bool
    result: MonthResult | None
    old: bool
    progress: Progress | None
    failure: str | None


def month_view(site: Site, background: Background, month: str | None) -> MonthView:
    """Without a ``month`` the one before that of the newest settled interval, or that one if it is the first."""
    record = site.record.read()
    first, last = months(site, record)
    chosen = month or max(first, _shift(last, -1))
    start, end = span_of(chosen, site)
    gates = record.gates_between(start, end)
    kept = background.last(KIND)
    result = msgspec.convert(kept, MonthResult) if kept is not None and kept["month"] == chosen else None
    return MonthView(
        month=chosen,
        previous=_shift(chosen, -1) if chosen > first else None,
        next=_shift(chosen, 1) if chosen < last else None,
        intervals=len({gate.start for gate in gates}),
        partners=bool(site.record.rules().naming),
        result=result,
        old=result is not None and any(gate.number > result.gate for gate in gates),
        progress=background.progress(),
        failure=background.failure(KIND),
    )


def begin(site: Site, background: Background, month: str) -> None:
    """Work the month out in the background. Raises Problem when that cannot be."""
    record = site.record.read()
    start, end = span_of(month, site)
    if not record.gates_between(start, end):
        raise Problem(404, "no-interval", "nothing was settled in that month")
    try:
        background.start(KIND, lambda note: asdict(_work(site, month, note)))
    except BusyError as error:
        raise Problem(409, "busy", f"{error} is being worked on") from None


def months(site: Site, record: Record) -> tuple[str, str]:
    """The first and the last month that something was settled in. Raises Problem."""
    first, last = record.first_start(), record.last_gate()
    if first is None or last is None:
        raise Problem(404, "nothing-settled", "no interval has been settled yet")
    zone = ZoneInfo(site.record.community().timezone)
    texts = [f"{datetime.fromtimestamp(start, zone):%Y-%m}" for start in (first, last.start)]
    return texts[0], texts[1]


def span_of(month: str, site: Site) -> tuple[int, int]:
    """[start, end) [epoch s] of a local month "2026-07". Raises Problem."""
    zone = ZoneInfo(site.record.community().timezone)
    try:
        day = date.fromisoformat(f"{month}-01")
        return local_day(day, zone).start, local_day(_next(day), zone).start
    except (ValueError, OverflowError):
        raise Problem(422, "bad-month", "a month is written YYYY-MM, for example 2016-07") from None


def _next(day: date) -> date:
    return (day + timedelta(days=31)).replace(day=1)


def _shift(month: str, by: int) -> str:
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{year:04d}-{number + 1:02d}"


def _work(site: Site, month: str, note: Callable[[int, int], None]) -> MonthResult:
    began = time.perf_counter()
    record = site.record.read()
    gates = other_rules.newest_gates(record.gates_between(*span_of(month, site)))
    steps = len(gates) * (1 + len(other_rules.NAMES))
    parts = other_rules.stretches(record, gates, lambda done: note(done, steps))
    agreements = other_rules.agreed(parts)
    rows: list[RuleRow] = []
    base: other_rules.Under | None = None
    for i, name in enumerate(other_rules.NAMES, start=1):
        found = other_rules.under(parts, name, agreements)
        base = base or (found if found.refused is None else None)
        rows.append(_row(found))
        note(len(gates) * (1 + i), steps)
    return MonthResult(
        month=month,
        community_mechanism=parts[-1].rules.mechanism,
        intervals=len(gates),
        households=len({member.household for part in parts for member in part.rules.members}),
        alone_money=None if base is None else base.alone_money,
        self_sufficiency_alone_permille=None if base is None else _permille(base.own_use_wh, base.consumption_wh),
        rules=tuple(rows),
        gate=max(gate.number for gate in gates),
        made_at=int(site.clock()),
        seconds=round(time.perf_counter() - began),
    )


def _row(found: other_rules.Under) -> RuleRow:
    gains = [moved.gain_money for moved in found.households.values()] or [0]
    return RuleRow(
        mechanism=found.mechanism,
        refused=found.refused,
        energy_traded_wh=found.traded_wh,
        self_sufficiency_permille=_permille(found.own_use_wh + found.traded_wh, found.consumption_wh),
        cost_money=None if found.alone_money is None else -found.alone_money - found.gain_money,
        gain_money=found.gain_money,
        kept_money=found.kept,
        fees_money=found.fees,
        better=sum(gain > 0 for gain in gains),
        worse=sum(gain < 0 for gain in gains),
        least_gain_money=min(gains),
        median_gain_money=median_low(gains),
        most_gain_money=max(gains),
    )


def _permille(part: int, whole: int) -> int | None:
    return part * 1000 // whole if whole else None
