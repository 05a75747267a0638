"""All members' energy, orders and money of one interval at once, in columns.

What follows for one household after another, and how it is to be read, stands in ``energy`` and ``households``: the
audit derives every figure by them, and both come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from market.clearing.problem import ENERGY_BOUND_WH, PRICE_BOUND_TICKS, Book, Flags, Ints
from market.settlement.limits import values_at
from market.settlement.members import MemberColumns
from market.settlement.rules import MONTHLY_NETTING, Registers, Rules
from market.tariffs.values import Values

Whole = NDArray[Any]
"""Whole numbers: int64 where the bounds leave room, Python's own where they do not."""
Known = tuple[NDArray[np.int64], Flags]
"""Over the members' meters: registers at one time (meters, 4) [Wh], 0 where they are not known; whether they are."""
NOTHING = Registers(0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class EnergyColumns:
    """Over members: whether all its meters bound the interval, and what they counted [Wh], 0 where not."""

    heard: Flags
    import_wh: Ints
    export_wh: Ints
    generation_wh: Ints
    consumption_wh: Ints

    @property
    def wanted_wh(self) -> Ints:
        """What is needed from others: what went in and out within the interval is not."""
        wanted: Ints = np.maximum(self.import_wh - self.export_wh, 0)
        return wanted

    @property
    def surplus_wh(self) -> Ints:
        """What there is for others."""
        surplus: Ints = np.maximum(self.export_wh - self.import_wh, 0)
        return surplus


def energy_columns(rules: Rules, start: int, registers: Mapping[tuple[str, int], Registers]) -> EnergyColumns:
    """The energy of the interval that starts at ``start``, as ``energy.energies`` has it for each household."""
    before, after = (_known(registers, rules.columns.meters, at) for at in (start - rules.interval_s, start))
    return energy_between(rules, start, before, after)


def energy_between(rules: Rules, start: int, before: Known, after: Known) -> EnergyColumns:
    """``energy_columns``, from what is known at the interval's beginning and at its end."""
    of = rules.columns
    begun, first = of.begun(start), of.since == start
    counted = after[0] - np.where(first[:, None], of.seed, before[0])
    fails = begun & ~(after[1] & (before[1] | first) & (counted >= 0).all(axis=1))
    heard = _any(begun, of) & ~_any(fails, of)
    counts = np.flatnonzero(begun & heard[of.owner])
    # Registers stay below 2^53 and a household has 64 meters at most: no sum leaves 64 bits.
    total = np.zeros((len(Registers._fields), len(of.households)), np.int64)
    for column, wh in zip(total, counted.T, strict=True):
        np.add.at(column, of.owner[counts], wh[counts])
    return EnergyColumns(heard, *total)


def _known(registers: Mapping[tuple[str, int], Registers], meters: tuple[str, ...], at: int) -> Known:
    """The registers at the end of the interval that starts at ``at``."""
    found = list(map(registers.get, zip(meters, repeat(at))))
    known = np.ones(len(found), bool)
    if None in found:
        known = np.array([one is not None for one in found], bool)
        found = [one or NOTHING for one in found]
    values = np.fromiter(chain.from_iterable(cast("list[Registers]", found)), np.int64, 4 * len(found))
    return values.reshape(-1, 4), known


def _any(flags: Flags, of: MemberColumns) -> Flags:
    """Of which members at least one meter is flagged."""
    found = np.zeros(len(of.households), bool)
    found[of.owner[flags]] = True
    return found


def order_columns(rules: Rules, start: int, energy: EnergyColumns) -> tuple[Ints, Book]:
    """The book, and over its orders the members that they are of, as ``households.book_of`` has it."""
    of, worth = rules.columns, _worth(rules, start)
    trading = energy.heard & (energy.import_wh != energy.export_wh)
    if rules.mechanism == MONTHLY_NETTING:
        trading[:] = False
    owners = np.flatnonzero(trading)
    surplus, wanted = energy.surplus_wh[owners], energy.wanted_wh[owners]
    sell, tariff = surplus > 0, of.tariff[owners]
    least = np.maximum(_over(one.limits.least_ticks for one in worth)[tariff], of.min_sell_ticks[owners])
    most = np.minimum(_over(one.limits.most_ticks for one in worth)[tariff], of.max_buy_ticks[owners])
    book = Book(
        interval=np.zeros(len(owners), np.int64),
        node=of.node[owners],
        sell=sell,
        price_ticks=np.where(sell, least, most),
        energy_wh=surplus + wanted,
        id=np.arange(len(owners)),
        intervals=1,
    )
    return owners, book


@dataclass(frozen=True, eq=False)
class PositionColumns:
    """Over members: what each ``interval.Position`` holds beside the energy [Wh, Wh x tick]."""

    bought_wh: Whole
    sold_wh: Whole
    trade_money: Whole
    residual_money: Whole
    alone_money: Whole


def position_columns(
    rules: Rules, start: int, energy: EnergyColumns, owners: Ints, accepted_wh: Ints, order_money: Ints
) -> PositionColumns:
    """The positions, as ``households.positions_of`` has them; ``accepted_wh`` and ``order_money`` are over orders."""
    of, worth = rules.columns, _worth(rules, start)
    traded, trade_money = (np.zeros(len(of.households), np.int64) for _ in range(2))
    traded[owners], trade_money[owners] = accepted_wh, order_money
    sells = energy.surplus_wh > 0
    bought, sold = np.where(sells, 0, traded), np.where(sells, traded, 0)
    booked = [(0, 0, 0, 0) if one.rates is None else tuple(vars(one.rates).values()) for one in worth]
    safe = [(one.safe.most_ticks, one.safe.least_ticks) for one in worth]
    # Below these bounds a product stays below 2^61 and a household's sums below 2^63.
    fits = max(energy.import_wh.max(initial=0), energy.export_wh.max(initial=0)) < ENERGY_BOUND_WH and all(
        abs(ticks) < PRICE_BOUND_TICKS for ticks in chain(*booked, *safe)
    )
    kind: Any = np.int64 if fits else object
    imported, exported, bought_wh, sold_wh = (
        column.astype(kind) for column in (energy.import_wh, energy.export_wh, bought, sold)
    )
    by_import, by_export, by_bought, by_sold = np.array(booked, kind).T[:, of.tariff]
    most, least = np.array(safe, kind).T[:, of.tariff]
    residual = (exported - sold_wh) * by_export - (imported - bought_wh) * by_import
    residual = residual - (bought_wh * by_bought + sold_wh * by_sold)
    by_month = np.array([one.rates is None for one in worth], bool)[of.tariff]
    alone = np.where(by_month, sold_wh * least - bought_wh * most, exported * by_export - imported * by_import)
    return PositionColumns(bought, sold, trade_money, residual, alone)


def _worth(rules: Rules, start: int) -> list[Values]:
    values = values_at(rules, start)
    return [values[name] for name in rules.columns.tariffs]


def _over(ticks: Iterable[int]) -> Ints:
    return np.array(list(ticks), np.int64)
