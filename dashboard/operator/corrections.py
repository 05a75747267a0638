"""What is missing, estimated, contradictory or disputed, and putting readings right."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from pydantic import Field

from broker.contract import parse_topic
from dashboard.access import Problem, Visitor
from dashboard.bills import disputes
from dashboard.days import LAST_MOMENT
from dashboard.operator.meters import correction_table
from dashboard.operator.table import Table
from dashboard.site import Site
from market.record import Record
from market.record.overview import Refused
from market.service import correcting, plausible
from market.service.correcting import CorrectionError, Said
from market.settlement.rules import Rules

LOOK_BACK_S = 30 * 86_400
GAPS_BOUND, MESSAGES_BOUND, CORRECTIONS_BOUND, DISPUTES_BOUND = 50, 20, 50, 100
INTERVALS_BOUND = 400
"""Intervals with a gap that are looked into, the newest first."""
PROBLEMS = {
    "reason": "correction-reason",
    "interval": "correction-interval",
    "not-settled": "correction-not-settled",
    "meter": "correction-meter",
    "nothing": "correction-nothing",
    "unknown": "correction-unknown",
    "impossible": "correction-impossible",
    "final": "correction-final",
}
"""What a page says of a correction that cannot be."""
KEPT = ("conflicting", "impossible", "misaligned")
"""Outcomes of messages that a person may have to judge."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Intervals that follow one another in which nothing is known of a meter, neither heard nor estimated."""

    meter: str
    household: str
    start: int
    end: int
    intervals: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was kept and not believed. What it says is None where it cannot be read."""

    outcome: str
    received_at: int
    meter: str
    start: int | None
    import_wh: int | None
    export_wh: int | None
    generation_wh: int | None
    consumption_wh: int | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A household's question about one of its intervals or months."""

    number: int
    household: str
    state: str
    start: int | None
    month: str | None
    text: str
    opened_at: int


class CorrectionProblem(Problem):
    """A correction that cannot be, with what its register comes against."""

    def __init__(self, error: CorrectionError) -> None:
        super().__init__(422, PROBLEMS[error.problem], str(error))
        self.bound = error.bound


Register = Annotated[int, Field(ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True)
class Form:
    """What the form for a correction holds. A register that is None stays as it is known."""

    meter: Annotated[str, Field(pattern="^[a-z0-9-]{0,32}$")]
    start: Annotated[int, Field(ge=0, lt=LAST_MOMENT)] | None
    import_wh: Register | None
    export_wh: Register | None
    generation_wh: Register | None
    consumption_wh: Register | None
    reason: Annotated[str, Field(max_length=200)]
    final: bool = False


@dataclass(frozen=True, slots=True)
class CorrectionsView:
    """``gaps`` of the last thirty days, open at the end left out; ``outcomes`` counts every message by its outcome."""

    gaps: tuple[Gap, ...]
    gaps_more: bool
    messages: tuple[Message, ...]
    outcomes: dict[str, int]
    disputes: tuple[Dispute, ...]
    corrections: Table
    estimates: Table
    corrected: int
    estimated: int
    meters: tuple[str, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Changed:
    """A household's interval before and after a correction [Wh, Wh x tick]."""

    start: int
    household: str
    import_before_wh: int
    import_wh: int
    export_before_wh: int
    export_wh: int
    consumption_before_wh: int
    consumption_wh: int
    traded_before_wh: int
    traded_wh: int
    gain_before_money: int
    gain_money: int


@dataclass(frozen=True, slots=True)
class Rise:
    """What a register [Wh] rises by up to the corrected moment, or from it on, as it was known and as corrected.

    ``after_w`` is the power that takes; ``plausible`` compares it with ``most_w``, the most the register showed nearby.
    """

    register: str
    start: int
    end: int
    before_wh: int | None
    after_wh: int
    after_w: int
    most_w: int | None
    plausible: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a correction would change; ``final``: its household's own account only."""

    form: Form
    household: str
    final: bool
    registers: dict[str, int]
    rises: tuple[Rise, ...]
    changes: tuple[Changed, ...]


def corrections_view(site: Site, form: Form) -> CorrectionsView:
    record, rules = site.record.read(), site.record.rules()
    gaps = _gaps(site, record, rules)
    corrected, estimated = record.correction_counts()
    return CorrectionsView(
        gaps=tuple(gaps[:GAPS_BOUND]),
        gaps_more=len(gaps) > GAPS_BOUND,
        messages=tuple(_message(one) for one in record.newest_refused(KEPT, MESSAGES_BOUND)),
        outcomes=record.outcomes(),
        disputes=tuple(
            Dispute(d.number, d.household, d.state, d.start, d.month, d.text, d.opened_at)
            for d in disputes.open_disputes(site.accounts.db, DISPUTES_BOUND)
        ),
        corrections=correction_table(record.newest_corrections(CORRECTIONS_BOUND, estimated=False)),
        estimates=correction_table(record.newest_corrections(CORRECTIONS_BOUND, estimated=True)),
        corrected=corrected,
        estimated=estimated,
        meters=tuple(sorted(meter.meter for member in rules.members for meter in member.meters)),
        form=form,
    )


def local_time(site: Site, start: int | None) -> str:
    """A moment as a form's field for a local time holds it; empty for none."""
    if start is None:
        return ""
    zone = ZoneInfo(site.record.community().timezone)
    return f"{datetime.fromtimestamp(start, zone):%Y-%m-%dT%H:%M}"


def preview(site: Site, form: Form) -> Preview:
    """Check a correction and say what it would change; nothing is stored. Raises Problem."""
    record = site.record.read()
    try:
        checked = correcting.check(record, _said(form))
        changes = correcting.preview(record, checked, int(site.clock()))
        rises = plausible.energies(record, checked)
    except CorrectionError as error:
        raise CorrectionProblem(error) from None
    household = next(
        member.household for member in checked.rules.members if checked.meter.meter in [m.meter for m in member.meters]
    )
    return Preview(
        form=form,
        household=household,
        final=checked.final,
        registers=checked.registers._asdict(),
        rises=tuple(
            Rise(one.register, one.start, one.end, one.before_wh, one.after_wh, one.after_w, one.most_w, one.plausible)
            for one in rises
        ),
        changes=tuple(
            Changed(
                one.start,
                one.before.household,
                one.before.import_wh,
                one.after.import_wh,
                one.before.export_wh,
                one.after.export_wh,
                one.before.consumption_wh,
                one.after.consumption_wh,
                one.before.bought_wh + one.before.sold_wh,
                one.after.bought_wh + one.after.sold_wh,
                one.before.trade_money + one.before.residual_money - one.before.alone_money,
                one.after.trade_money + one.after.residual_money - one.after.alone_money,
            )
            for one in changes
        ),
    )


def add(site: Site, visitor: Visitor, form: Form) -> None:
    """Store a correction; the market settles the interval again. Raises Problem."""
    try:
        with site.writer() as record:
            checked, correction = correcting.add(record, _said(form), author=visitor.name, now=int(site.clock()))
    except CorrectionError as error:
        raise CorrectionProblem(error) from None
    household = next(
        member.household for member in checked.rules.members if checked.meter.meter in [m.meter for m in member.meters]
    )
    site.accounts.log(
        visitor, "correction", f"{correction.number} {correction.meter} {local_time(site, correction.start)}", household
    )


def answer(site: Site, visitor: Visitor, number: int, text: str) -> None:
    """Answer a household's dispute. Raises Problem."""
    found = disputes.find(site.accounts.db, number)
    if found is None:
        raise Problem(404, "no-dispute", "there is no such dispute")
    try:
        disputes.answer(site.accounts.db, number, visitor.name, text, site.accounts.now())
    except disputes.DisputeError as error:
        raise Problem(422, error.problem, str(error)) from None
    site.accounts.log(visitor, "dispute-answer", str(number), found.household)


def _said(form: Form) -> Said:
    if form.start is None:
        raise CorrectionError("interval", "say which interval is meant")
    return Said(
        form.meter, form.start, form.import_wh, form.export_wh, form.generation_wh, form.consumption_wh,
        form.reason, form.final,
    )  # fmt: skip


def _gaps(site: Site, record: Record, rules: Rules) -> list[Gap]:
    """The newest first. Which intervals lack a meter is asked of the series, which meter it is of the record."""
    last = record.last_gate()
    if last is None:
        return []
    length = rules.interval_s
    lacking = [
        point.start
        for point in site.series.health(last.start - LOOK_BACK_S, last.start + 1)
        if point.meters_heard < point.meters
    ][-INTERVALS_BOUND:]
    horizon, corrections = record.horizon(), record.last_correction()
    starts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for start in lacking:
        known = record.registers(start, length, horizon, corrections)
        for member in record.rules(record.input_versions(start)).members:
            for meter in member.meters:
                if meter.since <= start and (meter.meter, start) not in known:
                    starts[meter.meter, member.household].append(start)
    gaps = []
    for (name, household), own in starts.items():
        begin = 0
        for i, start in enumerate(own, start=1):
            if i == len(own) or own[i] != start + length:
                gaps.append(Gap(name, household, own[begin], start + length, i - begin))
                begin = i
    return sorted(gaps, key=lambda gap: (-gap.end, gap.meter))


class _Body(msgspec.Struct):
    start: Annotated[int, msgspec.Meta(ge=0, lt=LAST_MOMENT)] | None = None
    import_wh: int | None = None
    export_wh: int | None = None
    generation_wh: int | None = None
    consumption_wh: int | None = None


def _message(one: Refused) -> Message:
    found = parse_topic(one.topic)
    meter = "" if found is None else found[1]
    try:
        body = msgspec.json.decode(one.payload, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = _Body()
    values: dict[str, Any] = msgspec.structs.asdict(body)
    return Message(one.outcome, one.received_at, meter, **values)
