"""Putting a reading right: what may be said of a meter's registers, and what it would change.

Nothing that was booked is changed: the market settles the interval and the one after it again, as their next revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from market.record import Correction, Gate, Record
from market.record.rows import ESTIMATED, FINAL
from market.service.ingest import POWER_BOUND_W
from market.service.settling import estimated_meters, state_of
from market.settlement.final import settle_final
from market.settlement.interval import Position, settle
from market.settlement.rules import Meter, Registers, Rules

REASON_BOUND = 200


@dataclass(frozen=True)
class Bound:
    """What a register [Wh] cannot have stood at, beside what it did: ``side`` 'before' or 'after' it.

    ``power``: it could, were it not for the power that takes.
    """

    register: str
    stated_wh: int
    stood_wh: int
    side: str
    power: bool


class CorrectionError(ValueError):
    """A correction that cannot be; ``problem`` names why, the message says it in one line.

    ``bound`` is what an impossible register comes against.
    """

    def __init__(self, problem: str, detail: str, bound: Bound | None = None) -> None:
        super().__init__(detail)
        self.problem, self.bound = problem, bound


@dataclass(frozen=True)
class Said:
    """What a person says a meter's registers [Wh] stood at, at the end of the interval that starts at ``start``.

    None: as it is known. ``final``: also when the interval is final.
    """

    meter: str
    start: int
    import_wh: int | None
    export_wh: int | None
    generation_wh: int | None
    consumption_wh: int | None
    reason: str
    final: bool = False


@dataclass(frozen=True)
class Checked:
    """A correction that may be stored."""

    rules: Rules
    meter: Meter
    start: int
    registers: Registers
    reason: str
    final: bool


@dataclass(frozen=True)
class Change:
    """A household's position before and after, in the interval that starts at ``start`` [epoch s]."""

    start: int
    before: Position
    after: Position


def check(record: Record, said: Said) -> Checked:
    """Raises CorrectionError for what cannot be."""
    reason = said.reason.strip()
    if not reason or len(reason) > REASON_BOUND or not reason.isprintable() or reason == ESTIMATED:
        raise CorrectionError(
            "reason", f"the reason: 1 to {REASON_BOUND} printable characters, and not {ESTIMATED!r} alone"
        )
    rules, meter = _interval(record, said)
    registers = _registers(record, rules, meter, said)
    return Checked(rules, meter, said.start, registers, reason, _check_final(record, rules, said))


def add(record: Record, said: Said, *, author: str, now: int) -> tuple[Checked, Correction]:
    """Check and store it. Raises CorrectionError; then nothing is stored."""
    with record.transaction():
        checked = check(record, said)
        correction = record.add_correction(
            checked.meter.meter, checked.start, checked.rules.interval_s, checked.registers,
            reason=checked.reason, author=author, now=now,
        )  # fmt: skip
    return checked, correction


def preview(record: Record, checked: Checked, now: int) -> list[Change]:
    """Whose positions the next revisions would change, in the interval and in the one that begins where it ends."""
    length = checked.rules.interval_s
    changes: list[Change] = []
    for start in (checked.start, checked.start + length):
        gate = record.newest_gate(start, length)
        if gate is not None:
            changes.extend(_changes(record, gate, checked, now))
    return changes


def _changes(record: Record, gate: Gate, checked: Checked, now: int) -> list[Change]:
    rules, corrections = record.rules(gate.inputs), record.last_correction()
    registers = dict(record.registers(gate.start, gate.length, record.horizon(), corrections))
    registers[checked.meter.meter, checked.start] = checked.registers
    before = msgspec.json.decode(record.result(gate.number))
    estimated = estimated_meters(record, gate)
    if state_of(rules, gate.start, gate.length, gate.revision + 1, now) == FINAL:
        after = settle_final(rules, gate.start, registers, before, estimated)
    else:
        after = settle(rules, gate.start, registers, "curve", estimated)
    stood = {row["household"]: Position(**row) for row in before["households"]}
    return [
        Change(gate.start, stood[position.household], position)
        for position in after.positions
        if position != stood[position.household]
    ]


def _interval(record: Record, said: Said) -> tuple[Rules, Meter]:
    """The rules of the settled interval that is meant, and its meter. Raises CorrectionError."""
    start = said.start
    rules = record.rules(record.input_versions(start))
    at = _local(start, rules)
    if start % rules.interval_s:
        raise CorrectionError("interval", f"{at}: no interval of {rules.interval_s} s starts then")
    if record.newest_gate(start, rules.interval_s) is None:
        raise CorrectionError("not-settled", f"{at}: this interval has not been settled here")
    meters = {meter.meter: meter for member in rules.members for meter in member.meters}
    meter = meters.get(said.meter)
    if meter is None:
        raise CorrectionError("meter", f"{said.meter}: no meter of the community in that interval")
    if start < meter.since:
        raise CorrectionError("meter", f"{said.meter}: it counts only since {_local(meter.since, rules)}")
    return rules, meter


def _registers(record: Record, rules: Rules, meter: Meter, said: Said) -> Registers:
    """The registers at the interval's end, possible between those around it. Raises CorrectionError."""
    start, length = said.start, rules.interval_s
    known = record.registers(start, length, record.horizon(), record.last_correction()).get((meter.meter, start))
    given = {name: getattr(said, name) for name in Registers._fields}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        raise CorrectionError("nothing", f"nothing is corrected: give {', '.join(missing[:-1])} or {missing[-1]}")
    if known is None and missing:
        raise CorrectionError("unknown", f"nothing is known of this interval: {', '.join(missing)} must be given too")
    registers = Registers(
        *(known[i] if given[name] is None else given[name] for i, name in enumerate(Registers._fields))  # type: ignore[index]
    )
    before, after = record.corrected_neighbours(meter.meter, start, meter.since)
    sides = [("before", before or (meter.since - length, meter.seed)), ("after", after)]
    for where, side in sides:
        if side is None:
            continue
        for name, stated, other in zip(Registers._fields, registers, side[1], strict=True):
            rise = stated - other if side[0] < start else other - stated
            stood = f"{name} {stated}: the register stood at {other} {where} it"
            if rise < 0:
                raise CorrectionError("impossible", stood, Bound(name, stated, other, where, False))
            if rise > POWER_BOUND_W * abs(start - side[0]) // 3600:
                power = f"no connection carries more than {POWER_BOUND_W // 1_000_000} MW"
                bound = Bound(name, stated, other, where, True)
                raise CorrectionError("impossible", f"{stood}, and {power}", bound)
    return registers


def _check_final(record: Record, rules: Rules, said: Said) -> bool:
    """Whether the interval is final. Raises CorrectionError when that was not expected."""
    last = record.last_gate()
    assert last is not None
    deadline = said.start + rules.interval_s + rules.deadlines.final_after_s
    final = max(last.closed_at, last.start + last.length) >= deadline
    if final and not said.final:
        at = datetime.fromtimestamp(deadline, UTC)
        raise CorrectionError(
            "final",
            f"this interval is final since {at:%Y-%m-%d %H:%M} UTC: if it is corrected all the same, the household"
            " settles the difference with its supplier, at its own tariff, and nobody else's position moves",
        )
    return final


def _local(moment: int, rules: Rules) -> str:
    return f"{datetime.fromtimestamp(moment, ZoneInfo(rules.timezone)):%Y-%m-%d %H:%M}"
