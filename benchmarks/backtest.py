"""A SimBench year: every mechanism in one batch, against PuLP + HiGHS interval by interval.

    python -m benchmarks.backtest [--grid 1-LV-rural3--2-sw] [--fees] [--sample 200]

Clears and settles 35,136 quarter-hours per mechanism, then solves a sample of the same intervals one by one with
``clear(solver="pulp")`` and extrapolates. Both run in this process, so the ratio holds on any machine; both
must trade the same energy in every interval of the sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np
import psutil

from firmware.host.community import FEE_BY_LEVEL
from market.backtest import archive
from market.backtest.figures import figures
from market.backtest.grid import meters_of, tree_of
from market.backtest.meters import Meters
from market.backtest.rules import RULES, agreement, rule
from market.backtest.run import Prices, Settled, pieces, settle
from market.clearing.clear import clear
from market.clearing.problem import UNLIMITED, Book, Ints, Network
from market.units import ticks

PRICES = Prices(ticks("0.30"), ticks("0.08"))
TARGET_S = 15.0
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", default=archive.CODES[0], choices=archive.CODES)
    parser.add_argument("--fees", action="store_true", help="over the grid's feeders with fees by level")
    parser.add_argument("--sample", type=int, default=200, help="intervals solved with PuLP (default: %(default)s)")
    arguments = parser.parse_args()
    began = time.perf_counter()
    grid = archive.read_archived(arguments.grid)
    meters = meters_of(grid)
    names, tree = tree_of(grid, {level: ticks(fee) for level, fee in FEE_BY_LEVEL.items()})
    plate = Network([-1], [UNLIMITED], [0])
    network = tree if arguments.fees else plate
    node = np.array([names.index(at) if arguments.fees else 0 for at in meters.nodes], np.int64)
    loaded_mib = psutil.Process().memory_info().rss / MIB
    print(
        f"{arguments.grid}: {len(meters.households)} homes, {meters.intervals:,} intervals, {network.nodes} nodes; "
        f"loaded in {time.perf_counter() - began:.2f} s, {loaded_mib:.0f} MiB resident\n"
    )
    agreed = agreement(meters, ZoneInfo(grid.timezone))
    print("mechanism            seconds  intervals/s  target")
    settled: dict[str, Settled] = {}
    for name in RULES:
        done = settle(meters, network, node, PRICES, rule(name, agreed), time.perf_counter, lambda rows: None)
        settled[name] = done
        held = "held" if done.seconds <= TARGET_S else "missed"
        print(f"{name:<20} {done.seconds:7.2f}  {meters.intervals / done.seconds:11,.0f}  {TARGET_S:.0f} s: {held}")
    peak_mib = psutil.Process().memory_info().rss / MIB
    row = figures(meters, PRICES, settled["mid-market"])
    print(
        f"\nself-sufficiency {100 * row.self_sufficiency_alone:.1f} % -> {100 * row.self_sufficiency:.1f} %, "
        f"cost {-100 * row.saved:+.1f} %; {peak_mib - loaded_mib:.0f} MiB above the loaded data"
    )
    pulp_s = _pulp(meters, network, node, arguments.sample, settled["nodal"].traded_wh)
    year_s = pulp_s * meters.intervals / arguments.sample
    print(
        f"\nPuLP + HiGHS, {arguments.sample} intervals one by one: {pulp_s:.2f} s, a year {year_s:,.0f} s: "
        f"{year_s / settled['nodal'].seconds:,.0f} times nodal's {settled['nodal'].seconds:.2f} s"
    )


def _pulp(meters: Meters, network: Network, node: Ints, sample: int, traded_wh: Ints) -> float:
    """Seconds for a sample of intervals, spread evenly over the year; the energy traded must agree."""
    wanted = np.unique(np.linspace(0, meters.intervals - 1, sample).round().astype(np.int64))
    spent = 0.0
    for at, book in _books(meters, network, node, wanted):
        began = time.perf_counter()
        cleared = clear(book, network, solver="pulp")
        spent += time.perf_counter() - began
        traded = int(cleared.accepted_wh[book.sell].sum())
        if traded != traded_wh[at]:
            raise SystemExit(f"interval {at}: PuLP trades {traded} Wh, the batch {traded_wh[at]} Wh")
    return spent * sample / wanted.size


def _books(meters: Meters, network: Network, node: Ints, wanted: Ints) -> Iterator[tuple[int, Book]]:
    nodal = rule("nodal", agreement(meters, ZoneInfo("UTC")))
    for piece in pieces(meters, network, node, PRICES, nodal):
        book = piece.book
        for at in wanted[(wanted >= piece.rows.start) & (wanted < piece.rows.stop)].tolist():
            here = book.interval == at - piece.rows.start
            count = np.zeros(int(here.sum()), np.int64)
            yield (
                at,
                Book(
                    count,
                    book.node[here],
                    book.sell[here],
                    book.price_ticks[here],
                    book.energy_wh[here],
                    id=book.id[here],
                    intervals=1,
                ),
            )


if __name__ == "__main__":
    main()
