"""One household's month before it is closed: its own bill and the one alone, without the true-up that all share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from market.billing.usage import CarryOver, HouseholdUse, IntervalResult, add_up
from market.settlement.rules import Rules
from market.tariffs.bill import Bill, bill
from market.tariffs.months import Month


@dataclass(frozen=True)
class SoFar:
    """The month as it stands. Money in Wh x tick, due: negative where the household is paid."""

    use: HouseholdUse
    own: Bill
    alone: Bill

    @property
    def total(self) -> int:
        return self.own.total - self.use.trade_money

    @property
    def gain(self) -> int:
        return self.alone.total - self.total


def bill_so_far(
    rules: Rules, month: Month, household: str, intervals: Iterable[IntervalResult], before: CarryOver
) -> SoFar | None:
    """The household's month from its positions in ``intervals``, which come in order of time; None without any.

    What ``close_month`` makes of the same intervals, before trades are rounded to coins and before the true-up.
    Months that are netted when they have ended have no trades yet. Raises TariffError when the tariff does not hold
    for all of the month.
    """
    use = add_up(rules, month, intervals).households.get(household)
    if use is None:
        return None
    return SoFar(
        use, bill(use.tariff, month, use.usage(), before.own), bill(use.tariff, month, use.alone(), before.alone)
    )
