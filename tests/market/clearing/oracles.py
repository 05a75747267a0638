"""Independent answers: scipy's LP for welfare and prices, HiGHS' QP for the tie rule. Small cases only."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from scipy.optimize import linprog

from market import Book, Network


@dataclass
class Model:
    """One interval as matrices: columns are orders, flows up, flows down."""

    gain: np.ndarray
    upper: np.ndarray
    balance: np.ndarray
    energy: np.ndarray
    rows: np.ndarray


def model(book: Book, network: Network, interval: int) -> Model:
    rows = np.flatnonzero(book.interval == interval)
    edges = np.flatnonzero(network.parent >= 0)
    sign = np.where(book.sell[rows], 1.0, -1.0)
    balance = np.zeros((network.nodes, rows.size + 2 * edges.size))
    balance[book.node[rows], np.arange(rows.size)] = sign
    for column, node in enumerate(edges):
        for at, direction in ((rows.size + column, 1.0), (rows.size + edges.size + column, -1.0)):
            balance[node, at] -= direction
            balance[network.parent[node], at] += direction
    total = float(book.energy_wh[rows].sum())

    def limits(limit: np.ndarray) -> np.ndarray:
        now = np.broadcast_to(limit, (book.intervals, network.nodes))[interval, edges].astype(float)
        return np.where(now < 0, total + 1, now)

    return Model(
        np.concatenate([-sign * book.price_ticks[rows], -network.fee_ticks[edges], -network.fee_down_ticks[edges]]),
        np.concatenate([book.energy_wh[rows], limits(network.limit_wh), limits(network.limit_down_wh)]).astype(float),
        balance,
        np.concatenate([(sign > 0).astype(float), np.zeros(2 * edges.size)]),
        rows,
    )


def welfare(problem: Model) -> float:
    if not problem.gain.size:
        return 0.0
    solved = linprog(
        -problem.gain,
        A_eq=problem.balance,
        b_eq=np.zeros(len(problem.balance)),
        bounds=list(zip(np.zeros_like(problem.upper), problem.upper, strict=True)),
    )
    assert solved.status == 0
    return -float(solved.fun)


def price_sums(book: Book, network: Network, interval: int, best: float, box: float) -> tuple[float, float]:
    """Least and greatest sum of node prices on the optimal face of the dual, prices within +-box.

    Dual columns: node prices, order surpluses, limit rents up and down.
    """
    problem = model(book, network, interval)
    edges = np.flatnonzero(network.parent >= 0)
    nodes, orders = network.nodes, problem.rows.size
    columns = nodes + orders + 2 * edges.size
    below, right = [], []
    for at, row in enumerate(problem.rows):
        line = np.zeros(columns)
        way = 1.0 if book.sell[row] else -1.0
        line[book.node[row]], line[nodes + at] = way, -1.0
        below.append(line)
        right.append(way * book.price_ticks[row])
    cost = np.zeros(columns)
    cost[nodes : nodes + orders] = problem.upper[:orders]
    bounds = [(-box, box)] * nodes + [(0, None)] * orders
    for side, (fee, limit) in enumerate(
        ((network.fee_ticks, network.limit_wh), (network.fee_down_ticks, network.limit_down_wh))
    ):
        now = np.broadcast_to(limit, (book.intervals, nodes))[interval]
        for at, node in enumerate(edges):
            line = np.zeros(columns)
            way = -1.0 if side else 1.0
            rent = nodes + orders + side * edges.size + at
            line[network.parent[node]], line[node], line[rent] = way, -way, -1.0
            below.append(line)
            right.append(float(fee[node]))
            cost[rent] = max(float(now[node]), 0.0)
            bounds.append((0, 0) if now[node] < 0 else (0, None))
    prices = np.concatenate([np.ones(nodes), np.zeros(columns - nodes)])
    sums = []
    for sense in (1, -1):
        solved = linprog(
            sense * prices,
            A_ub=np.vstack([*below, cost]) if below else cost[None],
            b_ub=np.array([*right, best]),
            bounds=bounds,
        )
        assert solved.status == 0, solved.message
        sums.append(sense * float(solved.fun))
    return sums[0], sums[1]


def fair_shares(problem: Model) -> tuple[np.ndarray, float] | None:
    """Real-valued tie rule: greatest welfare, then greatest traded energy, then least sum of q^2 / Q.

    None when the QP solver gives up.
    """
    best = welfare(problem)
    bounds = list(zip(np.zeros_like(problem.upper), problem.upper, strict=True))
    solved = linprog(
        -problem.energy,
        A_eq=np.vstack([problem.balance, problem.gain]),
        b_eq=np.append(np.zeros(len(problem.balance)), best),
        bounds=bounds,
    )
    assert solved.status == 0
    most = -float(solved.fun)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("qp_iteration_limit", 2000)
    orders = problem.rows.size
    for upper in problem.upper:
        solver.addVar(0.0, float(upper))
    rows = np.vstack([problem.balance, problem.gain, problem.energy])
    right = np.concatenate([np.zeros(len(problem.balance)), [best, most]])
    for line, value in zip(rows, right, strict=True):
        at = np.flatnonzero(line).astype(np.int32)
        solver.addRow(float(value), float(value), at.size, at, line[at])
    weight = np.where(problem.upper[:orders] > 0, 2.0 / np.maximum(problem.upper[:orders], 1.0), 1.0)
    columns = problem.upper.size
    starts = np.minimum(np.arange(columns), orders).astype(np.int32)
    solver.passHessian(
        columns, orders, int(highspy.HessianFormat.kTriangular), starts, np.arange(orders, dtype=np.int32), weight
    )
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None  # its active-set method can cycle on degenerate faces
    return np.array(solver.getSolution().col_value)[:orders], most
