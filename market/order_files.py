"""Orders and networks from CSV, with every fault told as one line.

Columns are those of the design's "Contract: files and commands". Bad input raises :class:`InputError`, one line that
names file, row, column and reason; rows are lines, the header is row 1.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from market.clearing.problem import Book, Network, ProblemError
from market.units import shown, ticks

ROWS_BOUND = 2**24
TEXT_BOUND = 64
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DIGITS_BOUND = 18

ORDER_COLUMNS = ("order", "household", "node", "side", "price_per_kwh", "energy_wh")
NETWORK_COLUMNS = ("node", "parent", "limit_wh", "fee_per_kwh")
NETWORK_OPTIONAL = ("limit_down_wh", "fee_down_per_kwh")


class InputError(ValueError):
    """Input that cannot be used. ``str()`` is one line with file, row, column and reason."""

    def __init__(self, file: Path | str, row: int | None, column: str | None, reason: str) -> None:
        self.file, self.row, self.column, self.reason = str(file), row, column, reason
        where = "".join((f", row {row}" if row is not None else "", f", column {column}" if column else ""))
        super().__init__(f"{Path(file).name or file}{where}: {reason}")


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


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a whole number")
    if len(text) > _DIGITS_BOUND:
        raise ValueError(f"{shown(text)} has more than {_DIGITS_BOUND} digits")
    return int(text)


@contextmanager
def csv_rows(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """The header of a CSV file and its (line, values), blank lines left out. Raises InputError for what is no CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            yield header, ((reader.line_num, fields) for fields in reader if fields and fields != [""])
    except UnicodeDecodeError as error:
        raise InputError(path, None, None, "not UTF-8 text") from error
    except csv.Error as error:
        raise InputError(path, None, None, f"not CSV: {error}") from error
    except OSError as error:
        raise InputError(path, None, None, error.strerror or "cannot be read") from error


def _rows(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (row, values by column) of a CSV file with a header; blank lines are skipped."""
    with csv_rows(path) as (header, lines):
        _check_header(path, header, needed, optional)
        for count, (line, fields) in enumerate(lines):
            if count >= ROWS_BOUND:
                raise InputError(path, line, None, f"more than {ROWS_BOUND} rows")
            if len(fields) != len(header):
                raise InputError(path, line, None, f"{len(fields)} values, the header has {len(header)} columns")
            yield line, dict(zip(header, (value.strip() for value in fields), strict=True))


def _check_header(path: Path, header: list[str], needed: Sequence[str], optional: Sequence[str]) -> None:
    for name in needed:
        if name not in header:
            raise InputError(path, 1, name, "the column is missing")
    for name in header:
        if name not in needed and name not in optional:
            raise InputError(path, 1, shown(name), f"unknown column; known are {', '.join((*needed, *optional))}")
        if header.count(name) > 1:
            raise InputError(path, 1, name, "the column is there twice")


def _name(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if len(text) > TEXT_BOUND or not text.isprintable():
        raise ValueError(f"{shown(text)} must be at most {TEXT_BOUND} printable characters")
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
            raise row.fail("node", f"{shown(name)} is there twice, first in row {rows[names[name]]}")
        names[name] = len(rows)
        rows.append(number)
        parents.append((row, values["parent"]))
        # The root has no edge, so it needs no fee.
        parse_fee = ticks if values["parent"] or values["fee_per_kwh"] else lambda _: 0
        limit, fee = row.read("limit_wh", _limit), row.read("fee_per_kwh", parse_fee)
        limit_down = row.read("limit_down_wh", _limit) if "limit_down_wh" in values else limit
        fee_down = row.read("fee_down_per_kwh", ticks) if values.get("fee_down_per_kwh") else fee
        columns.append((limit, fee, limit_down, fee_down))
    index = []
    for row, parent in parents:
        if parent and parent not in names:
            raise row.fail("parent", f"{shown(parent)} is not a node of this file")
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
        raise ValueError(f"{shown(text)} is neither sell nor buy")
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
            raise row.fail("order", f"{shown(name)} is there twice, first in row {rows[orders[name]]}")
        orders[name] = len(rows)
        rows.append(number)
        households.append(row.read("household", _name))
        if values["node"] not in nodes:
            raise row.fail("node", f"{shown(values['node'])} is not a node of the network")
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
        raise order_error(path, rows, error) from error
    return OrdersFile(names, tuple(households), tuple(rows), book)


def order_error(path: Path, rows: Sequence[int], error: ProblemError) -> InputError:
    """Tell a book's fault by the row of its file."""
    column = _ORDER_FAULTS.get(error.name.split("-")[0])
    return InputError(path, None if error.row is None else rows[error.row], column, error.reason)
