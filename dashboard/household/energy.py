"""A household's energy over an interval or any span of them, gross: import is never set off against export.

Nothing here decides what anybody pays: these are the settled points' own figures, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from market.series.points import HouseholdPoint, HouseholdTotals


def watts(wh: int, length: int) -> int:
    """Mean power over an interval [W]."""
    return (wh * 3600 + length // 2) // length


@dataclass(frozen=True, slots=True)
class Energy:
    """Where energy came from and went [Wh].

    ``use_wh`` is ``own_wh`` of the own roof, ``bought_wh`` of neighbours and ``from_grid_wh``; ``generation_wh`` went
    to own use, ``sold_wh`` to neighbours and ``to_grid_wh``. ``received_wh`` and ``given_wh`` are what of the trades
    with neighbours was a gift.
    """

    generation_wh: int = 0
    use_wh: int = 0
    own_wh: int = 0
    bought_wh: int = 0
    sold_wh: int = 0
    from_grid_wh: int = 0
    to_grid_wh: int = 0
    received_wh: int = 0
    given_wh: int = 0

    @property
    def import_wh(self) -> int:
        return self.bought_wh + self.from_grid_wh

    @property
    def export_wh(self) -> int:
        return self.sold_wh + self.to_grid_wh


def energy_of(sums: HouseholdPoint | HouseholdTotals) -> Energy:
    """What of a settled point, or of many added up, is shown."""
    return Energy(
        generation_wh=sums.generation_wh,
        use_wh=sums.consumption_wh,
        own_wh=max(sums.consumption_wh - sums.import_wh, 0),
        bought_wh=sums.bought_wh,
        sold_wh=sums.sold_wh,
        from_grid_wh=sums.import_wh - sums.bought_wh,
        to_grid_wh=sums.export_wh - sums.sold_wh,
        received_wh=sums.received_wh,
        given_wh=sums.given_wh,
    )


@dataclass(frozen=True, slots=True)
class Flow:
    """Mean power in one interval [W], gross, each way of each neighbour of the home in the picture.

    ``received_w`` and ``given_w`` are what of the trades with neighbours was a gift.
    """

    generation_w: int
    use_w: int
    bought_w: int
    sold_w: int
    from_grid_w: int
    to_grid_w: int
    received_w: int
    given_w: int


def flow(point: HouseholdPoint) -> Flow:
    """What flowed where in an interval."""
    energy = energy_of(point)
    return Flow(
        *(
            watts(wh, point.length)
            for wh in (
                energy.generation_wh,
                energy.use_wh,
                energy.bought_wh,
                energy.sold_wh,
                energy.from_grid_wh,
                energy.to_grid_wh,
                energy.received_wh,
                energy.given_wh,
            )
        )
    )


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole: its energy, its percent such that the parts add up to 100, its place in a bar [permille]."""

    kind: str
    wh: int
    percent: int
    begin: int
    permille: int


@dataclass(frozen=True, slots=True)
class Gauge:
    """``percent`` of ``whole_wh``, and the parts it is made of; the last part is what is missing to the whole."""

    whole_wh: int
    wh: int
    percent: int
    parts: Sequence[Share]


def self_sufficiency(energy: Energy) -> Gauge | None:
    """The part of the use that own roof and neighbours covered; None without use."""
    return _gauge([("own", energy.own_wh), ("bought", energy.bought_wh), ("grid", energy.from_grid_wh)], counted=2)


def self_consumption(energy: Energy) -> Gauge | None:
    """The part of the generation that was used where it was made; None without generation."""
    own_wh = max(energy.generation_wh - energy.export_wh, 0)
    return _gauge([("own", own_wh), ("sold", energy.sold_wh), ("grid", energy.to_grid_wh)], counted=1)


def _gauge(parts: Sequence[tuple[str, int]], counted: int) -> Gauge | None:
    found = shares(parts)
    if not found:
        return None
    within = found[:counted]
    whole, wh = sum(share.wh for share in found), sum(share.wh for share in within)
    return Gauge(whole, wh, sum(share.percent for share in within), found)


def shares(parts: Sequence[tuple[str, int]]) -> list[Share]:
    """Parts as shares of their sum; there are none of a sum of nothing."""
    energies = [wh for _, wh in parts]
    if sum(energies) <= 0:
        return []
    widths, percents = _apportion(energies, 1000), _apportion(energies, 100)
    return [Share(kind, wh, percents[i], sum(widths[:i]), widths[i]) for i, (kind, wh) in enumerate(parts)]


def _apportion(energies: Sequence[int], seats: int) -> list[int]:
    """Whole seats in proportion, by largest remainder."""
    whole = sum(energies)
    found = [wh * seats // whole for wh in energies]
    by_remainder = sorted(range(len(energies)), key=lambda i: (-(energies[i] * seats % whole), i))
    for i in by_remainder[: seats - sum(found)]:
        found[i] += 1
    return found
