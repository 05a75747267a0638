"""What a month's kWh are worth when its total is known: one step for each block that they would leave or reach.

The bases of blocks, a minimum and rounding are not in it: they belong to no kWh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor
from typing import NamedTuple

from market.tariffs.credits import Credit, net
from market.tariffs.months import Month
from market.tariffs.pricing import BlockSeason, FlatPrice, Progressive
from market.tariffs.tariff import ENERGY, EXPORT, Metering, Tariff, TariffError, Version
from market.tariffs.weights import factors, on_billed, on_bought, per_kwh


class Step(NamedTuple):
    """So much energy [Wh] at one value [ticks]."""

    energy_wh: int
    ticks: int


def one_price(tariff: Tariff) -> str | None:
    """Why the tariff's kWh have no value by the month, in words; None when they have one."""
    for version in tariff.versions:
        for way, pricing in (("energy", version.energy), ("export", version.export)):
            if not isinstance(pricing, FlatPrice | Progressive | Metering | None):
                return f"its {way} has a price for each time: a kWh of the month has no value of its own"
    return None


def buying(
    tariff: Tariff, month: Month, supplied_wh: int, fed_in_wh: int = 0, credits: Sequence[Credit] = ()
) -> list[Step]:
    """What ``supplied_wh`` are worth when bought instead, the most worthy first, floored. Raises TariffError."""
    version = tariff.of_month(month)
    weight = factors(version)
    always = per_kwh(version, weight, "supplied", "import") - on_bought(version, weight, tariff.level)
    billed = on_billed(version, weight) + always
    if isinstance(version.energy, FlatPrice):
        return [Step(supplied_wh, floor(version.energy.per_kwh_ticks * weight[ENERGY] + billed))]
    season = _season(version, month)
    billed_wh = supplied_wh
    if isinstance(version.export, Metering):
        billed_wh = net(version.export, month, supplied_wh, fed_in_wh, credits).billed_wh
    steps = [
        Step(part.energy_wh, floor(part.per_kwh_ticks * weight[ENERGY] + billed))
        for part in reversed(season.parts(billed_wh))
    ]
    return [step for step in (*steps, Step(supplied_wh - billed_wh, floor(always))) if step.energy_wh]


def selling(
    tariff: Tariff, month: Month, supplied_wh: int, fed_in_wh: int, credits: Sequence[Credit] = ()
) -> list[Step]:
    """What ``fed_in_wh`` give up when sold instead, the least first, ceiled. Raises TariffError.

    A credit that is left over is taken at what it saves in the first block at the least.
    """
    version = tariff.of_month(month)
    weight = factors(version)
    always = per_kwh(version, weight, "sold", "export") - per_kwh(version, weight, "fed-in", "export")
    if not isinstance(version.export, Metering):
        paid = version.export.per_kwh_ticks if isinstance(version.export, FlatPrice) else 0
        return [Step(fed_in_wh, ceil(paid * weight[EXPORT] + always))]
    season, billed = _season(version, month), on_billed(version, weight) + always
    low_wh = supplied_wh - fed_in_wh - sum(credit.energy_wh for credit in credits)
    return [
        Step(energy_wh, ceil(price * weight[ENERGY] + billed))
        for energy_wh, price in _above(season, low_wh, low_wh + fed_in_wh)
    ]


def _season(version: Version, month: Month) -> BlockSeason:
    if not isinstance(version.energy, Progressive):
        raise TariffError("its energy has a price for each time: a kWh of the month has no value of its own")
    return version.energy.season(month.month)


def _above(season: BlockSeason, low_wh: int, high_wh: int) -> Iterator[tuple[int, int]]:
    """(energy, price) of each block between two totals; below zero it is the first block's price."""
    for block in season.blocks:
        end = high_wh if block.up_to_wh is None else min(high_wh, block.up_to_wh)
        if end > low_wh:
            yield end - low_wh, block.per_kwh_ticks
            low_wh = end
