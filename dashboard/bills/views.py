"""What the pages of bills show: the list, and one bill as market.statements makes it for paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboard.bills.months import Bills, FoundBill, months_with_data
from market.record import Gate, Record
from market.statements.figures import amount, unit
from market.statements.rows import Row
from market.statements.statement import Statement, statement
from market.tariffs.months import Month


@dataclass(frozen=True)
class Found:
    """A household's bill and all closures of its month, the first one first; none while it is not closed."""

    bill: FoundBill
    closures: Sequence[Gate]


@dataclass(frozen=True, slots=True)
class BillSummary:
    """One month of the list. ``revision`` and the sums are None while the month is not closed.

    ``gifts_money`` is what the gifts it made are worth, less those it received: they are in ``gain_money``.
    """

    month: str
    revision: int | None
    closed_at: int | None
    total_money: int | None
    alone_money: int | None
    gain_money: int | None
    gifts_money: int | None


@dataclass(frozen=True, slots=True)
class BillsView:
    """A household's months, the newest first."""

    household: str
    currency: str
    months: Sequence[BillSummary]


@dataclass(frozen=True, slots=True)
class LineView:
    """A line of a bill: what, how it is computed, how much; ``amount`` as it stands on paper."""

    what: str
    how: str
    money: int
    amount: str
    strong: bool


@dataclass(frozen=True, slots=True)
class TableView:
    key: str
    title: str
    lines: Sequence[LineView]
    note: str


@dataclass(frozen=True, slots=True)
class PartView:
    label: str
    energy_wh: int


@dataclass(frozen=True, slots=True)
class BarView:
    """Energy by where it came from or went."""

    label: str
    total_wh: int
    parts: Sequence[PartView]


@dataclass(frozen=True, slots=True)
class GridView:
    """A small table of texts."""

    key: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


@dataclass(frozen=True, slots=True)
class FactView:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class TextView:
    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class RevisionView:
    """One closure of the month. ``difference_money``: what it books beyond the one before; None for the first."""

    revision: int
    closed_at: int
    total_money: int
    difference_money: int | None


@dataclass(frozen=True, slots=True)
class BillView:
    """A bill in one language. ``revision`` is None for the month so far, which is no bill.

    ``total_money`` is what the household owes, negative where it receives. ``until``: when it was closed, or to when it
    is settled. ``unit`` is what the lines' amounts are in.
    """

    household: str
    month: str
    revision: int | None
    newest: bool
    until: int
    start: int
    length_s: int
    currency: str
    unit: str
    title: str
    reference: str
    due: str
    due_amount: str
    total_money: int
    alone_money: int
    gain_money: int
    verdict: str
    facts: Sequence[FactView]
    bars: Sequence[BarView]
    tables: Sequence[TableView]
    grids: Sequence[GridView]
    texts: Sequence[TextView]
    revisions: Sequence[RevisionView]


def bills_view(record: Record, bills: Bills, household: str) -> BillsView:
    """Every month of which something is settled, and in which the household was a member when it was closed."""
    found = []
    for month in months_with_data(record):
        closures = bills.closures(record, month)
        if not closures:
            found.append(BillSummary(str(month), None, None, None, None, None, None))
            continue
        gate = closures[-1]
        sums = bills.sums(record, gate).get(household)
        if sums is not None:
            found.append(BillSummary(str(month), gate.revision, gate.closed_at, *sums))
    rules = record.rules(record.input_versions(2**62))
    return BillsView(household, rules.currency, found)


def find_bill(record: Record, bills: Bills, household: str, month: Month, revision: int | None) -> Found | None:
    """The household's bill, the newest or that of a revision; the month so far while it is not closed.

    None when there is no such bill. Raises BillingError for a month without data.
    """
    closures = bills.closures(record, month)
    if not closures:
        found = bills.so_far(record, month, household) if revision is None else None
    elif revision is not None and revision >= len(closures):
        found = None
    else:
        found = bills.closed(record, closures[-1 if revision is None else revision], household)
    return None if found is None else Found(found, closures)


def bill_view(record: Record, bills: Bills, of: Found, language: str, names: Mapping[str, str]) -> BillView:
    """The bill as it stands on paper. ``names`` are the neighbours' names as this household may see them."""
    found, closures = of.bill, of.closures
    made = paper(found, language, names)
    body, household = found.body, found.body["household"]
    return BillView(
        household=household,
        month=found.result["month"],
        revision=found.revision,
        newest=found.revision is None or found.revision == closures[-1].revision,
        until=found.closed_at,
        start=found.result["start"],
        length_s=found.result["length"],
        currency=made.currency,
        unit=unit(made.currency, language),
        title=made.title,
        reference=made.reference,
        due=made.headline[0],
        due_amount=made.headline[1],
        total_money=body["total"],
        alone_money=body["alone"]["total"],
        gain_money=body["gain"],
        verdict=made.verdict,
        facts=[FactView(*fact) for fact in made.facts],
        bars=[BarView(b.label, b.total_wh, [PartView(*part) for part in b.parts]) for b in made.bars],
        tables=[TableView(t.key, t.title, [_line(row, made.currency) for row in t.rows], t.note) for t in made.tables],
        grids=[GridView(g.key, g.title, g.heads, g.rows, g.note) for g in made.grids],
        texts=[TextView(title, lines) for title, lines in made.texts],
        revisions=_revisions(record, bills, closures, household),
    )


def paper(found: FoundBill, language: str, names: Mapping[str, str]) -> Statement:
    """The bill as market.statements makes it, with the neighbours' names as the household may see them."""
    members = tuple(replace(one, name=names.get(one.household, one.household)) for one in found.rules.members)
    return statement(
        replace(found.rules, members=members),
        found.result,
        found.body["household"],
        language,
        revision=found.revision,
        closed_at=found.closed_at,
    )


def told(found: FoundBill, names: Mapping[str, str]) -> Mapping[str, Any]:
    """The stored bill with the neighbours' names as the household may see them, for the CSV."""
    partners = [{**p, "household": names.get(p["household"], p["household"])} for p in found.body["partners"]]
    return {**found.body, "partners": partners}


def _line(row: Row, currency: str) -> LineView:
    return LineView(row.what, row.how, row.money, amount(row.money, currency), row.strong)


def _revisions(record: Record, bills: Bills, closures: Sequence[Gate], household: str) -> list[RevisionView]:
    rows: list[RevisionView] = []
    for gate in closures:
        sums = bills.sums(record, gate).get(household)
        if sums is not None:
            difference = sums.total - rows[-1].total_money if rows else None
            rows.append(RevisionView(gate.revision, gate.closed_at, sums.total, difference))
    return rows
