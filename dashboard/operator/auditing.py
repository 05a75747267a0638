"""Replay and audit from a page: run in the background, with their last result and the chain's newest head."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec

from dashboard.access import Problem, Visitor
from dashboard.operator.background import Background, BusyError, Progress, StoppedError
from dashboard.site import Site
from market.service.audit import audit
from market.service.replay import DifferenceError, replay

KIND = "audit"
REPLAY_S_PER_GATE = 0.05
"""Roughly what running a small community's gate again takes; the last result's own pace is better."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """``difference`` is the first thing that is not as it should be, None when all is well."""

    difference: str | None
    gates: int
    readings: int
    transfers: int
    revisions: int
    seals_checked: bool
    chained: int
    digest: str
    made_at: int
    made_by: str
    seconds: int
    newest_gate: int


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's newest head: 64 hexadecimal digits, and the closure it is of."""

    gate: int
    head: str
    signed: bool


@dataclass(frozen=True, slots=True)
class AuditView:
    """``unaudited`` closures came after the last audit; ``expected_s`` is about how long the next one takes."""

    result: AuditResult | None
    progress: Progress | None
    failure: str | None
    head: Head | None
    gates: int
    unaudited: int
    expected_s: int


def audit_view(site: Site, background: Background) -> AuditView:
    record = site.record.read()
    kept = background.last(KIND)
    result = None if kept is None else msgspec.convert(kept, AuditResult)
    newest = record.last_chain()
    gates = record.last_gate_number(kind=None)
    pace = result.seconds / result.gates if result is not None and result.gates else REPLAY_S_PER_GATE
    return AuditView(
        result=result,
        progress=background.progress(),
        failure=background.failure(KIND),
        head=None if newest is None else Head(newest.gate, newest.head, newest.signature is not None),
        gates=gates,
        unaudited=gates if result is None else gates - result.newest_gate,
        expected_s=round(pace * gates),
    )


def begin(site: Site, background: Background, visitor: Visitor) -> None:
    """Raises Problem when something is being worked on already."""
    try:
        background.start(KIND, lambda note: asdict(_work(site, visitor.name, note)))
    except BusyError as error:
        raise Problem(409, "busy", f"{error} is being worked on") from None


def _work(site: Site, author: str, note: Callable[[int, int], None]) -> AuditResult:
    """Everything is run again, and then checked without solving; the first difference ends it."""
    began = time.perf_counter()
    record = site.record.read()
    newest = record.last_gate_number(kind=None)
    difference, gates, readings, transfers, revisions, seals, chained, digest = None, 0, 0, 0, 0, False, 0, ""
    try:
        with record.snapshot():
            again = replay(record, lambda done, total: note(done, 2 * total))
        gates, revisions, digest = again.gates, again.revisions, again.digest
        checked = audit(record, site.store, lambda done, total: note(total + done, 2 * total))
        readings, transfers, seals = checked.readings, checked.transfers, checked.seals_checked
        chained = 0 if checked.chain is None else checked.chain.closures
    except (StoppedError, OSError):
        raise
    except DifferenceError as error:
        difference = str(error)
    except Exception as error:
        # A changed record can lead to any failure: that is a finding too.
        difference = f"the record is damaged: {error!r}"
    return AuditResult(
        difference, gates, readings, transfers, revisions, seals, chained, digest,
        int(site.clock()), author, round(time.perf_counter() - began), newest,
    )  # fmt: skip
