"""What the coming hours may bring, from what the same hours brought before, and how wrong that was so far.

The forecast of a quarter-hour is the mean of the same local quarter-hour over the last days of its kind, working days
or weekends. No weather is known here; the error says what that costs. It is measured by back-testing: each of the last
days is forecast from the days before it alone, and held against what came. All figures are integers of Wh and ticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from market.tariffs.months import local

DAYS = 14
"""How far back a quarter-hour is looked for."""
TESTED_DAYS = 7
LEAST_DAYS = 3
"""Days of one kind that are enough to leave out the other kind."""
SATURDAY = 5

_Days = dict[tuple[int, int], dict[date, int]]
"""Figures by local hour and minute, then by day."""


class _Tested(NamedTuple):
    day: date
    hour: int
    expected: int
    came: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """One interval to come [epoch s, Wh]. ``error_wh``: the mean error in its hour; None: not tested."""

    start: int
    expected_wh: int
    error_wh: int | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How the rule did on the days before, each forecast from the days before it.

    ``error_wh`` [Wh per interval] is the mean of the absolute errors; of ``intervals``, in ``sign_right`` it was right
    about whether the figure is above zero; in ``usual_right`` the commoner of the two answers would have been.
    """

    days: int
    intervals: int
    error_wh: int
    sign_right: int
    usual_right: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """``days`` is how many past days it rests on; ``accuracy`` is None where there was nothing to test it on."""

    length: int
    days: int
    ahead: tuple[Ahead, ...]
    accuracy: Accuracy | None


def forecast(history: Mapping[int, int], starts: Iterable[int], length: int, zone: ZoneInfo) -> Forecast:
    """Forecast the intervals that begin at ``starts`` [epoch s] from the past ones: start -> figure [Wh].

    An interval whose quarter-hour has no past is left out.
    """
    days: _Days = {}
    for start, figure in history.items():
        at = local(start, zone)
        days.setdefault((at.hour, at.minute), {})[at.date()] = figure
    tested = list(_tested(days))
    by_hour: dict[int, list[int]] = {}
    for one in tested:
        by_hour.setdefault(one.hour, []).append(abs(one.expected - one.came))
    ahead = []
    for start in starts:
        at = local(start, zone)
        expected_wh = _expected(days.get((at.hour, at.minute), {}), at.date())
        if expected_wh is not None:
            ahead.append(Ahead(start, expected_wh, _mean(by_hour.get(at.hour, []))))
    known = {day for figures in days.values() for day in figures}
    return Forecast(length, len(known), tuple(ahead), _accuracy(tested))


def _expected(figures: Mapping[date, int], day: date) -> int | None:
    """The mean of a quarter-hour's figures on the days before ``day`` of its kind, or of all where those are few."""
    past = {d: figure for d, figure in figures.items() if day - timedelta(days=DAYS) <= d < day}
    weekend = day.weekday() >= SATURDAY
    of_its_kind = [figure for d, figure in past.items() if (d.weekday() >= SATURDAY) == weekend]
    return _mean(of_its_kind if len(of_its_kind) >= LEAST_DAYS else list(past.values()))


def _tested(days: _Days) -> Iterator[_Tested]:
    """What was expected and what came in each quarter-hour of the last days that have a day before them."""
    known = sorted({day for figures in days.values() for day in figures})
    for day in known[1:][-TESTED_DAYS:]:
        for (hour, _), figures in days.items():
            expected = _expected(figures, day) if day in figures else None
            if expected is not None:
                yield _Tested(day, hour, expected, figures[day])


def _accuracy(tested: Sequence[_Tested]) -> Accuracy | None:
    error_wh = _mean([abs(one.expected - one.came) for one in tested])
    if error_wh is None:
        return None
    above = sum(one.came > 0 for one in tested)
    return Accuracy(
        days=len({one.day for one in tested}),
        intervals=len(tested),
        error_wh=error_wh,
        sign_right=sum((one.expected > 0) == (one.came > 0) for one in tested),
        usual_right=max(above, len(tested) - above),
    )


def _mean(figures: Sequence[int]) -> int | None:
    """Rounded half up; None of nothing."""
    return (2 * sum(figures) + len(figures)) // (2 * len(figures)) if figures else None


# -- when to use energy --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Energy that could be had in an interval, and what a kWh of it costs or would have earned."""

    available_wh: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class Hour:
    """An interval's sources, what runs out first and what never does last."""

    start: int
    sources: tuple[Source, ...]
    rest_ticks: int

    def cost(self, energy_wh: int) -> int:
        """What the energy would cost, the cheapest source first [Wh x tick]."""
        cost = 0
        for source in sorted(self.sources, key=lambda s: s.price_ticks):
            taken = min(energy_wh, source.available_wh) if source.price_ticks < self.rest_ticks else 0
            cost += taken * source.price_ticks
            energy_wh -= taken
        return cost + energy_wh * self.rest_ticks


@dataclass(frozen=True, slots=True)
class Window:
    """A span to use energy in [epoch s, Wh x tick]; what the same would cost at once, and in the dearest span."""

    start: int
    end: int
    cost: int
    cost_at_once: int
    cost_dearest: int


def best_window(hours: Sequence[Hour], length: int, energy_wh: int, duration_s: int) -> Window | None:
    """The cheapest span of ``duration_s`` for an even use of ``energy_wh``, the earliest of equals.

    None when there is no such span without a gap.
    """
    count = -(-duration_s // length)
    each, more = divmod(energy_wh, count)
    found: list[tuple[int, int]] = []
    for first in range(len(hours) - count + 1):
        span = hours[first : first + count]
        if span[-1].start - span[0].start == (count - 1) * length:
            found.append((sum(hour.cost(each + (i < more)) for i, hour in enumerate(span)), span[0].start))
    if not found:
        return None
    cost, start = min(found)
    at_once = next((c for c, begin in found if begin == hours[0].start), found[0][0])
    return Window(start, start + count * length, cost, at_once, max(found)[0])
