"""The line that tells a person what became of an interval."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from market.units import MONEY_PER_UNIT

EXPECTED = ("stored",)


def progress_line(event: dict[str, Any], zone: tzinfo = UTC, currency: str = "") -> str:
    """Interval, homes heard, energy traded, welfare, certificate gap and unusual outcomes, of a gate event."""
    start, end = (datetime.fromtimestamp(event["start"] + offset, zone) for offset in (0, event["length"]))
    revision = f" revision {event['revision']}" if event["revision"] else ""
    money = f"{event['welfare'] / MONEY_PER_UNIT:.4f}{' ' + currency if currency else ''}"
    silent = f" ({event['online']} meters online)" if event["online"] < event["homes"] else ""
    odd = ", ".join(f"{name} {count}" for name, count in unusual(event["outcomes"]).items())
    return (
        f"{start:%a %d %b %H:%M}-{end:%H:%M}{revision}  heard {event['heard']}/{event['homes']}{silent}"
        f"  traded {event['energy_traded_wh'] / 1000:7.3f} kWh  welfare {money}  gap {event['certificate_gap']}"
        + (f"  | {odd}" if odd else "")
    )


def unusual(outcomes: dict[str, int]) -> dict[str, int]:
    """The outcomes other than a reading stored in time."""
    return {name: count for name, count in outcomes.items() if name not in EXPECTED}
