"""Numbers and dates as people read them; all exact, from integers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from market.tariffs.amounts import WHOLE_MONEY, money_text

MINUS = "\u2212"
SPACE = "\u00a0"
PRICE_DECIMALS, PRICES_LEAST = 5, 1
"""Decimals of a price in currency units, and those it has at least in the unit that it is written in."""


class Sign(NamedTuple):
    """How a currency is written: what stands before an amount, and the name of its hundredth where people use one."""

    symbol: str
    minor: str | None = None


SIGNS = {
    "CHF": Sign(f"CHF{SPACE}", "Rp."),
    "EUR": Sign("€", "ct"),
    "GBP": Sign("£", "p"),
    "KRW": Sign("₩"),
    "USD": Sign("$", "¢"),
}
AFTER = {("KRW", "ko"): "원"}
"""The unit that follows the amount, where readers of a language expect it there instead of the symbol before it."""
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def amount(money: int, currency: str) -> str:
    """Money with at least the coin's decimals and as many more as it has: 4,697.5 won, 19.20 euro."""
    whole, _, fraction = money_text(abs(money)).partition(".")
    least = 0 if currency in WHOLE_MONEY else 2
    fraction = fraction.ljust(least, "0")
    text = f"{int(whole):,}" + (f".{fraction}" if fraction else "")
    return f"{MINUS}{text}" if money < 0 else text


def with_currency(money: int, currency: str, language: str) -> str:
    """₩28,370 or 28,370원; €12.30; what has no symbol is written with its code: SEK 12.30."""
    return _with_unit(amount(abs(money), currency), money < 0, currency, language)


def unit(currency: str, language: str) -> str:
    """What amounts of a column without units are in: €, 원, SEK."""
    return AFTER.get((currency, language)) or sign(currency).symbol.strip()


def sign(currency: str) -> Sign:
    return SIGNS.get(currency, Sign(f"{currency}{SPACE}"))


def _with_unit(text: str, negative: bool, currency: str, language: str) -> str:
    after = AFTER.get((currency, language))
    text = f"{text}{after}" if after else f"{sign(currency).symbol}{text}"
    return f"{MINUS}{text}" if negative else text


def kwh(energy_wh: int) -> str:
    whole, rest = divmod(abs(energy_wh), 1000)
    fraction = f"{rest:03d}".rstrip("0")
    return f"{MINUS if energy_wh < 0 else ''}{whole:,}" + (f".{fraction}" if fraction else "")


def price(ticks: int, currency: str, language: str, decimals: int) -> str:
    """A price per kWh, exact in so many decimals as ``price_decimals`` says: 19.0 ct, ₩190.0."""
    minor = sign(currency).minor
    whole, fraction = divmod(abs(ticks), 10 ** _finest(currency))
    text = f"{whole:,}.{f'{fraction:0{_finest(currency)}d}'[:decimals]}"
    if minor is None:
        return _with_unit(text, ticks < 0, currency, language)
    return f"{MINUS if ticks < 0 else ''}{text}{SPACE}{minor}"


def price_decimals(prices: Iterable[int], currency: str) -> int:
    """So many decimals that all of a page's prices [ticks] are exact and look alike."""
    finest = _finest(currency)
    needed = [len(f"{abs(ticks) % 10**finest:0{finest}d}".rstrip("0")) for ticks in prices]
    return max([PRICES_LEAST, *needed])


def _finest(currency: str) -> int:
    """Decimals that a tick has in the unit that prices are written in."""
    return PRICE_DECIMALS if sign(currency).minor is None else PRICE_DECIMALS - 2


def month_name(year: int, month: int, language: str) -> str:
    if language == "ko":
        return f"{year}년 {month}월"
    return f"{MONTHS[month - 1]} {year}"


def day(at: datetime, language: str) -> str:
    if language == "ko":
        return f"{at.year}년 {at.month}월 {at.day}일"
    return f"{at.day} {month_name(at.year, at.month, 'en')}"
