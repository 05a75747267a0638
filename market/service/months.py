"""Months: closed in one transaction once they are settled, run again when that changes, derived by anyone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from market.billing import BillingError, CarryOver, IntervalResult, MonthSettled, close_month
from market.billing.result import carry_over, month_result, standing
from market.clearing.clear import Solver
from market.record import Gate, Record, RecordError, Transfer
from market.record.rows import CORRECTED, FINAL, INTERVAL, MONTH, PROVISIONAL
from market.service.gates import transfers_to
from market.service.versions import SOLVER, versions
from market.settlement.interval import Match, PartnerTrade, Position
from market.settlement.rules import Rules, RulesError
from market.tariffs.months import Month, local, month_at

NEWEST = 2**62


class _Result(msgspec.Struct):
    """What of an interval's stored result a month's bill is made of."""

    price_ticks: int
    households: list[Position]
    matches: list[Match]
    partners: list[PartnerTrade] = []
    estimated: list[str] = []


_DECODER = msgspec.json.Decoder(_Result)


@dataclass(frozen=True)
class ClosedMonth:
    """A month's gate that has just closed and whose transfers are booked."""

    gate: Gate
    rules: Rules
    settled: MonthSettled
    text: str


@dataclass(frozen=True)
class _Draft:
    """A month as it is to be booked."""

    now: int
    inputs: Mapping[str, int]
    state: str
    settled: MonthSettled
    text: str


def close(
    record: Record, month: Month, now: int, booked: Callable[[Gate, Rules, str], None] = lambda gate, rules, text: None
) -> list[ClosedMonth]:
    """Close the month, or run it again, and with it the closed months after it that its credits change.

    All in one transaction; nothing is stored for a month that comes out as it is, unless something in it was settled
    anew: that this changed nothing then must be known later too. ``now`` [epoch s] decides whether it is final.
    ``booked`` is called within the transaction after each closure. Raises BillingError when the month cannot be closed,
    TariffError when a tariff does not hold for it.
    """
    _check_due(record, record.rules(record.input_versions(NEWEST)), month)
    while True:
        seen, seen_months = record.last_gate_number(kind=None), record.last_gate_number(MONTH)
        drafts = _drafts(record, month, now)
        if not drafts:
            return []
        start, last = drafts[0].settled.start, drafts[-1].settled
        with record.transaction():
            settled_meanwhile = record.settled_after(seen, start, last.start + last.length)
            if settled_meanwhile or record.last_gate_number(MONTH) != seen_months:
                # What was derived may be old.
                continue
            done = []
            for draft in drafts:
                done.append(_book(record, draft))
                booked(done[-1].gate, done[-1].rules, draft.text)
            return done


def derive(
    record: Record,
    month: Month,
    inputs: Mapping[str, int],
    before_gate: int = NEWEST,
    before: Mapping[str, CarryOver] | None = None,
    solver: Solver = SOLVER,
    final: Gate | None = None,
) -> MonthSettled:
    """The month by the inputs and by the closures with a number below ``before_gate``; nothing is stored.

    ``before``: the credits of the months before, None for those that the last month's closure left. ``final``: the
    closure whose month-end trades and true-up stand. Raises BillingError and TariffError.
    """
    rules = record.rules(inputs)
    if before is None:
        before = _credits(record, newest(record, month.plus(-1), rules, before_gate))
    stands = None if final is None else standing(msgspec.json.decode(record.result(final.number)))
    return close_month(rules, month, _intervals(record, rules, month, before_gate), before, solver, stands)


def state_of_month(record: Record, gate: Gate) -> str:
    """The state that a month's stored closure must have."""
    rules = record.rules(gate.inputs)
    previous = record.gate_of(gate.start, gate.length, gate.revision - 1, MONTH)
    last_month = month_of_gate(gate, rules).plus(-1)
    led = newest(record, last_month, rules, gate.number)
    if previous is not None and led is not None and led.state == FINAL:
        seen = newest(record, last_month, rules, previous.number)
        only_credits = _credits(record, led) != _credits(record, seen)
    else:
        only_credits = False
    return _state(record, previous, gate.closed_at, only_credits, gate.number)


def _state(record: Record, previous: Gate | None, now: int, only_credits: bool, below: int = NEWEST) -> str:
    """The state that a closure at ``now`` [epoch s] leaves the month in.

    It is final once its deadline has passed, and before it where ``only_credits`` that a final month has left
    otherwise are new: such a correction, too, is nobody's but its household's.
    """
    if previous is None:
        return PROVISIONAL
    if now >= _final_at(record, previous):
        return FINAL
    end = previous.start + previous.length
    settled_anew = record.settled_after(previous.number, previous.start, end, below)
    return FINAL if only_credits and not settled_anew else CORRECTED


def _final_at(record: Record, closed: Gate) -> int:
    """When the month is final [epoch s]: not before any of its intervals, each by the deadline that it began with."""
    end = closed.start + closed.length
    last = end - record.rules(closed.inputs).interval_s
    changed = {one.stored_at for one in record.input_history() if one.kind == "community"}
    starts = [closed.start, *(at for at in changed if closed.start < at <= last)]
    return end + max(record.rules(record.input_versions(at)).deadlines.final_after_s for at in starts)


def _drafts(record: Record, month: Month, now: int) -> list[_Draft]:
    """The month, and those after it, as far as they differ from what is stored."""
    found = []
    before, led_by = None, PROVISIONAL
    while True:
        inputs = _inputs(record, month)
        rules = record.rules(inputs)
        stored = newest(record, month, rules)
        # Also where the clock was set back while no market ran: what was final stays so.
        closed_at = now if stored is None else max(now, stored.closed_at)
        state = _state(record, stored, closed_at, led_by == FINAL)
        if state == FINAL and stored is not None:
            # Nor do a tariff's newer words make a final month another.
            inputs = stored.inputs
            rules = record.rules(inputs)
        settled = derive(record, month, inputs, before=before, final=stored if state == FINAL else None)
        text = result_text(rules, settled)
        if (
            stored is None
            or record.settled_after(stored.number, stored.start, stored.start + stored.length)
            or not _same(record.result(stored.number), text)
        ):
            found.append(_Draft(closed_at, inputs, state, settled, text))
        led_by = state
        before = carry_over(msgspec.json.decode(text))
        month = month.plus(1)
        if newest(record, month, rules) is None or before == _credits(record, stored):
            return found


def _same(stored: str, text: str) -> bool:
    """Whether nothing is news in a month's result but that it has become final."""
    if stored == text:
        return True
    bodies = [msgspec.json.decode(one) for one in (stored, text)]
    for body in bodies:
        body.pop("final", None)
    return bool(bodies[0] == bodies[1])


def _inputs(record: Record, month: Month) -> dict[str, int]:
    """What the month is billed by: what applied to its last interval, with the tariffs in their newest words.

    A change applies to what starts after it: neither a mechanism nor a price that came later makes a month another.
    """
    newest = record.input_versions(NEWEST)
    rules = record.rules(newest)
    then = record.input_versions(month.end(ZoneInfo(rules.timezone)) - rules.interval_s)
    worded = {**then, "tariffs": newest["tariffs"]}
    try:
        record.rules(worded)
    except RulesError:
        # Of today's tariffs one is missing that a member had, or does not go with the mechanism of then.
        return then
    return worded


def _credits(record: Record, closed: Gate | None) -> dict[str, CarryOver]:
    return {} if closed is None else carry_over(msgspec.json.decode(record.result(closed.number)))


def derive_closed(record: Record, gate: Gate) -> tuple[str, list[Transfer]]:
    """What a month's stored closure must hold: its result and its transfers, from what it saw."""
    rules = record.rules(gate.inputs)
    solver: Solver = "pulp" if gate.versions.get("solver") == "pulp" else "curve"
    before = record.gate_of(gate.start, gate.length, gate.revision - 1, MONTH) if gate.state == FINAL else None
    if gate.state == FINAL and before is None:
        raise RecordError(f"month {gate.start}: revision {gate.revision} is final, and there is none before it")
    settled = derive(record, month_of_gate(gate, rules), gate.inputs, gate.number, solver=solver, final=before)
    so_far = record.booked(gate.start, gate.length, gate.revision, kind=MONTH)
    return result_text(rules, settled), transfers_to(rules.community, gate, settled.postings, so_far)


def result_text(rules: Rules, settled: MonthSettled) -> str:
    """The month's result as it is stored."""
    return msgspec.json.encode(month_result(rules, settled)).decode()


def newest(record: Record, month: Month, rules: Rules, before_gate: int = NEWEST) -> Gate | None:
    """The month's newest closure below a number."""
    zone = ZoneInfo(rules.timezone)
    start = month.start(zone)
    return _newest(record, start, month.end(zone) - start, MONTH, before_gate)


def month_of_gate(gate: Gate, rules: Rules) -> Month:
    return month_at(local(gate.start, ZoneInfo(rules.timezone)).date())


def closed_months(record: Record) -> list[Month]:
    """The months that have been closed, in order."""
    rules = record.rules(record.input_versions(NEWEST))
    return sorted({month_of_gate(gate, rules) for gate in record.gates(kind=MONTH)})


def month_body(record: Record, month: Month) -> tuple[Gate, Rules, dict[str, Any]]:
    """A closed month's newest closure, its rules and its result. Raises BillingError when it is not closed."""
    rules = record.rules(record.input_versions(NEWEST))
    gate = newest(record, month, rules)
    if gate is None:
        _check_ended(record, rules, month)
        raise BillingError(f"month {month} has ended and is not closed yet: pumasi bill close {month}")
    body: dict[str, Any] = msgspec.json.decode(record.result(gate.number))
    return gate, record.rules(gate.inputs), body


def so_far(record: Record, month: Month) -> tuple[Rules, dict[str, Any], int]:
    """A month by what is settled of it until now: rules, result and when that ends [epoch s]; nothing is stored.

    Raises BillingError for a month without data.
    """
    inputs = _inputs(record, month)
    rules = record.rules(inputs)
    stored = newest(record, month, rules)
    closed = [gate for gate in (stored, record.last_gate()) if gate is not None]
    now = max((gate.closed_at for gate in closed), default=0)
    if stored is not None and _state(record, stored, now, stored.state == FINAL) == FINAL:
        inputs, rules = stored.inputs, record.rules(stored.inputs)
        settled = derive(record, month, inputs, final=stored)
    else:
        settled = derive(record, month, inputs)
    return rules, msgspec.json.decode(result_text(rules, settled)), settled.last + rules.interval_s


def _book(record: Record, draft: _Draft) -> ClosedMonth:
    settled, rules = draft.settled, record.rules(draft.inputs)
    gate = record.close_gate(
        settled.start,
        settled.length,
        now=draft.now,
        versions=versions(),
        horizon=record.horizon(),
        inputs=draft.inputs,
        kind=MONTH,
        corrections=record.last_correction(),
        state=draft.state,
    )
    record.add_result(gate, draft.text)
    so_far = record.booked(settled.start, settled.length, gate.revision, kind=MONTH)
    record.book(gate, transfers_to(rules.community, gate, settled.postings, so_far))
    return ClosedMonth(gate, rules, settled, draft.text)


def _check_due(record: Record, rules: Rules, month: Month) -> None:
    """The month has data, has ended, and the one before is closed if it has data: credits go from one to the next."""
    _check_ended(record, rules, month)
    first = record.first_start()
    zone = ZoneInfo(rules.timezone)
    if first is not None and first < month.start(zone) and newest(record, month.plus(-1), rules) is None:
        raise BillingError(f"month {month.plus(-1)} is not closed yet, and months are closed in their order")


def _check_ended(record: Record, rules: Rules, month: Month) -> None:
    """Raises BillingError for a month without data, and for one whose last interval is not settled."""
    zone = ZoneInfo(rules.timezone)
    first, last = record.first_start(), record.last_gate()
    if first is None or last is None:
        raise BillingError(f"month {month}: there is no data, nothing has been settled here")
    settled_to = last.start + last.length
    if month.end(zone) <= first or settled_to <= month.start(zone):
        spans = f"{local(first, zone):%Y-%m-%d %H:%M} to {local(settled_to, zone):%Y-%m-%d %H:%M}"
        raise BillingError(f"month {month}: there is no data, what was settled is from {spans}")
    if settled_to < month.end(zone):
        raise BillingError(f"month {month} has not ended: it is settled to {local(settled_to, zone):%Y-%m-%d %H:%M}")


def _intervals(record: Record, rules: Rules, month: Month, before_gate: int) -> Iterator[IntervalResult]:
    """The month's intervals by their newest closures, in order of time."""
    zone = ZoneInfo(rules.timezone)
    for at in range(month.start(zone), month.end(zone), rules.interval_s):
        gate = _newest(record, at, rules.interval_s, INTERVAL, before_gate)
        if gate is not None:
            result = _DECODER.decode(record.result(gate.number))
            rules_then = record.rules(gate.inputs)
            yield IntervalResult(
                at, rules_then, result.price_ticks, result.households, result.matches, result.estimated, result.partners
            )


def _newest(record: Record, start: int, length: int, kind: str, before_gate: int) -> Gate | None:
    """The newest closure with a number below ``before_gate``."""
    gate = record.newest_gate(start, length, kind)
    while gate is not None and gate.number >= before_gate:
        gate = record.gate_of(start, length, gate.revision - 1, kind) if gate.revision else None
    return gate
