"""Gaps that never fill: registers are estimated from both sides once their deadline has passed, and flagged.

An estimate is a correction of the market's own, which any reading that still comes, and any other
correction, stands before. A gap that is open at its end (the meter is silent up to now) is left: nobody
knows yet how much flowed. A market that starts looks back as far as intervals are not final.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from market.record import Record
from market.record.rows import ESTIMATED
from market.settlement.estimate import between
from market.settlement.rules import Meter, Rules

AUTHOR = "market"


class Estimates:
    """What is missing of each meter once its deadline has passed, filled as soon as both sides are known."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._missing: dict[str, set[int]] = defaultdict(set)
        self._meters: dict[str, Meter] = {}
        self._heard: set[str] = set()
        self._looked_to: int | None = None

    def heard(self, meters: Iterable[str]) -> None:
        """Readings of these meters have been stored: a gap of theirs may have got its other side."""
        self._heard.update(meters)

    def fill(self, rules: Rules, now: int, closed_before: int) -> int:
        """Store the estimates that are due at ``now`` [epoch s], of closed intervals; returns how many.

        In one transaction; the intervals are then run again like those of any correction.
        """
        due = self._look(rules, now, closed_before)
        meters = {meter for meter in self._missing if meter in due or meter in self._heard}
        self._heard.clear()
        if not meters:
            return 0
        count = 0
        with self._record.transaction():
            for name in sorted(meters):
                count += self._fill_meter(self._meters[name], rules.interval_s, now)
                if not self._missing[name]:
                    del self._missing[name]
        return count

    def _look(self, rules: Rules, now: int, closed_before: int) -> set[str]:
        """Take in the intervals whose deadline has passed since the last look; returns whose readings they miss."""
        length = rules.interval_s
        end = min(closed_before, now - rules.deadlines.estimate_after_s - length + 1)
        if self._looked_to is None:
            first = self._record.first_start()
            if first is None or first >= end:
                return set()
            oldest = now - rules.deadlines.final_after_s
            self._looked_to = max(first, oldest - oldest % length)
        starts = range(self._looked_to, end, length)
        if not starts:
            return set()
        self._looked_to = starts[-1] + length
        counts = self._record.heard_counts(starts[0], end, length)
        found = set()
        for start in starts:
            members = self._record.rules(self._record.input_versions(start)).members
            meters = {meter.meter: meter for member in members for meter in member.meters if meter.since <= start}
            due = set(meters)
            if counts.get(start, 0) < len(due):
                for meter in due - self._record.meters_heard(start, length):
                    self._missing[meter].add(start)
                    self._meters[meter] = meters[meter]
                    found.add(meter)
        return found

    def _fill_meter(self, meter: Meter, length: int, now: int) -> int:
        count = 0
        missing = self._missing[meter.meter]
        for start in sorted(missing):
            if start not in missing:
                continue
            before, after = self._record.neighbours(meter.meter, start, meter.since)
            if start < meter.since:
                missing.discard(start)
                continue
            if after is None:
                continue
            ends = [before or (meter.since - length, meter.seed), after]
            stand = self._record.corrections_of(meter.meter, ends[0][0], after[0] + length)
            # Also on a side of the gap a correction stands instead of what was heard.
            known = sorted((dict(ends) | {c.start: c.registers for c in stand if c.reason != ESTIMATED}).items())
            estimated = {c.start for c in stand}
            for (begun, low), (end, high) in pairwise(known):
                gap = range(begun + length, end, length)
                if any(late < early for early, late in zip(low, high, strict=True)):
                    # The meter was set back meanwhile: only a person knows what it measured.
                    continue
                for at, registers in zip(gap, between(low, high, len(gap) + 1), strict=True):
                    if at in missing and at not in estimated:
                        self._record.add_correction(
                            meter.meter, at, length, registers, reason=ESTIMATED, author=AUTHOR, now=now
                        )
                        count += 1
            missing.difference_update(range(known[0][0] + length, after[0], length))
        return count
