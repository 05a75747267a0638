"""The grid under a country's rules: each sharing rule of its preset is a column beside the mechanisms.

A rule shares what the meters add up to in the preset's period. A month has no fixed length, and netting it is worth
what a progressive tariff makes it; the backtest has one retail price, so a preset by month is not in it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from market.backtest.rules import RULES
from market.clearing.problem import Ints, Network
from market.mechanisms import PRESETS
from market.mechanisms.presets import PERIOD_S, Preset, fee_ticks

COUNTRIES = tuple(name for name, preset in PRESETS.items() if preset.period in PERIOD_S)
"""The presets a backtest knows."""


def columns(country: str) -> dict[str, str]:
    """Each rule of the preset by the name of its column. Raises KeyError."""
    return {f"{country} {rule}": rule for rule in PRESETS[country].rules}


def says(column: str) -> str:
    """One line for people on a mechanism, or on a preset's rule."""
    country, _, rule = column.rpartition(" ")
    return RULES[rule].says + (f"; each {PRESETS[country].period}" if country else "")


def grid_of(preset: Preset, network: Network, periods: int, level: int | None) -> Network:
    """The network for a preset whose period is so many intervals, each of which brings its limit.

    All its fees are the regular grid fee within one ``level`` (0 is the nearest); None leaves them as they are.
    """

    def limit(limit_wh: Ints) -> Ints:
        return np.where(limit_wh < 0, limit_wh, limit_wh * periods)

    due: Callable[[int], int] = (lambda fee: fee) if level is None else (lambda fee: fee_ticks(preset, fee, level))
    return Network(
        network.parent,
        limit(network.limit_wh),
        [due(fee) for fee in network.fee_ticks.tolist()],
        limit_down_wh=limit(network.limit_down_wh),
        fee_down_ticks=[due(fee) for fee in network.fee_down_ticks.tolist()],
    )
