"""Results as JSON, and the check of a result against its input.

Members are those of the design's "Contract: files and commands", with the mechanism and its reference prices beside
them. Prices are exact decimal numbers, null where nothing bounds them; money is in Wh x tick.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from market.clearing import certificate
from market.clearing.certificate import Published, Violation
from market.clearing.problem import NO_PRICE, Book, Ints, Network, ProblemError
from market.mechanisms.named import MECHANISMS, NEED_REFERENCE
from market.mechanisms.outcome import Outcome, network_fees, own_welfare
from market.mechanisms.posted import posted_book, posted_money
from market.order_files import InputError, NetworkFile, OrdersFile, read_network, read_orders
from market.units import TICKS_PER_UNIT, decimal_text, shown
from market.whole_file import whole


def result_text(
    placed: OrdersFile, grid: NetworkFile, outcome: Outcome, reference: tuple[int | None, int | None] | None = None
) -> str:
    """The result as JSON text; prices are exact decimal numbers, money is in Wh x tick."""
    clearing = outcome.clearing
    assert clearing is not None

    def price(value: int) -> str:
        return "null" if value == NO_PRICE else decimal_text(value)

    nodes = [
        f'{{"node": {json.dumps(name)}, "price_per_kwh": {price(p)}, "price_low": {price(low)}, '
        f'"price_high": {price(high)}, "flow_wh": {flow}}}'
        for name, p, low, high, flow in zip(
            grid.names,
            clearing.price_ticks[0].tolist(),
            clearing.price_low[0].tolist(),
            clearing.price_high[0].tolist(),
            clearing.flow_wh[0].tolist(),
            strict=True,
        )
    ]
    orders = [
        f'{{"order": {json.dumps(name)}, "accepted_wh": {wh}, "money": {money}}}'
        for name, wh, money in zip(placed.orders, outcome.accepted_wh.tolist(), outcome.money.tolist(), strict=True)
    ]
    matches = [
        f'{{"seller": {json.dumps(placed.orders[s])}, "buyer": {json.dumps(placed.orders[b])}, "energy_wh": {wh}}}'
        for s, b, wh in zip(*(part.tolist() for part in clearing.matches()), strict=True)
    ]
    primal, dual = int(clearing.primal[0]), int(clearing.dual[0])
    posted = "null"
    if reference is not None:
        retail, feed_in = (price(NO_PRICE if value is None else value) for value in reference)
        posted = f'{{"retail_per_kwh": {retail}, "feed_in_per_kwh": {feed_in}}}'
    members = [
        f'"mechanism": {json.dumps(outcome.mechanism)}',
        f'"reference": {posted}',
        f'"welfare": {int(outcome.welfare[0])}',
        f'"certificate": {{"primal": {primal}, "dual": {dual}, "gap": {dual - primal}}}',
        *(_listed(name, rows) for name, rows in (("nodes", nodes), ("orders", orders), ("matches", matches))),
        f'"pool": {int(outcome.pool[0])}',
        f'"fees": {int(outcome.fees[0])}',
        f'"rent": {int(outcome.rent[0])}',
    ]
    return "{\n  " + ",\n  ".join(members) + "\n}\n"


def _listed(name: str, rows: list[str]) -> str:
    body = ",\n    ".join(rows)
    return f'"{name}": [\n    {body}\n  ]' if rows else f'"{name}": []'


def write_result(
    path: Path,
    placed: OrdersFile,
    grid: NetworkFile,
    outcome: Outcome,
    reference: tuple[int | None, int | None] | None = None,
) -> None:
    """Write result.json whole or not at all. Raises InputError if the place cannot be written."""
    text = result_text(placed, grid, outcome, reference)
    try:
        with whole(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(path, None, None, error.strerror or "cannot be written") from error


@dataclass(frozen=True, eq=False)
class ResultFile:
    """A result as read back: names in file order, amounts as arrays, matches as triples."""

    mechanism: str
    reference: tuple[int | None, int | None]
    published: Published
    money: Ints
    matches: tuple[tuple[str, str, int], ...]
    totals: dict[str, int]


def _amount(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(str(value))} is not a whole number")
    if not -(2**62) < value < 2**62:
        raise ValueError(f"{shown(str(value))} is out of range")
    return value


def _price(value: Any) -> int:
    if value is None:
        return NO_PRICE
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(f"{shown(str(value))} is neither a price nor null")
    price = Decimal(value)
    if not price.is_finite() or price.adjusted() > 18:
        raise ValueError(f"{shown(str(value))} is out of range")
    scaled = price * TICKS_PER_UNIT
    if not scaled.is_finite() or abs(scaled) >= 2**62 or scaled != int(scaled):
        raise ValueError(f"{shown(str(value))} is not a price in whole ticks")
    return int(scaled)


def _listing(data: Any, member: str, key: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of a list member in the order of ``names``, each exactly once."""
    entries = data[member]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{member} must be a list of objects")
    found = {entry.get(key): entry for entry in entries}
    if len(found) != len(entries):
        raise ValueError(f"{member} names one {key} twice")
    for name in names:
        if name not in found:
            raise ValueError(f"{member} lacks {key} {shown(name)}")
    if len(found) != len(names):
        raise ValueError(f"{member} names a {key} that is not in the input")
    return [found[name] for name in names]


def read_result(path: Path | str, placed: OrdersFile, grid: NetworkFile) -> ResultFile:
    """Read result.json as the result for these orders and this network. Raises InputError."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        nodes = _listing(data, "nodes", "node", grid.names)
        orders = _listing(data, "orders", "order", placed.orders)
        published = Published(
            np.array([_amount(entry["accepted_wh"]) for entry in orders], np.int64),
            *(
                np.array([[parse(entry[key]) for entry in nodes]], np.int64)
                for key, parse in (
                    ("flow_wh", _amount),
                    ("price_per_kwh", _price),
                    ("price_low", _price),
                    ("price_high", _price),
                )
            ),
        )
        totals = {name: _amount(data[name]) for name in ("welfare", "pool", "fees", "rent")}
        totals.update((name, _amount(data["certificate"][name])) for name in ("primal", "dual", "gap"))
        matches = tuple((str(m["seller"]), str(m["buyer"]), _amount(m["energy_wh"])) for m in data["matches"])
        reference = data.get("reference") or {}
        retail, feed_in = (reference.get(key) for key in ("retail_per_kwh", "feed_in_per_kwh"))
        return ResultFile(
            str(data.get("mechanism", "nodal")),
            (None if retail is None else _price(retail), None if feed_in is None else _price(feed_in)),
            published,
            np.array([_amount(entry["money"]) for entry in orders], np.int64),
            matches,
            totals,
        )
    except OSError as error:
        raise InputError(path, None, None, error.strerror or "cannot be read") from error
    except KeyError as error:
        raise InputError(path, None, str(error.args[0]), "is missing") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, None, None, str(error).splitlines()[0]) from error


def verify_files(result: Path | str, orders: Path | str, network: Path | str) -> list[Violation]:
    """Check a result against its input without solving anything again; empty when all holds. Raises InputError."""
    grid = read_network(network)
    placed = read_orders(orders, grid)
    return verify_result(read_result(result, placed, grid), placed, grid)


def verify_result(found: ResultFile, placed: OrdersFile, grid: NetworkFile) -> list[Violation]:
    """As :func:`verify_files`, on what was read."""
    book, network = placed.book, grid.network
    cleared = book
    try:
        price = _posted(found, book)
    except ProblemError as error:
        return [Violation(error.name, None, None, error.reason)]
    if price is not None:
        cleared = posted_book(book, network, price)
    published = found.published
    faults = certificate.verify(cleared, network, published)
    if faults:
        return faults
    values = certificate.values(cleared, network, published.accepted_wh, published.flow_wh, published.price_ticks)
    fees = network_fees(network, published.flow_wh)
    expected = {
        "welfare": int(own_welfare(book, published.accepted_wh, fees)[0]),
        "primal": int(values.primal[0]),
        "dual": int(values.dual[0]),
        "gap": int(values.dual[0] - values.primal[0]),
        "fees": int(fees[0]),
    }
    for name, value in expected.items():
        if found.totals[name] != value:
            faults.append(Violation(f"{name}-wrong", 0, None, f"{found.totals[name]} is published, it is {value}"))
    return faults + _money(found, placed, network, price) + _matches(found, placed)


def _posted(found: ResultFile, book: Book) -> Ints | None:
    """The price the result's mechanism posts, None where it posts none. Raises ProblemError."""
    if found.mechanism not in MECHANISMS:
        raise ProblemError("mechanism-unknown", None, f"known are {', '.join(MECHANISMS)}")
    if found.mechanism == "bill-sharing":
        return np.zeros(1, np.int64)
    if found.mechanism not in NEED_REFERENCE:
        return None
    retail, feed_in = found.reference
    if retail is None or feed_in is None:
        raise ProblemError("reference-missing", None, f"{found.mechanism} needs its reference prices")
    return NEED_REFERENCE[found.mechanism](book, retail, feed_in)


def _money(found: ResultFile, placed: OrdersFile, network: Network, posted: Ints | None) -> list[Violation]:
    book, published, money = placed.book, found.published, found.money
    faults = []
    total = sum(money.tolist()) + sum(found.totals[name] for name in ("pool", "fees", "rent"))
    if total != 0:
        faults.append(Violation("money-does-not-sum", 0, None, f"money, pool, fees and rent add up to {total}"))
    worth = published.accepted_wh * book.price_ticks
    against = np.flatnonzero(np.where(book.sell, money < worth, money < -worth))
    if against.size:
        at = int(against[0])
        faults.append(Violation("against-limit", 0, at, f"order {placed.orders[at]} is settled against its limit"))
    if posted is not None:
        due = posted_money(book, network, published.accepted_wh, published.flow_wh, posted)
    elif found.mechanism == "pay-as-bid":
        due = np.where(book.sell, worth, -worth)
    else:
        price = published.price_ticks[0, book.node] * (published.accepted_wh > 0)
        due = np.where(book.sell, 1, -1) * price * published.accepted_wh
    wrong = np.flatnonzero(money != due)
    if wrong.size:
        at = int(wrong[0])
        reason = f"order {placed.orders[at]}: {int(money[at])} is published, the rule gives {int(due[at])}"
        faults.append(Violation("money-wrong", 0, at, reason))
    return faults


def _matches(found: ResultFile, placed: OrdersFile) -> list[Violation]:
    index = {name: at for at, name in enumerate(placed.orders)}
    traded = [0] * len(index)
    for seller, buyer, energy in found.matches:
        for name in (seller, buyer):
            if name not in index:
                return [Violation("match-unknown", 0, None, f"{shown(name)} is not an order")]
            traded[index[name]] += energy
        if energy <= 0 or not placed.book.sell[index[seller]] or placed.book.sell[index[buyer]]:
            return [Violation("match-wrong", 0, None, f"{shown(seller)} does not sell to {shown(buyer)}")]
    for name, energy, accepted in zip(placed.orders, traded, found.published.accepted_wh.tolist(), strict=True):
        if energy != accepted:
            return [Violation("match-energy", 0, index[name], f"matches of {name} add up to {energy}, not {accepted}")]
    return []
