"""Charts as inline SVG that stay sharp and legible at any width, light or dark, without a script.

Labels are HTML beside the drawing, so that they never shrink with it; curves live in a nested drawing that is
stretched, everything else is placed by percent. Colours and patterns come from the page's style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from market.backtest.profile import Floats

SHADES = 8
GAIN_DECIMALS = 2


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high`` with labelled ticks; ``root`` draws square roots, so that small values show."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = ""
    root: bool = False

    def share(self, value: float) -> float:
        """Where the value lies between low (0) and high (1)."""
        low, high, here = (self._drawn(part) for part in (self.low, self.high, value))
        return (here - low) / (high - low)

    def _drawn(self, value: float) -> float:
        return math.copysign(math.sqrt(abs(value)), value) if self.root else value


def axis(values: Sequence[float], unit: str = "", zero: bool = True, ticks: int = 4) -> Axis:
    """An axis over the finite values whose ticks are round numbers."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = low + 1
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in (1, 2, 2.5, 5, 10) if power * part >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(round(step * at, 10) for at in range(first, last + 1))
    return Axis(marks[0], marks[-1], marks, unit)


def root_axis(values: Sequence[float]) -> Axis:
    """A square-root axis through zero with few labels: an end and a tenth of it on each side."""
    low, high = min(*values, 0.0, 0.0), max(*values, 0.0, 0.0)
    if low == high:
        return Axis(0, 1, (0, 1), root=True)
    ticks = {0.0}
    for end in (low, high):
        for part in (1.0, 0.1):
            value = math.copysign(_round_up(abs(end) * part), end) if end else 0.0
            # Labels need room between them: a fifth of the height.
            if math.sqrt(abs(value)) >= 0.2 * (math.sqrt(-low) + math.sqrt(high)):
                ticks.add(value)
    marks = tuple(sorted(ticks))
    return Axis(min(marks[0], low), max(marks[-1], high), marks, root=True)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * part for part in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * part >= value * 0.999)


def number(value: float) -> str:
    """A tick's label, no longer than it must be."""
    text = f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


@dataclass(frozen=True)
class Label:
    """A label under the drawing at a share of its width; minor ones vanish on a phone."""

    at: float
    text: str
    minor: bool = False


def framed(drawing: Markup, y: Axis | None, x: Sequence[Label], describe: str, *, style: str = "") -> Markup:
    """The drawing with its grid lines, the labels of both axes and a description for those who do not see it."""
    lines, left = Markup(), Markup()
    for mark in () if y is None else y.ticks:
        top = percent(1 - y.share(mark)) if y else ""
        lines += Markup('<line class="{}" x2="100%" y1="{}" y2="{}"/>').format(
            "zero" if mark == 0 else "rule", top, top
        )
        left += Markup('<span style="top:{}">{}</span>').format(top, number(mark))
    below = Markup().join(
        Markup('<span{} style="left:{}">{}</span>').format(
            Markup(' class="minor"') if label.minor else "", percent(label.at), label.text
        )
        for label in x
    )
    unit = Markup('<p class="unit">{}</p>').format(y.unit) if y and y.unit else ""
    return Markup(
        '<div class="drawn {}">{}<div class="plot"><div class="y" aria-hidden="true">{}</div>'
        '<svg role="img" aria-label="{}" width="100%" height="100%">{}{}</svg></div>'
        '<div class="x" aria-hidden="true">{}</div></div>'
    ).format(style, unit, left, describe, lines, drawing, below)


def _stretched(width: float, height: float, body: Markup) -> Markup:
    return Markup(
        '<svg width="100%" height="100%" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(width, height, body)


@dataclass(frozen=True)
class Curve:
    """Points as (share of the width, value), with a gap where the value is NaN."""

    points: Sequence[tuple[float, float]]
    kind: str
    area: bool = False


def curves(lines: Sequence[Curve], y: Axis) -> Markup:
    """Lines, and areas down to zero, in a stretched drawing."""
    body = Markup()
    for curve in lines:
        path, pen = [], False
        for at, value in curve.points:
            if math.isnan(value):
                pen = False
                continue
            path.append(f"{'L' if pen else 'M'}{1000 * at:.1f} {100 * (1 - y.share(value)):.2f}")
            pen = True
        text = "".join(path)
        if curve.area and path:
            floor = 100 * (1 - y.share(0))
            ends = (1000 * curve.points[-1][0], 1000 * curve.points[0][0])
            body += Markup('<path class="area {}" d="{}L{:.1f} {:.2f}L{:.1f} {:.2f}Z"/>').format(
                curve.kind, text, ends[0], floor, ends[1], floor
            )
        body += Markup('<path class="curve {}" d="{}"/>').format(curve.kind, text)
    return _stretched(1000, 100, body)


def steps(values: Floats, kind: str) -> Curve:
    """A value for each hour or month as a staircase."""
    count = values.size
    points = [((at + side) / count, float(value)) for at, value in enumerate(values) for side in (0, 1)]
    return Curve(points, kind)


def stacks(layers: Sequence[tuple[str, Floats]], names: Sequence[str], y: Axis, unit: str) -> Markup:
    """Stacked bars, one for each name; a layer is (pattern, values over names)."""
    count = len(names)
    wide = 1 / count
    bars = Markup()
    for at, name in enumerate(names):
        base = 0.0
        for kind, values in layers:
            value = float(values[at])
            if value <= 0:
                continue
            top = y.share(base + value)
            bars += Markup('<rect x="{}" y="{}" width="{}" height="{}" {}><title>{}: {} {}</title></rect>').format(
                percent((at + 0.12) * wide),
                percent(1 - top),
                percent(0.76 * wide),
                percent(top - y.share(base)),
                filled(kind),
                name,
                f"{value:,.1f}",
                unit,
            )
            base += value
    return bars


def filled(kind: str) -> Markup:
    """The roof is plain, all else has a pattern besides its colour."""
    return Markup('class="f-roof"') if kind == "roof" else Markup('fill="url(#p-{})"').format(kind)


def swatch(kind: str) -> Markup:
    return Markup(
        '<svg class="swatch" width="18" height="12" aria-hidden="true"><rect width="18" height="12" rx="3" {}/></svg>'
    ).format(filled(kind))


def plain_swatch(kind: str) -> Markup:
    return Markup(
        '<svg class="swatch" width="18" height="12" aria-hidden="true"><rect width="18" height="12" rx="3" '
        'class="f-{}"/></svg>'
    ).format(kind)


def stroke(kind: str) -> Markup:
    return Markup(
        '<svg class="swatch" width="26" height="12" aria-hidden="true"><path class="curve {}" d="M0 6H26"/></svg>'
    ).format(kind)


def sorted_bars(amounts: Sequence[tuple[str, float]], y: Axis, kind: str, currency: str) -> Markup:
    """One bar for each household, greatest first."""
    wide = 1 / max(len(amounts), 1)
    gap = 0.14 if len(amounts) <= 40 else 0.04
    bars = Markup()
    for at, (name, amount) in enumerate(sorted(amounts, key=lambda entry: -entry[1])):
        top, bottom = sorted((1 - y.share(amount), 1 - y.share(0)))
        bars += Markup('<rect x="{}" y="{}" width="{}" height="{}" {}><title>{}</title></rect>').format(
            percent((at + gap / 2) * wide),
            percent(top),
            percent((1 - gap) * wide),
            percent(max(bottom - top, 0.004)),
            Markup('class="f-{}"').format("grid" if amount < 0 else kind),
            f"{name}: {amount:+,.{GAIN_DECIMALS}f} {currency}".replace("-", "−"),
        )
    return bars


def shade_bounds(values: Floats) -> list[float]:
    """Upper bounds of the shades: equal steps from the least to the greatest value."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return [low + (high - low) * (at + 1) / SHADES for at in range(SHADES)]


def heat_map(values: Floats, kind: str) -> Markup:
    """A (days, hours) field: days to the right, midnight at the bottom; NaN stays empty.

    Neighbouring days of one shade are one rectangle, which keeps the page small.
    """
    bounds = shade_bounds(values)
    shade = np.where(np.isfinite(values), np.searchsorted(bounds[:-1], values, side="left"), -1)
    days, hours = shade.shape
    paths: list[list[str]] = [[] for _ in range(SHADES)]
    for hour in range(hours):
        row = shade[:, hour].tolist()
        first = 0
        for day in range(1, days + 1):
            if day == days or row[day] != row[first]:
                if row[first] >= 0:
                    paths[row[first]].append(f"M{first} {hours - 1 - hour}h{day - first}v1h-{day - first}z")
                first = day
    body = Markup().join(
        Markup('<path class="{} shade-{}" d="{}"/>').format(kind, at, "".join(path))
        for at, path in enumerate(paths)
        if path
    )
    return _stretched(days, hours, body)


def heat_key(values: Floats, kind: str, unit: str) -> Markup:
    """The shades with what the first and the last stand for."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    boxes = Markup().join(
        Markup('<rect class="{} shade-{}" x="{}" width="16" height="12"/>').format(kind, at, 16 * at)
        for at in range(SHADES)
    )
    decimals = 2 if high < 10 else 0
    return Markup('<p class="heat-key">{} <svg width="{}" height="12" aria-hidden="true">{}</svg> {}</p>').format(
        f"{low:,.{decimals}f}", 16 * SHADES, boxes, f"{high:,.{decimals}f} {escape(unit)}"
    )
