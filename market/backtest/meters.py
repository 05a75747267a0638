"""What was measured: the energy of every household in every interval of one unbroken stretch of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo

import numpy as np

from market.clearing.problem import Flags, Ints

DAY_S = 86_400


@dataclass(frozen=True, eq=False)
class Meters:
    """Energy over (intervals, households) [Wh].

    Attributes:
        households: their ids; the id breaks ties.
        nodes: the name of each household's node in its network.
        start: epoch seconds of the first interval [s].
        length_s: of every interval [s].
        import_wh, export_wh: what the grid connection took and gave.
        generation_wh, consumption_wh: what the roof made and the house used;
            consumption + export = import + generation.
    """

    households: tuple[str, ...]
    nodes: tuple[str, ...]
    start: int
    length_s: int
    import_wh: Ints
    export_wh: Ints
    generation_wh: Ints
    consumption_wh: Ints

    @property
    def intervals(self) -> int:
        """Number of intervals."""
        return int(self.import_wh.shape[0])

    @property
    def starts(self) -> range:
        """Over intervals, when each begins [s]."""
        return range(self.start, self.start + self.intervals * self.length_s, self.length_s)

    @property
    def prosumers(self) -> Flags:
        """Over households: whether it generates."""
        return np.asarray(self.generation_wh.max(axis=0) > 0)


def net_of(load_wh: Ints, generation_wh: Ints) -> tuple[Ints, Ints]:
    """Import and export [Wh] of households that use their own generation first."""
    net = load_wh - generation_wh
    return np.maximum(net, 0), np.maximum(-net, 0)


def between(meters: Meters, first: date | None, last: date | None, zone: tzinfo) -> Meters:
    """The days from ``first`` to ``last``, both included, in local time.

    Raises ValueError, with the reason, when the meters do not cover them.
    """
    end = meters.start + meters.intervals * meters.length_s
    opens = meters.start if first is None else _midnight(first, zone)
    closes = end if last is None else _midnight(last + timedelta(days=1), zone)
    if first is not None and last is not None and first > last:
        raise ValueError(f"--from {first} is after --to {last}")
    if opens < meters.start or closes > end or opens >= closes:
        covered = [datetime.fromtimestamp(at, zone).date() for at in (meters.start, end - 1)]
        asked = f"{first or covered[0]} to {last or covered[1]}"
        raise ValueError(f"the data cover {covered[0]} to {covered[1]}, not {asked}")
    if (opens - meters.start) % meters.length_s or (closes - meters.start) % meters.length_s:
        raise ValueError(f"midnight is inside an interval of {meters.length_s} s")
    rows = slice((opens - meters.start) // meters.length_s, (closes - meters.start) // meters.length_s)
    return replace(
        meters,
        start=opens,
        import_wh=meters.import_wh[rows],
        export_wh=meters.export_wh[rows],
        generation_wh=meters.generation_wh[rows],
        consumption_wh=meters.consumption_wh[rows],
    )


def summed(meters: Meters, length_s: int) -> Meters:
    """The meters in longer intervals. Import and export each add up, so that no cost changes.

    Raises ValueError, with the reason, when the meters do not fill them.
    """
    many, rest = divmod(length_s, meters.length_s)
    if rest:
        raise ValueError(f"intervals of {meters.length_s} s do not add up to {length_s} s")
    if many == 1:
        return meters
    if meters.start % length_s or meters.intervals % many:
        raise ValueError(f"the data do not begin and end with whole intervals of {length_s} s")

    def total(energy_wh: Ints) -> Ints:
        sums: Ints = energy_wh.reshape(-1, many, energy_wh.shape[1]).sum(axis=1)
        return sums

    return replace(
        meters,
        length_s=length_s,
        import_wh=total(meters.import_wh),
        export_wh=total(meters.export_wh),
        generation_wh=total(meters.generation_wh),
        consumption_wh=total(meters.consumption_wh),
    )


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp())
