"""Figures for people: units, exact rounding and sums of what the engine and the ledger computed.

Nothing here decides what anybody pays. Energy stays gross: what was imported is never set off
against what was exported. Integers until the last digit is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.days import LocalDay
from market.series.points import CommunityPoint, HouseholdPoint, HouseholdTotals, totals

SPACE = "\u00a0"
MINUS = "\u2212"


# -- writing numbers -----------------------------------------------------------------------------


def decimal(value: int, scale: int, digits: int) -> str:
    """`value / 10**scale` with `digits` decimals, rounded half away from zero, from integers only."""
    shift = digits - scale
    scaled = abs(value) * 10**shift if shift >= 0 else (abs(value) + 10**-shift // 2) // 10**-shift
    whole, part = divmod(scaled, 10**digits)
    text = f"{whole:,}" + (f".{part:0{digits}d}" if digits else "")
    return (MINUS if value < 0 and scaled else "") + text


def power(watts: int) -> str:
    """Mean power: "850 W", "1.2 kW", "14 kW"."""
    if abs(watts) < 1000:
        return f"{watts}{SPACE}W"
    return f"{decimal(watts, 3, 1 if abs(watts) < 99_950 else 0)}{SPACE}kW"


def energy(wh: int) -> str:
    """Energy: whole Wh below 10 Wh, then kWh with two decimals, from 10 kWh with one."""
    if 0 < abs(wh) < 10:
        return f"{wh}{SPACE}Wh"
    return f"{decimal(wh, 3, 2 if abs(wh) < 9_995 else 1)}{SPACE}kWh"


def kwh(wh: int) -> str:
    """Energy in kWh to the Wh, without the unit, for tables."""
    return decimal(wh, 3, 3)


def percent(part: Part) -> str:
    """A share in whole percent; a little never reads as nothing."""
    return f"<{SPACE}1{SPACE}%" if part.percent == 0 and part.wh > 0 else f"{part.percent}{SPACE}%"


@dataclass(frozen=True, slots=True)
class Currency:
    """How amounts of one currency are written. `minor` names its hundredth where people use one."""

    code: str
    symbol: str
    digits: int
    minor: str | None

    def money(self, amount: int, *, extra: int = 0) -> str:
        """An amount [Wh x tick] with its sign; `extra` more decimals where sums must be retraced."""
        text = decimal(amount, 8, self.digits + extra)
        sign, text = (MINUS, text[1:]) if text.startswith(MINUS) else ("", text)
        return f"{sign}{self.symbol}{text}"

    def signed(self, amount: int, *, extra: int = 0) -> str:
        """Like `money`, with a plus sign on what is received."""
        text = self.money(amount, extra=extra)
        return text if amount <= 0 or text.startswith(MINUS) else f"+{text}"

    def price(self, ticks: int) -> str:
        """A price per kWh [ticks], without "per kWh": "19.0 ct", or "₩190.0"."""
        if self.minor is None:
            return f"{self.symbol}{decimal(ticks, 5, 1)}"
        digits = 1 if ticks % 100 == 0 else 2
        return f"{decimal(ticks, 3, digits)}{SPACE}{self.minor}"


_CURRENCIES = {
    "EUR": Currency("EUR", "€", 2, "ct"),
    "CHF": Currency("CHF", "CHF ", 2, "Rp."),
    "GBP": Currency("GBP", "£", 2, "p"),
    "KRW": Currency("KRW", "₩", 0, None),
    "USD": Currency("USD", "$", 2, "¢"),
}


def currency(code: str) -> Currency:
    """How to write a currency; one that is not known is written with its code."""
    return _CURRENCIES.get(code, Currency(code, f"{code} ", 2, None))


# -- now -----------------------------------------------------------------------------------------


def watts(wh: int, length: int) -> int:
    """Mean power over an interval [W]."""
    return (wh * 3600 + length // 2) // length


@dataclass(frozen=True, slots=True)
class Flow:
    """Mean power in one interval [W], gross, each way of each neighbour of the home in the picture."""

    generation_w: int
    use_w: int
    own_use_w: int
    bought_w: int
    sold_w: int
    from_grid_w: int
    to_grid_w: int


def flow(point: HouseholdPoint) -> Flow:
    """What flowed where in an interval."""
    own, sold, exported = _generation_went(point)
    return Flow(
        generation_w=watts(point.generation_wh, point.length),
        use_w=watts(point.consumption_wh, point.length),
        own_use_w=watts(own, point.length),
        bought_w=watts(point.bought_wh, point.length),
        sold_w=watts(sold, point.length),
        from_grid_w=watts(point.import_wh - point.bought_wh, point.length),
        to_grid_w=watts(exported, point.length),
    )


def paid_ticks(point: HouseholdPoint, price_ticks: int) -> int:
    """Price per kWh a buyer really paid, network fees included [ticks]; the posted price for anyone else."""
    if point.bought_wh and not point.sold_wh:
        return (-point.trade_money + point.bought_wh // 2) // point.bought_wh
    return price_ticks


@dataclass(frozen=True, slots=True)
class PriceScale:
    """Where the traded price lies between what the grid pays and what it charges."""

    price_ticks: int
    feed_in_ticks: int
    retail_ticks: int

    @property
    def permille(self) -> int:
        """Place of the price: 0 at feed-in, 1000 at retail."""
        width = self.retail_ticks - self.feed_in_ticks
        if width <= 0:
            return 500
        return min(max((self.price_ticks - self.feed_in_ticks) * 1000 // width, 0), 1000)


# -- a day ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One interval of a day; `point` is None while it is not settled."""

    start: int
    clock: str
    until: str
    point: HouseholdPoint | None
    price_ticks: int | None

    @property
    def heard(self) -> bool:
        """Whether there are measured figures to show."""
        return self.point is not None and self.point.heard


def day_rows(
    day: LocalDay, length: int, points: Sequence[HouseholdPoint], community: Sequence[CommunityPoint]
) -> list[Row]:
    """Every interval of the day in order, with its figures where there are some."""
    found = {point.start: point for point in points}
    prices = {point.start: point.price_ticks for point in community}
    return [
        Row(start, day.clock(start), day.clock(start + length), found.get(start), prices.get(start))
        for start in day.starts(length)
    ]


def chart(day: LocalDay, rows: Sequence[Row], length: int) -> dict[str, object]:
    """The day as columns for the chart: mean power [W] by interval, None where nothing is known."""

    def column(name: str) -> list[int | None]:
        return [watts(getattr(row.point, name), length) if row.heard else None for row in rows] + [None]

    hours = list(day.hours(6))
    return {
        "day": day.date.isoformat(),
        "start": day.start,
        "end": day.end,
        # One more moment without figures, so that the last interval is drawn in its full width.
        "times": [row.start for row in rows] + [day.end],
        "labels": [f"{row.clock}\u2013{row.until}" for row in rows] + [""],
        "generation_w": column("generation_wh"),
        "use_w": column("consumption_wh"),
        "sold_w": column("sold_wh"),
        "bought_w": column("bought_wh"),
        "tick_times": [moment for moment, _ in hours],
        "tick_labels": [label for _, label in hours],
    }


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole: its energy, and its percent such that the parts add up to 100."""

    wh: int
    percent: int


@dataclass(frozen=True, slots=True)
class Share(Part):
    """A part drawn in a bar: which, where it begins and how wide it is [permille]."""

    kind: str
    begin: int
    permille: int


def shares(parts: Sequence[tuple[str, int]]) -> list[Share]:
    """Parts as shares of their sum, which is at least one Wh; otherwise there are none."""
    energies = [wh for _, wh in parts]
    if sum(energies) <= 0:
        return []
    widths, percents = _apportion(energies, 1000), _apportion(energies, 100)
    return [Share(wh, percents[i], kind, sum(widths[:i]), widths[i]) for i, (kind, wh) in enumerate(parts)]


def _apportion(energies: Sequence[int], seats: int) -> list[int]:
    whole = sum(energies)
    found = [wh * seats // whole for wh in energies]
    by_remainder = sorted(range(len(energies)), key=lambda i: (-(energies[i] * seats % whole), i))
    for i in by_remainder[: seats - sum(found)]:
        found[i] += 1
    return found


def use_came_from(sums: HouseholdTotals | HouseholdPoint) -> list[Share]:
    """Where the household's use came from: own roof, neighbours, grid. Their sum is its consumption."""
    own = max(sums.consumption_wh - sums.import_wh, 0)
    return shares([("own", own), ("bought", sums.bought_wh), ("grid", sums.import_wh - sums.bought_wh)])


def generation_went(sums: HouseholdTotals | HouseholdPoint) -> list[Share]:
    """Where its generation went: own use, neighbours, grid. Their sum is its generation."""
    own, sold, exported = _generation_went(sums)
    return shares([("own", own), ("sold", sold), ("grid", exported)])


def _generation_went(sums: HouseholdTotals | HouseholdPoint) -> tuple[int, int, int]:
    return max(sums.generation_wh - sums.export_wh, 0), sums.sold_wh, sums.export_wh - sums.sold_wh


def without_grid(sums: HouseholdTotals) -> Part | None:
    """Self-sufficiency: the part of the use that own roof and neighbours covered; None without use."""
    found = use_came_from(sums)
    return Part(sum(s.wh for s in found[:2]), 100 - found[2].percent) if found else None


@dataclass(frozen=True, slots=True)
class Money:
    """A day's money in the steps a person can retrace [Wh x tick]; `trade = sold - bought - fees`."""

    sold: int
    bought: int
    fees: int
    sums: HouseholdTotals
    prices: tuple[int, int] | None


def money(rows: Sequence[Row]) -> Money:
    """The day's trades at the posted price of each interval; what the ledger has beyond that are network fees."""
    traded = [(row.point, row.price_ticks) for row in rows if row.point is not None and row.price_ticks is not None]
    sums = totals(row.point for row in rows if row.point is not None)
    sold = sum(point.sold_wh * price for point, price in traded)
    bought = sum(point.bought_wh * price for point, price in traded)
    prices = [price for point, price in traded if point.sold_wh or point.bought_wh]
    return Money(sold, bought, sold - bought - sums.trade_money, sums, (min(prices), max(prices)) if prices else None)
