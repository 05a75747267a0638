"""Input bodies that the record's, the service's and the settlement's tests begin with."""

from __future__ import annotations

from typing import Any

COMMUNITY: dict[str, Any] = {
    "community": "c",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "interval_s": 900,
    "mechanism": "mid-market",
    "reference": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"},
}
TARIFFS: dict[str, Any] = {"standard": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}}
