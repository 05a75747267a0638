"""``audit``: every figure of the record checked without solving anything.

Optimality is checked by the certificate, the rest by the rules: what the meters sent is what is
stored, orders are what readings and offers say, money follows the mechanism's rule, transfers are
what settlements say, less what was booked before. The first difference is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec
import numpy as np
from msgspec.structs import asdict

from broker.contract import Reading, topic
from broker.keys import master_key, verify
from market.clearing import certificate
from market.clearing.clear import allocate
from market.clearing.matching import match
from market.clearing.problem import NO_PRICE, Book, Ints, Network
from market.mechanisms.outcome import network_fees, own_welfare
from market.mechanisms.partners import partner_fees, partner_money, partner_trades, without
from market.mechanisms.posted import posted_book, posted_money
from market.mechanisms.reference import mid_market_price
from market.record import Record, RecordError
from market.record.record import Gate
from market.record.rows import FINAL, MONTH
from market.service.chain_check import ChainCheck, Chained, ChainError
from market.service.gates import result_text, transfers_to
from market.service.keys import Keys
from market.service.market import MASTER_KEY_FILE
from market.service.months import derive_closed, state_of_month
from market.service.moving import MovedError, Moving
from market.service.replay import DifferenceError, first_difference, first_of
from market.service.settling import estimated_meters, settled_by, state_of
from market.settlement.energy import energies
from market.settlement.households import book_of, positions_of
from market.settlement.interval import estimated_households, partner_rows, postings_of
from market.settlement.partners import wishes_of
from market.settlement.rules import Rules

P = ParamSpec("P")
T = TypeVar("T")
REGISTERS = ("import_wh", "export_wh", "generation_wh", "consumption_wh")


@dataclass(frozen=True)
class Audited:
    """What was checked."""

    readings: int
    seals_checked: bool
    gates: int
    transfers: int
    chain: Chained | None
    """None: an older version's record, whose closures are chained when a market next runs."""


def audit(
    record: Record,
    directory: Path,
    progress: Callable[[int, int], None],
    *,
    heads: Iterable[Mapping[str, Any]] = (),
    public_key: str | None = None,
) -> Audited:
    """Check the whole record. Raises DifferenceError at the first thing that is not as it should be.

    Seals are checked when the store holds the community's master key. ``progress`` is called with
    how many gate closures are done, of how many. ``heads`` are published ones that must stand in the
    record; they are signed by ``public_key``, or by the key that the store names.
    """
    key_file = directory / MASTER_KEY_FILE
    master = master_key(key_file) if key_file.exists() else None
    with record.snapshot():
        moving, chain = Moving(), ChainCheck(record, directory, heads, public_key)
        readings = _met("the record", _check_readings, record, master, moving)
        total, gates, transfers = record.last_gate_number(), 0, 0
        order = _Order()
        for gate in _closures(record):
            where = _where(gate)
            _met(where, order.check, record, gate)
            transfers += _met(where, _check_month if gate.kind == MONTH else _check_settlement, record, gate)
            _met(where, chain.check, gate)
            gates += 1
            progress(gates, total)
        if not gates:
            raise DifferenceError("there is no gate closure: nothing has been settled here")
        for table, expected in (("result", gates), ("transfer", transfers)):
            if record.counts()[table] != expected:
                raise DifferenceError(f"{record.counts()[table] - expected} rows of {table} belong to no gate closure")
        chained = _met("the chain", chain.finish)
        _met("the record", moving.check, record, chain.outcomes)
    return Audited(readings, master is not None, gates, transfers, chained)


def _met(where: str, check: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
    """What the check returns. What it cannot read, as data are damaged, is told with the place where it was met."""
    try:
        return check(*values, **named)
    except (ChainError, MovedError) as error:
        raise DifferenceError(str(error)) from None
    except KeyError as missing:
        raise DifferenceError(f"{where}: {missing.args[0]} is missing") from missing
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as damage:
        raise DifferenceError(f"{where}: it cannot be read: {damage}") from damage
    except RecordError as error:
        raise DifferenceError(f"{where}: {error}") from error


def _closures(record: Record) -> Iterator[Gate]:
    rows, number = record.gates(kind=None), 0
    while (gate := _met(f"the closure after {number}", next, rows, None)) is not None:
        number = gate.number
        yield gate


class _Order:
    """Closures follow one another without a gap: numbers, intervals, revisions, horizons."""

    def __init__(self) -> None:
        self._number = self._horizon = 0
        self._start: int | None = None
        self._revisions: dict[tuple[str, int, int], int] = {}

    def check(self, record: Record, gate: Gate) -> None:
        self._number += 1
        _expect(gate, "number", gate.number, self._number)
        key = (gate.kind, gate.start, gate.length)
        self._revisions[key] = self._revisions.get(key, -1) + 1
        _expect(gate, "revision", gate.revision, self._revisions[key])
        if gate.revision == 0 and gate.kind != MONTH:
            _expect(gate, "start", gate.start, gate.start if self._start is None else self._start)
            self._start = gate.start + gate.length
        if not self._horizon <= gate.horizon <= record.horizon():
            raise DifferenceError(f"{_where(gate)}: it saw {gate.horizon} readings, not between its neighbours'")
        self._horizon = gate.horizon
        if gate.kind != MONTH:
            _expect(gate, "inputs", gate.inputs, record.input_versions(gate.start))


def _expect(gate: Gate, what: str, stored: object, expected: object) -> None:
    if stored != expected:
        raise DifferenceError(f"{_where(gate)}: its {what} is {stored}, expected {expected}")


def _check_readings(record: Record, master: bytes | None, moving: Moving) -> int:
    count = 0
    community = record.rules(record.input_versions(2**62)).community
    keys = None if master is None else Keys(record, master)
    rows: Iterator[tuple[Any, ...]] = record.rows("reading", -(2**62), 2**62)
    for arrival, meter, *columns, payload in rows:
        where = f"reading of {meter}, interval {columns[0]}"
        try:
            sent = msgspec.json.decode(payload, type=Reading)
        except msgspec.DecodeError as error:
            raise DifferenceError(f"{where}: what the meter sent cannot be read: {error}") from None
        for name, stored in zip(("start", "length", *REGISTERS, "outbox", "seq"), columns, strict=True):
            if getattr(sent, name) != stored:
                raise DifferenceError(f"{where}: {name} is stored as {stored}, the meter sent {getattr(sent, name)}")
        if keys is not None and keys.known(meter) is None:
            raise DifferenceError(f"{where}: the meter never was a member's")
        if keys is not None and not verify(keys.key(meter, sent.kid), topic(community, meter, "reading"), payload):
            raise DifferenceError(f"{where}: the seal does not fit what is stored")
        count += 1
        moving.keep(meter, sent, arrival)
    return count


def _check_month(record: Record, gate: Gate) -> int:
    """A month's bills follow from its intervals' results, which were checked, and from the rules by arithmetic."""
    _expect(gate, "state", gate.state, state_of_month(record, gate))
    text, derived = derive_closed(record, gate)
    if text != record.result(gate.number):
        raise DifferenceError(f"{_where(gate)}: the bills: {first_difference(record.result(gate.number), text)}")
    booked = record.transfers(gate.number)
    _same(gate, "transfers", booked, derived)
    return len(booked)


def _check_settlement(record: Record, gate: Gate) -> int:
    rules = record.rules(gate.inputs)
    _expect(gate, "state", gate.state, state_of(rules, gate.start, gate.length, gate.revision, gate.closed_at))
    if gate.state == FINAL:
        return _check_final(record, rules, gate)
    result = msgspec.json.decode(record.result(gate.number))
    registers = record.registers(gate.start, gate.length, gate.horizon, gate.corrections)
    heard = energies(rules, gate.start, registers)
    said = {name: result[name] for name in ("estimated", "final") if name in result}
    _expect(gate, "estimated households", said, estimated_households(rules, estimated_meters(record, gate)))
    owners, book = book_of(rules, gate.start, heard)
    orders = [
        (owner.household, rules.nodes[owner.node], "sell" if sell else "buy", limit, energy)
        for owner, sell, limit, energy in zip(
            owners, book.sell.tolist(), book.price_ticks.tolist(), book.energy_wh.tolist(), strict=True
        )
    ]
    stored = [
        tuple(row[name] for name in ("order", "node", "side", "limit_ticks", "energy_wh")) for row in result["orders"]
    ]
    _same(gate, "orders", stored, orders)
    header = {"start": gate.start, "length": gate.length, "mechanism": rules.mechanism, "efficient": False}
    for name, value in header.items():
        _expect(gate, name, result[name], value)
    names = [owner.household for owner in owners]
    posted = mid_market_price(book, rules.reference.retail_ticks, rules.reference.feed_in_ticks)
    _same(gate, "price", [result["price_ticks"]], posted.tolist())
    partners = partner_trades(book, rules.network, posted, wishes_of(rules.naming, names))
    first = [asdict(one) for one in partner_rows(names, partners)]
    _same(gate, "trades of partners", result.get("partners", []), first)
    # What partners traded went before the market, whose book is what they left.
    first_wh = partners.traded_wh(book.orders)
    rest = without(book, first_wh)
    cleared = posted_book(rest, rules.network, posted)
    accepted = np.array([row["accepted_wh"] for row in result["orders"]], dtype=np.int64)
    published = _published(gate, rules, result, accepted - first_wh)
    _check_certificate(gate, cleared, rules.network, published, result)
    money = posted_money(rest, rules.network, accepted - first_wh, published.flow_wh, posted)
    money = money + partner_money(book, partners, posted)
    fees = network_fees(rules.network, published.flow_wh) + partner_fees(book, partners).sum()
    _same(gate, "money of the orders", [row["money"] for row in result["orders"]], money.tolist())
    _same(gate, "welfare", [result["welfare"]], own_welfare(book, accepted, fees).tolist())
    _same(gate, "fees, rent and pool", [result[name] for name in ("fees", "rent", "pool")], [int(fees[0]), 0, 0])
    positions = positions_of(
        rules,
        gate.start,
        heard,
        dict(zip(names, accepted.tolist(), strict=True)),
        dict(zip(names, money.tolist(), strict=True)),
    )
    _same(gate, "households", result["households"], [asdict(position) for position in positions])
    _check_matches(gate, names, cleared, rules.network, accepted - first_wh, first, result)
    derived = transfers_to(
        rules.community,
        gate,
        postings_of(positions, int(fees[0])),
        record.booked(gate.start, gate.length, gate.revision),
    )
    booked = record.transfers(gate.number)
    _same(gate, "transfers", booked, derived)
    return len(booked)


def _check_final(record: Record, rules: Rules, gate: Gate) -> int:
    """A correction of a final interval follows by arithmetic from its revision before, which was checked."""
    settled = settled_by(record, rules, gate, "curve")
    text, stored = result_text(settled), record.result(gate.number)
    if text != stored:
        raise DifferenceError(f"{_where(gate)}: the result: {first_difference(stored, text)}")
    so_far = record.booked(gate.start, gate.length, gate.revision)
    booked = record.transfers(gate.number)
    _same(gate, "transfers", booked, transfers_to(rules.community, gate, settled.postings, so_far))
    return len(booked)


def _published(gate: Gate, rules: Rules, result: dict[str, Any], accepted_wh: Ints) -> certificate.Published:
    nodes = result["nodes"]
    _same(gate, "nodes", [row["node"] for row in nodes], list(rules.nodes))
    prices = (
        np.array([[NO_PRICE if row[name] is None else row[name] for row in nodes]], dtype=np.int64)
        for name in ("price_ticks", "price_low", "price_high")
    )
    flow_wh = np.array([[row["flow_wh"] for row in nodes]], dtype=np.int64)
    return certificate.Published(accepted_wh, flow_wh, *prices)


def _check_certificate(
    gate: Gate, book: Book, network: Network, published: certificate.Published, result: dict[str, Any]
) -> None:
    faults = certificate.verify(book, network, published)
    if faults:
        raise DifferenceError(f"{_where(gate)}: {faults[0].name}: {faults[0].reason}")
    # Among equal optima the tie rule decides who earns.
    due, ways = allocate(book, network, published.price_ticks)
    _same(gate, "accepted energies", published.accepted_wh.tolist(), due.tolist())
    _same(gate, "flows", published.flow_wh[0].tolist(), ways[0].tolist())
    values = certificate.values(book, network, published.accepted_wh, published.flow_wh, published.price_ticks)
    stored = [result["certificate"][name] for name in ("primal", "dual", "gap")]
    _same(gate, "certificate", stored, [int(values.primal[0]), int(values.dual[0]), 0])


def _check_matches(
    gate: Gate,
    names: list[str],
    book: Book,
    network: Network,
    accepted: Ints,
    first: list[dict[str, Any]],
    result: dict[str, Any],
) -> None:
    columns = (column.tolist() for column in match(book, network, accepted))
    derived = [(row["seller"], row["buyer"], row["energy_wh"]) for row in first]
    derived += [(names[seller], names[buyer], energy) for seller, buyer, energy in zip(*columns, strict=True)]
    stored = [(row["seller"], row["buyer"], row["energy_wh"]) for row in result["matches"]]
    _same(gate, "matches", stored, derived)


def _same(gate: Gate, what: str, stored: list[Any], derived: list[Any]) -> None:
    if stored != derived:
        raise DifferenceError(f"{_where(gate)}: the {what} are not what follows: {first_of(stored, derived)}")


def _where(gate: Gate) -> str:
    return f"{gate.kind} {gate.start}, revision {gate.revision}"
