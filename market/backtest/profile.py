"""The year seen by hour, day and month, in local time: the numbers behind the report's charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from market.backtest.figures import exact_total
from market.backtest.meters import Meters
from market.backtest.run import Settled
from market.clearing.problem import Ints
from market.units import TICKS_PER_UNIT

Floats = NDArray[np.float64]

HOURS = 24
HOUR_S = 3600


@dataclass(frozen=True, eq=False)
class Calendar:
    """Where intervals lie in local time.

    Attributes:
        hour, day: over intervals, the hour of the day and the place in ``days``.
        days: all dates.
        month_of_day: over days, the place in ``months``.
        months: first days of the months, as far as there are data.
    """

    hour: Ints
    day: Ints
    days: tuple[date, ...]
    month_of_day: Ints
    months: tuple[date, ...]


def calendar(starts: range, zone: tzinfo) -> Calendar:
    """Where the intervals that begin then [s] lie in local time; an hour that comes twice in autumn counts as one."""
    local = [datetime.fromtimestamp(at, zone) for at in starts]
    ordinal = np.array([moment.toordinal() for moment in local], np.int64)
    found, day = np.unique(ordinal, return_inverse=True)
    days = tuple(date.fromordinal(at) for at in found.tolist())
    months = tuple(sorted({at.replace(day=1) for at in days}))
    return Calendar(
        np.array([moment.hour for moment in local], np.int64),
        day.astype(np.int64),
        days,
        np.array([months.index(at.replace(day=1)) for at in days], np.int64),
        months,
    )


@dataclass(frozen=True, eq=False)
class Uses:
    """Where the energy used came from, and where the generated went; over hours, days or months [Wh]."""

    own: Ints
    traded: Ints
    grid: Ints
    fed_in: Ints


def uses(meters: Meters, settled: Settled, place: Ints, places: int) -> Uses:
    """Sum the community's energy by ``place``, an index over intervals."""
    own = (meters.generation_wh - meters.export_wh).sum(axis=1)
    taken, given = meters.import_wh.sum(axis=1), meters.export_wh.sum(axis=1)
    return Uses(
        _sums(own, place, places),
        _sums(settled.traded_wh, place, places),
        _sums(taken - settled.traded_wh, place, places),
        _sums(given - settled.traded_wh, place, places),
    )


def _sums(values: Ints, place: Ints, places: int) -> Ints:
    total = np.zeros(places, np.int64)
    np.add.at(total, place, values)
    return total


def mean_price(money: Ints, traded_wh: Ints, place: Ints, places: int) -> Floats:
    """Energy-weighted mean price by place [currency per kWh]; NaN where nothing was traded."""
    paid = np.zeros(places)
    np.add.at(paid, place, money.astype(np.float64))
    energy = _sums(traded_wh, place, places)
    mean: Floats = np.divide(paid, energy * float(TICKS_PER_UNIT), out=np.full(places, np.nan), where=energy > 0)
    return mean


def traded_by_hour(settled: Settled, when: Calendar) -> Floats:
    """(days, hours) energy traded [kWh]."""
    cell = when.day * HOURS + when.hour
    return (_sums(settled.traded_wh, cell, len(when.days) * HOURS) / 1000).reshape(-1, HOURS)


def price_by_hour(settled: Settled, when: Calendar) -> Floats:
    """(days, hours) what buyers pay [currency per kWh]; NaN where nothing was traded."""
    cell = when.day * HOURS + when.hour
    return mean_price(settled.paid, settled.traded_wh, cell, len(when.days) * HOURS).reshape(-1, HOURS)


def duration(energy_wh: Ints, length_s: int) -> Floats:
    """Mean power of the intervals, greatest first [kW]."""
    return np.sort(energy_wh)[::-1].astype(np.float64) * (HOUR_S / length_s / 1000)


def thinned(curve: Floats, points: int = 240) -> list[tuple[float, float]]:
    """(share of the way, value) of some points of a curve, its ends among them."""
    places = np.unique(np.linspace(0, curve.size - 1, min(points, curve.size)).round().astype(np.int64))
    return [(at / max(curve.size - 1, 1), float(curve[at])) for at in places.tolist()]


def hours_with_trade(settled: Settled) -> float:
    return exact_total((settled.traded_wh > 0).astype(np.int64)) * settled.starts.step / HOUR_S
