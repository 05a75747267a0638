"""A simulated meter's registers: energy as a pure function of time, as the firmware's simulated sensor has it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate


class Profile:
    """Mean load and generation [W] in steps of `step_s` from `start` on; it repeats when it ends.

    ValueError for profiles that are empty, of unequal length or negative, and for a step that is not positive.
    """

    __slots__ = ("_generation_w", "_load_w", "_round_s", "_start", "_step_s", "_sums_j")

    def __init__(self, start: int, step_s: int, load_w: Sequence[int], generation_w: Sequence[int]) -> None:
        if step_s < 1:
            raise ValueError("the step is not positive")
        if len(load_w) != len(generation_w) or not load_w:
            raise ValueError("load and generation are not of the same length, or are empty")
        if min(load_w) < 0 or min(generation_w) < 0:
            raise ValueError("a power is negative")
        self._start, self._step_s, self._round_s = start, step_s, step_s * len(load_w)
        self._load_w, self._generation_w = array("i", load_w), array("i", generation_w)
        flows = [_flows(*powers) for powers in zip(load_w, generation_w, strict=True)]
        self._sums_j = tuple(
            array("q", accumulate((power_w * step_s for power_w in column), initial=0))
            for column in zip(*flows, strict=True)
        )

    def counters_mwh(self, epoch_s: int) -> tuple[int, int, int]:
        """Cumulative import, export and generation [mWh] from the profile's start; negative before it."""
        rounds, within = divmod(epoch_s - self._start, self._round_s)
        step, part_s = divmod(within, self._step_s)
        powers = _flows(self._load_w[step], self._generation_w[step])
        taken, given, made = (
            (rounds * sums_j[-1] + sums_j[step] + power_w * part_s) * 5 // 18  # 1 mWh = 3.6 J
            for sums_j, power_w in zip(self._sums_j, powers, strict=True)
        )
        return taken, given, made


class Registers:
    """A meter's four registers, zero at its origin and never falling.

    With a reversed current transformer it takes import for export and export for import, as a real one would.
    """

    __slots__ = ("_consumption_mwh", "_origin", "_profile", "_reversed")

    def __init__(self, profile: Profile, origin_s: int, *, reversed_ct: bool = False) -> None:
        self._profile = profile
        self._reversed = reversed_ct
        self._origin = profile.counters_mwh(origin_s)
        self._consumption_mwh = 0

    def at(self, epoch_s: int) -> tuple[int, int, int, int]:
        """Import, export, generation, consumption [Wh], rounded down; call it with times that do not fall."""
        now = self._profile.counters_mwh(epoch_s)
        taken, given, made = (value - origin for value, origin in zip(now, self._origin, strict=True))
        if self._reversed:
            taken, given = given, taken
        # Each counter is rounded down for itself, so that their sum can fall by a mWh; the register stands still then.
        self._consumption_mwh = max(self._consumption_mwh, taken + made - given)
        return taken // 1000, given // 1000, made // 1000, self._consumption_mwh // 1000


def _flows(load_w: int, generation_w: int) -> tuple[int, int, int]:
    return max(0, load_w - generation_w), max(0, generation_w - load_w), generation_w
