"""The hours ahead as bars for an SVG: places and lengths, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from dashboard.advice.views import HourView
from market.tariffs.months import local

WIDTH, HEIGHT = 360, 130
LABEL_EVERY_H = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour. ``y`` and ``height`` of the bar; ``low`` and ``high`` are how far the mean error reaches."""

    x: int
    width: int
    y: int
    height: int
    low: int | None
    high: int | None
    surplus: bool
    label: str | None


@dataclass(frozen=True, slots=True)
class Bars:
    width: int
    height: int
    zero: int
    bars: Sequence[Bar]


def bars(hours: Sequence[HourView], length: int, timezone: str) -> Bars:
    """Bars from the zero line, up for a surplus, down for a lack; all on one scale with their errors."""
    zone = ZoneInfo(timezone)
    high = max([h.surplus_wh + (h.error_wh or 0) for h in hours] + [0])
    low = min([h.surplus_wh - (h.error_wh or 0) for h in hours] + [0])
    reach = max(1, high - low)

    def place(wh: int) -> int:
        return (high - wh) * HEIGHT // reach

    step = WIDTH // max(1, len(hours))
    zero = place(0)
    found = []
    for i, hour in enumerate(hours):
        at, edge, error = local(hour.start, zone), place(hour.surplus_wh), hour.error_wh
        found.append(
            Bar(
                x=i * step + step // 8,
                width=step - step // 4,
                y=min(zero, edge),
                height=max(1, abs(edge - zero)),
                low=None if error is None else place(hour.surplus_wh - error),
                high=None if error is None else place(hour.surplus_wh + error),
                surplus=hour.surplus_wh > 0,
                label=f"{at:%H}" if at.hour % LABEL_EVERY_H == 0 and at.minute == 0 else None,
            )
        )
    return Bars(WIDTH, HEIGHT, zero, found)
