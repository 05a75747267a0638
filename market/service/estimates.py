"""Gaps that never fill: registers are estimated from both sides once their deadline has passed, and flagged.

An estimate is a correction of the market's own, which any reading that still comes, and any other
correction, stands before. Either may be a side of a gap that was estimated by another one: then the estimates are
made again. A gap that is open at its end (the meter is silent up to now) is left: nobody knows yet how much flowed.
A market that starts looks for gaps that reach into what is not final, and fills all of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from market.record import Record
from market.record.readings import Place
from market.record.rows import ESTIMATED
from market.settlement.estimate import between
from market.settlement.rules import Meter, Rules

AUTHOR = "market"


class Estimates:
    """What is missing of each meter once its deadline has passed, filled as soon as both sides are known."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._begin()

    def _begin(self) -> None:
        self._missing: dict[str, set[int]] = defaultdict(set)
        self._meters: dict[str, Meter] = {}
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
                count += self._fill_missing(self._meters[name], rules.interval_s, now)
                if not self._missing[name]:
                    del self._missing[name]
            for name, starts in sorted(sides.items()):
                count += self._fill_again(name, min(starts), max(starts), now)
        return count

    def _look(self, newest: Rules, now: int, closed_before: int) -> set[str]:
        """Take in the intervals whose deadline has passed since the last look; returns whose readings they miss."""
        length = newest.interval_s
        end = min(closed_before, now - newest.deadlines.estimate_after_s - length + 1)
        if self._looked_to is None:
            first = self._record.first_start()
            if first is None or first >= end:
                return set()
            oldest = now - newest.deadlines.final_after_s
            self._looked_to = max(first, oldest - oldest % length)
        starts = range(self._looked_to, end, length)
        if not starts:
            return set()
        self._looked_to = starts[-1] + length
        counts = self._record.heard_counts(starts[0], end, length)
        found = set()
        rules: Rules | None = None
        every: list[Meter] = []
        meters: dict[str, Meter] = {}
        for start in starts:
            then = self._record.rules(self._record.input_versions(start))
            if then is not rules or len(meters) < len(every):
                rules, every = then, [meter for member in then.members for meter in member.meters]
                meters = {meter.meter: meter for meter in every if meter.since <= start}
            if counts.get(start, 0) < len(meters):
                for meter in meters.keys() - self._record.meters_heard(start, length):
                    self._missing[meter].add(start)
                    self._meters[meter] = meters[meter]
                    found.add(meter)
        return found

    def _look_for_sides(self) -> None:
        """Take in what persons have put right since the last look; at first also readings that came after all."""
        newest = self._record.last_correction()
        if newest == self._corrections:
            return
        if self._corrections is None:
            for meter, start in self._record.overtaken_estimates():
                self._sides[meter].add(start)
        for correction in self._record.corrections_to(newest, self._corrections or 0):
            if correction.reason != ESTIMATED:
                self._sides[correction.meter].add(correction.start)
        self._corrections = newest

    def _fill_missing(self, meter: Meter, length: int, now: int) -> int:
        count = 0
        missing = self._missing[meter.meter]
        for start in sorted(missing):
            if start not in missing:
                continue
            if start < meter.since:
                missing.discard(start)
                continue
            before, after = self._record.corrected_neighbours(meter.meter, start, meter.since)
            if after is not None:
                count += self._fill_between(meter, length, before, after[0], now)
        return count

    def _fill_again(self, name: str, first: int, last: int, now: int) -> int:
        """Make the estimates anew that have one of their sides from ``first`` to ``last``."""
        rules = self._record.rules(self._record.input_versions(first))
        meters = (meter for member in rules.members for meter in member.meters)
        meter = next((meter for meter in meters if meter.meter == name and meter.since <= first), None)
        if meter is None:
            return 0
        before, _ = self._record.corrected_neighbours(name, first, meter.since)
        _, after = self._record.corrected_neighbours(name, last, meter.since)
        return self._fill_between(meter, rules.interval_s, before, last if after is None else after[0], now)

    def _fill_between(self, meter: Meter, length: int, before: Place | None, last: int, now: int) -> int:
        """Estimate what is missing after ``before``, or the meter's beginning, and before ``last``, which is known."""
        name = meter.meter
        first = before or (meter.since - length, meter.seed)
        stand = self._record.corrections_of(name, first[0] + length, last + length)
        was = {c.start: c.registers for c in stand if c.reason == ESTIMATED}
        known = dict([first, *self._record.registers_of(name, first[0] + length, last + length)])
        # A correction stands instead of what was heard.
        known |= {c.start: c.registers for c in stand if c.reason != ESTIMATED}
        # All of a gap is filled that is due: also what was final before the other side came, for its energy flowed.
        due = range(self._record.first_start() or 0, self._looked_to or 0)
        count = 0
        for (begun, low), (end, high) in pairwise(sorted(known.items())):
            gap = range(begun + length, end, length)
            if not gap or any(late < early for early, late in zip(low, high, strict=True)):
                # Where a meter was set back meanwhile only a person knows what it measured, and may say so later.
                continue
            for at, registers in zip(gap, between(low, high, len(gap) + 1), strict=True):
                if at in due and was.get(at) != registers:
                    self._record.add_correction(name, at, length, registers, reason=ESTIMATED, author=AUTHOR, now=now)
                    count += 1
        if name in self._missing:
            self._missing[name].difference_update(range(first[0] + length, last, length))
        return count
