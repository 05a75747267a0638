"""Communities and their months, settled by the market's own code from energies that a test gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from market.billing import CarryOver, IntervalResult, MonthSettled, close_month
from market.settlement.interval import settle
from market.settlement.rules import Registers, Rules, parse, split
from market.tariffs import Month, month_of

HOUR = 3600
MAY = month_of("2026-05")
Flows = Mapping[str, tuple[int, int]]
"""By household: (import, export) [Wh] of an interval; who is not named was not heard."""


def community(
    tariffs: Mapping[str, Any],
    homes: Mapping[str, str],
    *,
    since: int = 0,
    fee: str = "0.01",
    offers: Mapping[str, Any] | None = None,
    **members: Any,
) -> Rules:
    """Homes by the name of their tariff; a home's first letter is its feeder. ``offers`` are by home."""
    feeders = sorted({home[0] for home in homes})
    document = {
        "community": "c",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": HOUR,
        "mechanism": "mid-market",
        "reference": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"},
        "tariffs": dict(tariffs),
        "network": [{"node": "root"}, *({"node": f, "parent": "root", "fee_per_kwh": fee} for f in feeders)],
        "members": [
            {
                "household": home,
                "node": home[0],
                "tariff": tariff,
                "meters": [{"meter": home, "kid": 1, "since": since}],
                **({"offer": offers[home]} if offers and home in offers else {}),
            }
            for home, tariff in homes.items()
        ],
        **members,
    }
    return parse(split(document))


def intervals(rules: Rules, month: Month, hours: Sequence[tuple[int, Flows]]) -> list[IntervalResult]:
    """Settle the hours of the month that are given, (hour, flows)."""
    found = []
    begin = month.start(ZoneInfo(rules.timezone))
    for hour, flows in hours:
        start = begin + hour * HOUR
        registers = {}
        for home, (imported, exported) in flows.items():
            registers[home, start - HOUR] = Registers(0, 0, 0, 0)
            registers[home, start] = Registers(imported, exported, exported, imported)
        settled = settle(rules, start, registers, "curve")
        partners = settled.body.get("partners", ())
        found.append(
            IntervalResult(start, rules, settled.price_ticks, settled.positions, settled.matches, partners=partners)
        )
    return found


def closed(
    rules: Rules,
    hours: Sequence[tuple[int, Flows]],
    month: Month = MAY,
    before: Mapping[str, CarryOver] | None = None,
) -> MonthSettled:
    return close_month(rules, month, intervals(rules, month, hours), before or {}, "curve")
