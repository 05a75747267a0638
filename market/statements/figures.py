"""Numbers and dates as people read them; all exact, from integers."""

from __future__ import annotations

from datetime import datetime

from market.tariffs.amounts import WHOLE_MONEY, money_text
from market.units import decimal_text

MINUS = "–"
"""The fonts have no minus; a dash as long stands for it."""
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
    """28,370 won or 28,370원; 12.30 EUR."""
    if currency == "KRW":
        return amount(money, currency) + ("원" if language == "ko" else " won")
    return f"{amount(money, currency)} {currency}"


def kwh(energy_wh: int) -> str:
    whole, rest = divmod(abs(energy_wh), 1000)
    fraction = f"{rest:03d}".rstrip("0")
    return f"{MINUS if energy_wh < 0 else ''}{whole:,}" + (f".{fraction}" if fraction else "")


def price(ticks: int) -> str:
    text = decimal_text(abs(ticks))
    return f"{MINUS}{text}" if ticks < 0 else text


def month_name(year: int, month: int, language: str) -> str:
    if language == "ko":
        return f"{year}년 {month}월"
    return f"{MONTHS[month - 1]} {year}"


def day(at: datetime, language: str) -> str:
    if language == "ko":
        return f"{at.year}년 {at.month}월 {at.day}일"
    return f"{at.day} {month_name(at.year, at.month, 'en')}"
