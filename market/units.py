"""Between decimals, which people read, and integers, which the engine counts in.

Price: 1 tick = 0.00001 currency unit per kWh. Money: 1 Wh x tick = 10^-8 currency unit.
"""

from __future__ import annotations

import re

from market.clearing.problem import PRICE_BOUND_TICKS

TICKS_PER_UNIT = 100_000
MONEY_PER_UNIT = 100_000_000
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,12})(?:\.([0-9]+))?")


def ticks(price_per_kwh: str) -> int:
    """Decimal text as ticks.

    Raises ValueError with the reason for what is no decimal text, has more than five decimals, or
    reaches the bound of 2^30 ticks.
    """
    if not isinstance(price_per_kwh, str):
        raise ValueError(f"{price_per_kwh!r} must be decimal text in quotes, so that it is exact")
    found = _DECIMAL.fullmatch(price_per_kwh)
    if not found:
        raise ValueError(f"{shown(price_per_kwh)} is not a decimal number")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if len(fraction) > 5:
        raise ValueError(f"{shown(price_per_kwh)} has more than 5 decimals")
    value = int(whole) * TICKS_PER_UNIT + int(fraction.ljust(5, "0"))
    if value >= PRICE_BOUND_TICKS:
        raise ValueError(f"{shown(price_per_kwh)} must be below {decimal_text(PRICE_BOUND_TICKS)} per kWh in magnitude")
    return -value if sign == "-" else value


def decimal_text(value_ticks: int) -> str:
    """Ticks as exact decimal text without trailing zeros, a valid JSON number: 19000 -> '0.19'."""
    value = abs(value_ticks)
    text = f"{value // TICKS_PER_UNIT}.{value % TICKS_PER_UNIT:05d}".rstrip("0").rstrip(".")
    return f"-{text}" if value_ticks < 0 else text


def shown(text: str) -> str:
    """Text short enough for one line of complaint."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
