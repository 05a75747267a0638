"""From registers to each household's energy in one interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from market.settlement.rules import Member, Registers, Rules


class Energy(NamedTuple):
    """A household's gross energy in the interval [Wh], what it needs from others and what it has for them.

    What it both imported and exported within the interval is not offered: it would be trading with
    itself. That part stays with its supplier, in both directions, at its own tariff.
    """

    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    wanted_wh: int
    surplus_wh: int


def energy_of(import_wh: int, export_wh: int, generation_wh: int, consumption_wh: int) -> Energy:
    both_wh = min(import_wh, export_wh)
    return Energy(import_wh, export_wh, generation_wh, consumption_wh, import_wh - both_wh, export_wh - both_wh)


def energies(rules: Rules, start: int, registers: Mapping[tuple[str, int], Registers]) -> dict[str, Energy]:
    """The energy of every household whose meters all bound the interval that starts at ``start``.

    ``registers`` maps (meter, interval start) to the registers at that interval's end. A household
    with a meter that has not been heard is left out: it trades nothing provisionally. So is one whose
    registers fall, between a reading and a correction that contradict each other.
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
            if high < low:
                return None
            total[i] += high - low
    return energy_of(*total) if counted else None
