"""What an interval's energy means for one household after another: its order, its position, its money.

The readable form of ``columns``, which settles all at once: the audit derives by it what was booked.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from market.clearing.problem import Book
from market.settlement.energy import Energy
from market.settlement.interval import Position
from market.settlement.limits import order_limits, values_at
from market.settlement.rules import MONTHLY_NETTING, Member, Rules
from market.tariffs.values import Values


def book_of(rules: Rules, start: int, heard: Mapping[str, Energy]) -> tuple[list[Member], Book]:
    """One ask or bid of each household that has surplus or need; owners[i] holds order i.

    Members are in order of their ids, so the order's index is the rank that breaks ties. Where months are netted,
    intervals have no orders.
    """
    owners, sell, price_ticks, energy_wh = [], [], [], []
    worth = values_at(rules, start)
    for member in rules.members if rules.mechanism != MONTHLY_NETTING else ():
        energy = heard.get(member.household)
        if energy is None or energy.wanted_wh == energy.surplus_wh:
            continue
        limits = order_limits(member, worth[member.tariff_name])
        owners.append(member)
        sell.append(energy.surplus_wh > 0)
        price_ticks.append(limits.least_ticks if energy.surplus_wh > 0 else limits.most_ticks)
        energy_wh.append(energy.surplus_wh or energy.wanted_wh)
    book = Book(
        interval=np.zeros(len(owners), dtype=np.int64),
        node=np.array([member.node for member in owners], dtype=np.int64),
        sell=np.array(sell, dtype=bool),
        price_ticks=np.array(price_ticks, dtype=np.int64),
        energy_wh=np.array(energy_wh, dtype=np.int64),
        id=np.arange(len(owners)),
        intervals=1,
    )
    return owners, book


def positions_of(
    rules: Rules, start: int, heard: Mapping[str, Energy], accepted_wh: Mapping[str, int], money: Mapping[str, int]
) -> tuple[Position, ...]:
    """Every member's position, from what the households' orders were accepted for and what money that is."""
    positions = []
    worth = values_at(rules, start)
    for member in rules.members:
        energy = heard.get(member.household)
        if energy is None:
            positions.append(Position(member.household, heard=False))
            continue
        traded_wh = accepted_wh.get(member.household, 0)
        bought, sold = (0, traded_wh) if energy.surplus_wh else (traded_wh, 0)
        residual_money, alone_money = at_tariff(worth[member.tariff_name], energy, bought, sold)
        positions.append(
            Position(
                household=member.household,
                heard=True,
                import_wh=energy.import_wh,
                export_wh=energy.export_wh,
                generation_wh=energy.generation_wh,
                consumption_wh=energy.consumption_wh,
                bought_wh=bought,
                sold_wh=sold,
                trade_money=money.get(member.household, 0),
                residual_money=residual_money,
                alone_money=alone_money,
            )
        )
    return tuple(positions)


def at_tariff(worth: Values, energy: Energy, bought_wh: int, sold_wh: int) -> tuple[int, int]:
    """What is left over at the tariff, with the community and alone.

    Where only the month's total decides what a kWh is worth, nothing is booked for what is left over, and alone is
    the traded energy at the limits that are safe whatever the total.
    """
    rates = worth.rates
    if rates is None:
        return 0, sold_wh * worth.safe.least_ticks - bought_wh * worth.safe.most_ticks
    residual = (energy.export_wh - sold_wh) * rates.export_ticks - (energy.import_wh - bought_wh) * rates.import_ticks
    residual -= bought_wh * rates.bought_ticks + sold_wh * rates.sold_ticks
    return residual, energy.export_wh * rates.export_ticks - energy.import_wh * rates.import_ticks
