"""What a gate closure settles, derived from what it saw: used when it is booked, replayed and audited."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from market.clearing.clear import Solver
from market.record import Gate, Record, RecordError
from market.record.rows import CORRECTED, ESTIMATED, FINAL, PROVISIONAL
from market.settlement.columns import energy_between
from market.settlement.final import settle_final
from market.settlement.interval import Settled, settle_energy
from market.settlement.rules import Rules


def settled_by(record: Record, rules: Rules, gate: Gate, solver: Solver) -> Settled:
    """The settlement of an interval by the readings and corrections the closure saw.

    An interval that had become final is corrected from its revision before; any other is cleared anew. Raises
    RecordError when that revision is missing.
    """
    seen = (gate.start, gate.length, gate.horizon, gate.corrections)
    estimated = estimated_meters(record, gate)
    if gate.state != FINAL:
        energy = energy_between(rules, gate.start, *record.register_columns(rules.columns.row, *seen))
        return settle_energy(rules, gate.start, energy, solver, estimated)
    before = record.gate_of(gate.start, gate.length, gate.revision - 1)
    if before is None:
        raise RecordError(f"interval {gate.start}: revision {gate.revision} is final, and there is none before it")
    registers, result = record.registers(*seen), msgspec.json.decode(record.result(before.number))
    return settle_final(rules, gate.start, registers, result, estimated)


def estimated_meters(record: Record, gate: Gate) -> set[str]:
    """The meters whose registers, at the interval's beginning or end, the closure saw only estimated."""
    standing = record.standing(gate.start, gate.length, gate.horizon, gate.corrections)
    return {correction.meter for correction in standing if correction.reason == ESTIMATED}


def state_of(rules: Rules, start: int, length: int, revision: int, now: int) -> str:
    """The state that a closure at ``now`` [epoch s] leaves the interval in."""
    if not revision:
        return PROVISIONAL
    return FINAL if now >= start + length + rules.deadlines.final_after_s else CORRECTED


def state_now(rules: Rules, gate: Gate, now: int) -> str:
    """The state that an interval is in at ``now`` [epoch s] by its newest closure, which may be long ago."""
    return FINAL if now >= gate.start + gate.length + rules.deadlines.final_after_s else gate.state


@contextmanager
def cycles_left_for_later() -> Iterator[None]:
    """Without the collector: a closure makes records by the ten thousand, none of them in a cycle.

    Python would look for cycles among them, and among all members, again and again: as long as the closure takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
