"""Gaps that never fill: registers are estimated from both sides once their deadline has passed, and flagged.

An estimate is a correction of the market's own, which any reading that still comes, and any other
correction, stands before. Either may be a side of a gap that was estimated by another one: then the estimates are
made again. A gap that is open at its end (the meter is silent up to now) is left: nobody knows yet how much flowed.
A market that starts looks at all that the one before it may not have looked at, and fills all of each gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from market.record import Record
from market.record.readings import Place
from market.record.rows import ESTIMATED
from market.settlement.estimate import between
from market.settlement.rules import Meter, Registers, Rules

AUTHOR = "market"


class Estimates:
    """What is missing of each meter once its deadline has passed, filled as soon as both sides are known."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._begin()

    def _begin(self) -> None:
        self._missing: dict[str, set[int]] = defaultdict(set)
        self._heard: set[str] = set()
        self._sides: dict[str, set[int]] = defaultdict(set)
        self._looked_to: int | None = None
        self._corrections: int | None = None

    def heard(self, stored: Iterable[tuple[int, str]]) -> None:
        """Readings have been stored, (interval start, meter): one side of a gap may have come, or be another."""
        for start, meter in stored:
            self._heard.add(meter)
            if self._looked_to is not None and start < self._looked_to:
                self._sides[meter].add(start)

    def fill(self, rules: Rules, now: int, closed_before: int) -> int:
        """Store the estimates that are due at ``now`` [epoch s], of closed intervals; returns how many.

        In one transaction; the intervals are then run again like those of any correction.
        """
        try:
            return self._fill(rules, now, closed_before)
        except BaseException:
            # Nothing of it is kept: all of it is looked for again.
            self._begin()
            raise

    def _fill(self, rules: Rules, now: int, closed_before: int) -> int:
        due = self._look(rules, now, closed_before)
        self._look_for_sides()
        meters = {meter for meter in self._missing if meter in due or meter in self._heard or meter in self._sides}
        sides, self._sides = self._sides, defaultdict(set)
        self._heard.clear()
        if not meters and not sides:
            return 0
        count = 0
        with self._record.transaction():
            for name in sorted(meters):
                count += self._fill_missing(name, rules.interval_s, now)
                if not self._missing[name]:
                    del self._missing[name]
            for name, starts in sorted(sides.items()):
                count += self._fill_again(name, starts, rules.interval_s, now)
        return count

    def _look(self, newest: Rules, now: int, closed_before: int) -> set[str]:
        """Take in the intervals whose deadline has passed since the last look; returns whose readings they miss."""
        length = newest.interval_s
        end = min(closed_before, now - newest.deadlines.estimate_after_s - length + 1)
        if self._looked_to is None:
            self._looked_to = self._begin_at(newest)
            if self._looked_to is None:
                return set()
        starts = range(self._looked_to, end, length)
        if not starts:
            return set()
        self._looked_to = starts[-1] + length
        counts = self._record.heard_counts(starts[0], end, length)
        found = set()
        rules: Rules | None = None
        every: list[Meter] = []
        meters: set[str] = set()
        for start in starts:
            then = self._record.rules(self._record.input_versions(start))
            if then is not rules or len(meters) < len(every):
                rules, every = then, [meter for member in then.members for meter in member.meters]
                meters = {meter.meter for meter in every if meter.since <= start}
            if counts.get(start, 0) < len(meters):
                for meter in meters - self._record.meters_heard(start, length):
                    self._missing[meter].add(start)
                    found.add(meter)
        # Of a gap whose end was not due yet that end may have come since.
        for start, meter in self._record.estimates_between(starts[0] - length, end - length):
            self._sides[meter].add(start)
        return found

    def _begin_at(self, newest: Rules) -> int | None:
        """Where to look from: the first interval that was not final, or not closed, long before the last closure.

        Not by the clock: while no market looked, all of a gap may have become final.
        """
        last = self._record.last_gate()
        if last is None:
            return None
        final_after_s = max(rules.deadlines.final_after_s for rules in (newest, self._record.rules(last.inputs)))
        begin = self._record.first_closed_since(last.closed_at - final_after_s)
        return self._record.first_start() if begin is None else begin

    def _look_for_sides(self) -> None:
        """Take in what persons have put right since the last look.

        At first also readings that came after all, and those that may have been stored just before a market ended.
        """
        newest = self._record.last_correction()
        if newest == self._corrections:
            return
        if self._corrections is None:
            for meter, start in self._record.overtaken_estimates():
                self._sides[meter].add(start)
            self.heard(self._record.came_after(self._record.horizon_before(1)))
        for correction in self._record.corrections_to(newest, self._corrections or 0):
            if correction.reason != ESTIMATED:
                self._sides[correction.meter].add(correction.start)
        self._corrections = newest

    def _fill_missing(self, name: str, length: int, now: int) -> int:
        count = 0
        missing = self._missing[name]
        for start in sorted(missing):
            if start not in missing:
                continue
            begun = self._begun(name, start)
            if begun is None:
                missing.discard(start)
                continue
            before, after = self._record.corrected_neighbours(name, start, begun[0])
            if after is None:
                # The meter is silent from here on.
                break
            count += self._fill_between(name, begun, length, before, after[0], now)
        return count

    def _fill_again(self, name: str, starts: Iterable[int], length: int, now: int) -> int:
        """Make the estimates anew that have one of their sides, or stand, in the intervals ``starts``."""
        members: dict[Place, list[int]] = defaultdict(list)
        for start in sorted(starts):
            begun = self._begun(name, start)
            if begun is not None:
                members[begun].append(start)
        count = 0
        for begun, found in members.items():
            before, _ = self._record.corrected_neighbours(name, found[0], begun[0])
            _, after = self._record.corrected_neighbours(name, found[-1], begun[0])
            count += self._fill_between(name, begun, length, before, found[-1] if after is None else after[0], now)
        return count

    def _begun(self, name: str, start: int) -> Place | None:
        """Since when the meter counts, and from which registers, that is a member's in the interval.

        A meter that left and came back counts anew.
        """
        of = self._record.rules(self._record.input_versions(start)).columns
        row = of.row.get(name)
        if row is None or of.since[row] > start:
            return None
        return int(of.since[row]), Registers(*of.seed[row].tolist())

    def _fill_between(self, name: str, begun: Place, length: int, before: Place | None, last: int, now: int) -> int:
        """Estimate what is missing after ``before``, or the meter's beginning, and before ``last``, which is known."""
        first = before or (begun[0] - length, begun[1])
        stand = self._record.corrections_of(name, first[0] + length, last + length)
        was = {c.start: c.registers for c in stand if c.reason == ESTIMATED}
        known = dict([first, *self._record.registers_of(name, first[0] + length, last + length)])
        # A correction stands instead of what was heard.
        known |= {c.start: c.registers for c in stand if c.reason != ESTIMATED}
        # All of a gap is filled that is due: also what was final before the other side came, for its energy flowed.
        due = range(self._record.first_start() or 0, self._looked_to or 0)
        count = 0
        for (start, low), (end, high) in pairwise(sorted(known.items())):
            gap = range(start + length, end, length)
            if not gap or any(late < early for early, late in zip(low, high, strict=True)):
                # Where a meter was set back meanwhile only a person knows what it measured, and may say so later.
                continue
            for at, registers in zip(gap, between(low, high, len(gap) + 1), strict=True):
                if at in due and was.get(at) != registers and self._begun(name, at) == begun:
                    self._record.add_correction(name, at, length, registers, reason=ESTIMATED, author=AUTHOR, now=now)
                    count += 1
        if name in self._missing:
            missing = self._missing[name]
            missing -= {at for at in missing if first[0] < at < last and self._begun(name, at) == begun}
        return count
