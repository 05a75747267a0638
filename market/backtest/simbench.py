"""Read a grid from the package ``simbench`` (the optional extra of the same name)."""

from __future__ import annotations

import importlib
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from firmware.host.streets.make import bus_number, busbar_tree
from market.backtest.grid import SHAPE_UNIT, Element, Grid, Home, Node
from market.clearing.problem import Ints

TIMEZONE = "Europe/Berlin"
YEAR = datetime(2016, 1, 1, tzinfo=ZoneInfo(TIMEZONE))
STEP_S = 900
STEPS = 35_136
CODE = re.compile(r"[0-9]-LV-[a-z0-9]+--[0-9]-(no_)?sw")


class GridError(Exception):
    """A grid that cannot be read; the message is one line."""


def read_grid(code: str) -> Grid:
    """The grid of a SimBench code. Raises GridError when there is none or the package is missing."""
    if not CODE.fullmatch(code):
        raise GridError(f"{code!r} is not the code of a low-voltage SimBench grid, such as 1-LV-rural3--2-sw")
    try:
        simbench: Any = importlib.import_module("simbench")
    except ImportError:
        raise GridError(f"{code} needs the package simbench: pip install -e '.[simbench]'") from None
    if code not in simbench.collect_all_simbench_codes():
        raise GridError(f"SimBench has no grid {code!r}")
    net = simbench.get_simbench_net(code)
    try:
        return _grid(code, net)
    except ValueError as error:
        raise GridError(f"{code}: {error}") from error


def _grid(code: str, net: Any) -> Grid:
    for kind in ("load", "renewables"):
        _check_times(list(net.profiles[kind].time))
    parent, feeder = busbar_tree(net)
    names = {bus: "substation" if up is None else f"n{bus_number(net, bus)}" for bus, up in parent.items()}

    def level(bus: int) -> str:
        return "substation" if parent[bus] is None else "feeder" if feeder[bus] == bus else "bus"

    loads, generators = _elements(net.load), _elements(net.sgen)
    buses = sorted({*loads, *generators}, key=lambda bus: bus_number(net, bus))
    homes = tuple(
        Home(f"home-{bus_number(net, bus)}", names[bus], loads.get(bus, ()), generators.get(bus, ())) for bus in buses
    )
    shapes = {name: _shape(net.profiles["load"][f"{name}_pload"]) for name in sorted(set(net.load.profile))}
    shapes |= {name: _shape(net.profiles["renewables"][name]) for name in sorted(set(net.sgen.profile))}
    nodes = tuple(Node(names[bus], None if up is None else names[up], level(bus)) for bus, up in parent.items())
    return Grid(code, TIMEZONE, int(YEAR.timestamp()), STEP_S, nodes, homes, shapes)


def _check_times(times: list[str]) -> None:
    """SimBench's local wall-clock times are one unbroken year: 92 quarter-hours in March's short day, 100 in October's.

    Raises ValueError.
    """
    start = int(YEAR.timestamp())
    zone = ZoneInfo(TIMEZONE)
    for at in range(max(STEPS, len(times))):
        expected = datetime.fromtimestamp(start + at * STEP_S, zone).strftime("%d.%m.%Y %H:%M")
        if at >= len(times) or at >= STEPS or times[at] != expected:
            found = times[at] if at < len(times) else "the end"
            raise ValueError(f"profile row {at + 1} is {found}, expected {expected if at < STEPS else 'the end'}")


def _elements(table: Any) -> dict[int, tuple[Element, ...]]:
    found: dict[int, tuple[Element, ...]] = {}
    for row in table.itertuples():
        power = float(row.p_mw) * float(row.scaling) * 1e6
        if not row.in_service:
            continue
        if abs(power - round(power)) > 1e-6:
            raise ValueError(f"{row.name} is rated at {power} W, which is not whole")
        found[int(row.bus)] = (*found.get(int(row.bus), ()), Element(str(row.profile), round(power)))
    return found


def _shape(column: Any) -> Ints:
    values = column.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"profile {column.name} has a gap at row {int(np.argmin(np.isfinite(values))) + 1}")
    shape: Ints = np.rint(values * SHAPE_UNIT).astype(np.int64)
    return shape
