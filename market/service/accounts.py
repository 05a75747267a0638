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
from market.settlement.columns import energy_columns
from market.settlement.interval import (
    NETWORK,
    POOL,
    SUPPLIER,
    Order,
    PartnerTrade,
    Position,
    household_account,
)
from market.settlement.limits import values_at
from market.settlement.rules import Member, Registers, Rules
from market.tariffs.values import Values

Readings = Mapping[tuple[str, int], Registers]
_Booked = tuple[int | None, int | None, int | None, int | None]


class Node(msgspec.Struct, frozen=True, gc=False):
    """A node's witness prices, as a result publishes them."""

    node: str
    price_ticks: int | None
    price_low: int | None
    price_high: int | None


class IntervalResult(msgspec.Struct, frozen=True):
    """What leaves are made of in an interval's stored result."""

    price_ticks: int
    nodes: list[Node]
    orders: list[Order]
    households: list[Position]
    partners: list[PartnerTrade] = []
    final: bool = False


class _Reading(msgspec.Struct, gc=False):
    account: str
    meters: list[_Meter]


class _Meter(msgspec.Struct, gc=False):
    meter: str
    source: str
    before: Registers | None
    after: Registers | None
    payload: str | None


class _Order(msgspec.Struct, gc=False):
    account: str
    node: str
    side: str = "none"
    limit_ticks: int = 0
    energy_wh: int = 0


class _Outcome(msgspec.Struct, gc=False):
    account: str
    heard: bool
    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int
    accepted_wh: int
    price_low: int | None
    price_ticks: int | None
    price_high: int | None
    way_in_ticks: int
    bought_wh: int
    sold_wh: int
    trade_money: str
    import_ticks: int | None
    export_ticks: int | None
    bought_ticks: int | None
    sold_ticks: int | None
    most_ticks: int
    least_ticks: int
    residual_money: str
    alone_money: str


class _PartnersOutcome(_Outcome):
    """Of a household with partner trades; every other's text has no word of them."""

    partner_wh: int
    gift_wh: int


class _Moved(msgspec.Struct, gc=False):
    account: str
    transfers: list[tuple[str, str, str, str, str]]


def interval_accounts(
    rules: Rules,
    start: int,
    registers: Readings,
    sent: Mapping[str, bytes],
    standing: Iterable[Correction],
    result: IntervalResult,
    transfers: Iterable[Transfer],
) -> list[Account]:
    """Every member's account, by household, and every other account that money moved on, by name.

    ``sent`` holds the payloads of the interval's readings by meter, ``standing`` the corrections that stand instead of
    a reading, or where none came.
    """
    sources = {one.meter: _source(one) for one in standing if one.start == start}
    # These two have a leaf also where nothing moved: the number of leaves tells nothing of an interval.
    own: dict[str, list[Transfer]] = {NETWORK: [], SUPPLIER: []} | _by_account(transfers)
    orders = {order.order: order for order in result.orders}
    positions = {position.household: position for position in result.households}
    prices = {row.node: (row.price_low, row.price_ticks, row.price_high) for row in result.nodes}
    at_node = [prices[node] for node in rules.nodes]
    way_in = dearest_way_in(rules.network).tolist()
    worth = {name: _worth(values) for name, values in values_at(rules, start).items()}
    heard = energy_columns(rules, start, registers).heard.tolist()
    partners = _partner_energy(result.partners)
    accounts = []
    for member, name, was_heard in zip(rules.members, rules.columns.accounts, heard, strict=True):
        one, order, node = positions[member.household], orders.get(member.household), rules.nodes[member.node]
        low, posted, high = at_node[member.node]
        booked, (most, least) = worth[member.tariff_name]
        moved = own.pop(name, [])
        outcome = _Outcome(
            name,
            was_heard,
            one.import_wh,
            one.export_wh,
            one.generation_wh,
            one.consumption_wh,
            order.accepted_wh if order else 0,
            low,
            posted,
            high,
            way_in[member.node],
            one.bought_wh,
            one.sold_wh,
            str(one.trade_money),
            *booked,
            most,
            least,
            str(one.residual_money),
            str(one.alone_money),
        )
        if member.household in partners:
            outcome = _with_partners(outcome, *partners[member.household])
        texts = {
            "reading": _Reading(name, _meters(member, start, rules.interval_s, registers, sent, sources)),
            "order": _Order(name, node, order.side, order.limit_ticks, order.energy_wh)
            if order
            else _Order(name, node),
            "outcome": outcome,
            "transfers": _transfers(name, moved),
        }
        accounts.append(Account(name, _written(texts), one.sold_wh - one.bought_wh, _net(name, moved)))
    return _with_pool(accounts + _others(own))


def month_accounts(result: Mapping[str, Any], transfers: Iterable[Transfer]) -> list[Account]:
    """Every household's account with its bill, by household, and every other account that money moved on, by name.

    With whom it traded stays out of the leaf: a proof would name neighbours that other pages keep unnamed.
    """
    own = _by_account(transfers)
    accounts = []
    for bill in sorted(result["bills"], key=lambda bill: str(bill["household"])):
        name = household_account(bill["household"])
        moved = own.pop(name, [])
        told = {member: value for member, value in bill.items() if member != "partners"}
        texts = {"bill": {"account": name, "bill": _exact(told)}, "transfers": _transfers(name, moved)}
        accounts.append(Account(name, _written(texts), 0, _net(name, moved)))
    return _with_pool(accounts + _others(own))


def interval_facts(rules: Rules, result: IntervalResult) -> dict[str, Any]:
    """What everybody may know of an interval: the rule, and the price it posted."""
    posted = result.price_ticks
    return {
        "mechanism": rules.mechanism,
        "promise": rules.promise,
        "final": result.final,
        "currency": rules.currency,
        "price_ticks": posted,
        "bid_ticks": int(bid_price(rules.network, np.array([posted], np.int64))[0]),
    }


def _worth(values: Values) -> tuple[_Booked, tuple[int, int]]:
    """What the household's tariff says of the interval: the prices it is booked at, and the limits that are safe."""
    rates, safe = values.rates, (values.safe.most_ticks, values.safe.least_ticks)
    if rates is None:
        return (None, None, None, None), safe
    return (rates.import_ticks, rates.export_ticks, rates.bought_ticks, rates.sold_ticks), safe


def _partner_energy(trades: Iterable[PartnerTrade]) -> dict[str, tuple[int, int]]:
    """Energy in partner trades and gifts given less received [Wh], of each household that has any."""
    found: dict[str, tuple[int, int]] = {}
    for trade in trades:
        given_wh = trade.energy_wh if trade.gift else 0
        for household, gift_wh in ((trade.seller, given_wh), (trade.buyer, -given_wh)):
            before = found.get(household, (0, 0))
            found[household] = (before[0] + trade.energy_wh, before[1] + gift_wh)
    return found


def _with_partners(outcome: _Outcome, partner_wh: int, gift_wh: int) -> _PartnersOutcome:
    return _PartnersOutcome(**msgspec.structs.asdict(outcome), partner_wh=partner_wh, gift_wh=gift_wh)


def _meters(
    member: Member,
    start: int,
    length: int,
    registers: Readings,
    sent: Mapping[str, bytes],
    sources: Mapping[str, str],
) -> list[_Meter]:
    rows = []
    for meter in member.meters:
        if start < meter.since:
            continue
        before = meter.seed if start == meter.since else registers.get((meter.meter, start - length))
        after, payload = registers.get((meter.meter, start)), sent.get(meter.meter)
        digest = None if payload is None else hashlib.sha256(payload).hexdigest()
        rows.append(_Meter(meter.meter, sources.get(meter.meter, "reading"), before, after, digest))
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


def _transfers(account: str, moved: Sequence[Transfer]) -> _Moved:
    return _Moved(account, [(t.id, t.debit, t.credit, str(t.amount), t.reason) for t in moved])


def _net(account: str, moved: Sequence[Transfer]) -> int:
    return sum(t.amount if t.credit == account else -t.amount for t in moved)


def _written(texts: Mapping[str, Any]) -> dict[str, str]:
    return {kind: _encode(body).decode() for kind, body in texts.items()}


_encode = msgspec.json.Encoder().encode


def month_facts(rules: Rules, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"month": result["month"], "currency": rules.currency}


def _exact(value: Any) -> Any:
    """Whole numbers that not every reader of JSON takes exactly, as text."""
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(member) for member in value]
    return str(value) if type(value) is int and abs(value) >= 2**53 else value
