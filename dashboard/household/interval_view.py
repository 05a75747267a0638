"""One interval of a household, from the registers to the transfers: all that its figures were computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Literal

import msgspec

from dashboard.access import Problem
from dashboard.household.energy import Energy
from dashboard.household.home import Home
from dashboard.household.partners import Neighbour, Neighbours, Way, way_between
from dashboard.household.prices import Step, step_at
from market.record import Gate, Record
from market.record.rows import ESTIMATED
from market.service.settling import state_now
from market.settlement.interval import household_account
from market.settlement.rules import Member, Registers, Rules


@dataclass(frozen=True, slots=True)
class MeterReading:
    """A meter's registers [Wh] at the interval's beginning and end, None where nothing was known; what flowed between.

    ``kind``: 'heard', 'corrected' by a person, 'estimated' from both sides of a gap, 'seed' (what the meter began
    with) or 'missing'. ``flags`` are what the meter itself said.
    """

    meter: str
    before: Sequence[int] | None
    before_kind: str
    after: Sequence[int] | None
    after_kind: str
    flowed: Sequence[int] | None
    flags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Order:
    """What the household offered: ``limit_ticks`` is the limit that held, ``money`` what its trades came to."""

    side: str
    node: str
    limit_ticks: int
    energy_wh: int
    accepted_wh: int
    money: int


Trade = Literal["gift", "preferred", "market"]
_IN_ORDER: Sequence[Trade] = ("gift", "preferred", "market")


@dataclass(frozen=True, slots=True)
class Match:
    """With whom: informational, but for partners' trades, whose money follows from them.

    ``trade`` says in which round: gifts go first, then preferred partners, then all.
    ``price_ticks`` is what the seller got for a kWh: nothing for a gift.
    """

    neighbour: Neighbour
    bought: bool
    energy_wh: int
    trade: Trade
    price_ticks: int
    way: Way | None


@dataclass(frozen=True, slots=True)
class Witness:
    """The price at the household's node that proves who should trade [ticks]; None where nothing bounds it."""

    node: str
    price_ticks: int | None
    low_ticks: int | None
    high_ticks: int | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A booking of the ledger; ``money`` is what the household received, negative: paid [1e-8 of the currency]."""

    id: str
    revision: int
    reason: str
    other: str
    money: int


@dataclass(frozen=True, slots=True)
class Revision:
    """A run of the interval: ``state`` is what it left it in, 'provisional', 'corrected' or 'final'."""

    revision: int
    state: str
    closed_at: int
    closed_at_iso: str


@dataclass(frozen=True, slots=True)
class IntervalView:
    """The newest revision of ``[start, end)`` [epoch s], money in 1e-8 of the currency; received positive.

    ``order`` is None where nothing was offered, ``prices`` the posted price and the tariff's. ``fees_money`` is
    what it paid the network. ``certificate_gap`` [Wh x tick] of 0 proves that no better clearing exists; both sums it
    is the difference of stay with operators and auditors: where few traded they tell how much others did. From
    ``final_at`` [epoch s] on its trades stand, and its ``state`` is final.
    """

    household: str
    name: str
    counter: int
    currency: str
    timezone: str
    start: int
    start_iso: str
    end: int
    day: str
    earlier: int | None
    later: int | None
    mechanism: str
    efficient: bool
    heard: bool
    estimated: bool
    state: str
    final_at: int
    revisions: Sequence[Revision]
    readings: Sequence[MeterReading]
    energy: Energy
    prices: Step
    price_ticks: int
    order: Order | None
    own_min_sell_ticks: int | None
    own_max_buy_ticks: int | None
    matches: Sequence[Match]
    fees_money: int
    certificate_gap: int
    witness: Witness | None
    trade_money: int
    residual_money: int
    alone_money: int
    saved_money: int
    transfers: Sequence[Transfer]


def interval_view(home: Home, start: int) -> IntervalView:
    """Raises Problem where nothing was settled, or the household was no member."""
    record, length = home.site.record.read(), home.rules.interval_s
    with record.snapshot():
        gates = _revisions(record, start, length)
        if not gates:
            raise Problem(404, "no-interval", "no interval that starts then has been settled")
        gate = gates[-1]
        rules = record.rules(gate.inputs)
        member = next((one for one in rules.members if one.household == home.household), None)
        if member is None:
            raise Problem(404, "no-interval", "the household was no member then")
        result: dict[str, Any] = msgspec.json.decode(record.result(gate.number))
        readings = _readings(record, gate, member)
        transfers = [row for one in gates for row in _transfers(record, one, home.household)]
        earlier, later = (record.newest_gate(at, length) for at in (start - length, start + length))
    position = next(row for row in result["households"] if row["household"] == home.household)
    money = {name: position[name] for name in ("trade_money", "residual_money", "alone_money")}
    matches = _matches(home, rules, member, result)
    energy = _energy(position, matches)
    paid_wh = energy.sold_wh - energy.given_wh - energy.bought_wh + energy.received_wh
    return IntervalView(
        household=home.household,
        name=home.member.name,
        counter=home.counter,
        currency=rules.currency,
        timezone=rules.timezone,
        start=start,
        start_iso=datetime.fromtimestamp(start, UTC).isoformat(),
        end=start + length,
        day=datetime.fromtimestamp(start, home.zone).date().isoformat(),
        earlier=None if earlier is None else earlier.start,
        later=None if later is None else later.start,
        mechanism=result["mechanism"],
        efficient=result["efficient"],
        heard=position["heard"],
        estimated=home.household in result.get("estimated", ()),
        state=state_now(rules, gate, int(home.site.clock())),
        final_at=start + length + rules.deadlines.final_after_s,
        revisions=[_revision(one) for one in gates],
        readings=readings,
        energy=energy,
        prices=step_at(rules, member, start),
        price_ticks=result["price_ticks"],
        order=_order(result, home.household),
        own_min_sell_ticks=member.min_sell_ticks,
        own_max_buy_ticks=member.max_buy_ticks,
        matches=matches,
        # What the ledger has beyond the posted price are network fees.
        fees_money=paid_wh * result["price_ticks"] - money["trade_money"],
        certificate_gap=result["certificate"]["gap"],
        witness=_witness(result, rules.nodes[member.node]),
        saved_money=money["trade_money"] + money["residual_money"] - money["alone_money"],
        transfers=transfers,
        **money,
    )


def _revisions(record: Record, start: int, length: int) -> list[Gate]:
    found: list[Gate] = []
    while (gate := record.gate_of(start, length, len(found))) is not None:
        found.append(gate)
    return found


def _revision(gate: Gate) -> Revision:
    closed_at = datetime.fromtimestamp(gate.closed_at, UTC).isoformat()
    return Revision(gate.revision, gate.state, gate.closed_at, closed_at)


def _readings(record: Record, gate: Gate, member: Member) -> list[MeterReading]:
    """What the closure saw of the household's meters."""
    at = (gate.start, gate.length, gate.horizon)
    known = record.registers(*at, gate.corrections)
    standing = {(one.meter, one.start): one.reason for one in record.standing(*at, gate.corrections)}
    sent = record.sent(*at)
    found = []
    for meter in member.meters:
        if gate.start < meter.since:
            continue
        places = [(meter.meter, gate.start - gate.length), (meter.meter, gate.start)]
        (before, before_kind), (after, after_kind) = (_register(known, standing, place) for place in places)
        if gate.start == meter.since:
            before, before_kind = meter.seed, "seed"
        flowed = None if before is None or after is None else [b - a for a, b in zip(before, after, strict=True)]
        payload = sent.get(meter.meter)
        flags = msgspec.json.decode(payload, type=_Flags).flags if payload is not None else []
        found.append(MeterReading(meter.meter, before, before_kind, after, after_kind, flowed, flags))
    return found


class _Flags(msgspec.Struct):
    flags: list[str] = []


def _register(
    known: Mapping[tuple[str, int], Registers], standing: Mapping[tuple[str, int], str], place: tuple[str, int]
) -> tuple[Registers | None, str]:
    reason = standing.get(place)
    if reason is not None:
        return known.get(place), "estimated" if reason == ESTIMATED else "corrected"
    return known.get(place), "heard" if place in known else "missing"


def _energy(position: Mapping[str, int], matches: Sequence[Match]) -> Energy:
    gifts = [one for one in matches if one.trade == "gift"]
    return Energy(
        generation_wh=position["generation_wh"],
        use_wh=position["consumption_wh"],
        own_wh=max(position["consumption_wh"] - position["import_wh"], 0),
        bought_wh=position["bought_wh"],
        sold_wh=position["sold_wh"],
        from_grid_wh=position["import_wh"] - position["bought_wh"],
        to_grid_wh=position["export_wh"] - position["sold_wh"],
        received_wh=sum(one.energy_wh for one in gifts if one.bought),
        given_wh=sum(one.energy_wh for one in gifts if not one.bought),
    )


def _order(result: Mapping[str, Any], household: str) -> Order | None:
    for row in result["orders"]:
        if row["order"] == household:
            return Order(**{name: row[name] for name in Order.__dataclass_fields__})
    return None


def _matches(home: Home, rules: Rules, member: Member, result: Mapping[str, Any]) -> list[Match]:
    """The household's own, in the order of the rounds, most energy first."""
    nodes = {one.household: one.node for one in rules.members}
    neighbours = Neighbours(home)
    partners = result.get("partners", ())
    found = []
    # Partners' trades are the first of the matches, in the same order.
    for row, first in zip_longest(result["matches"], partners):
        if home.household in (row["buyer"], row["seller"]):
            bought = row["buyer"] == home.household
            other = row["seller"] if bought else row["buyer"]
            ends = (nodes[other], member.node) if bought else (member.node, nodes[other])
            trade: Trade = "market" if first is None else "gift" if first["gift"] else "preferred"
            price = 0 if trade == "gift" else result["price_ticks"]
            way = way_between(rules, *ends)
            found.append(Match(neighbours.of(other), bought, row["energy_wh"], trade, price, way))
    return sorted(found, key=lambda match: (_IN_ORDER.index(match.trade), -match.energy_wh))


def _witness(result: Mapping[str, Any], node: str) -> Witness | None:
    row = next((row for row in result["nodes"] if row["node"] == node), None)
    return None if row is None else Witness(node, row["price_ticks"], row["price_low"], row["price_high"])


def _transfers(record: Record, gate: Gate, household: str) -> list[Transfer]:
    account = household_account(household)
    return [
        Transfer(row.id, gate.revision, row.reason, row.debit, row.amount)
        if row.credit == account
        else Transfer(row.id, gate.revision, row.reason, row.credit, -row.amount)
        for row in record.transfers(gate.number)
        if account in (row.debit, row.credit)
    ]
