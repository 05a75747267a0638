"""``replay``: every stored gate closure is run again by the market's own code, and must come out the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import astuple

from market.clearing.clear import Solver
from market.record import Gate, Record, Transfer
from market.record.rows import MONTH
from market.service.gates import result_text, transfers_to
from market.service.months import derive_closed
from market.service.settling import settled_by


class DifferenceError(Exception):
    """The first thing that is not as it is stored; the message names it."""


@dataclass(frozen=True)
class Replayed:
    """What was run again. ``digest`` is SHA-256 over every result and transfer, in order."""

    gates: int
    revisions: int
    transfers: int
    digest: str


def replay(record: Record, progress: Callable[[int, int], None]) -> Replayed:
    """Run every gate closure of the record again, by the solver it was run with.

    Raises DifferenceError at the first that comes out otherwise. ``progress`` is called with how many gate
    closures are done, of how many.
    """
    digest = hashlib.sha256()
    count = revisions = booked_count = 0
    total = record.last_gate_number()
    for gate in record.gates(kind=None):
        text, stored = replay_gate(record, gate)
        digest.update(text.encode())
        digest.update(repr([astuple(transfer) for transfer in stored]).encode())
        count += 1
        revisions += gate.revision > 0
        booked_count += len(stored)
        progress(count, total)
    if not count:
        raise DifferenceError("there is no gate closure: nothing has been settled here")
    return Replayed(count, revisions, booked_count, digest.hexdigest())


def replay_gate(record: Record, gate: Gate) -> tuple[str, list[Transfer]]:
    """Run one closure again; its result and transfers. Raises DifferenceError when they are not what is stored."""
    where = f"{gate.kind} {gate.start}, revision {gate.revision}"
    text, derived = derive_closed(record, gate) if gate.kind == MONTH else _derive_interval(record, gate)
    stored_text = record.result(gate.number)
    if text != stored_text:
        raise DifferenceError(f"{where}: the result comes out otherwise, {first_difference(stored_text, text)}")
    stored = record.transfers(gate.number)
    if derived != stored:
        raise DifferenceError(f"{where}: the transfers come out otherwise: {first_of(stored, derived)}")
    return text, stored


def _derive_interval(record: Record, gate: Gate) -> tuple[str, list[Transfer]]:
    rules = record.rules(gate.inputs)
    solver: Solver = "pulp" if gate.versions.get("solver") == "pulp" else "curve"
    settled = settled_by(record, rules, gate, solver)
    so_far = record.booked(gate.start, gate.length, gate.revision)
    return result_text(settled), transfers_to(rules.community, gate, settled.postings, so_far)


def first_difference(stored: str, derived: str) -> str:
    """Where two texts part."""
    place = next(
        (i for i, (a, b) in enumerate(zip(stored, derived, strict=False)) if a != b), min(len(stored), len(derived))
    )
    return f"stored …{stored[max(0, place - 40) : place + 20]}…, derived …{derived[max(0, place - 40) : place + 20]}…"


def first_of(stored: Sequence[object], derived: Sequence[object]) -> str:
    """The first place where two lists part."""
    for i in range(max(len(stored), len(derived))):
        pair = [str(rows[i]) if i < len(rows) else "nothing" for rows in (stored, derived)]
        if pair[0] != pair[1]:
            return f"stored {pair[0]}, derived {pair[1]}"
    return "in nothing"
