"""``pumasi backtest``: what a community would have saved, on a real year or on its own meters."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from zoneinfo import ZoneInfo

from market.commands.errors import CommandError

if TYPE_CHECKING:
    from market.backtest.figures import Backtest
    from market.backtest.meters import Meters
    from market.backtest.run import Prices, Settled
    from market.clearing.problem import Network
    from market.mechanisms import Preset

MID_MARKET = "mid-market"
OUT = Path(".pumasi/backtest")
BAR = 20
EPILOG = """\
mechanisms (who pays what), all of them unless some are named; mid-market is always there:
  mid-market            one price halfway between retail and feed-in
  nodal                 the price that proves the clearing
  pay-as-bid            buyers pay retail, sellers get feed-in, the community keeps the rest
  supply-demand-ratio   the price falls as supply grows
  bill-sharing          surplus is a gift, members split the community's bill
  proportional, static, ex-ante, hierarchical, per-pair
                        the sharing keys of law, at the mid-market price

presets (a country's sharing rules, each a column such as "austria proportional"):
  austria, france, spain, switzerland, luxembourg, germany
                        energy is shared over the country's period: a quarter-hour, half-hour or hour;
                        with --fees, Switzerland's part of the network fee is due, elsewhere all of it

examples:
  pumasi backtest --grid 1-LV-rural3--2-sw --year
  pumasi backtest --grid 1-LV-semiurb4--2-sw --from 2016-07-01 --to 2016-07-31 --mechanism nodal
  pumasi backtest --grid 1-LV-rural3--2-sw --preset austria --preset spain
  pumasi backtest --meters meters.csv --network network.csv --timezone Europe/Madrid --out report/

It writes report.html, summary.json, households.csv, intervals.csv and community.csv, and with the
extra `parquet` the tables as Parquet too. docs/backtest.md describes their columns.
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "backtest",
        help="what a community would have saved: a real year, every mechanism side by side",
        description="Clear and settle a real year of quarter-hours under every mechanism, and say who gains how much.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--grid",
        metavar="CODE",
        help="homes of a SimBench low-voltage grid; 1-LV-rural3--2-sw and 1-LV-semiurb4--2-sw are built in, "
        "others need the extra `simbench`",
    )
    data.add_argument(
        "--meters",
        type=Path,
        metavar="CSV",
        help="your own meters: time,household[,node] and either import_wh,export_wh[,generation_wh,consumption_wh] "
        "or load_wh,generation_wh",
    )
    span = parser.add_argument_group("time")
    span.add_argument("--year", action="store_true", help="everything there is (the default)")
    span.add_argument("--from", dest="first", type=_day, metavar="DATE", help="first day, such as 2016-07-01")
    span.add_argument("--to", dest="last", type=_day, metavar="DATE", help="last day, included")
    span.add_argument(
        "--timezone", type=_zone, metavar="ZONE", help="local time of days and hours (with --grid: Europe/Berlin)"
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--mechanism",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="mechanisms to compare (default: all, see below)",
    )
    rules.add_argument(
        "--preset",
        nargs="+",
        action="extend",
        metavar="COUNTRY",
        help="compare a country's sharing rules (see below); of the mechanisms, only those that are named too",
    )
    rules.add_argument("--retail", default="0.30", metavar="PRICE", help="per kWh from the grid (default: %(default)s)")
    rules.add_argument("--feed-in", default="0.08", metavar="PRICE", help="per kWh to the grid (default: %(default)s)")
    rules.add_argument("--currency", default="EUR", metavar="CODE", help="of the prices (default: %(default)s)")
    rules.add_argument(
        "--fees",
        action="store_true",
        help="trade over the grid's feeders with a fee by level, instead of a network without fees and limits",
    )
    rules.add_argument(
        "--network",
        type=Path,
        metavar="CSV",
        help="with --meters: node,parent,limit_wh,fee_per_kwh; its fees and limits hold",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, metavar="DIR", help=f"where the files go (default: {OUT}/NAME)")
    output.add_argument("--json", action="store_true", help="a summary as the last line")
    parser.set_defaults(run=run)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2016-07-01") from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time zone such as Europe/Berlin") from None


def run(arguments: argparse.Namespace) -> int:
    from market.backtest.figures import summary
    from market.backtest.files import has_parquet, write_files
    from market.backtest.report import report

    backtest = prepare(arguments, sys.stderr)
    static = files("dashboard").joinpath("static")
    style, icon = (static.joinpath(name).read_text(encoding="utf-8") for name in ("pumasi.css", "icon.svg"))
    folder = arguments.out or OUT / backtest.name.removesuffix(".csv")
    page = report(backtest, style, icon.replace("<svg ", '<svg class="icon-mark" aria-hidden="true" '))
    try:
        written = write_files(backtest, page, folder)
    except OSError as error:
        raise CommandError(f"{error.filename or folder}: {error.strerror or 'cannot be written'}") from None
    print(table(backtest))
    print(f"\n{written[0]}")
    if not has_parquet():
        print(
            "backtest: no Parquet files, pyarrow is missing: the extra 'parquet' brings it",
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps(summary(backtest)))
    return 0


def prepare(arguments: argparse.Namespace, progress: TextIO) -> Backtest:
    """Read, clear and settle; nothing is written. Raises CommandError."""
    from market.backtest import rules
    from market.backtest.figures import Backtest
    from market.backtest.meters import between
    from market.backtest.run import BacktestError
    from market.clearing.problem import ProblemError
    from market.files import InputError
    from market.mechanisms.presets import WHOLE_FEE

    if arguments.year and (arguments.first or arguments.last):
        raise CommandError("--year is everything there is: leave it out when --from or --to say less")
    chosen = tuple(dict.fromkeys([MID_MARKET, *(arguments.mechanism or [])]))
    presets = _presets(arguments.preset or [])
    if not arguments.mechanism and not presets:
        chosen = tuple(rules.RULES)
    for name in chosen:
        if name not in rules.RULES:
            raise CommandError(f"--mechanism: unknown {name!r}; known are {', '.join(rules.RULES)}")
    prices = _prices(arguments)
    try:
        name, meters, nodes, network, says, notes = _read(arguments)
    except InputError as error:
        raise CommandError(str(error)) from None
    zone = arguments.timezone or ZoneInfo("Europe/Berlin" if arguments.grid else "UTC")
    try:
        meters = between(meters, arguments.first, arguments.last, zone)
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from None
    settled: list[Settled] = []
    runs: list[Run] = [(mechanism, mechanism, meters, network) for mechanism in chosen]
    for country, preset in presets.items():
        # A low-voltage grid is the homes behind one transformer: the nearest level.
        level = 0 if arguments.grid else None
        try:
            runs += _under(country, preset, meters, network, level)
        except ValueError as error:
            raise CommandError(f"{name}: --preset {country} shares each {preset.period}: {error}") from None
        if arguments.fees and preset.fee_part[0] < WHOLE_FEE:
            says += f"; {country}: {preset.fee_part[0]} % of them"
    agreed = {of.length_s: rules.agreement(of, zone) for _, _, of, _ in runs}
    for mechanism, key, of, over in runs:
        rule = replace(rules.rule(key, agreed[of.length_s]), name=mechanism)
        try:
            settled.append(_settle(of, nodes, over, prices, rule, progress))
        except BacktestError as error:
            raise CommandError(str(error)) from None
        except ProblemError as error:
            reason = f"{mechanism}: {error.reason}"
            if mechanism == MID_MARKET or (arguments.mechanism and mechanism in arguments.mechanism):
                raise CommandError(f"{name}: {reason}") from None
            progress.write(("\n" if progress.isatty() else "") + f"backtest: left out: {reason}\n")
            notes = (*notes, f"Left out: {reason}.")
    return Backtest(name, arguments.currency, str(zone), says, notes, meters, prices, tuple(settled))


Run = tuple[str, str, "Meters", "Network"]
"""Name of the column, the mechanism, what was measured and where they trade."""


def _under(country: str, preset: Preset, meters: Meters, network: Network, level: int | None) -> list[Run]:
    from market.backtest.law import columns, grid_of
    from market.backtest.meters import summed
    from market.mechanisms.presets import PERIOD_S

    shared = summed(meters, PERIOD_S[preset.period])
    there = grid_of(preset, network, meters.intervals // shared.intervals, level)
    return [(column, key, shared, there) for column, key in columns(country).items()]


def _presets(asked: Sequence[str]) -> dict[str, Preset]:
    from market.backtest.law import COUNTRIES
    from market.mechanisms import PRESETS

    for name in asked:
        if name in COUNTRIES:
            continue
        if name in PRESETS:
            raise CommandError(
                f"--preset: {name} nets kWh by the {PRESETS[name].period} under a progressive tariff, and the "
                "backtest has one retail price for every interval: a community with the mechanism monthly-netting is "
                "billed by it (docs/tariffs.md)"
            )
        raise CommandError(f"--preset: unknown {name!r}; known are {', '.join(COUNTRIES)}")
    return {name: PRESETS[name] for name in asked}


def _prices(arguments: argparse.Namespace) -> Prices:
    from market.backtest.run import Prices
    from market.units import ticks

    found = []
    for option, text in (("--retail", arguments.retail), ("--feed-in", arguments.feed_in)):
        try:
            found.append(ticks(text))
        except ValueError as error:
            raise CommandError(f"{option}: {error}") from None
    if found[0] < found[1]:
        raise CommandError(f"--retail {arguments.retail} is below --feed-in {arguments.feed_in}: nobody would trade")
    return Prices(*found)


Read = tuple[str, "Meters", "Sequence[int]", "Network", str, tuple[str, ...]]
"""Name, meters, each household's node, the network, what it is in words, notes."""


def _read(arguments: argparse.Namespace) -> Read:
    if arguments.grid:
        if arguments.network:
            raise CommandError("--network goes with --meters; with --grid, --fees trades over the grid's own feeders")
        return _read_grid(arguments.grid, arguments.fees)
    if arguments.fees:
        raise CommandError("--fees goes with --grid; with --meters, --network brings fees and limits")
    return _read_meters(arguments.meters, arguments.network)


def _read_grid(code: str, fees: bool) -> Read:
    from firmware.host.community import FEE_BY_LEVEL
    from market.backtest import archive
    from market.backtest.grid import meters_of, tree_of
    from market.backtest.simbench import GridError, read_grid
    from market.clearing.problem import UNLIMITED, Network
    from market.units import ticks

    try:
        grid = archive.read_archived(code) if code in archive.codes() else read_grid(code)
    except GridError as error:
        raise CommandError(f"--grid: {error}") from None
    meters = meters_of(grid)
    notes = (archive.ATTRIBUTION, "Load and generation of one bus are one household; storage is left out.")
    if not fees:
        network = Network([-1], [UNLIMITED], [0])
        return code, meters, [0] * len(meters.households), network, "a network without fees and limits", notes
    names, network = tree_of(grid, {level: ticks(fee) for level, fee in FEE_BY_LEVEL.items()})
    index = {name: at for at, name in enumerate(names)}
    says = "network fees by level: " + ", ".join(f"{fee} above a {level}" for level, fee in FEE_BY_LEVEL.items())
    return code, meters, [index[node] for node in meters.nodes], network, says, notes


def _read_meters(path: Path, network_path: Path | None) -> Read:
    from market.backtest.meters_csv import read_meters
    from market.clearing.problem import UNLIMITED, Network
    from market.files import InputError, read_network

    network_file = None if network_path is None else read_network(network_path)
    found = read_meters(path)
    meters = found.meters
    notes: tuple[str, ...] = ()
    if not found.generation_known:
        notes = ("The meters tell no generation: what roofs gave their own homes is not in these figures.",)
    if network_file is None:
        network = Network([-1], [UNLIMITED], [0])
        return path.name, meters, [0] * len(meters.households), network, "a network without fees and limits", notes
    if not found.located:
        raise InputError(path, 1, "node", "the column is missing; a network needs to know where a household is")
    index = {name: at for at, name in enumerate(network_file.names)}
    for home, node in zip(meters.households, meters.nodes, strict=True):
        if node not in index:
            raise InputError(path, found.first_row[home], "node", f"{node!r} is not a node of the network")
    says = f"fees and limits of {network_path.name}" if network_path else ""
    return path.name, meters, [index[node] for node in meters.nodes], network_file.network, says, notes


def _settle(
    meters: Meters, nodes: Sequence[int], network: Network, prices: Prices, rule: Any, progress: TextIO
) -> Settled:
    import numpy as np

    from market.backtest.run import settle

    live = progress.isatty()

    def show(done: int) -> None:
        if live:
            progress.write("\r" + bar(rule.name, done, meters.intervals))
            progress.flush()

    settled = settle(meters, network, np.array(nodes, np.int64), prices, rule, time.perf_counter, show)
    progress.write(("\r" if live else "") + bar(rule.name, meters.intervals, meters.intervals))
    progress.write(f"  {settled.seconds:5.1f} s\n")
    progress.flush()
    return settled


def bar(name: str, done: int, of: int) -> str:
    """A mechanism's progress, always equally wide."""
    full = BAR * done // of
    return f"{name:<24} {'█' * full}{'░' * (BAR - full)} {100 * done // of:3d} %  {done:,} of {of:,} intervals"


def table(backtest: Backtest) -> str:
    """All mechanisms side by side."""
    from market.backtest.figures import figures

    rows = [figures(backtest.meters, backtest.prices, settled) for settled in backtest.settled]
    first = rows[0]
    homes = len(backtest.meters.households)
    unit = backtest.currency
    columns: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("mechanism", lambda row: row.mechanism),
        ("traded MWh", lambda row: f"{row.energy_traded_wh / 1e6:,.2f}"),
        ("self-suff.", lambda row: f"{100 * row.self_sufficiency:.1f} %"),
        (f"cost {unit}", lambda row: f"{row.cost:,.0f}"),
        ("saved", lambda row: f"{100 * row.saved:.1f} %"),
        ("fees", lambda row: f"{row.fees:,.0f}"),
        ("in common", lambda row: f"{row.kept:,.0f}"),
        ("least gain", lambda row: f"{row.gain_least:+,.0f}"),
        ("median", lambda row: f"{row.gain_median:+,.0f}"),
        ("greatest", lambda row: f"{row.gain_most:+,.0f}"),
        ("better off", lambda row: f"{100 * row.better_off:.0f} %"),
        ("seconds", lambda row: f"{row.seconds:.1f}"),
    )
    cells = [[head for head, _ in columns], *([show(row) for _, show in columns] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    alone = (
        f"{backtest.name}: {homes} homes, {backtest.meters.intervals:,} intervals; {backtest.network}.\n"
        f"Alone: {100 * first.self_sufficiency_alone:.1f} % self-sufficient, cost {first.cost_alone:,.0f} {unit}.\n"
    )
    return "\n".join([alone, lines[0], "-" * len(lines[0]), *lines[1:]])
