"""The homes of a simulated fleet: of the built-in street, of a SimBench grid, or of a file of real meters."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from firmware.host.street import Home, Node, Street, load_street, with_homes
from market.backtest.meters import Meters, between
from market.commands.errors import CommandError
from market.order_files import InputError

WEEK_DAYS = 7
SUMMER = date(2016, 7, 11)
HOUR_S = 3600


def homes_street(homes: int, grid: str | None, csv: Path | None, first: date | None) -> Street:
    """A street of so many homes; more than there are become copies. Raises CommandError, InputError.

    ``first`` is the day with which its week begins.
    """
    if grid is None and csv is None:
        if first is not None:
            raise CommandError("--from goes with --grid or --csv; the built-in street has one week")
        street = load_street()
    elif grid is not None:
        street = _grid_street(grid, first or SUMMER)
    else:
        assert csv is not None
        street = _file_street(csv, first)
    try:
        return with_homes(street, homes)
    except ValueError as error:
        raise CommandError(f"--homes {homes}: {error}") from None


def _grid_street(code: str, first: date) -> Street:
    from market.backtest import archive
    from market.backtest.grid import meters_of
    from market.backtest.simbench import GridError, read_grid

    try:
        grid = archive.read_archived(code) if code in archive.codes() else read_grid(code)
        week = between(meters_of(grid), first, first + timedelta(days=WEEK_DAYS - 1), ZoneInfo(grid.timezone))
    except GridError as error:
        raise CommandError(f"--grid: {error}") from None
    except ValueError as error:
        raise CommandError(f"--from: {error}") from None
    nodes = tuple(Node(node.node, node.parent, node.level) for node in grid.nodes)
    return _street(week, code, grid.timezone, nodes, archive.ATTRIBUTION)


def _file_street(path: Path, first: date | None) -> Street:
    from market.backtest.meters_csv import read_meters

    zone = ZoneInfo("UTC")
    found = read_meters(path)
    meters = found.meters
    if HOUR_S % meters.length_s:
        raise InputError(path, None, "time", f"intervals of {meters.length_s} s do not divide the hour")
    try:
        if first is not None:
            meters = between(meters, first, first + timedelta(days=WEEK_DAYS - 1), zone)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None
    if meters.intervals * meters.length_s < 86_400:
        raise InputError(path, None, "time", "less than a day")
    # The file's own names may be anything; a simulated street numbers them.
    places = sorted(set(meters.nodes)) if found.located else []
    names = {place: f"n{number}" for number, place in enumerate(places, start=1)}
    meters = replace(meters, nodes=tuple(names.get(node, "substation") for node in meters.nodes))
    nodes = (Node("substation", None, "substation"), *(Node(name, "substation", "feeder") for name in names.values()))
    return _street(meters, path.name, str(zone), nodes, "")


def _street(meters: Meters, name: str, timezone: str, nodes: tuple[Node, ...], attribution: str) -> Street:
    steps = min(meters.intervals, WEEK_DAYS * 86_400 // meters.length_s)
    per_hour = HOUR_S // meters.length_s
    homes = tuple(
        Home(
            f"h{at + 1:03}",
            meters.nodes[at],
            tuple((meters.consumption_wh[:steps, at] * per_hour).tolist()),
            tuple((meters.generation_wh[:steps, at] * per_hour).tolist()),
        )
        for at in range(len(meters.households))
    )
    licence = "ODbL-1.0" if attribution else ""
    return Street(name, licence, attribution, timezone, meters.start, meters.length_s, steps, nodes, homes)
