"""Figures as people read them: numbers, money, dates. Integers until the last digit is cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from dashboard import days, words
from market.statements.figures import AFTER, MINUS, SPACE, sign
from market.tariffs.amounts import WHOLE_MONEY

# -- numbers -----------------------------------------------------------------------------


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
        return f"{decimal(watts, 0, 0)}{SPACE}W"
    return f"{decimal(watts, 3, 1 if abs(watts) < 99_950 else 0)}{SPACE}kW"


def energy(wh: int) -> str:
    """Energy: whole Wh below 10 Wh, then kWh with two decimals, from 10 kWh with one."""
    if 0 < abs(wh) < 10:
        return f"{decimal(wh, 0, 0)}{SPACE}Wh"
    return f"{decimal(wh, 3, 2 if abs(wh) < 9_995 else 1)}{SPACE}kWh"


def kwh(wh: int) -> str:
    """Energy in kWh to the Wh, without the unit, for tables."""
    return decimal(wh, 3, 3)


class Part(Protocol):
    """A part of a whole."""

    @property
    def wh(self) -> int: ...
    @property
    def percent(self) -> int: ...


def percent(part: Part) -> str:
    """A share in whole percent; a little never reads as nothing."""
    return f"<{SPACE}1{SPACE}%" if part.percent == 0 and part.wh > 0 else f"{part.percent}{SPACE}%"


def permille(part: int) -> str:
    """A length for an SVG attribute."""
    return f"{part / 10:g}%"


@dataclass(frozen=True, slots=True)
class Currency:
    """How amounts of one currency are written. `minor` names its hundredth where people use one.

    `after`: the unit that follows the amount, where readers expect it there instead of the symbol before it.
    """

    code: str
    symbol: str
    digits: int
    minor: str | None
    after: str = ""

    def money(self, amount: int, *, extra: int = 0) -> str:
        """An amount [Wh x tick] with its sign; `extra` more decimals where sums must be retraced."""
        text = decimal(amount, 8, self.digits + extra)
        sign, text = (MINUS, text[1:]) if text.startswith(MINUS) else ("", text)
        return f"{sign}{text}{self.after}" if self.after else f"{sign}{self.symbol}{text}"

    def signed(self, amount: int, *, extra: int = 0) -> str:
        """Like `money`, with a plus sign on what is received; what is cut to nothing has no sign."""
        text = self.money(amount, extra=extra)
        return f"+{text}" if amount > 0 and any(digit in text for digit in "123456789") else text

    def price(self, ticks: int) -> str:
        """A price per kWh [ticks], without "per kWh": "19.0 ct", or "₩190.0"."""
        if self.minor is None:
            sign, text = (MINUS, decimal(-ticks, 5, 1)) if ticks < 0 else ("", decimal(ticks, 5, 1))
            return f"{sign}{text}{self.after}" if self.after else f"{sign}{self.symbol}{text}"
        # A second digit only where it says something, also after rounding: 20 999 ticks are "21.0 ct", as 21 000 are.
        return f"{decimal(ticks, 3, 2).removesuffix('0')}{SPACE}{self.minor}"


def currency(code: str, language: str = words.FIRST_LANGUAGE) -> Currency:
    """How readers of a language write a currency, as on bills; one that is not known is written with its code."""
    known, digits = sign(code), 0 if code in WHOLE_MONEY else 2
    return Currency(code, known.symbol, digits, known.minor, AFTER.get((code, language), ""))


# -- dates -------------------------------------------------------------------------------


def long_date(day: date, language: str) -> str:
    """Like "Wednesday, 1 July 2026", "2026년 7월 1일 수요일"."""
    return words.say(language, "site.date.long", **_parts(day, language))


def short_date(day: date, language: str) -> str:
    """Like "Wed 1 Jul", "7월 1일 (수)"."""
    return words.say(language, "site.date.short", **_parts(day, language))


def month(day: date | str, language: str) -> str:
    """A month from one of its days or from "2026-07": "July 2026", "2026년 7월"."""
    day = date.fromisoformat(f"{day}-01") if isinstance(day, str) else day
    return words.say(language, "site.date.month", **_parts(day, language))


def clock(moment: int, zone: ZoneInfo) -> str:
    """Local "12:15" of an epoch second."""
    return days.clock(moment, zone)


def moment(moment: int, zone: ZoneInfo, language: str) -> str:
    """An epoch second with its local date: "Wed 1 Jul 2026, 12:15", "2026년 7월 1일 (수) 12:15"."""
    parts = _parts(datetime.fromtimestamp(moment, zone).date(), language)
    return words.say(language, "site.date.moment", clock=clock(moment, zone), **parts)


def _parts(day: date, language: str) -> dict[str, Any]:
    weekday, name = f"site.weekday.{day.weekday()}", f"site.month.{day.month}"
    return {
        "year": day.year,
        "month": day.month,
        "day": day.day,
        "weekday": words.say(language, weekday),
        "weekday_short": words.say(language, f"{weekday}.short"),
        "month_name": words.say(language, name),
        "month_short": words.say(language, f"{name}.short"),
    }
