"""One interval, from energy to money: book, mechanism, positions, postings.

``settle`` is a pure function of the rules and the registers. The market and ``replay`` call it, so that what was
booked can be derived again by anyone; ``audit`` derives orders and positions by ``households`` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from market.clearing.clear import Solver
from market.clearing.problem import NO_PRICE, Book, Ints
from market.mechanisms import Outcome
from market.mechanisms.partners import PartnerTrades, trade_with_partners
from market.mechanisms.reference import mid_market_price, posted_price
from market.settlement.columns import (
    EnergyColumns,
    PositionColumns,
    energy_columns,
    order_columns,
    position_columns,
)
from market.settlement.members import household_account as household_account
from market.settlement.partners import wishes_of
from market.settlement.rules import Registers, Rules

POOL, NETWORK, SUPPLIER = "pool", "network", "supplier"
"""Accounts beside the households': the members' counterparty, the grid's owner, the utility."""
TRADE, RESIDUAL, FEE = "trade", "residual", "fee"
"""Reasons of a posting."""
_BOUGHT, _ENERGY, _MONEY = map(attrgetter, ("bought_wh", "energy_wh", "money"))


class Position(msgspec.Struct, frozen=True, gc=False):
    """A household's energy [Wh] and money [Wh x tick; what it receives, negative: pays] in an interval.

    ``alone_money`` is the same interval without the community: all import and export at its tariff. Under a tariff
    whose kWh have their value by the month, ``residual_money`` is 0 until then, and ``alone_money`` is what the
    traded energy is worth at the least.
    """

    household: str
    heard: bool
    import_wh: int = 0
    export_wh: int = 0
    generation_wh: int = 0
    consumption_wh: int = 0
    bought_wh: int = 0
    sold_wh: int = 0
    trade_money: int = 0
    residual_money: int = 0
    alone_money: int = 0


class Match(msgspec.Struct, frozen=True, gc=False):
    """Who traded with whom, partners first: informational, but for partners, whose money follows from it."""

    seller: str
    buyer: str
    energy_wh: int


class PartnerTrade(msgspec.Struct, frozen=True, gc=False):
    """What two partners traded before the market: at the posted price, or for nothing where it is a gift."""

    seller: str
    buyer: str
    energy_wh: int
    gift: bool


class Order(msgspec.Struct, frozen=True, gc=False):
    """A household's order as the result publishes it."""

    order: str
    node: str
    side: str
    limit_ticks: int
    energy_wh: int
    accepted_wh: int
    money: int


class Posting(msgspec.Struct, frozen=True, gc=False):
    """Money that should stand, after this revision, between the pool and one other account.

    ``money`` [Wh x tick] is what the account receives from the pool (negative: pays to it).
    """

    account: str
    reason: str
    money: int


@dataclass(frozen=True)
class Settled:
    """The whole result of an interval; ``body`` is its publishable form, which msgspec writes as JSON."""

    start: int
    positions: tuple[Position, ...]
    matches: tuple[Match, ...]
    postings: tuple[Posting, ...]
    energy_traded_wh: int
    welfare: int
    certificate_gap: int
    price_ticks: int
    fees: int
    body: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """The publishable form in plain lists, texts and integers."""
        plain: dict[str, Any] = msgspec.to_builtins(self.body)
        return plain


class SettlementError(RuntimeError):
    """A rule that every settlement must satisfy does not hold: nothing may be booked."""


def settle(
    rules: Rules,
    start: int,
    registers: Mapping[tuple[str, int], Registers],
    solver: Solver,
    estimated: Set[str] = frozenset(),
) -> Settled:
    """Clear and settle the interval that starts at ``start`` [epoch s].

    ``estimated`` names the meters whose registers were not heard but estimated: the result names their
    households. Raises SettlementError when energy, money or optimality do not come out, which is a defect and
    never bad input.
    """
    return settle_energy(rules, start, energy_columns(rules, start, registers), solver, estimated)


def settle_energy(
    rules: Rules, start: int, energy: EnergyColumns, solver: Solver, estimated: Set[str] = frozenset()
) -> Settled:
    """``settle``, from the energy that the registers come to."""
    owners, book = order_columns(rules, start, energy)
    price_ticks = mid_market_price(book, rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    names = rules.columns.households
    wishes = wishes_of(rules.naming, [names[owner] for owner in owners.tolist()] if rules.naming else [])
    outcome, partners = trade_with_partners(book, rules.network, price_ticks, wishes, solver)
    position = position_columns(rules, start, energy, owners, outcome.accepted_wh, outcome.money)
    gifts = np.zeros(len(names), np.int64)
    gifts[owners] = partners.given_wh(book.orders) * price_ticks[0]
    _check_positions(rules, start, energy, position, gifts)
    settled = _settled(rules, start, owners, book, outcome, partners, energy, position)
    settled.body.update(estimated_households(rules, estimated))
    _check(settled)
    return settled


def postings_of(positions: Sequence[Position], fees: int) -> tuple[Posting, ...]:
    """The pool is every member's counterparty; what members pay in leaves for the network and the supplier."""
    accounts = [household_account(position.household) for position in positions]
    trade = [position.trade_money for position in positions]
    return postings_by(accounts, trade, [position.residual_money for position in positions], fees)


def postings_by(
    accounts: Sequence[str], trade: Sequence[int], residual: Sequence[int], fees: int
) -> tuple[Posting, ...]:
    """``postings_of``, from the members' accounts and the money on each."""
    postings = [Posting(account, TRADE, money) for account, money in zip(accounts, trade, strict=True) if money]
    postings += [Posting(account, RESIDUAL, money) for account, money in zip(accounts, residual, strict=True) if money]
    others = (Posting(NETWORK, FEE, fees), Posting(SUPPLIER, RESIDUAL, -sum(residual)))
    return (*postings, *(posting for posting in others if posting.money))


def estimated_households(rules: Rules, meters: Set[str]) -> dict[str, list[str]]:
    """What a result says of estimated ``meters``: their households; nothing where there are none."""
    if not meters:
        return {}
    names = [member.household for member in rules.members if any(meter.meter in meters for meter in member.meters)]
    return {"estimated": names} if names else {}


def partner_rows(households: Sequence[str], partners: PartnerTrades) -> list[PartnerTrade]:
    """The trades as a result publishes them; ``households`` is over orders."""
    seller, buyer, energy_wh, gift = (
        column.tolist() for column in (partners.seller, partners.buyer, partners.energy_wh, partners.gift)
    )
    named = map(households.__getitem__, seller), map(households.__getitem__, buyer)
    return list(map(PartnerTrade, *named, energy_wh, gift))


def _settled(
    rules: Rules,
    start: int,
    owners: Ints,
    book: Book,
    outcome: Outcome,
    partners: PartnerTrades,
    energy: EnergyColumns,
    position: PositionColumns,
) -> Settled:
    cleared = outcome.clearing
    if cleared is None:
        raise SettlementError(f"interval {start}: the mechanism gave no witness")
    households = rules.columns.households
    names = [households[owner] for owner in owners.tolist()]
    seller, buyer, matched_wh = (column.tolist() for column in cleared.matches())
    first = partner_rows(names, partners)
    matches = (
        *(Match(one.seller, one.buyer, one.energy_wh) for one in first),
        *map(Match, map(names.__getitem__, seller), map(names.__getitem__, buyer), matched_wh),
    )
    columns = {name: column.tolist() for one in (energy, position) for name, column in vars(one).items()}
    positions = tuple(map(Position, households, *columns.values()))
    primal, dual = int(cleared.primal[0]), int(cleared.dual[0])
    price_ticks = posted_price(rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    body = {
        "start": start,
        "length": rules.interval_s,
        "mechanism": rules.mechanism,
        "efficient": outcome.efficient,
        "price_ticks": price_ticks,
        "welfare": int(outcome.welfare[0]),
        "certificate": {"primal": primal, "dual": dual, "gap": dual - primal},
        "nodes": [
            {"node": node, "price_ticks": price, "price_low": low, "price_high": high, "flow_wh": flow}
            for node, price, low, high, flow in zip(
                rules.nodes,
                *(
                    [None if value == NO_PRICE else value for value in array[0].tolist()]
                    for array in (cleared.price_ticks, cleared.price_low, cleared.price_high)
                ),
                cleared.flow_wh[0].tolist(),
                strict=True,
            )
        ],
        "orders": list(
            map(
                Order,
                names,
                map(rules.nodes.__getitem__, book.node.tolist()),
                ["sell" if sell else "buy" for sell in book.sell.tolist()],
                *(column.tolist() for column in (book.price_ticks, book.energy_wh, outcome.accepted_wh, outcome.money)),
            )
        ),
        "matches": matches,
        **({"partners": first} if first else {}),
        "households": positions,
        "pool": int(outcome.pool[0]),
        "fees": int(outcome.fees[0]),
        "rent": int(outcome.rent[0]),
    }
    return Settled(
        start=start,
        positions=positions,
        matches=matches,
        postings=postings_by(
            rules.columns.accounts, columns["trade_money"], columns["residual_money"], int(outcome.fees[0])
        ),
        energy_traded_wh=sum(columns["sold_wh"]),
        welfare=int(outcome.welfare[0]),
        certificate_gap=dual - primal,
        price_ticks=price_ticks,
        fees=int(outcome.fees[0]),
        body=body,
    )


def _check_positions(rules: Rules, start: int, energy: EnergyColumns, position: PositionColumns, gifts: Ints) -> None:
    """What must hold for every household, looked at before anything is booked (docs/model.md).

    ``gifts`` [Wh x tick] over members is what was given away at the posted price, which is no loss to be made good.
    """
    members = rules.columns
    by_month = np.array([rules.tariffs[name].at(start).by_month for name in members.tariffs], bool)
    promised = ~by_month[members.tariff] | (rules.promise == "interval")
    bought, sold = position.bought_wh, position.sold_wh
    faults = (
        ("bought more than it imported", (bought < 0) | (bought > energy.import_wh)),
        ("sold more than it exported", (sold < 0) | (sold > energy.export_wh)),
        ("traded with itself", (bought != 0) & (sold != 0)),
        (
            "is worse off than alone",
            promised & (position.trade_money + gifts + position.residual_money < position.alone_money),
        ),
    )
    for what, of in faults:
        if of.any():
            raise SettlementError(f"interval {start}: {members.households[int(np.argmax(of))]} {what}")


def _check(settled: Settled) -> None:
    """What must hold for all of them together."""
    where = f"interval {settled.start}"
    bought = sum(map(_BOUGHT, settled.positions))
    if bought != settled.energy_traded_wh:
        raise SettlementError(f"{where}: bought {bought} Wh, sold {settled.energy_traded_wh} Wh")
    if settled.certificate_gap:
        raise SettlementError(f"{where}: the certificate's gap is {settled.certificate_gap}")
    if sum(map(_ENERGY, settled.matches)) != bought:
        raise SettlementError(f"{where}: the matches do not add up to the {bought} Wh traded")
    if sum(map(_MONEY, settled.postings)):
        raise SettlementError(f"{where}: the money does not sum to zero")
