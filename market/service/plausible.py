"""What a correction makes of a meter's energy, and whether the meter can be believed to have had so much of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from market.record import Record
from market.record.rows import ESTIMATED
from market.service.correcting import Checked
from market.settlement.rules import Meter, Registers

LOOK_BACK_S = 30 * 86_400
MOST_READINGS = 10_000
"""So many of them are looked at: sixty days of quarters of an hour are fewer, of seconds five million."""
TIMES, LEAST_W = 2, 5_000
"""A power above both so many times the most a meter showed and this much is more likely a slip of the pen."""
Place = tuple[int, Registers]


@dataclass(frozen=True, slots=True)
class Energy:
    """What a register [Wh] rises by between ``start`` and ``end`` [epoch s], as it was known and as corrected.

    It ends or begins at the corrected registers; more than one interval where nothing is known between. ``most_w``: the
    most the register showed in thirty days on both sides, None where nothing else is known of them.
    """

    register: str
    start: int
    end: int
    before_wh: int | None
    after_wh: int
    most_w: int | None

    @property
    def after_w(self) -> int:
        return self.after_wh * 3600 // (self.end - self.start)

    @property
    def plausible(self) -> bool:
        return self.after_w <= max(LEAST_W, TIMES * (self.most_w or 0))


def known_registers(record: Record, checked: Checked) -> Registers | None:
    """What the meter's registers [Wh] are known to have stood at; None where nothing is known."""
    start, length = checked.start, checked.rules.interval_s
    found = record.registers(start, length, record.horizon(), record.last_correction())
    return found.get((checked.meter.meter, start))


def energies(record: Record, checked: Checked) -> list[Energy]:
    """Of every register that changes: what it rises by up to the corrected moment, and from there to the next known."""
    meter, start, length = checked.meter, checked.start, checked.rules.interval_s
    known = known_registers(record, checked)
    before, after = record.corrected_neighbours(meter.meter, start, meter.since)
    before = before or (meter.since - length, meter.seed)
    others = list(_spans(record, meter, start, length))
    found = []
    for i, name in enumerate(Registers._fields):
        stated, stood = checked.registers[i], None if known is None else known[i]
        if stated == stood:
            continue
        most_w = max((max(0, b[1][i] - a[1][i]) * 3600 // (b[0] - a[0]) for a, b in others), default=None)
        for (from_, low), (to, high) in pairwise([before, (start, None), *([after] if after else [])]):
            # A register is as of its interval's end.
            span = (name, from_ + length, to + length)
            was = None if stood is None else (stood if high is None else high[i]) - (stood if low is None else low[i])
            becomes = (stated if high is None else high[i]) - (stated if low is None else low[i])
            found.append(Energy(*span, was, becomes, most_w))
    return found


def _spans(record: Record, meter: Meter, start: int, length: int) -> Iterator[tuple[Place, Place]]:
    """Readings that follow one another, without those that somebody has corrected or corrects now."""
    low, high = max(meter.since, start - LOOK_BACK_S), start + LOOK_BACK_S
    places: Sequence[Place] = record.registers_of(meter.meter, low, high, newest=MOST_READINGS)
    if len(places) == MOST_READINGS:
        low = places[0][0]
    elif low == meter.since:
        places = [(meter.since - length, meter.seed), *places]
    corrected = {one.start for one in record.corrections_of(meter.meter, low, high) if one.reason != ESTIMATED}
    for one, other in pairwise(places):
        if not {one[0], other[0]} & {start, *corrected}:
            yield one, other
