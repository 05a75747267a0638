"""The month's gains and losses evened out: who lost against staying alone is made whole, as far as the gains go.

Let g_h be a household's alone-bill less its bill, in coins; L the sum of the losses, G that of the gains. min(L, G)
moves from gainers to losers, pro rata, by largest remainder with ties by household id: nobody gives more than it
gained or gets more than it lost, and the sum is zero (docs/tariffs.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrueUp:
    """``moved`` [Wh x tick] by household: what it gets, negative where it gives. Of ``losses``, ``paid`` was."""

    gains: int
    losses: int
    paid: int
    moved: Mapping[str, int]


def true_up(gains: Mapping[str, int], coin: int) -> TrueUp:
    """Even out the households' gains [Wh x tick; negative: losses], which are whole coins."""
    lost = {household: -gain // coin for household, gain in gains.items() if gain < 0}
    won = {household: gain // coin for household, gain in gains.items() if gain > 0}
    assert all(gain % coin == 0 for gain in gains.values()), "bills are whole coins"
    losses, total = sum(lost.values()), sum(won.values())
    paid = min(losses, total)
    moved = {household: part * coin for household, part in shared(paid, lost).items()}
    moved |= {household: -part * coin for household, part in shared(paid, won).items()}
    return TrueUp(total * coin, losses * coin, paid * coin, moved)


def shared(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """The amount in whole parts in proportion to the weights, by largest remainder, ties by id; zeros left out."""
    total = sum(weights.values())
    if not total or not amount:
        return {}
    parts = {name: amount * weight // total for name, weight in weights.items()}
    left = amount - sum(parts.values())
    for name in sorted(weights, key=lambda name: (-(amount * weights[name] % total), name))[:left]:
        parts[name] += 1
    return {name: part for name, part in sorted(parts.items()) if part}
