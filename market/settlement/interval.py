"""One interval, from energy to money: book, mechanism, positions, postings.

``settle`` is a pure function of the rules and the registers. The market, ``replay`` and ``audit``
all call it, so that what was booked can be derived again by anyone.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from market.clearing.clear import Solver
from market.clearing.problem import NO_PRICE, Book
from market.mechanisms import Outcome, mid_market
from market.mechanisms.reference import posted_price
from market.settlement.energy import Energy, energies
from market.settlement.limits import order_limits, values_at
from market.settlement.rules import MONTHLY_NETTING, Member, Registers, Rules
from market.tariffs.values import Values

POOL, NETWORK, SUPPLIER = "pool", "network", "supplier"
"""Accounts beside the households': the members' counterparty, the grid's owner, the utility."""
TRADE, RESIDUAL, FEE = "trade", "residual", "fee"
"""Reasons of a posting."""


@dataclass(frozen=True)
class Position:
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


@dataclass(frozen=True)
class Match:
    """Who traded with whom: informational, never booked."""

    seller: str
    buyer: str
    energy_wh: int


@dataclass(frozen=True)
class Posting:
    """Money that should stand, after this revision, between the pool and one other account.

    ``money`` [Wh x tick] is what the account receives from the pool (negative: pays to it).
    """

    account: str
    reason: str
    money: int


@dataclass(frozen=True)
class Settled:
    """The whole result of an interval; ``result`` is its publishable form, of plain lists, texts and integers."""

    start: int
    positions: tuple[Position, ...]
    matches: tuple[Match, ...]
    postings: tuple[Posting, ...]
    energy_traded_wh: int
    welfare: int
    certificate_gap: int
    price_ticks: int
    fees: int
    result: dict[str, Any]


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
    heard = energies(rules, start, registers)
    owners, book = book_of(rules, start, heard)
    outcome = mid_market(
        book,
        rules.network,
        retail_ticks=rules.reference.retail_ticks,
        feed_in_ticks=rules.reference.feed_in_ticks,
        solver=solver,
    )
    money = dict(zip((owner.household for owner in owners), outcome.money.tolist(), strict=True))
    accepted_wh = dict(zip((owner.household for owner in owners), outcome.accepted_wh.tolist(), strict=True))
    positions = positions_of(rules, start, heard, accepted_wh, money)
    postings = postings_of(positions, int(outcome.fees[0]))
    settled = _settled(rules, start, owners, book, outcome, positions, postings)
    settled.result.update(estimated_households(rules, estimated))
    _check(rules, settled)
    return settled


def book_of(rules: Rules, start: int, heard: Mapping[str, Energy]) -> tuple[list[Member], Book]:
    """One ask or bid of each household that has surplus or need; owners[i] holds order i.

    Members are in order of their ids, so the order's index is the rank that breaks ties. Where months are netted,
    intervals have no orders.
    """
    owners, sell, price_ticks, energy_wh = [], [], [], []
    worth = values_at(rules, start)
    for member in rules.members if rules.mechanism != MONTHLY_NETTING else ():
        energy = heard.get(member.household)
        if energy is None or energy.wanted_wh == energy.surplus_wh:
            continue
        limits = order_limits(member, worth[member.tariff_name])
        owners.append(member)
        sell.append(energy.surplus_wh > 0)
        price_ticks.append(limits.least_ticks if energy.surplus_wh > 0 else limits.most_ticks)
        energy_wh.append(energy.surplus_wh or energy.wanted_wh)
    book = Book(
        interval=np.zeros(len(owners), dtype=np.int64),
        node=np.array([member.node for member in owners], dtype=np.int64),
        sell=np.array(sell, dtype=bool),
        price_ticks=np.array(price_ticks, dtype=np.int64),
        energy_wh=np.array(energy_wh, dtype=np.int64),
        id=np.arange(len(owners)),
        intervals=1,
    )
    return owners, book


def positions_of(
    rules: Rules, start: int, heard: Mapping[str, Energy], accepted_wh: Mapping[str, int], money: Mapping[str, int]
) -> tuple[Position, ...]:
    """Every member's position, from what the households' orders were accepted for and what money that is."""
    positions = []
    worth = values_at(rules, start)
    for member in rules.members:
        energy = heard.get(member.household)
        if energy is None:
            positions.append(Position(member.household, heard=False))
            continue
        traded_wh = accepted_wh.get(member.household, 0)
        bought, sold = (0, traded_wh) if energy.surplus_wh else (traded_wh, 0)
        residual_money, alone_money = at_tariff(worth[member.tariff_name], energy, bought, sold)
        positions.append(
            Position(
                household=member.household,
                heard=True,
                import_wh=energy.import_wh,
                export_wh=energy.export_wh,
                generation_wh=energy.generation_wh,
                consumption_wh=energy.consumption_wh,
                bought_wh=bought,
                sold_wh=sold,
                trade_money=money.get(member.household, 0),
                residual_money=residual_money,
                alone_money=alone_money,
            )
        )
    return tuple(positions)


def at_tariff(worth: Values, energy: Energy, bought_wh: int, sold_wh: int) -> tuple[int, int]:
    """What is left over at the tariff, with the community and alone.

    Where only the month's total decides what a kWh is worth, nothing is booked for what is left over, and alone is
    the traded energy at the limits that are safe whatever the total.
    """
    rates = worth.rates
    if rates is None:
        return 0, sold_wh * worth.safe.least_ticks - bought_wh * worth.safe.most_ticks
    residual = (energy.export_wh - sold_wh) * rates.export_ticks - (energy.import_wh - bought_wh) * rates.import_ticks
    residual -= bought_wh * rates.bought_ticks + sold_wh * rates.sold_ticks
    return residual, energy.export_wh * rates.export_ticks - energy.import_wh * rates.import_ticks


def postings_of(positions: tuple[Position, ...], fees: int) -> tuple[Posting, ...]:
    """The pool is every member's counterparty; what members pay in leaves for the network and the supplier."""
    postings = []
    for position in positions:
        account = household_account(position.household)
        postings.append(Posting(account, TRADE, position.trade_money))
        postings.append(Posting(account, RESIDUAL, position.residual_money))
    postings.append(Posting(NETWORK, FEE, fees))
    postings.append(Posting(SUPPLIER, RESIDUAL, -sum(position.residual_money for position in positions)))
    return tuple(posting for posting in postings if posting.money)


def estimated_households(rules: Rules, meters: Set[str]) -> dict[str, list[str]]:
    """What a result says of estimated ``meters``: their households; nothing where there are none."""
    names = [member.household for member in rules.members if any(meter.meter in meters for meter in member.meters)]
    return {"estimated": names} if meters and names else {}


def household_account(household: str) -> str:
    return f"household:{household}"


def _settled(
    rules: Rules,
    start: int,
    owners: list[Member],
    book: Book,
    outcome: Outcome,
    positions: tuple[Position, ...],
    postings: tuple[Posting, ...],
) -> Settled:
    cleared = outcome.clearing
    if cleared is None:
        raise SettlementError(f"interval {start}: the mechanism gave no witness")
    matches = tuple(
        Match(owners[s].household, owners[b].household, int(e))
        for s, b, e in zip(*(column.tolist() for column in cleared.matches()), strict=True)
    )
    primal, dual = int(cleared.primal[0]), int(cleared.dual[0])
    price_ticks = posted_price(rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    result = {
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
        "orders": [
            {
                "order": owner.household,
                "node": rules.nodes[owner.node],
                "side": "sell" if sell else "buy",
                "limit_ticks": limit,
                "energy_wh": energy,
                "accepted_wh": accepted,
                "money": money,
            }
            for owner, sell, limit, energy, accepted, money in zip(
                owners,
                book.sell.tolist(),
                book.price_ticks.tolist(),
                book.energy_wh.tolist(),
                outcome.accepted_wh.tolist(),
                outcome.money.tolist(),
                strict=True,
            )
        ],
        "matches": [dict(vars(match)) for match in matches],
        "households": [dict(vars(position)) for position in positions],
        "pool": int(outcome.pool[0]),
        "fees": int(outcome.fees[0]),
        "rent": int(outcome.rent[0]),
    }
    return Settled(
        start=start,
        positions=positions,
        matches=matches,
        postings=postings,
        energy_traded_wh=sum(position.sold_wh for position in positions),
        welfare=int(outcome.welfare[0]),
        certificate_gap=dual - primal,
        price_ticks=price_ticks,
        fees=int(outcome.fees[0]),
        result=result,
    )


def _check(rules: Rules, settled: Settled) -> None:
    """What every settlement must satisfy, looked at before anything is booked (docs/model.md)."""
    where = f"interval {settled.start}"
    bought = sum(position.bought_wh for position in settled.positions)
    if bought != settled.energy_traded_wh:
        raise SettlementError(f"{where}: bought {bought} Wh, sold {settled.energy_traded_wh} Wh")
    if settled.certificate_gap:
        raise SettlementError(f"{where}: the certificate's gap is {settled.certificate_gap}")
    if sum(match.energy_wh for match in settled.matches) != bought:
        raise SettlementError(f"{where}: the matches do not add up to the {bought} Wh traded")
    for member, position in zip(rules.members, settled.positions, strict=True):
        promised = rules.promise == "interval" or not member.tariff.at(settled.start).by_month
        if not 0 <= position.bought_wh <= position.import_wh:
            raise SettlementError(f"{where}: {position.household} bought more than it imported")
        if not 0 <= position.sold_wh <= position.export_wh:
            raise SettlementError(f"{where}: {position.household} sold more than it exported")
        if position.bought_wh and position.sold_wh:
            raise SettlementError(f"{where}: {position.household} traded with itself")
        if promised and position.trade_money + position.residual_money < position.alone_money:
            raise SettlementError(f"{where}: {position.household} is worse off than alone")
    if sum(posting.money for posting in settled.postings):
        raise SettlementError(f"{where}: the money does not sum to zero")
