"""Between decimals, which people read, and integers, which the engine counts in.

Price: 1 tick = 0.00001 currency unit per kWh. Money: 1 Wh x tick = 10^-8 currency unit.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

TICKS_PER_UNIT = 100_000
MONEY_PER_UNIT = 100_000_000
PRICE_BOUND_TICKS = 2**30


def ticks(price_per_kwh: str | int | Decimal) -> int:
    """The price in ticks.

    Raises ValueError with the reason for what is no number, has more than five decimals, or
    reaches the bound of 2^30 ticks.
    """
    try:
        price = Decimal(price_per_kwh)
    except InvalidOperation:
        raise ValueError(f"{price_per_kwh!r} is not a number") from None
    if not price.is_finite():
        raise ValueError(f"{price_per_kwh!r} is not a finite number")
    if abs(price) * TICKS_PER_UNIT >= PRICE_BOUND_TICKS:
        raise ValueError(f"price {price_per_kwh} reaches the bound of {decimal_price(PRICE_BOUND_TICKS)} per kWh")
    scaled = price * TICKS_PER_UNIT
    if scaled != scaled.to_integral_value():
        raise ValueError(f"price {price_per_kwh} has more than five decimals")
    return int(scaled)


def decimal_price(price_ticks: int) -> str:
    """The price as a decimal with all five places: 19000 -> '0.19000'."""
    return f"{Decimal(price_ticks).scaleb(-5):.5f}"
