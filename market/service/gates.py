"""When an interval's gate closes, and what then happens in one transaction: run, check, book."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter

import msgspec

from market.clearing.lp import SolverError
from market.clearing.problem import ProblemError
from market.record import Record
from market.record.record import Gate, Transfer
from market.record.rows import transfer_ids
from market.service.chain import Chain
from market.service.settling import cycles_left_for_later, settled_by, state_of
from market.service.versions import SOLVER, versions
from market.settlement.interval import POOL, Posting, Settled, SettlementError
from market.settlement.rules import Rules

CATCH_UP_BOUND_S = 400 * 86_400
"""How long a market may have been away and still settle every interval since."""

LOOK_BACK_S = 30 * 86_400
"""A market that starts looks for late readings among those that came since its closures of this long ago."""
_ENCODER = msgspec.json.Encoder()
_KEY, _ID = attrgetter("account", "reason"), attrgetter("id")


class ClockError(RuntimeError):
    """The clock cannot be right."""


@dataclass(frozen=True)
class Closed:
    """A gate that has just closed and whose transfers are booked."""

    gate: Gate
    rules: Rules
    settled: Settled


class Gates:
    """The gates of a community's intervals, closed in order.

    A gate closes when every meter of the interval has been heard, or ``grace_s`` seconds after the
    market first knew that the interval has ended.
    """

    def __init__(self, record: Record, grace_s: float, begin_at: int = 0, chain: Chain | None = None) -> None:
        """``begin_at`` [epoch s]: a record without any closure begins no earlier, whenever its meters began.

        Every closure becomes a part of ``chain``.
        """
        self._record = record
        self._chain = chain
        self._grace_s = grace_s
        self._heard: dict[int, set[str]] = {}
        self._ended_at: dict[int, float] = {}
        # Kept from one closure to the next: getting new pages for a large result takes as long as writing it.
        self._result = bytearray()
        self._looked_at = (record.horizon_before(LOOK_BACK_S), 0)
        self.now = 0
        self.learn()
        last = record.last_gate()
        first = min(meter.since for member in self.rules.members for meter in member.meters)
        self.next_start = (
            max(first, begin_at - begin_at % self.rules.interval_s) if last is None else last.start + last.length
        )

    def learn(self) -> None:
        """Take in the newest inputs; an interval that has begun keeps the ones it began with."""
        self.rules = self._record.rules(self._record.input_versions(2**62))
        self._expected: dict[int, set[str]] = {}

    def tick(self, now: int, monotonic_s: float) -> None:
        """The market's clock stands at ``now`` [epoch s]; a clock set back is not followed.

        Raises ClockError when it stands so far ahead of what was settled that it is more likely wrong.
        """
        if now > self.next_start + CATCH_UP_BOUND_S:
            raise ClockError(
                f"the clock says {_utc(now)}, the next interval to settle starts {_utc(self.next_start)}:"
                f" more than {CATCH_UP_BOUND_S // 86_400} days; set the clock right, or begin a new store"
            )
        self.now = max(self.now, now)
        length = self.rules.interval_s
        newest = max(self._ended_at, default=self.next_start - length)
        for start in range(newest + length, self.now - length + 1, length):
            self._ended_at[start] = monotonic_s
            self._heard.setdefault(start, set()).update(self._record.meters_heard(start, length))

    def heard(self, start: int, meter: str) -> None:
        """A reading of the interval that starts at ``start`` is durable."""
        if start >= self.next_start:
            self._heard.setdefault(start, set()).add(meter)

    def due(self, monotonic_s: float) -> bool:
        """Whether the next gate can close."""
        ended_at = self._ended_at.get(self.next_start)
        if ended_at is None:
            return False
        return not self._missing(self.next_start) or monotonic_s >= ended_at + self._grace_s

    def wait_s(self, monotonic_s: float) -> float:
        """Seconds until the next gate closes whoever is missing; infinite when no interval has ended."""
        ended_at = self._ended_at.get(self.next_start, math.inf)
        return max(0.0, ended_at + self._grace_s - monotonic_s)

    def close_next(self) -> Closed:
        """Close the next gate, settle its interval and book it."""
        closed = self._run(self.next_start)
        self._heard.pop(self.next_start, None)
        self._expected.pop(self.next_start, None)
        self._ended_at.pop(self.next_start, None)
        self.next_start += closed.gate.length
        return closed

    def run_again(self, failed: Callable[[str], None] | None = None) -> Iterator[Closed]:
        """Run the closed intervals again whose data came late or was corrected, as their next revision.

        One that cannot be settled keeps what is booked, and ``failed`` is told; None: it raises.
        """
        seen = self._record.horizon(), self._record.last_correction()
        for start in self._record.gates_to_run_again(*self._looked_at):
            try:
                closed = self._run(start)
            except (ProblemError, SettlementError, SolverError) as error:
                if failed is None:
                    raise
                failed(f"the interval of {_utc(start)} cannot be settled again, what is booked of it stands: {error}")
                continue
            yield closed
        self._looked_at = seen

    def _missing(self, start: int) -> set[str]:
        if start not in self._expected:
            rules = self._record.rules(self._record.input_versions(start))
            self._expected[start] = _expected(rules, start)
        return self._expected[start] - self._heard.get(start, set())

    def _run(self, start: int) -> Closed:
        length = self.rules.interval_s
        with cycles_left_for_later(), self._record.transaction():
            inputs = self._record.input_versions(start)
            rules = self._record.rules(inputs)
            before = self._record.newest_gate(start, length)
            revision = 0 if before is None else before.revision + 1
            # Also where the clock was set back while no market ran: what was final stays so.
            now = self.now if before is None else max(self.now, before.closed_at)
            gate = self._record.close_gate(
                start,
                length,
                now=now,
                versions=versions(),
                horizon=self._record.horizon(),
                corrections=self._record.last_correction(),
                inputs=inputs,
                state=state_of(rules, start, length, revision, now),
            )
            settled = settled_by(self._record, rules, gate, SOLVER)
            _ENCODER.encode_into(settled.body, self._result)
            self._record.add_result(gate, self._result)
            booked = self._record.booked(start, length, gate.revision)
            self._record.book(gate, transfers_to(rules.community, gate, settled.postings, booked))
            if self._chain is not None:
                self._chain.add(gate)
        return Closed(gate, rules, settled)


def result_text(settled: Settled) -> str:
    """The result as it is stored: the same settlement gives the same text, byte for byte."""
    return _ENCODER.encode(settled.body).decode()


def transfers_to(
    community: str, gate: Gate, postings: Sequence[Posting], booked: Mapping[tuple[str, str], int]
) -> list[Transfer]:
    """What takes the pool's counterparties from what is ``booked`` to what the postings say they should have."""
    if booked:
        due = {(posting.account, posting.reason): posting.money for posting in postings}
        for key, money in booked.items():
            due[key] = due.get(key, 0) - money
        postings = [Posting(*key, money) for key, money in due.items()]
    names = transfer_ids(community, gate, map(_KEY, postings))
    moves = [
        Transfer(name, POOL, due.account, due.money, due.reason)
        if due.money > 0
        else Transfer(name, due.account, POOL, -due.money, due.reason)
        for name, due in zip(names, postings, strict=True)
        if due.money
    ]
    moves.sort(key=_ID)
    return moves


def _utc(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _expected(rules: Rules, start: int) -> set[str]:
    return {meter.meter for member in rules.members for meter in member.meters if meter.since <= start}
