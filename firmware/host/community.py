"""The community file of a simulated street: its tree with fees by level, one tariff, one meter a home."""

from __future__ import annotations

from typing import Any

from firmware.host.street import Street

CURRENCY = "EUR"
RETAIL, FEED_IN = "0.30", "0.08"
FEE_BY_LEVEL = {"feeder": "0.01", "substation": "0.01"}
"""Network fee per kWh for the edge above a node of this level: a neighbour on the same feeder is reached free of it,
one behind another feeder over two such edges, one in another street over four."""


def community_document(street: Street, community: str) -> dict[str, Any]:
    """What ``pumasi market run --community`` reads; members count from the street's first step."""
    return {
        "community": community,
        "currency": CURRENCY,
        "timezone": street.timezone,
        "interval_s": street.step_s,
        "mechanism": "mid-market",
        "reference": {"retail_per_kwh": RETAIL, "feed_in_per_kwh": FEED_IN},
        "tariffs": {"standard": {"retail_per_kwh": RETAIL, "feed_in_per_kwh": FEED_IN}},
        "network": [
            {
                "node": node.node,
                "parent": node.parent,
                "limit_wh": None,
                "fee_per_kwh": "0" if node.parent is None else FEE_BY_LEVEL.get(node.level, "0"),
            }
            for node in street.nodes
        ],
        "members": [
            {
                "household": home.household,
                "name": f"Home {home.household.removeprefix('h').lstrip('0')}",
                "node": home.node,
                "tariff": "standard",
                "generates": home.prosumer,
                "offer": {"min_sell_per_kwh": None, "max_buy_per_kwh": None},
                "meters": [{"meter": home.meter, "kid": 1, "since": street.start}],
            }
            for home in street.homes
        ],
    }
