"""Tariffs as data: what a kWh is worth at a time, and what a month costs. Pure; the schema is in docs/tariffs.md."""

from __future__ import annotations

from market.tariffs.bill import Amount, Bill, Line, Usage, bill, exact_total
from market.tariffs.credits import Credit
from market.tariffs.months import Month, month_of
from market.tariffs.tariff import Tariff, TariffError, flat_tariff, parse_tariff

__all__ = [
    "Amount",
    "Bill",
    "Credit",
    "Line",
    "Month",
    "Tariff",
    "TariffError",
    "Usage",
    "bill",
    "exact_total",
    "flat_tariff",
    "month_of",
    "parse_tariff",
]
