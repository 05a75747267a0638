"""Tariff documents that the tests begin with."""

from __future__ import annotations

from typing import Any

from market.tariffs import Tariff, parse_tariff

BLOCKS = [
    {"up_to_kwh": 100, "per_kwh": "0.10", "base": "1"},
    {"up_to_kwh": 300, "per_kwh": "0.20", "base": "2"},
    {"per_kwh": "0.40", "base": "5"},
]


def version(**members: Any) -> dict[str, Any]:
    """One row that holds from 2000 on: a flat price, rounded to cents."""
    return {
        "valid_from": "2000-01-01",
        "energy": {"kind": "flat", "per_kwh": "0.30"},
        "rounding": {"to": "0.01"},
        **members,
    }


def document(*versions: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "name": "t",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "source": "made up",
        "versions": list(versions) or [version()],
        **members,
    }


def tariff(**members: Any) -> Tariff:
    """A tariff of one row."""
    return parse_tariff(document(version(**members)))


def blocks(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "blocks", "seasons": [{"blocks": list(rows) or BLOCKS}]}


def windows(*rows: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"kind": "time-of-use", "windows": list(rows), **members}
