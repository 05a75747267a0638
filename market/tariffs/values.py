"""What one more kWh is worth to a household: for one interval's bookings, and as limits of its orders.

Under blocks, net metering or a minimum a kWh's value depends on the month's total: the lowest and the highest over
all totals are then the limits (docs/tariffs.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Literal

from market.clearing.problem import PRICE_BOUND_TICKS
from market.tariffs.amounts import money_text
from market.tariffs.bill import grid_share
from market.tariffs.months import local
from market.tariffs.pricing import WH_PER_KWH, Progressive
from market.tariffs.tariff import BASE, ENERGY, EXPORT, GRID_TRADED, Metering, Tariff, TariffError, Version
from market.tariffs.weights import factors, on_billed, on_bought, per_kwh, weights

Promise = Literal["interval", "month"]


@dataclass(frozen=True)
class Rates:
    """What an interval's energy is booked at [ticks]: import, export, and what traded kWh bear besides their price."""

    import_ticks: int
    export_ticks: int
    bought_ticks: int
    sold_ticks: int


@dataclass(frozen=True)
class Limits:
    """The most that a bought kWh is worth and the least that a sold one must bring [ticks]."""

    most_ticks: int
    least_ticks: int


@dataclass(frozen=True)
class Values:
    """A tariff in one interval. ``rates`` is None where only the month decides; ``safe`` holds whatever its total."""

    rates: Rates | None
    safe: Limits
    limits: Limits


def values(tariff: Tariff, start: int, promise: Promise) -> Values:
    """What the energy of the interval that starts at ``start`` [epoch s] is worth.

    Under the promise 'month' limits are the widest that any total of the month supports.
    """
    version = tariff.at(start)
    imports = list(_imports(version, _prices(version, tariff, start), tariff.level))
    exports = list(_exports(tariff, version, start))
    safe = _bounded(floor(min(imports)), ceil(max(exports)))
    wide = _bounded(floor(max(imports)), ceil(min(exports)))
    rates = None if version.by_month else _rates(version, tariff, start)
    if rates is not None:
        # What is booked must not contradict what is promised, to the last tick.
        most, least = rates.import_ticks - rates.bought_ticks, rates.export_ticks + rates.sold_ticks
        safe, wide = (Limits(min(one.most_ticks, most), max(one.least_ticks, least)) for one in (safe, wide))
    return Values(rates, safe, safe if promise == "interval" else wide)


def unsafe(tariff: Tariff) -> str | None:
    """Why no price per kWh covers what a trade may cost a member in the month; None when limits are safe."""
    for version in tariff.versions:
        if not isinstance(version.energy, Progressive):
            continue
        for season in version.energy.seasons:
            for before, after in pairwise(season.blocks):
                effects = [(after.base_money - before.base_money) * weight[BASE] for weight in weights(version)]
                at = f"from {(before.up_to_wh or 0) // WH_PER_KWH} kWh a month on the base charge steps from "
                at += f"{money_text(before.base_money)} to {money_text(after.base_money)}"
                if max(effects) > 0 and isinstance(version.export, Metering):
                    return f"{at}, and one kWh that a net-metered member sells can cost all of it"
                if min(effects) < 0:
                    return f"{at}, and one kWh that a member buys can cost all of it"
    return None


def grid_fee(tariff: Tariff, level: str) -> Fraction:
    """The grid fee due on energy traded within the level, with its levies [ticks].

    Raises TariffError for a level that the tariff does not know, or when the fee is not the same at all times.
    """
    fees = {
        version.grid_ticks * grid_share(version, level) * factors(version)[GRID_TRADED] for version in tariff.versions
    }
    if len(fees) > 1:
        raise TariffError("its grid fee changes with its versions: write the fees of the network's edges yourself")
    return fees.pop()


def _bounded(most: int, least: int) -> Limits:
    bound = PRICE_BOUND_TICKS - 1
    return Limits(max(-bound, min(bound, most)), max(-bound, min(bound, least)))


def _prices(version: Version, tariff: Tariff, start: int) -> list[int]:
    """The energy prices that the interval's kWh may have [ticks]: one, or those of the month's blocks."""
    if isinstance(version.energy, Progressive):
        season = version.energy.season(local(start, tariff.zone).month)
        return [block.per_kwh_ticks for block in season.blocks]
    return [version.energy.band(start, tariff.zone).ticks]


def _imports(version: Version, prices: Iterable[int], level: str | None) -> Iterator[Fraction]:
    """What a kWh that is bought instead of supplied saves, in every case that the month's total may bring."""
    for weight in weights(version):
        always = per_kwh(version, weight, "supplied", "import") - on_bought(version, weight, level)
        for price in prices:
            yield price * weight[ENERGY] + on_billed(version, weight) + always
        if isinstance(version.export, Metering):
            # It only leaves a credit, which may never be used.
            yield always


def _exports(tariff: Tariff, version: Version, start: int) -> Iterator[Fraction]:
    """What a kWh that is sold instead of fed in gives up, in every case that the month's total may bring."""
    for weight in weights(version):
        always = per_kwh(version, weight, "sold", "export") - per_kwh(version, weight, "fed-in", "export")
        if version.export is None:
            yield always
        elif not isinstance(version.export, Metering):
            yield version.export.band(start, tariff.zone).ticks * weight[EXPORT] + always
    if isinstance(version.export, Metering):
        # A credit may be used in any later month.
        for later in tariff.versions[tariff.versions.index(version) :]:
            yield from _credits(later)


def _credits(version: Version) -> Iterator[Fraction]:
    for weight in weights(version):
        always = per_kwh(version, weight, "sold", "export") - per_kwh(version, weight, "fed-in", "export")
        yield always
        if isinstance(version.export, Metering):
            yield version.export.expired_ticks * weight[EXPORT] + always
        if isinstance(version.energy, Progressive):
            for season in version.energy.seasons:
                for block in season.blocks:
                    yield block.per_kwh_ticks * weight[ENERGY] + on_billed(version, weight) + always


def _rates(version: Version, tariff: Tariff, start: int) -> Rates:
    weight = factors(version)
    (price,) = _prices(version, tariff, start)
    supplied = price * weight[ENERGY] + on_billed(version, weight) + per_kwh(version, weight, "supplied", "import")
    paid = (
        version.export.band(start, tariff.zone).ticks
        if version.export and not isinstance(version.export, Metering)
        else 0
    )
    fed_in = paid * weight[EXPORT] - per_kwh(version, weight, "fed-in", "export")
    return Rates(
        floor(supplied),
        ceil(fed_in),
        ceil(on_bought(version, weight, tariff.level)),
        ceil(per_kwh(version, weight, "sold", "export")),
    )
