"""Decimal text as exact numbers, and rounding as a tariff states it.

Money is counted in the ledger's unit, 10^-8 of the currency unit (1 Wh x tick). What a levy makes of it can be a
fraction of that, so amounts are :class:`~fractions.Fraction` until their own rule rounds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from market.units import MONEY_PER_UNIT, shown

MONEY_DECIMALS = 8
WHOLE_DIGITS = 9
"""Amounts of a month stay below 10^9 currency units."""
PERCENT_DECIMALS = 4
WHOLE_MONEY = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF")
"""Currencies without a smaller coin (ISO 4217, no decimals); a bill in others is whole hundredths."""
MODES = ("half-up", "half-even", "floor", "ceiling")
_DECIMAL = re.compile(rf"([+-]?)([0-9]{{1,{WHOLE_DIGITS}}})(?:\.([0-9]+))?")


def money(amount: str) -> int:
    """Decimal text in currency units as Wh x tick. Raises ValueError with the reason."""
    return _scaled(amount, MONEY_DECIMALS)


def percent(rate: str) -> Fraction:
    """Decimal text in percent as an exact part of one. Raises ValueError with the reason."""
    return Fraction(_scaled(rate, PERCENT_DECIMALS), 100 * 10**PERCENT_DECIMALS)


def money_text(value: int) -> str:
    """Wh x tick as exact decimal text in currency units without trailing zeros."""
    whole, fraction = divmod(abs(value), MONEY_PER_UNIT)
    text = f"{whole}.{fraction:0{MONEY_DECIMALS}d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def smallest(currency: str) -> int:
    """What can be paid in the currency, at the least [Wh x tick]."""
    return MONEY_PER_UNIT if currency in WHOLE_MONEY else MONEY_PER_UNIT // 100


@dataclass(frozen=True)
class Rounding:
    """To multiples of ``to`` [Wh x tick]. Halves go up (towards plus infinity) or to the even multiple."""

    to: int
    mode: str = "half-up"

    def __call__(self, amount: Fraction | int) -> int:
        parts = Fraction(amount) / self.to
        below = floor(parts)
        rest = parts - below
        half = Fraction(1, 2)
        match self.mode:
            case "floor":
                up = 0
            case "ceiling":
                up = int(rest > 0)
            case "half-even":
                up = int(rest > half or (rest == half and below % 2 == 1))
            case _:
                up = int(rest >= half)
        return (below + up) * self.to


LEDGER_UNIT = Rounding(1)
"""What has no rule of its own is rounded to 10^-8, the smallest the ledger holds."""


def _scaled(text: str, decimals: int) -> int:
    found = _DECIMAL.fullmatch(text)
    if not found:
        raise ValueError(f"{shown(text)} is not a decimal number below 10^{WHOLE_DIGITS}")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if len(fraction) > decimals:
        raise ValueError(f"{shown(text)} has more than {decimals} decimals")
    scale: int = 10**decimals
    value = int(whole) * scale + int(fraction.ljust(decimals, "0"))
    return -value if sign == "-" else value
