"""What a kWh costs at a given time: one price, windows of local time, a price series, or blocks of the month."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from market.tariffs import document as written
from market.tariffs.amounts import money
from market.tariffs.months import epoch_s, local
from market.units import decimal_text, ticks

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GROUPS = {"weekday": WEEK[:5], "weekend": WEEK[5:]}
DAY_MINUTES = 24 * 60
WH_PER_KWH = 1000
DYNAMIC = "dynamic"
"""The band of a price series."""


class Band(NamedTuple):
    """The price of an interval [ticks] and what the bill calls it; '' where there is only one."""

    name: str
    ticks: int


@dataclass(frozen=True)
class FlatPrice:
    per_kwh_ticks: int

    def band(self, start: int, zone: ZoneInfo) -> Band:
        return Band("", self.per_kwh_ticks)

    def highest_ticks(self) -> int:
        return self.per_kwh_ticks

    def boundaries_s(self) -> Iterator[tuple[str, int]]:
        return iter(())


@dataclass(frozen=True)
class Window:
    """``minutes`` of the local day, of these days and months."""

    name: str
    per_kwh_ticks: int
    spans: tuple[tuple[int, int], ...]
    days: frozenset[str]
    months: frozenset[int]
    title: Mapping[str, str]

    def covers(self, month: int, day: str, minute: int) -> bool:
        return month in self.months and day in self.days and any(low <= minute < high for low, high in self.spans)


@dataclass(frozen=True)
class Windows:
    """Time of use: exactly one window holds at any time."""

    windows: tuple[Window, ...]
    holidays: frozenset[date]

    def band(self, start: int, zone: ZoneInfo) -> Band:
        at = local(start, zone)
        day = "holiday" if at.date() in self.holidays else WEEK[at.weekday()]
        minute = at.hour * 60 + at.minute
        window = next(window for window in self.windows if window.covers(at.month, day, minute))
        return Band(window.name, window.per_kwh_ticks)

    def highest_ticks(self) -> int:
        return max(window.per_kwh_ticks for window in self.windows)

    def boundaries_s(self) -> Iterator[tuple[str, int]]:
        for window in self.windows:
            for minute in {end for span in window.spans for end in span}:
                yield f"window {window.name} begins or ends at {clock(minute)}", minute * 60


@dataclass(frozen=True)
class Stretch:
    """Prices of equal steps from ``start`` [epoch s]."""

    start: int
    step_s: int
    per_kwh_ticks: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + self.step_s * len(self.per_kwh_ticks)


@dataclass(frozen=True)
class Series:
    """A price series with a markup; stretches are in order of time and do not overlap."""

    otherwise_ticks: int
    markup_ticks: int
    stretches: tuple[Stretch, ...]
    starts: tuple[int, ...] = field(repr=False)

    def listed(self, start: int) -> int | None:
        """The price with its markup [ticks], None where the series has none."""
        place = bisect_right(self.starts, start) - 1
        if place < 0 or start >= self.stretches[place].end:
            return None
        stretch = self.stretches[place]
        return stretch.per_kwh_ticks[(start - stretch.start) // stretch.step_s] + self.markup_ticks

    def band(self, start: int, zone: ZoneInfo) -> Band:
        found = self.listed(start)
        return Band(DYNAMIC, self.otherwise_ticks if found is None else found)

    def highest_ticks(self) -> int:
        listed = [price + self.markup_ticks for stretch in self.stretches for price in stretch.per_kwh_ticks]
        return max([self.otherwise_ticks, *listed])

    def boundaries_s(self) -> Iterator[tuple[str, int]]:
        for stretch in self.stretches:
            yield f"the price series begins at {stretch.start}", stretch.start
            yield f"the price series has steps of {stretch.step_s} s", stretch.step_s


Priced = FlatPrice | Windows | Series
"""What values an interval by itself."""


class Part(NamedTuple):
    """What of a month's energy falls into one block."""

    low_wh: int
    high_wh: int | None
    energy_wh: int
    per_kwh_ticks: int


@dataclass(frozen=True)
class Block:
    up_to_wh: int | None
    per_kwh_ticks: int
    base_money: int


@dataclass(frozen=True)
class BlockSeason:
    months: frozenset[int]
    blocks: tuple[Block, ...]

    def parts(self, billed_wh: int) -> list[Part]:
        """The blocks that the month reaches, from below.

        Less than nothing, where a correction leaves less import than was bought, is given back at the first block's
        price: the kWh that were there came after it.
        """
        if billed_wh < 0:
            first = self.blocks[0]
            return [Part(0, first.up_to_wh, billed_wh, first.per_kwh_ticks)]
        found, low = [], 0
        for block in self.blocks:
            high = block.up_to_wh
            energy = max(0, billed_wh if high is None else min(billed_wh, high)) - low
            if energy > 0:
                found.append(Part(low, high, energy, block.per_kwh_ticks))
            if high is None or billed_wh <= high:
                break
            low = high
        return found

    def reached(self, billed_wh: int) -> Block:
        """The highest block that the month reaches; the first when nothing is billed."""
        return next(block for block in self.blocks if block.up_to_wh is None or billed_wh <= block.up_to_wh)


@dataclass(frozen=True)
class Progressive:
    """Blocks of the month's energy, by season."""

    seasons: tuple[BlockSeason, ...]

    def season(self, month: int) -> BlockSeason:
        return next(season for season in self.seasons if month in season.months)


def priced(body: written.Flat | written.TimeOfUse | written.Dynamic) -> Priced:
    """Raises ValueError with the reason."""
    match body:
        case written.Flat():
            return FlatPrice(ticks(body.per_kwh))
        case written.TimeOfUse():
            windows = Windows(tuple(_window(window) for window in body.windows), frozenset(body.holidays))
            _check_names(windows.windows)
            _check_cover(windows.windows)
            return windows
        case written.Dynamic():
            return _series(body)


def progressive(body: written.Blocks) -> Progressive:
    """Raises ValueError with the reason."""
    seasons = tuple(_season(season) for season in body.seasons)
    for month in range(1, 13):
        count = sum(month in season.months for season in seasons)
        if count != 1:
            raise ValueError(f"month {month} is in {count} seasons, and must be in one")
    return Progressive(seasons)


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _window(body: written.Window) -> Window:
    low, high = (int(text[:2]) * 60 + int(text[3:]) for text in (body.begin, body.end))
    if low == DAY_MINUTES:
        raise ValueError(f"window {body.name}: it cannot begin at 24:00")
    spans = ((low, high),) if low < high else ((low, DAY_MINUTES), *(((0, high),) if high else ()))
    days = frozenset(day for group in body.days for day in GROUPS.get(group, (group,)))
    return Window(body.name, ticks(body.per_kwh), spans, days, frozenset(body.months), body.title)


def _check_names(windows: Sequence[Window]) -> None:
    """One name may stand for several stretches of time, but for one price."""
    price: dict[str, int] = {}
    for window in windows:
        if price.setdefault(window.name, window.per_kwh_ticks) != window.per_kwh_ticks:
            both = f"{decimal_text(price[window.name])} and {decimal_text(window.per_kwh_ticks)}"
            raise ValueError(f"window {window.name} has two prices, {both} per kWh: give each price a name of its own")


def _check_cover(windows: Sequence[Window]) -> None:
    """Every time of every day is in exactly one window."""
    cuts = sorted({0} | {end for window in windows for span in window.spans for end in span if end < DAY_MINUTES})
    for month in range(1, 13):
        for day in (*WEEK, "holiday"):
            for minute in cuts:
                names = [window.name for window in windows if window.covers(month, day, minute)]
                if len(names) != 1:
                    held = " and ".join(names) if names else "no window"
                    raise ValueError(f"month {month}, {day} {clock(minute)} is in {held}; it must be in exactly one")


def _series(body: written.Dynamic) -> Series:
    stretches = sorted((_stretch(prices) for prices in body.series), key=lambda stretch: stretch.start)
    for before, after in pairwise(stretches):
        if after.start < before.end:
            raise ValueError(f"the price series that begin at {before.start} and {after.start} overlap")
    markup, otherwise = ticks(body.markup_per_kwh), ticks(body.otherwise_per_kwh)
    return Series(otherwise, markup, tuple(stretches), tuple(stretch.start for stretch in stretches))


def _stretch(body: written.Prices) -> Stretch:
    if body.start.tzinfo is None:
        raise ValueError(f"the price series' start {body.start.isoformat()} has no offset from UTC")
    if body.start.microsecond:
        raise ValueError(f"the price series' start {body.start.isoformat()} is no whole second")
    return Stretch(epoch_s(body.start), body.step_s, tuple(_each(body.per_kwh)))


def _each(prices: Iterable[str]) -> Iterator[int]:
    for number, price in enumerate(prices, start=1):
        try:
            yield ticks(price)
        except ValueError as error:
            raise ValueError(f"price {number} of the series: {error}") from None


def _season(body: written.Season) -> BlockSeason:
    blocks: list[Block] = []
    for number, block in enumerate(body.blocks, start=1):
        last = number == len(body.blocks)
        if (block.up_to_kwh is None) != last:
            raise ValueError(f"block {number}: " + ("the last block has no end" if last else "up_to_kwh is missing"))
        up_to_wh = None if block.up_to_kwh is None else block.up_to_kwh * WH_PER_KWH
        if blocks and up_to_wh is not None and up_to_wh <= (blocks[-1].up_to_wh or 0):
            raise ValueError(f"block {number} ends at {block.up_to_kwh} kWh, not above the block before it")
        base = money(block.base)
        if base < 0:
            raise ValueError(f"block {number}: base {block.base} is below 0")
        blocks.append(Block(up_to_wh, ticks(block.per_kwh), base))
    return BlockSeason(frozenset(body.months), tuple(blocks))
