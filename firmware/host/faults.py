"""Faults on demand: which befall a simulated fleet, and when. Drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

DAY_S = 86_400
LONGEST_OUTAGE = 4
"""An outage lasts 1 to so many intervals."""
PPM = 1_000_000


@dataclass(frozen=True)
class Faults:
    """What is done to a fleet.

    loss: probability that a packet between a meter and the broker is lost. clock_drift_ppm: each meter's clock runs
    fast or slow by up to this much, and is set right once a day.
    """

    loss: float = 0.0
    outages: int = 0
    clock_drift_ppm: int = 0
    power_cuts: int = 0
    reversed_ct: int = 0
    forgers: int = 0
    seed: int = 0

    @property
    def need_proxy(self) -> bool:
        return bool(self.loss or self.outages or self.forgers)


@dataclass(frozen=True)
class Plan:
    """The same, meter by meter and step by step; steps count from 1."""

    outages: dict[int, int] = field(default_factory=dict)
    """step -> how many intervals the broker is away from then on"""
    power_cuts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    drift_ppm: dict[str, int] = field(default_factory=dict)
    reversed_ct: frozenset[str] = frozenset()


def plan(faults: Faults, meters: Sequence[str], steps: int) -> Plan:
    """Draw what happens. Raises ValueError, with the reason, for what cannot be."""
    if faults.reversed_ct > len(meters):
        raise ValueError(f"--reversed-ct {faults.reversed_ct}: there are {len(meters)} homes")
    chance = random.Random(faults.seed)
    drift = {}
    if faults.clock_drift_ppm:
        drift = {meter: chance.randint(-faults.clock_drift_ppm, faults.clock_drift_ppm) for meter in meters}
    if faults.power_cuts > steps * len(meters):
        raise ValueError(f"--power-cuts {faults.power_cuts}: more than one for each meter in each interval")
    cuts: dict[int, set[str]] = {}
    for _ in range(faults.power_cuts):
        while True:
            step, meter = chance.randint(1, steps), chance.choice(meters)
            if meter not in cuts.setdefault(step, set()):
                break
        cuts[step].add(meter)
    return Plan(
        _outages(faults.outages, steps, chance),
        {step: tuple(sorted(cut)) for step, cut in sorted(cuts.items())},
        drift,
        frozenset(chance.sample(list(meters), faults.reversed_ct)),
    )


def _outages(count: int, steps: int, chance: random.Random) -> dict[int, int]:
    """Outages that do not touch each other: each has a stretch of the run to itself, and ends within it."""
    if count * 2 > steps:
        raise ValueError(f"--outage {count}: {steps} intervals have no room for so many")
    found = {}
    for number in range(count):
        begin, end = 1 + number * steps // count, (number + 1) * steps // count
        length = chance.randint(1, min(LONGEST_OUTAGE, end - begin))
        found[chance.randint(begin, end - length)] = length
    return found


def clock_error_s(drift_ppm: int, epoch_s: int) -> int:
    """How far a clock that is set right at every midnight UTC is off [s]; negative when it is slow."""
    error = abs(drift_ppm) * (epoch_s % DAY_S) // PPM
    return error if drift_ppm >= 0 else -error
