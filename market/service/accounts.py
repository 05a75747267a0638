"""What each account's leaf says of a gate closure, from what the record holds: the texts that proofs are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from market.mechanisms.posted import bid_price
from market.mechanisms.tracing import dearest_way_in
from market.proof.tree import Account
from market.record import Correction, Transfer
from market.record.rows import ESTIMATED
from market.settlement.energy import energies
from market.settlement.interval import NETWORK, POOL, SUPPLIER, household_account
from market.settlement.limits import values_at
from market.settlement.rules import Member, Registers, Rules
from market.tariffs.values import Values

Readings = Mapping[tuple[str, int], Registers]


def interval_accounts(
    rules: Rules,
    start: int,
    registers: Readings,
    sent: Mapping[str, bytes],
    standing: Iterable[Correction],
    result: Mapping[str, Any],
    transfers: Iterable[Transfer],
) -> list[Account]:
    """Every member's account, by household, and every other account that money moved on, by name.

    ``sent`` holds the payloads of the interval's readings by meter, ``standing`` the corrections that stand instead of
    a reading, or where none came.
    """
    sources = {one.meter: _source(one) for one in standing if one.start == start}
    # These two have a leaf also where nothing moved: the number of leaves tells nothing of an interval.
    own: dict[str, list[Transfer]] = {NETWORK: [], SUPPLIER: []} | _by_account(transfers)
    orders = {row["order"]: row for row in result["orders"]}
    positions = {row["household"]: row for row in result["households"]}
    prices = {row["node"]: row for row in result["nodes"]}
    way_in = dearest_way_in(rules.network).tolist()
    worth = values_at(rules, start)
    heard = energies(rules, start, registers)
    accounts = []
    for member in rules.members:
        name, node = household_account(member.household), rules.nodes[member.node]
        position, order = positions[member.household], orders.get(member.household)
        moved = own.pop(name, [])
        texts = {
            "reading": {
                "account": name,
                "meters": _meters(member, start, rules.interval_s, registers, sent, sources),
            },
            "order": {
                "account": name,
                "node": node,
                "side": order["side"] if order else "none",
                "limit_ticks": order["limit_ticks"] if order else 0,
                "energy_wh": order["energy_wh"] if order else 0,
            },
            "outcome": {
                "account": name,
                "heard": member.household in heard,
                **{register: position[register] for register in Registers._fields},
                "accepted_wh": order["accepted_wh"] if order else 0,
                **{end: prices[node][end] for end in ("price_low", "price_ticks", "price_high")},
                "way_in_ticks": way_in[member.node],
                "bought_wh": position["bought_wh"],
                "sold_wh": position["sold_wh"],
                "trade_money": str(position["trade_money"]),
                **_worth(worth[member.tariff_name]),
                "residual_money": str(position["residual_money"]),
                "alone_money": str(position["alone_money"]),
            },
            "transfers": _transfers(name, moved),
        }
        accounts.append(Account(name, _written(texts), position["sold_wh"] - position["bought_wh"], _net(name, moved)))
    return _with_pool(accounts + _others(own))


def month_accounts(result: Mapping[str, Any], transfers: Iterable[Transfer]) -> list[Account]:
    """Every household's account with its bill, by household, and every other account that money moved on, by name."""
    own = _by_account(transfers)
    accounts = []
    for bill in sorted(result["bills"], key=lambda bill: str(bill["household"])):
        name = household_account(bill["household"])
        moved = own.pop(name, [])
        texts = {"bill": {"account": name, "bill": _exact(bill)}, "transfers": _transfers(name, moved)}
        accounts.append(Account(name, _written(texts), 0, _net(name, moved)))
    return _with_pool(accounts + _others(own))


def interval_facts(rules: Rules, result: Mapping[str, Any]) -> dict[str, Any]:
    """What everybody may know of an interval: the rule, and the price it posted."""
    posted = result["price_ticks"]
    return {
        "mechanism": rules.mechanism,
        "promise": rules.promise,
        "final": "final" in result,
        "currency": rules.currency,
        "price_ticks": posted,
        "bid_ticks": int(bid_price(rules.network, np.array([posted], np.int64))[0]),
    }


def _worth(values: Values) -> dict[str, int | None]:
    """What the household's tariff says of the interval: the prices it is booked at, and the limits that are safe."""
    names = ("import_ticks", "export_ticks", "bought_ticks", "sold_ticks")
    booked = {name: None if values.rates is None else getattr(values.rates, name) for name in names}
    return {**booked, "most_ticks": values.safe.most_ticks, "least_ticks": values.safe.least_ticks}


def _meters(
    member: Member,
    start: int,
    length: int,
    registers: Readings,
    sent: Mapping[str, bytes],
    sources: Mapping[str, str],
) -> list[dict[str, Any]]:
    rows = []
    for meter in member.meters:
        if start < meter.since:
            continue
        before = meter.seed if start == meter.since else registers.get((meter.meter, start - length))
        after, payload = registers.get((meter.meter, start)), sent.get(meter.meter)
        rows.append(
            {
                "meter": meter.meter,
                "source": sources.get(meter.meter, "reading"),
                "before": before,
                "after": after,
                "payload": None if payload is None else hashlib.sha256(payload).hexdigest(),
            }
        )
    return rows


def _source(correction: Correction) -> str:
    return f"{'estimate' if correction.reason == ESTIMATED else 'correction'} {correction.number}"


def _by_account(transfers: Iterable[Transfer]) -> dict[str, list[Transfer]]:
    """The transfers of each account but the pool, which is the other side of them all."""
    own: dict[str, list[Transfer]] = {}
    for transfer in transfers:
        for account in (transfer.debit, transfer.credit):
            if account != POOL:
                own.setdefault(account, []).append(transfer)
    return own


def _others(own: Mapping[str, Sequence[Transfer]]) -> list[Account]:
    """The accounts that are no member's: network, supplier, and a household that has left."""
    return [
        Account(name, _written({"transfers": _transfers(name, moved)}), 0, _net(name, moved))
        for name, moved in sorted(own.items())
    ]


def _with_pool(accounts: list[Account]) -> list[Account]:
    """With the pool's account where something of the money stays with it."""
    money = -sum(account.money for account in accounts)
    text = _written({"balance": {"account": POOL, "money": str(money)}})
    return [*accounts, Account(POOL, text, 0, money)] if money else accounts


def _transfers(account: str, moved: Sequence[Transfer]) -> dict[str, Any]:
    return {"account": account, "transfers": [[t.id, t.debit, t.credit, str(t.amount), t.reason] for t in moved]}


def _net(account: str, moved: Sequence[Transfer]) -> int:
    return sum(t.amount if t.credit == account else -t.amount for t in moved)


def _written(texts: Mapping[str, Any]) -> dict[str, str]:
    return {kind: msgspec.json.encode(body).decode() for kind, body in texts.items()}


def month_facts(rules: Rules, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"month": result["month"], "currency": rules.currency}


def _exact(value: Any) -> Any:
    """Whole numbers that not every reader of JSON takes exactly, as text."""
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return str(value) if type(value) is int and abs(value) >= 2**53 else value
