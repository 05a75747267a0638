"""One page that shows a backtest: self-contained, no script, readable on a phone and in the dark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from market.backtest import charts, profile
from market.backtest.figures import Backtest, congested, figures, gains, own_use, share
from market.backtest.law import says
from market.backtest.profile import Calendar, Floats
from market.backtest.run import Settled
from market.clearing.problem import Ints
from market.units import MONEY_PER_UNIT

HERE = Path(__file__).parent
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "KRW": "₩", "CHF": "CHF ", "JPY": "¥"}
LINES = ("line-a", "line-b", "line-c", "line-d", "line-e", "line-f")
KWH = 1000
SHORT_DAYS = 62
"""So many days are shown one by one, more by the month."""


@dataclass(frozen=True)
class Group:
    """Mechanisms that cannot be told apart in a chart, drawn as one line."""

    kind: str
    names: tuple[str, ...]
    first: Settled

    @property
    def text(self) -> str:
        return ", ".join(self.names)


def report(backtest: Backtest, style: str, icon: str) -> str:
    """The page as HTML; ``style`` is the household page's style sheet and ``icon`` its SVG, both built in."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own = (HERE / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        style=Markup(style + own), icon=Markup(icon), **_content(backtest)
    )


def _content(backtest: Backtest) -> dict[str, Any]:
    meters, prices = backtest.meters, backtest.prices
    when = _calendar(meters.starts, backtest.timezone)
    rows = [figures(meters, prices, settled) for settled in backtest.settled]
    main = backtest.settled[0]
    limited = any(settled.full_edges.any() for settled in backtest.settled)
    used, traded = int(meters.consumption_wh.sum()), rows[0].energy_traded_wh
    return {
        "b": backtest,
        "rows": rows,
        "main": rows[0],
        "says": {row.mechanism: says(row.mechanism) for row in rows},
        "first_day": when.days[0],
        "last_day": when.days[-1],
        "homes": len(meters.households),
        "roofs": int(meters.prosumers.sum()),
        "used_kwh": used / KWH,
        "sources": [
            ("roof", "own roof", share(own_use(meters), used)),
            ("bought", "neighbours", share(traded, used)),
            ("grid", "the grid", 1 - share(own_use(meters) + traded, used)),
        ],
        "gain_panels": _gain_panels(backtest),
        "uses": _uses(backtest, main, when),
        "maps": _maps(backtest, when),
        "price_day": _price_day(backtest),
        "durations": _durations(backtest),
        "trading_hours": profile.hours_with_trade(main),
        "congestion": [
            (settled.mechanism, congested(settled) * settled.starts.step / profile.HOUR_S)
            for settled in backtest.settled
        ]
        if limited
        else [],
        "swatch": charts.swatch,
        "plain": charts.plain_swatch,
        "money": lambda value, decimals=0: money(value, backtest.currency, decimals),
        "signed": lambda value: ("+" if value > 0 else "") + money(value, backtest.currency, 0),
    }


@lru_cache(maxsize=4)
def _calendar(starts: range, timezone: str) -> Calendar:
    return profile.calendar(starts, ZoneInfo(timezone))


def money(value: float, currency: str, decimals: int = 0) -> str:
    """An amount for people, e.g. €1,234."""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    text = f"{abs(value):,.{decimals}f}"
    return f"−{symbol}{text}" if value < 0 and text.strip("0.,") else f"{symbol}{text}"


def _gain_panels(backtest: Backtest) -> dict[str, Any]:
    meters = backtest.meters
    roofs = meters.prosumers.tolist()
    kinds = [kind for kind, there in (("bought", not all(roofs)), ("roof", any(roofs))) if there]
    amounts = {
        settled.mechanism: [gain / MONEY_PER_UNIT for gain in gains(meters, backtest.prices, settled)]
        for settled in backtest.settled
    }
    sides = {kind: [at for at, roof in enumerate(roofs) if roof == (kind == "roof")] for kind in kinds}
    axes = {
        kind: charts.root_axis([amounts[name][at] for name in amounts for at in side]) for kind, side in sides.items()
    }
    panels = []
    for name, gained in amounts.items():
        drawn = []
        for kind, side in sides.items():
            bars = charts.sorted_bars(
                [(meters.households[at], gained[at]) for at in side], axes[kind], kind, backtest.currency
            )
            described = f"{name}: gain of each of {len(side)} homes {_with(kind)} solar, greatest first"
            some = sorted(gained[at] for at in side)
            drawn.append(
                {
                    "kind": kind,
                    "chart": charts.framed(bars, axes[kind], (), described, style="short"),
                    "low": some[0],
                    "middle": some[(len(some) - 1) // 2],
                    "high": some[-1],
                }
            )
        panels.append({"name": name, "sides": drawn, "says": _losers(gained)})
    return {
        "panels": panels,
        "kinds": [(kind, f"{len(sides[kind])} homes {_with(kind)} solar") for kind in kinds],
    }


def _losers(gained: list[float]) -> str:
    losers = sum(gain < 0 for gain in gained)
    if not any(gained):
        return "nobody gains or loses"
    return f"{losers} {'home loses' if losers == 1 else 'homes lose'}" if losers else "nobody loses"


def _with(kind: str) -> str:
    return "with" if kind == "roof" else "without"


@dataclass(frozen=True)
class Spread:
    """One way to lay the energy out: by hour of the day, by day or by month."""

    by: str
    unit: str
    place: Ints
    names: tuple[str, ...]
    wh_per_unit: int
    labels: tuple[charts.Label, ...]


HOUR_LABELS = tuple(charts.Label(at / 24, f"{at:02d}", minor=at % 6 != 0) for at in range(0, 25, 3))


def _spreads(when: Calendar) -> list[Spread]:
    days = len(when.days)
    hours = tuple(f"{hour:02d}:00" for hour in range(profile.HOURS))
    found = [Spread("hour of the day", "kWh a day", when.hour, hours, KWH * days, HOUR_LABELS)]
    if days > SHORT_DAYS:
        names = tuple(f"{month:%b}" if len(when.months) <= 12 else f"{month:%b %y}" for month in when.months)
        place, unit, scale, every = when.month_of_day[when.day], "MWh", KWH * KWH, -(-len(names) // 12)
    else:
        names = tuple(f"{day.day} {day:%b}" for day in when.days)
        place, unit, scale, every = when.day, "kWh", KWH, -(-days // 6)
    labels = tuple(
        charts.Label((at + 0.5) / len(names), name, minor=bool(at // every % 2))
        for at, name in enumerate(names)
        if at % every == 0
    )
    return [*found, Spread("month" if days > SHORT_DAYS else "day", unit, place, names, scale, labels)]


def _uses(backtest: Backtest, main: Settled, when: Calendar) -> list[dict[str, Any]]:
    found = []
    for spread in _spreads(when):
        totals = profile.uses(backtest.meters, main, spread.place, len(spread.names))
        found += [
            _stacked(
                "Where the energy used comes from",
                spread,
                (
                    ("roof", "own roof", totals.own),
                    ("bought", "neighbours", totals.traded),
                    ("grid", "the grid", totals.grid),
                ),
            ),
            _stacked(
                "Where the solar energy goes",
                spread,
                (
                    ("roof", "used at home", totals.own),
                    ("sold", "sold to neighbours", totals.traded),
                    ("grid", "fed into the grid", totals.fed_in),
                ),
            ),
        ]
    return found


def _stacked(title: str, spread: Spread, layers: tuple[tuple[str, str, Ints], ...]) -> dict[str, Any]:
    stack = [(kind, values / spread.wh_per_unit) for kind, _, values in layers]
    y = charts.axis([float(value) for value in np.sum([values for _, values in stack], axis=0)], spread.unit)
    bars = charts.stacks(stack, spread.names, y, spread.unit)
    return {
        "title": f"{title}, by {spread.by}",
        "chart": charts.framed(bars, y, spread.labels, f"{title}, by {spread.by}, stacked: table below"),
        "legend": [(kind, name) for kind, name, _ in layers],
        "head": [spread.by, *(f"{name} [{spread.unit}]" for _, name, _ in layers)],
        "table": [
            [name, *(f"{float(values[at]):,.2f}" for _, values in stack)] for at, name in enumerate(spread.names)
        ],
    }


def _maps(backtest: Backtest, when: Calendar) -> list[dict[str, Any]]:
    main = backtest.settled[0]
    traded = profile.traded_by_hour(main, when)
    traded[traded == 0] = np.nan
    found = [_map("Energy traded", traded, "heat-traded", "kWh an hour", when, f"under {main.mechanism}")]
    for settled in backtest.settled:
        price = profile.price_by_hour(settled, _calendar(settled.starts, backtest.timezone))
        finite = price[np.isfinite(price)]
        if finite.size and float(finite.max() - finite.min()) > 0.005:
            unit = f"{backtest.currency} per kWh"
            found.append(_map("What buyers pay", price, "heat-price", unit, when, f"under {settled.mechanism}"))
    return found


def _map(title: str, values: Floats, kind: str, unit: str, when: Calendar, under: str) -> dict[str, Any]:
    days = len(when.days)
    opens = [at for at, day in enumerate(when.days) if day.day == 1] if days > SHORT_DAYS else list(range(0, days, 7))
    labels = [
        charts.Label(at / days, f"{day:%b}" if days > SHORT_DAYS else f"{day.day} {day:%b}", minor=bool(place % 3))
        for place, at in enumerate(opens)
        for day in (when.days[at],)
    ]
    hours = charts.Axis(0, 24, (0, 6, 12, 18, 24), "hour of the day")
    described = f"{title} {under} by day and hour, {unit}; monthly means in the table"
    table = []
    for at, month in enumerate(when.months):
        block = values[when.month_of_day == at]
        row = [f"{month:%b %Y}"]
        for hour in range(0, 24, 3):
            cell = block[:, hour : hour + 3]
            finite = cell[np.isfinite(cell)]
            row.append(f"{finite.mean():,.2f}" if finite.size else "–")
        table.append(row)
    return {
        "title": title,
        "under": under,
        "key": charts.heat_key(values, kind, unit),
        "chart": charts.framed(charts.heat_map(values, kind), hours, labels, described, style="heat"),
        "head": ["month", *(f"{hour:02d}–{hour + 3:02d}" for hour in range(0, 24, 3))],
        "table": table,
        "unit": unit,
        "long": days > SHORT_DAYS,
    }


def _groups(found: list[tuple[Settled, bytes]]) -> list[Group]:
    """Mechanisms with the same picture; the first have a line each, those beyond are in the table only."""
    alike: dict[bytes, list[Settled]] = {}
    for settled, picture in found:
        alike.setdefault(picture, []).append(settled)
    return [
        Group(LINES[at] if at < len(LINES) else "", tuple(settled.mechanism for settled in members), members[0])
        for at, members in enumerate(alike.values())
    ]


def _legend(groups: list[Group], of: str = "") -> list[tuple[Markup, str]]:
    found = [(charts.stroke(group.kind), of + group.text) for group in groups if group.kind]
    more = len(groups) - len(found)
    return [*found, (Markup(), f"{more} more in the table")] if more else found


def _price_day(backtest: Backtest) -> dict[str, Any]:
    def curve(settled: Settled) -> Floats:
        hour = _calendar(settled.starts, backtest.timezone).hour
        return profile.mean_price(settled.paid, settled.traded_wh, hour, profile.HOURS)

    def rounded(settled: Settled) -> bytes:
        return np.nan_to_num(np.round(curve(settled), 3), nan=-1.0).tobytes()

    groups = _groups([(settled, rounded(settled)) for settled in backtest.settled])
    drawn = [(group.kind, curve(group.first)) for group in groups]
    y = charts.axis([float(v) for _, values in drawn for v in values], f"{backtest.currency} per kWh")
    chart = charts.curves([charts.steps(values, kind) for kind, values in drawn if kind], y)
    return {
        "chart": charts.framed(chart, y, HOUR_LABELS, "what buyers pay by hour of the day: table below"),
        "legend": _legend(groups),
        "head": ["hour", *(group.text for group in groups)],
        "table": [
            [f"{hour:02d}:00", *(_price(float(values[hour])) for _, values in drawn)] for hour in range(profile.HOURS)
        ],
    }


def _price(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _durations(backtest: Backtest) -> dict[str, Any]:
    meters = backtest.meters
    length_s = meters.length_s
    hours = meters.intervals * length_s / profile.HOUR_S
    groups = _groups([(settled, settled.traded_wh.tobytes()) for settled in backtest.settled])
    offered = profile.duration(meters.export_wh.sum(axis=1), length_s)
    lines = [charts.Curve(profile.thinned(offered), "line-offered")]
    drawn = [(group.kind, profile.duration(group.first.traded_wh, group.first.starts.step)) for group in groups]
    lines += [
        charts.Curve(profile.thinned(values), kind, area=not at) for at, (kind, values) in enumerate(drawn) if kind
    ]
    y = charts.axis([float(offered[0]), *(float(values[0]) for _, values in drawn)], "kW")
    x = charts.axis([hours], ticks=6)
    labels = [
        charts.Label(mark / hours, charts.number(mark) + (" h" if mark else ""), minor=bool(at % 2))
        for at, mark in enumerate(x.ticks)
        if mark <= hours
    ]
    marks = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    return {
        "chart": charts.framed(charts.curves(lines, y), y, labels, "power traded, greatest first: table below"),
        "legend": [(charts.stroke("line-offered"), "surplus of all roofs"), *_legend(groups, "traded: ")],
        "head": ["hours at least", "surplus [kW]", *(f"{group.text} [kW]" for group in groups)],
        "table": [
            [
                f"{part * hours:,.0f}",
                *(
                    f"{float(values[int(part * (values.size - 1))]):,.1f}"
                    for values in (offered, *(values for _, values in drawn))
                ),
            ]
            for part in marks
        ],
    }
