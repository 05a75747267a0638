"""What a gate closure settles, derived from what it saw: used when it is booked, replayed and audited."""

from __future__ import annotations

import msgspec

from market.clearing.clear import Solver
from market.record import Gate, Record, RecordError
from market.record.rows import CORRECTED, ESTIMATED, FINAL, PROVISIONAL
from market.settlement.final import settle_final
from market.settlement.interval import Settled, settle
from market.settlement.rules import Rules


def settled_by(record: Record, rules: Rules, gate: Gate, solver: Solver) -> Settled:
    """The settlement of an interval by the readings and corrections the closure saw.

    An interval that had become final is corrected from its revision before; any other is cleared anew. Raises
    RecordError when that revision is missing.
    """
    at = (gate.start, gate.length)
    registers = record.registers(*at, gate.horizon, gate.corrections)
    estimated = estimated_meters(record, gate)
    if gate.state != FINAL:
        return settle(rules, gate.start, registers, solver, estimated)
    before = record.gate_of(*at, gate.revision - 1)
    if before is None:
        raise RecordError(f"interval {gate.start}: revision {gate.revision} is final, and there is none before it")
    return settle_final(rules, gate.start, registers, msgspec.json.decode(record.result(before.number)), estimated)


def estimated_meters(record: Record, gate: Gate) -> set[str]:
    """The meters whose registers, at the interval's beginning or end, the closure saw only estimated."""
    standing = record.standing(gate.start, gate.length, gate.horizon, gate.corrections)
    return {correction.meter for correction in standing if correction.reason == ESTIMATED}


def state_of(rules: Rules, start: int, length: int, revision: int, now: int) -> str:
    """The state that a closure at ``now`` [epoch s] leaves the interval in."""
    if not revision:
        return PROVISIONAL
    return FINAL if now >= start + length + rules.deadlines.final_after_s else CORRECTED
