"""The files of ``pumasi clear`` and ``pumasi verify``: orders and network in, a result out, and the check of it.

Columns and members are those of the design's "Contract: files and commands". Bad input raises
:class:`InputError`, one line that names file, row, column and reason; rows are lines, the header is row 1.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from market.clearing import certificate
from market.clearing.certificate import Published, Violation
from market.clearing.problem import NO_PRICE, Book, Ints, Network, ProblemError
from market.mechanisms import Outcome, bill_sharing, mid_market, nodal, pay_as_bid, supply_demand_ratio
from market.mechanisms.outcome import network_fees, own_welfare
from market.mechanisms.posted import posted_book, posted_money
from market.mechanisms.reference import mid_market_price, ratio_price

TICKS_PER_UNIT = 100_000
ROWS_BOUND = 2**24
TEXT_BOUND = 64
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,12})(?:\.([0-9]+))?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")

ORDER_COLUMNS = ("order", "household", "node", "side", "price_per_kwh", "energy_wh")
NETWORK_COLUMNS = ("node", "parent", "limit_wh", "fee_per_kwh")
NETWORK_OPTIONAL = ("limit_down_wh", "fee_down_per_kwh")
MECHANISMS = ("nodal", "mid-market", "pay-as-bid", "supply-demand-ratio", "bill-sharing")
NEED_REFERENCE = {"mid-market": mid_market_price, "supply-demand-ratio": ratio_price}


class InputError(ValueError):
    """Input that cannot be used. ``str()`` is one line with file, row, column and reason."""

    exit_status = 2

    def __init__(self, file: Path | str, row: int | None, column: str | None, reason: str) -> None:
        self.file, self.row, self.column, self.reason = str(file), row, column, reason
        where = "".join((f", row {row}" if row is not None else "", f", column {column}" if column else ""))
        super().__init__(f"{Path(file).name}{where}: {reason}")


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A network and the names of its nodes."""

    names: tuple[str, ...]
    network: Network


@dataclass(frozen=True, eq=False)
class OrdersFile:
    """A book of one interval and the names of its orders and households."""

    orders: tuple[str, ...]
    households: tuple[str, ...]
    rows: tuple[int, ...]
    book: Book


def ticks(text: str) -> int:
    """Decimal text to ticks. Raises ValueError with the reason."""
    found = _DECIMAL.fullmatch(text)
    if not found:
        raise ValueError(f"{_shown(text)} is not a decimal number")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if len(fraction) > 5:
        raise ValueError(f"{_shown(text)} has more than 5 decimals")
    value = int(whole) * TICKS_PER_UNIT + int(fraction.ljust(5, "0") or 0)
    return -value if sign == "-" else value


def decimal_text(value: int) -> str:
    """Ticks as exact decimal text without trailing zeros, a valid JSON number."""
    text = f"{abs(value) // TICKS_PER_UNIT}.{abs(value) % TICKS_PER_UNIT:05d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a whole number")
    return int(text)


def _rows(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (row, values by column) of a CSV file with a header; blank lines are skipped."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, needed, optional)
            for count, fields in enumerate(reader):
                if not fields or fields == [""]:
                    continue
                if count >= ROWS_BOUND:
                    raise InputError(path, reader.line_num, None, f"more than {ROWS_BOUND} rows")
                if len(fields) != len(header):
                    raise InputError(
                        path, reader.line_num, None, f"{len(fields)} values, the header has {len(header)} columns"
                    )
                yield reader.line_num, dict(zip(header, (value.strip() for value in fields), strict=True))
    except UnicodeDecodeError as error:
        raise InputError(path, None, None, "not UTF-8 text") from error
    except csv.Error as error:
        raise InputError(path, None, None, f"not CSV: {error}") from error
    except OSError as error:
        raise InputError(path, None, None, error.strerror or "cannot be read") from error


def _check_header(path: Path, header: list[str], needed: Sequence[str], optional: Sequence[str]) -> None:
    for name in needed:
        if name not in header:
            raise InputError(path, 1, name, "the column is missing")
    for name in header:
        if name not in needed and name not in optional:
            raise InputError(path, 1, _shown(name), f"unknown column; known are {', '.join((*needed, *optional))}")
        if header.count(name) > 1:
            raise InputError(path, 1, name, "the column is there twice")


def _name(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if len(text) > TEXT_BOUND or not text.isprintable():
        raise ValueError(f"{_shown(text)} must be at most {TEXT_BOUND} printable characters")
    return text


class _Row:
    """One row's values, parsed with errors that name the place."""

    def __init__(self, path: Path, row: int, values: dict[str, str]) -> None:
        self._path, self._row, self._values = path, row, values

    def read(self, column: str, parse: Any) -> Any:
        try:
            return parse(self._values[column])
        except ValueError as error:
            raise InputError(self._path, self._row, column, str(error)) from error

    def fail(self, column: str, reason: str) -> InputError:
        return InputError(self._path, self._row, column, reason)


def _limit(text: str) -> int:
    if not text:
        return -1
    value = _whole(text)
    if value < 0:
        raise ValueError("must be 0 or more, or empty for unlimited")
    return value


_NETWORK_FAULTS = {"limit": "limit_wh", "fee": "fee_per_kwh", "path": "fee_per_kwh"}
_ORDER_FAULTS = {"price": "price_per_kwh", "energy": "energy_wh", "value": "energy_wh"}


def read_network(path: Path | str) -> NetworkFile:
    """Read network.csv. Raises InputError."""
    path = Path(path)
    names: dict[str, int] = {}
    rows: list[int] = []
    parents: list[tuple[_Row, str]] = []
    columns: list[tuple[int, int, int, int]] = []
    for number, values in _rows(path, NETWORK_COLUMNS, NETWORK_OPTIONAL):
        row = _Row(path, number, values)
        name = row.read("node", _name)
        if name in names:
            raise row.fail("node", f"{_shown(name)} is there twice, first in row {rows[names[name]]}")
        names[name] = len(rows)
        rows.append(number)
        parents.append((row, values["parent"]))
        limit, fee = row.read("limit_wh", _limit), row.read("fee_per_kwh", ticks)
        limit_down = row.read("limit_down_wh", _limit) if "limit_down_wh" in values else limit
        fee_down = row.read("fee_down_per_kwh", ticks) if values.get("fee_down_per_kwh") else fee
        columns.append((limit, fee, limit_down, fee_down))
    index = []
    for row, parent in parents:
        if parent and parent not in names:
            raise row.fail("parent", f"{_shown(parent)} is not a node of this file")
        index.append(names[parent] if parent else -1)
    limit_up, fee_up, limit_back, fee_back = _columns(columns, 4)
    try:
        network = Network(index, limit_up, fee_up, limit_down_wh=limit_back, fee_down_ticks=fee_back)
    except ProblemError as error:
        column = _NETWORK_FAULTS.get(error.name.split("-")[0], "parent")
        raise InputError(path, None if error.row is None else rows[error.row], column, error.reason) from error
    return NetworkFile(tuple(names), network)


def _columns(rows: list[Any], count: int) -> list[list[Any]]:
    return [[row[at] for row in rows] for at in range(count)]


def _side(text: str) -> bool:
    if text not in ("sell", "buy"):
        raise ValueError(f"{_shown(text)} is neither sell nor buy")
    return text == "sell"


def _energy(text: str) -> int:
    value = _whole(text)
    if value < 0:
        raise ValueError("must be 0 Wh or more")
    return value


def read_orders(path: Path | str, network: NetworkFile) -> OrdersFile:
    """Read orders.csv against the network's nodes. Raises InputError."""
    path = Path(path)
    nodes = {name: index for index, name in enumerate(network.names)}
    orders: dict[str, int] = {}
    households: list[str] = []
    rows: list[int] = []
    columns: list[tuple[int, bool, int, int]] = []
    for number, values in _rows(path, ORDER_COLUMNS):
        row = _Row(path, number, values)
        name = row.read("order", _name)
        if name in orders:
            raise row.fail("order", f"{_shown(name)} is there twice, first in row {rows[orders[name]]}")
        orders[name] = len(rows)
        rows.append(number)
        households.append(row.read("household", _name))
        if values["node"] not in nodes:
            raise row.fail("node", f"{_shown(values['node'])} is not a node of the network")
        columns.append(
            (
                nodes[values["node"]],
                row.read("side", _side),
                row.read("price_per_kwh", ticks),
                row.read("energy_wh", _energy),
            )
        )
    names = tuple(orders)
    by_id = sorted(range(len(names)), key=lambda at: (households[at], names[at]))
    rank = np.empty(len(names), np.int64)
    rank[by_id] = np.arange(len(names))
    node, sell, price, energy = _columns(columns, 4)
    try:
        book = Book([0] * len(names), node, sell, price, energy, id=rank, intervals=1)
    except ProblemError as error:
        raise _order_error(path, rows, error) from error
    return OrdersFile(names, tuple(households), tuple(rows), book)


def _order_error(path: Path, rows: Sequence[int], error: ProblemError) -> InputError:
    column = _ORDER_FAULTS.get(error.name.split("-")[0])
    return InputError(path, None if error.row is None else rows[error.row], column, error.reason)


def run_mechanism(
    name: str, book: Book, network: Network, *, retail_ticks: int | None = None, feed_in_ticks: int | None = None
) -> Outcome:
    """Run a mechanism by its name. Raises ValueError for an unknown name or a missing reference price."""
    if name == "nodal":
        return nodal(book, network)
    if name == "pay-as-bid":
        return pay_as_bid(book, network)
    if name == "bill-sharing":
        return bill_sharing(book, network)
    if name in NEED_REFERENCE:
        if retail_ticks is None or feed_in_ticks is None:
            raise ValueError(f"{name} needs the reference prices --retail and --feed-in")
        rule = mid_market if name == "mid-market" else supply_demand_ratio
        return rule(book, network, retail_ticks=retail_ticks, feed_in_ticks=feed_in_ticks)
    raise ValueError(f"unknown mechanism {name!r}; known are {', '.join(MECHANISMS)}")


def clear_files(
    orders: Path | str,
    network: Path | str,
    out: Path | str,
    mechanism: str = "nodal",
    retail: str | None = None,
    feed_in: str | None = None,
) -> Outcome:
    """Clear orders.csv on network.csv and write result.json. Raises InputError and then writes nothing."""
    prices = {}
    for option, text in (("retail", retail), ("feed-in", feed_in)):
        try:
            prices[option] = None if text is None else ticks(text)
        except ValueError as error:
            raise InputError(f"--{option}", None, None, str(error)) from error
    grid = read_network(network)
    placed = read_orders(orders, grid)
    try:
        outcome = run_mechanism(
            mechanism, placed.book, grid.network, retail_ticks=prices["retail"], feed_in_ticks=prices["feed-in"]
        )
    except ProblemError as error:
        raise _order_error(Path(orders), placed.rows, error) from error
    except ValueError as error:
        raise InputError("--mechanism", None, None, str(error)) from error
    reference = None if mechanism not in NEED_REFERENCE else (prices["retail"], prices["feed-in"])
    write_result(Path(out), placed, grid, outcome, reference)
    return outcome


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
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
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
        raise ValueError(f"{_shown(str(value))} is not a whole number")
    if not -(2**62) < value < 2**62:
        raise ValueError(f"{_shown(str(value))} is out of range")
    return value


def _price(value: Any) -> int:
    if value is None:
        return NO_PRICE
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(f"{_shown(str(value))} is neither a price nor null")
    scaled = Decimal(value) * TICKS_PER_UNIT
    if not scaled.is_finite() or abs(scaled) >= 2**62 or scaled != int(scaled):
        raise ValueError(f"{_shown(str(value))} is not a price in whole ticks")
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
            raise ValueError(f"{member} lacks {key} {_shown(name)}")
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
        if energy <= 0 or not placed.book.sell[index.get(seller, 0)] or placed.book.sell[index.get(buyer, 0)]:
            return [Violation("match-wrong", 0, None, f"{_shown(seller)} does not sell to {_shown(buyer)}")]
        for name in (seller, buyer):
            if name not in index:
                return [Violation("match-unknown", 0, None, f"{_shown(name)} is not an order")]
            traded[index[name]] += energy
    for name, energy, accepted in zip(placed.orders, traded, found.published.accepted_wh.tolist(), strict=True):
        if energy != accepted:
            return [Violation("match-energy", 0, index[name], f"matches of {name} add up to {energy}, not {accepted}")]
    return []
