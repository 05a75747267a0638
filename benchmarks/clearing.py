"""How fast clearing is, against its peers in the same run: ``python -m benchmarks.clearing``.

A radial network (feeders of 50 buses, 100 homes a bus) with fees at both levels and limits that bind for some;
one order per home at random prices. Times are the best of several runs on one core.

``--full`` lets the LP solvers run at sizes where they take minutes. ``--pymarket PYTHON`` names an interpreter that has
pymarket and pandas 1 installed (newer pandas breaks it).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import highspy
import numpy as np

from market import Book, Clearing, Network, clear
from market.clearing.certificate import Published, verify

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
HOMES_PER_BUS = 100
BUSES_PER_FEEDER = 50


def street(homes: int, seed: int = 0) -> tuple[Book, Network]:
    """A community of that many homes, one order each."""
    rng = np.random.default_rng(seed)
    buses = max(1, homes // HOMES_PER_BUS)
    feeders = max(1, buses // BUSES_PER_FEEDER)
    parent = np.concatenate([[-1], np.zeros(feeders, int), 1 + np.arange(buses) % feeders])
    level = np.concatenate([[0], np.ones(feeders, int), np.full(buses, 2)])
    network = Network(parent, np.array([-1, 400_000, 20_000])[level], np.array([0, 1_000, 500])[level])
    sell = rng.random(homes) < 0.4
    price = np.where(sell, rng.integers(8_000, 25_000, homes), rng.integers(12_000, 30_000, homes))
    node = 1 + feeders + rng.integers(0, buses, homes)
    return Book(np.zeros(homes, int), node, sell, price, rng.integers(100, 3_000, homes)), network


def seconds(act: Callable[[], Any], runs: int = 3) -> float:
    """Best wall time of some runs [s]."""
    best = math.inf
    for _ in range(runs):
        start = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - start)
    return best


def packed_sort(orders: int) -> Callable[[], Any]:
    """The yardstick: sorting one packed int64 key per order."""
    key = np.random.default_rng(0).integers(0, 2**50, orders)
    return lambda: np.argsort(key)


def highs_arrays(book: Book, network: Network) -> float:
    """The order-and-edge LP handed to HiGHS as arrays; returns its welfare."""
    orders, edges = book.orders, np.flatnonzero(network.parent >= 0)
    sign = np.where(book.sell, 1.0, -1.0)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = orders + 2 * edges.size, network.nodes
    lp.col_cost_ = np.concatenate(
        [sign * book.price_ticks, network.fee_ticks[edges], network.fee_down_ticks[edges]]
    ).astype(float)
    limit = np.where(network.limit_wh[edges] < 0, highspy.kHighsInf, network.limit_wh[edges]).astype(float)
    lp.col_lower_ = np.zeros(lp.num_col_)
    lp.col_upper_ = np.concatenate([book.energy_wh.astype(float), limit, limit])
    lp.row_lower_ = lp.row_upper_ = np.zeros(lp.num_row_)
    starts = np.concatenate([np.arange(orders), orders + 2 * np.arange(2 * edges.size + 1)])
    ends = np.stack([edges, network.parent[edges]], axis=1).reshape(-1)
    way = np.tile([-1.0, 1.0], edges.size)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = starts.astype(np.int32)
    lp.a_matrix_.index_ = np.concatenate([book.node, ends, ends]).astype(np.int32)
    lp.a_matrix_.value_ = np.concatenate([sign, way, -way])
    return _optimum(lp)


def pairwise(book: Book, network: Network) -> float:
    """The textbook LP, one variable per seller and buyer; limits are left out, fees are those of the pair's way."""
    sellers, buyers = np.flatnonzero(book.sell), np.flatnonzero(~book.sell)
    seller, buyer = np.repeat(sellers, buyers.size), np.tile(buyers, sellers.size)
    apart = book.node[seller] != book.node[buyer]
    feeders = network.parent[book.node]
    fees = apart * 2 * 500 + (apart & (feeders[seller] != feeders[buyer])) * 2 * 1_000
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = seller.size, book.orders
    lp.col_cost_ = (book.price_ticks[seller] - book.price_ticks[buyer] + fees).astype(float)
    lp.col_lower_, lp.col_upper_ = np.zeros(seller.size), np.full(seller.size, highspy.kHighsInf)
    lp.row_lower_, lp.row_upper_ = np.full(book.orders, -highspy.kHighsInf), book.energy_wh.astype(float)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = (2 * np.arange(seller.size + 1)).astype(np.int32)
    lp.a_matrix_.index_ = np.stack([seller, buyer], axis=1).reshape(-1).astype(np.int32)
    lp.a_matrix_.value_ = np.ones(2 * seller.size)
    return _optimum(lp)


def _optimum(lp: Any) -> float:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS: {solver.getModelStatus()}")
    return -float(solver.getInfo().objective_function_value)


PYMARKET = """
import json, sys, time, pymarket
orders = json.load(sys.stdin)
market = pymarket.Market()
for user, (sell, price, energy) in enumerate(orders):
    market.accept_bid(energy, price, user, not sell)
start = time.perf_counter()
market.run("huang")
print(time.perf_counter() - start)
"""


def pymarket_seconds(python: str, book: Book) -> float:
    """pymarket's Huang auction on the same orders, without a network (it knows none) [s]."""
    orders = list(zip(book.sell.tolist(), book.price_ticks.tolist(), book.energy_wh.tolist(), strict=True))
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", PYMARKET], input=json.dumps(orders), capture_output=True, text=True, timeout=600
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1])
    return float(ran.stdout.split()[-1])


def peak_bytes_per_order(book: Book, network: Network) -> float:
    """Peak memory of clearing above its input [bytes per order]."""
    tracemalloc.start()
    clear(book, network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / book.orders


def published(cleared: Clearing) -> Published:
    return Published(cleared.accepted_wh, cleared.flow_wh, cleared.price_ticks, cleared.price_low, cleared.price_high)


def measure(homes: int, full: bool, pymarket: str | None) -> dict[str, float | None]:
    """One row of the table [s, bytes]."""
    book, network = street(homes)
    runs = 5 if homes <= 100_000 else 3
    cleared = clear(book, network)
    if cleared.gap.any() or verify(book, network, published(cleared)):
        raise RuntimeError("the clearing is not proven")
    row: dict[str, float | None] = {
        "homes": homes,
        "sort": seconds(packed_sort(homes), runs),
        "curve": seconds(lambda: clear(book, network), runs),
        "matches": seconds(cleared.matches, runs),
        "verify": seconds(lambda: verify(book, network, published(cleared)), runs),
        "bytes": peak_bytes_per_order(book, network),
    }
    once = 1 if homes > 1_000 else 3
    small = homes <= (100_000 if full else 10_000)
    row["pulp"] = seconds(lambda: clear(book, network, solver="pulp"), once) if small else None
    row["highspy"] = None
    if homes <= (1_000_000 if full else 100_000):
        welfare = highs_arrays(book, network)
        if abs(welfare - float(cleared.welfare[0])) > 1e-6 * max(1.0, welfare):
            raise RuntimeError("HiGHS finds another welfare")
        row["highspy"] = seconds(lambda: highs_arrays(book, network), once)
    row["pairwise"] = seconds(lambda: pairwise(book, network), 1) if homes <= 1_000 else None
    row["pymarket"] = None
    if pymarket and homes <= 1_000:
        try:
            row["pymarket"] = pymarket_seconds(pymarket, book)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"pymarket at {homes:,} homes: {error}", flush=True)
    return row


def table(rows: list[dict[str, float | None]]) -> str:
    """The rows as a Markdown table, times in ms."""
    timed = ("sort", "curve", "matches", "verify", "pulp", "highspy", "pairwise", "pymarket")
    lines = [
        "| homes | " + " | ".join(f"{name} [ms]" for name in timed) + " | curve / sort | bytes per order |",
        "|" + "---:|" * (len(timed) + 3),
    ]
    for row in rows:
        cells = ["-" if row[name] is None else f"{1000 * float(row[name] or 0):,.2f}" for name in timed]
        ratio = float(row["curve"] or 0) / float(row["sort"] or 1)
        lines.append(f"| {row['homes']:,} | " + " | ".join(cells) + f" | {ratio:.1f} | {row['bytes']:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="let the LP solvers run at the largest sizes")
    parser.add_argument("--pymarket", metavar="PYTHON", help="interpreter with pymarket installed")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest number of homes")
    arguments = parser.parse_args()
    rows = []
    for homes in SIZES:
        if homes <= arguments.most:
            rows.append(measure(homes, arguments.full, arguments.pymarket))
            print(f"{homes:,} homes: {1000 * float(rows[-1]['curve'] or 0):,.1f} ms", flush=True)
    print("\n" + table(rows))
    by_size = {row["homes"]: float(row["curve"] or 0) for row in rows}
    if {10_000, 1_000_000} <= set(by_size):
        print(f"\ngrowth from 10,000 to 1,000,000 homes: n^{math.log(by_size[1_000_000] / by_size[10_000], 100):.2f}")


if __name__ == "__main__":
    main()
