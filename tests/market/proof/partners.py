"""The small street with preferred partners and gifts, and what an operator could say of them that is not so."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from market.proof.tree import Account, Closure
from tests.market.proof.street import LEFT_OUT, LENGTH, SINCE, Chain, make_chain

OFFERS: dict[str, Any] = {"h0": {"give": ["h3"], "prefer": ["h2"]}, "h1": {"give": ["h3", "h5"]}}
"""h0 gives 155 Wh, sells 35 Wh to the home it prefers and 150 Wh to the market; h1 gives all it has; h3 is given all it
needs, h5 65 Wh of what it buys, and h2 is preferred."""
START = SINCE + LENGTH
WITH_PARTNERS, WITHOUT = (0, 1, 2, 3, 5), (4, 6)
POSTED = 19_000

NEITHER: dict[str, Any] = {"partner_wh": LEFT_OUT, "gift_wh": LEFT_OUT}
CHEATS: list[tuple[str, dict[str, Any], str]] = [
    ("h0", {"partner_wh": 341}, "order"),
    ("h0", {"partner_wh": 154}, "order"),
    ("h0", {"partner_wh": 0}, "order"),
    ("h0", {"partner_wh": -190}, "order"),
    ("h0", {"partner_wh": True}, "order"),
    ("h0", {"partner_wh": None}, "order"),
    ("h0", {"partner_wh": "190"}, "order"),
    ("h0", {"partner_wh": 190_000_000_000_000_000}, "outcome"),
    ("h0", {"partner_wh": 2**53}, "order"),
    ("h0", {"partner_wh": [190]}, "order"),
    ("h0", {"partner_wh": LEFT_OUT}, "order"),
    ("h0", {"gift_wh": LEFT_OUT}, "order"),
    ("h0", {"gift_wh": True}, "order"),
    ("h0", {"gift_wh": False}, "order"),
    ("h0", {"gift_wh": None}, "order"),
    ("h0", {"gift_wh": "155"}, "order"),
    ("h0", {"gift_wh": 191}, "order"),
    ("h0", {"gift_wh": -191}, "order"),
    ("h0", {"gift_wh": -155}, "order"),
    ("h0", {"gift_wh": 0}, "money"),
    ("h0", {"gift_wh": 154}, "money"),
    ("h0", {"gift_wh": 156}, "money"),
    ("h0", NEITHER, "money"),
    ("h0", {"partner_wh": 0, "gift_wh": 0}, "order"),
    ("h0", {"trade_money": str(POSTED * 185 - 1)}, "money"),
    ("h0", {"trade_money": str(POSTED * 340)}, "money"),
    # What is left for the market is treated by the witness's price, and only that.
    ("h0", {"price_low": 18_999}, "order"),
    ("h0", {"price_ticks": None}, "order"),
    ("h0", {"accepted_wh": 190, "sold_wh": 340}, "order"),
    ("h1", {"gift_wh": 119}, "money"),
    ("h1", {"partner_wh": 121, "gift_wh": 121}, "order"),
    ("h1", NEITHER, "money"),
    ("h1", {"price_low": 19_002}, "order"),
    ("h1", {"trade_money": "-1"}, "money"),
    ("h2", {"gift_wh": 35}, "order"),
    ("h2", {"gift_wh": -35}, "money"),
    ("h2", {"gift_wh": 1}, "order"),
    ("h3", {"gift_wh": 210}, "order"),
    ("h3", {"gift_wh": -209}, "money"),
    ("h3", {"gift_wh": -211}, "order"),
    ("h3", {"partner_wh": 209}, "order"),
    ("h3", NEITHER, "money"),
    # Fees hidden in a gift: beyond those of the dearest way.
    ("h3", {"trade_money": str(-2_000 * 210 - 1)}, "money"),
    ("h5", {"gift_wh": -66}, "order"),
    ("h5", {"partner_wh": 66, "gift_wh": -66}, "money"),
    ("h5", {"gift_wh": 65}, "order"),
    ("h5", {"price_low": 21_000}, "order"),
    ("h5", {"accepted_wh": 214}, "order"),
    ("h5", {"price_high": 21_002}, "order"),
    ("h5", NEITHER, "money"),
    ("h4", {"partner_wh": 1, "gift_wh": 0}, "order"),
    ("h4", {"partner_wh": 0, "gift_wh": 0}, "order"),
    ("h6", {"partner_wh": 90, "gift_wh": -90}, "order"),
]
TRUE = [
    # No price speaks of an order of which the market had nothing.
    ("h1", {"price_low": 18_000}),
    ("h1", {"price_low": None, "price_ticks": None, "price_high": None}),
]


def partner_chain(intervals: int = 2) -> Chain:
    return make_chain(intervals, revised=99, offers=OFFERS)


def made_final(chain: Chain) -> None:
    """The newest closure once more, as its final revision: nothing moves, nothing is booked."""
    closure, accounts, facts = chain.reopen()
    chain.close(closure, accounts, facts)
    stand = [
        dataclasses.replace(
            account,
            texts={
                **account.texts,
                "transfers": json.dumps({"account": account.name, "transfers": []}).replace(" ", ""),
            },
            money=0,
        )
        for account in accounts
        if "transfers" in account.texts
    ]
    final = dataclasses.replace(closure, revision=closure.revision + 1)
    chain.close(final, stand, facts | {"final": True})


FINAL_CHEATS: list[tuple[str, str, dict[str, Any], str]] = [
    ("h0", "outcome", {"partner_wh": 191}, "order"),
    ("h0", "outcome", {"gift_wh": 154}, "order"),
    ("h0", "outcome", {"gift_wh": -155}, "order"),
    ("h0", "outcome", {"partner_wh": 185, "gift_wh": 150}, "order"),
    ("h0", "outcome", {"partner_wh": True}, "order"),
    ("h0", "outcome", {"partner_wh": 0}, "order"),
    ("h0", "outcome", NEITHER, "order"),
    ("h0", "outcome", {"gift_wh": LEFT_OUT}, "order"),
    ("h0", "outcome", {"accepted_wh": 341}, "order"),
    ("h0", "outcome", {"trade_money": str(POSTED * 185 + 1)}, "order"),
    ("h0", "outcome", {"way_in_ticks": 2001}, "order"),
    ("h0", "outcome", {"least_ticks": "8000"}, "order"),
    ("h4", "order", {"energy_wh": False}, "order"),
    ("h0", "order", {"limit_ticks": 8_001}, "order"),
]
"""In the final revision."""

TRADES = {"bought": 1_000, "sold": 7_000, "given": 2_000, "received": 500, "gifts": 1_500, "fees": 30, "rounding": -70}
"""A month's trades [Wh x tick]."""
NO_GIFTS: dict[str, Any] = {"given": LEFT_OUT, "received": LEFT_OUT, "gifts": LEFT_OUT}
BILLS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"gifts": 1_499}, "bill"),
    ({"gifts": LEFT_OUT}, "bill"),
    ({"given": LEFT_OUT}, "bill"),
    ({"received": LEFT_OUT}, "bill"),
    ({"received": None}, "bill"),
    ({"given": True}, "bill"),
    ({"fees": 31}, "bill"),
    ({"fees": LEFT_OUT}, "bill"),
    ({"bought": 999}, "bill"),
    ({"sold": 7_001}, "bill"),
    ({"due": -4_539}, "bill"),
    ({"gifts": "1500"}, ""),
    # As it was before there were gifts: all three are 0, and what is due follows from the rest.
    (NO_GIFTS, "bill"),
    (NO_GIFTS | {"due": -6_040}, ""),
    (NO_GIFTS | {"due": -6_040, "fees": LEFT_OUT}, "bill"),
    (NO_GIFTS | {"due": 500_000}, "bill"),
]


def month_proof(change: dict[str, Any]) -> str:
    """A bill of one home with ``change`` in its trades, chained."""
    due = 1_000 - 7_000 + 1_500 + 30 - 70
    trades = {name: value for name, value in (TRADES | {"due": due} | change).items() if value is not LEFT_OUT}
    bill: dict[str, Any] = {
        "own": {"lines": [{"money": 9_000}], "total": 9_000},
        "alone": {"lines": [{"money": 12_000}], "total": 12_000},
        "trades": trades,
        "true_up": 0,
        "total": 9_000 + trades["due"],
        "gain": 3_000 - trades["due"],
    }
    name = "household:h1"
    identity = f"c/{SINCE}/{LENGTH}/{name}/rounding/0"
    texts = {
        "bill": {"account": name, "bill": bill},
        "transfers": {
            "account": name,
            "transfers": [[hashlib.sha256(identity.encode()).hexdigest()[:32], "rounding", name, "70", "rounding"]],
        },
    }
    chain = Chain()
    accounts = [
        Account(name, {kind: json.dumps(body, separators=(",", ":")) for kind, body in texts.items()}, 0, 70),
        Account("rounding", {"balance": "{}"}, 0, -70),
    ]
    chain.close(Closure("c", "month", SINCE, LENGTH, 0), accounts, {"month": "1970-01", "currency": "EUR"})
    return chain.proof(name, SINCE)
