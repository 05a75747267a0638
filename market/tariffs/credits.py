"""Net metering: export is taken off import, and what is left over is a credit for later months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from market.tariffs.months import Month
from market.tariffs.tariff import Metering


class Credit(NamedTuple):
    """Energy left over from a month [Wh]."""

    month: Month
    energy_wh: int


@dataclass(frozen=True)
class Netted:
    """A month's net metering [Wh].

    ``used_wh`` of earlier credits were taken off; ``after`` are the credits that go on, the oldest first.
    """

    billed_wh: int
    used_wh: int
    expired_wh: int
    after: tuple[Credit, ...]


def net(metering: Metering, month: Month, supplied_wh: int, fed_in_wh: int, before: Sequence[Credit]) -> Netted:
    """Bill what import leaves of export and of earlier credits, the oldest first.

    Energy is conserved: ``supplied + expired + sum(after) = billed + fed_in + sum(before)``.
    """
    open_wh = supplied_wh - fed_in_wh
    lots = sorted(before)
    if open_wh < 0:
        lots.append(Credit(month, -open_wh))
        open_wh = 0
    used = 0
    left = []
    for lot in lots:
        taken = min(open_wh, lot.energy_wh)
        open_wh -= taken
        used += taken
        if lot.energy_wh > taken:
            left.append(Credit(lot.month, lot.energy_wh - taken))
    after = tuple(lot for lot in left if not _ends(metering, lot.month, month))
    expired = sum(lot.energy_wh for lot in left) - sum(lot.energy_wh for lot in after)
    return Netted(open_wh, used, expired, after)


def _ends(metering: Metering, came: Month, month: Month) -> bool:
    """Whether what is left of a credit ends with this month."""
    if metering.yearly is not None:
        return month.month == metering.yearly
    return metering.months is not None and came.plus(metering.months) <= month
