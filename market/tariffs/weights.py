"""By line of a bill: what one unit of it adds to the unrounded total, and what a kWh bears besides its price.

All lines but the bases of blocks and the minimum are linear in energy, and levies are percents of them, so a kWh
changes the unrounded bill by a sum of price x weight: 1 for the line itself plus what levies put on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from market.tariffs.bill import grid_share
from market.tariffs.tariff import BASE, ENERGY, EXPORT, GRID, GRID_TRADED, MINIMUM, Version

ZERO = Fraction(0)
Weights = Mapping[str, Fraction]
"""By line: what one unit of it adds to the unrounded total."""


def factors(version: Version) -> dict[str, Fraction]:
    """Each line itself and the levies on it, levies upon levies included."""
    names = [ENERGY, BASE, EXPORT, GRID, GRID_TRADED, MINIMUM, *(charge.name for charge in version.charges)]
    factor = {name: Fraction(1) for name in (*names, *(levy.name for levy in version.levies))}
    for levy in reversed(version.levies):
        for name in levy.base:
            factor[name] += levy.rate * factor[levy.name]
    return factor


def weights(version: Version) -> list[Weights]:
    """The factors, and those while a minimum takes the place of what the other lines lack."""
    factor = factors(version)
    if version.minimum is None:
        return [factor]
    return [factor, {name: own - factor[MINIMUM] for name, own in factor.items()}]


def per_kwh(version: Version, weight: Weights, *on: str) -> Fraction:
    """Charges on these energies."""
    return sum((charge.per_kwh_ticks * weight[charge.name] for charge in version.charges if charge.on in on), ZERO)


def on_billed(version: Version, weight: Weights) -> Fraction:
    """What falls on a billed kWh besides its energy price."""
    return per_kwh(version, weight, "billed") + version.grid_ticks * weight[GRID]


def on_bought(version: Version, weight: Weights, level: str | None) -> Fraction:
    """What falls on a bought kWh besides its price."""
    grid = version.grid_ticks * grid_share(version, level) * weight[GRID_TRADED]
    return per_kwh(version, weight, "bought", "import") + grid
