"""From registers to each household's energy in one interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from market.settlement.rules import Member, Registers, Rules


@dataclass(frozen=True)
class Energy:
    """A household's gross energy in the interval [Wh].

    What it both imported and exported within the interval is not offered: it would be trading with
    itself. That part stays with its supplier, in both directions, at its own tariff.
    """

    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int

    @property
    def both_wh(self) -> int:
        return min(self.import_wh, self.export_wh)

    @property
    def wanted_wh(self) -> int:
        """What it needs from others."""
        return self.import_wh - self.both_wh

    @property
    def surplus_wh(self) -> int:
        """What it has for others."""
        return self.export_wh - self.both_wh


def energies(rules: Rules, start: int, registers: Mapping[tuple[str, int], Registers]) -> dict[str, Energy]:
    """The energy of every household whose meters all bound the interval that starts at ``start``.

    ``registers`` maps (meter, interval start) to the registers at that interval's end. A household
    with a meter that has not been heard is left out: it trades nothing provisionally.
    """
    found = {}
    for member in rules.members:
        energy = _energy(member, start, rules.interval_s, registers)
        if energy is not None:
            found[member.household] = energy
    return found


def _energy(member: Member, start: int, length_s: int, registers: Mapping[tuple[str, int], Registers]) -> Energy | None:
    total = [0] * len(Registers._fields)
    counted = False
    for meter in member.meters:
        if start < meter.since:
            continue
        after = registers.get((meter.meter, start))
        before = meter.seed if start == meter.since else registers.get((meter.meter, start - length_s))
        if after is None or before is None:
            return None
        counted = True
        for i, (high, low) in enumerate(zip(after, before, strict=True)):
            total[i] += high - low
    return Energy(*total) if counted else None
