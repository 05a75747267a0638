"""Read a community's own meters from CSV; the columns are described in docs/backtest.md.

One row per household and interval, in any order. Whatever cannot be used raises
:class:`~market.order_files.InputError`: one line with file, row, column and reason.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from market.backtest.meters import DAY_S, Meters, net_of
from market.clearing.problem import ENERGY_BOUND_WH, Ints
from market.order_files import InputError, csv_rows

NEEDED = ("time", "household")
NET = ("load_wh", "generation_wh")
GROSS = ("import_wh", "export_wh")
ENERGY = ("load_wh", "import_wh", "export_wh", "generation_wh", "consumption_wh")
KNOWN = (*NEEDED, "node", *ENERGY)
ROWS_BOUND = 2**24
TEXT_BOUND = 64
ROUNDING_WH = 2
"""Registers are rounded each by itself: four of them may miss their balance by this much."""


@dataclass(frozen=True)
class MetersFile:
    """The meters of a file.

    Attributes:
        located: whether the file says where each household is.
        first_row: by household, where it comes first.
        generation_known: whether it says what the roofs made; otherwise what was used on the spot is unknown.
    """

    meters: Meters
    located: bool
    first_row: dict[str, int]
    generation_known: bool


@dataclass
class _Table:
    """The columns of the file as it is read, ids numbered as they come."""

    path: Path
    columns: tuple[str, ...]
    energy: dict[str, array[int]]
    row: array[int] = field(default_factory=lambda: array("q"))
    time: array[int] = field(default_factory=lambda: array("q"))
    household: array[int] = field(default_factory=lambda: array("q"))
    households: dict[str, int] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)


def read_meters(path: Path | str) -> MetersFile:
    """Read the file. Raises InputError."""
    table = _read(Path(path))
    row, time = np.array(table.row, np.int64), np.array(table.time, np.int64)
    starts, at = np.unique(time, return_inverse=True)
    length_s = _length(table, starts, row, time)
    names = sorted(table.households)
    homes = len(names)
    # The order of rows must not matter: households stand in the order of their ids.
    place_of = np.argsort([table.households[name] for name in names])
    cell = at * homes + place_of[np.array(table.household, np.int64)]
    _check_complete(table.path, names, starts, cell, row)
    place = np.argsort(cell)
    energy = {
        name: np.array(values, np.int64)[place].reshape(starts.size, homes) for name, values in table.energy.items()
    }
    rows = row[place].reshape(starts.size, homes)
    taken, given, made, used = _balance(table, energy, rows)
    nodes = [table.nodes[table.households[name]] for name in names]
    meters = Meters(tuple(names), tuple(nodes), int(starts[0]), length_s, taken, given, made, used)
    known = "generation_wh" in energy or "consumption_wh" in energy
    return MetersFile(meters, "node" in table.columns, dict(zip(table.households, table.first, strict=True)), known)


def _read(path: Path) -> _Table:
    with csv_rows(path) as (header, lines):
        columns = tuple(header)
        _check_header(path, columns)
        table = _Table(path, columns, {name: array("q") for name in ENERGY if name in columns})
        for line, fields in lines:
            _take(table, line, fields)
    if not table.row:
        raise InputError(path, None, None, "no rows")
    return table


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    for name in columns:
        if name not in KNOWN:
            raise InputError(path, 1, _shown(name), f"unknown column; known are {', '.join(KNOWN)}")
        if columns.count(name) > 1:
            raise InputError(path, 1, name, "the column is there twice")
    form = NET if "load_wh" in columns else GROSS
    for name in (*NEEDED, *form):
        if name not in columns:
            reason = "the column is missing"
            if name in GROSS:
                reason += "; a file has import_wh and export_wh, or load_wh and generation_wh"
            raise InputError(path, 1, name, reason)
    if form == NET:
        for name in (*GROSS, "consumption_wh"):
            if name in columns:
                raise InputError(path, 1, name, "cannot stand beside load_wh, which says the same")


def _take(table: _Table, row: int, fields: list[str]) -> None:
    if len(fields) != len(table.columns):
        reason = f"{len(fields)} values, the header has {len(table.columns)} columns"
        raise InputError(table.path, row, None, reason)
    if len(table.row) >= ROWS_BOUND:
        raise InputError(table.path, row, None, f"more than {ROWS_BOUND} rows")
    values = dict(zip(table.columns, fields, strict=True))
    column = ""
    try:
        column = "time"
        text = values["time"]
        if text not in table.times:
            table.times[text] = _epoch(text.strip())
        column = "household"
        home = _name(values["household"].strip())
        node = ""
        if "node" in values:
            column = "node"
            node = _name(values["node"].strip())
        number = table.households.setdefault(home, len(table.households))
        if number == len(table.nodes):
            table.nodes.append(node)
            table.first.append(row)
        elif table.nodes[number] != node:
            raise ValueError(f"{_shown(home)} was at {_shown(table.nodes[number])} before")
        for name, amounts in table.energy.items():
            column = name
            amounts.append(_energy(values[name].strip()))
    except ValueError as error:
        raise InputError(table.path, row, column, str(error)) from error
    table.row.append(row)
    table.time.append(table.times[text])
    table.household.append(number)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _name(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if len(text) > TEXT_BOUND or not text.isprintable():
        raise ValueError(f"{_shown(text)} must be at most {TEXT_BOUND} printable characters")
    return text


def _epoch(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is neither ISO 8601 nor epoch seconds") from None
    if moment.tzinfo is None:
        raise ValueError(f"{_shown(text)} names no time zone: end it with Z or an offset such as +01:00")
    if moment.microsecond:
        raise ValueError(f"{_shown(text)} is not a whole second")
    return int(moment.timestamp())


def _energy(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        if not text:
            raise ValueError("must not be empty: a gap is no 0")
        if text.lower() in ("nan", "null", "none", "na", "n/a", "-"):
            raise ValueError(f"{_shown(text)} is a gap: leave such households out or complete them first")
        negative = text[0] == "-" and text[1:].replace(".", "", 1).isdigit()
        raise ValueError(f"{_shown(text)} is negative" if negative else f"{_shown(text)} is not whole Wh")
    value = int(text) if len(text) <= 19 else ENERGY_BOUND_WH
    if value >= ENERGY_BOUND_WH:
        raise ValueError(f"{_shown(text)} must be below {ENERGY_BOUND_WH} Wh")
    return value


def _text(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def _length(table: _Table, starts: Ints, row: Ints, time: Ints) -> int:
    """The length all intervals share [s]: the time from one to the next."""
    if starts.size < 2:
        raise InputError(table.path, None, "time", "one interval only: its length cannot be seen")
    steps = np.diff(starts)
    length = Counter(steps.tolist()).most_common(1)[0][0]
    if DAY_S % length:
        raise InputError(table.path, None, "time", f"intervals of {length} s do not divide the day")
    odd = np.flatnonzero(steps != length)
    if odd.size:
        before, after = int(starts[odd[0]]), int(starts[odd[0] + 1])
        at = int(row[np.argmax(time == after)])
        if (after - before) % length:
            reason = f"{after - before} s after {_text(before)}, where others follow after {length} s: mixed lengths"
        else:
            reason = f"no household has a row between {_text(before)} and {_text(after)}"
        raise InputError(table.path, at, "time", reason)
    if int(starts[0]) % length:
        raise InputError(table.path, int(row[0]), "time", f"{_text(int(starts[0]))} is not a multiple of {length} s")
    return int(length)


def _check_complete(path: Path, names: list[str], starts: Ints, cell: Ints, row: Ints) -> None:
    """Each household has each interval exactly once."""
    homes = len(names)
    order = np.argsort(cell, kind="stable")
    twice = np.flatnonzero(np.diff(cell[order]) == 0)
    if twice.size:
        second = order[twice + 1]
        at = int(second[np.argmin(row[second])])
        first = int(row[order[np.searchsorted(cell[order], cell[at])]])
        where = f"{_shown(names[int(cell[at]) % homes])} has {_text(int(starts[int(cell[at]) // homes]))}"
        raise InputError(path, int(row[at]), "time", f"{where} twice, first in row {first}")
    if cell.size == starts.size * homes:
        return
    there = np.zeros(starts.size * homes, np.bool_)
    there[cell] = True
    missing = int(np.argmin(there))
    home = missing % homes
    mine = np.flatnonzero(cell % homes == home)
    after = mine[cell[mine] > missing]
    near = after[np.argmin(cell[after])] if after.size else mine[np.argmax(cell[mine])]
    gap = f"{_shown(names[home])} has no row for {_text(int(starts[missing // homes]))}"
    raise InputError(path, int(row[near]), "time", f"a gap: {gap}")


def _balance(table: _Table, energy: dict[str, Ints], rows: Ints) -> Iterator[Ints]:
    """Import, export, generation and consumption over (intervals, households) [Wh]."""
    if "load_wh" in energy:
        load, made = energy["load_wh"], energy["generation_wh"]
        return iter((*net_of(load, made), made, load))
    taken, given = energy["import_wh"], energy["export_wh"]
    if "generation_wh" in energy:
        made = energy["generation_wh"]
    elif "consumption_wh" in energy:
        made = energy["consumption_wh"] + given - taken
    else:
        made = given
    used = taken + made - given
    for name, values in (("generation_wh", made), ("consumption_wh", used)):
        if (values < 0).any():
            at = int(rows.reshape(-1)[np.argmax(values.reshape(-1) < 0)])
            column = name if name in energy else "export_wh" if name == "consumption_wh" else "consumption_wh"
            raise InputError(table.path, at, column, "does not balance: import + generation is less than export")
    if "consumption_wh" in energy:
        off = np.abs(energy["consumption_wh"] - used) > ROUNDING_WH
        if off.any():
            at = int(np.argmax(off.reshape(-1)))
            found, expected = (int(values.reshape(-1)[at]) for values in (energy["consumption_wh"], used))
            reason = f"{found} Wh, but import + generation - export is {expected} Wh"
            raise InputError(table.path, int(rows.reshape(-1)[at]), "consumption_wh", reason)
    return iter((taken, given, made, used))
