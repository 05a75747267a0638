"""A month from intervals to bills: what each household owes, what it would have paid alone, and the true-up. Pure."""

from __future__ import annotations

from market.billing.month import BillingError, HouseholdMonth, MonthSettled, Standing, close_month
from market.billing.usage import CarryOver, IntervalResult

__all__ = ["BillingError", "CarryOver", "HouseholdMonth", "IntervalResult", "MonthSettled", "Standing", "close_month"]
