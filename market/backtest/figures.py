"""What the backtest says: cost and self-sufficiency alone and together, and who gains how much."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

import numpy as np

from market.backtest.meters import Meters
from market.backtest.run import Prices, Settled
from market.clearing.problem import Ints
from market.units import MONEY_PER_UNIT


@dataclass(frozen=True, eq=False)
class Backtest:
    """Everything a report tells.

    Attributes:
        name: of the grid or file.
        currency: its code.
        timezone: local time of days and hours.
        network: one line on where they trade.
        notes: attributions and what the reader should know, a line each.
    """

    name: str
    currency: str
    timezone: str
    network: str
    notes: tuple[str, ...]
    meters: Meters
    prices: Prices
    settled: tuple[Settled, ...]


@dataclass(frozen=True)
class Figures:
    """One mechanism's totals, in the units of people: shares, currency units, Wh, seconds.

    ``cost`` is what all members pay together, after what stays with the community (pool and rent) is theirs again;
    the gains are each household's own, without a part of that.
    """

    mechanism: str
    self_sufficiency_alone: float
    self_sufficiency: float
    cost_alone: float
    cost: float
    energy_traded_wh: int
    seconds: float
    fees: float
    kept: float
    gain_least: float
    gain_median: float
    gain_most: float
    better_off: float
    worse_off: float

    @property
    def saved(self) -> float:
        """Share of the cost alone that is saved."""
        return (self.cost_alone - self.cost) / abs(self.cost_alone) if self.cost_alone else 0.0


def exact_total(values: Ints) -> int:
    """The sum of 64-bit amounts as a Python integer, in two halves so that nothing can overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFF_FFFF).sum())


def cost_alone(meters: Meters, prices: Prices) -> list[int]:
    """Over households: import at retail less export at feed-in [Wh x tick]."""
    taken, given = meters.import_wh.sum(axis=0).tolist(), meters.export_wh.sum(axis=0).tolist()
    return [i * prices.retail_ticks - e * prices.feed_in_ticks for i, e in zip(taken, given, strict=True)]


def cost_with(meters: Meters, prices: Prices, settled: Settled) -> list[int]:
    """Over households: what they did not trade at the tariff, less what the trades paid them [Wh x tick]."""
    traded = zip(settled.bought_wh.tolist(), settled.sold_wh.tolist(), settled.money, strict=True)
    return [
        alone - bought * prices.retail_ticks + sold * prices.feed_in_ticks - money
        for alone, (bought, sold, money) in zip(cost_alone(meters, prices), traded, strict=True)
    ]


def gains(meters: Meters, prices: Prices, settled: Settled) -> list[int]:
    """Over households: cost alone less cost with the community [Wh x tick]."""
    pairs = zip(cost_alone(meters, prices), cost_with(meters, prices, settled), strict=True)
    return [alone - together for alone, together in pairs]


def own_use(meters: Meters) -> int:
    """Generation used where it was made [Wh]."""
    return exact_total(meters.generation_wh) - exact_total(meters.export_wh)


def share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def figures(meters: Meters, prices: Prices, settled: Settled) -> Figures:
    """The totals of one mechanism."""
    used = exact_total(meters.consumption_wh)
    alone, together = sum(cost_alone(meters, prices)), sum(cost_with(meters, prices, settled))
    kept = exact_total(settled.rent) + exact_total(settled.pool)
    gained = gains(meters, prices, settled)
    traded = exact_total(settled.traded_wh)
    return Figures(
        settled.mechanism,
        share(own_use(meters), used),
        share(own_use(meters) + traded, used),
        alone / MONEY_PER_UNIT,
        (together - kept) / MONEY_PER_UNIT,
        traded,
        settled.seconds,
        exact_total(settled.fees) / MONEY_PER_UNIT,
        kept / MONEY_PER_UNIT,
        min(gained) / MONEY_PER_UNIT,
        median_low(gained) / MONEY_PER_UNIT,
        max(gained) / MONEY_PER_UNIT,
        share(sum(gain > 0 for gain in gained), len(gained)),
        share(sum(gain < 0 for gain in gained), len(gained)),
    )


def congested(settled: Settled) -> int:
    """Intervals in which an edge is full."""
    return int(np.count_nonzero(settled.full_edges))


def summary(backtest: Backtest) -> dict[str, dict[str, float | int]]:
    """The document of ``--json``."""
    rows = [figures(backtest.meters, backtest.prices, settled) for settled in backtest.settled]
    return {
        row.mechanism: {
            "self_sufficiency_alone": row.self_sufficiency_alone,
            "self_sufficiency": row.self_sufficiency,
            "cost_alone": row.cost_alone,
            "cost": row.cost,
            "energy_traded_wh": row.energy_traded_wh,
            "seconds": round(row.seconds, 3),
        }
        for row in rows
    }
