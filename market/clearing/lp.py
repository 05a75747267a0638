"""The clearing LP as a readable PuLP model, solved by HiGHS, one interval at a time.

maximise    sum_bids p q - sum_asks p q - sum_edges (fee_up x_up + fee_down x_down)
subject to  net injection of each node = flow out of it
            0 <= q <= Q,  0 <= x_up <= K_up,  0 <= x_down <= K_down

The witness comes from two more LPs: the least and the greatest sum of prices on the optimal face of the dual,
which complementary slackness with the solved allocation describes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pulp

from market.clearing.frame import INFINITE, Frame
from market.clearing.problem import Flags
from market.clearing.witness import Witness, halfway, one_way, publish

_OPTIMAL = 1  # PuLP's status number, in versions 3 and 4


class SolverError(RuntimeError):
    """The LP solver did not reach an optimum in whole numbers."""


@dataclass(frozen=True, eq=False)
class Interval:
    """One interval of a frame: orders and edges as plain integers."""

    node: list[int]
    sell: list[bool]
    price: list[int]
    energy: list[int]
    parent: list[int]
    up: list[int]
    down: list[int]
    fee_up: list[int]
    fee_down: list[int]

    @property
    def nodes(self) -> range:
        """All nodes by position; 0 is the root."""
        return range(len(self.parent))

    @property
    def edges(self) -> range:
        """All nodes that have a parent, standing for the edge to it."""
        return range(1, len(self.parent))

    @property
    def orders(self) -> range:
        """All orders."""
        return range(len(self.node))


@dataclass(frozen=True, eq=False)
class Optimum:
    """A solved interval: accepted energy and flows in whole Wh."""

    accepted: list[int]
    up: list[int]
    down: list[int]


def solve(frame: Frame) -> Witness:
    """Return the witness of every node and interval of the frame. Raises SolverError."""
    low, high, price = (np.empty(frame.shape, np.int64) for _ in range(3))
    crossed: Flags = np.any(one_way(frame), axis=0)
    for at, problem in enumerate(_intervals(frame)):
        optimum = allocate(problem)
        low[:, at] = price_end(problem, optimum, pulp.LpMinimize)
        high[:, at] = price_end(problem, optimum, pulp.LpMaximize)
        price[:, at] = halfway(low[:, at], high[:, at])
        if crossed[at]:
            price[:, at] = keep_together(problem, optimum, price[:, at].tolist())
    return publish(low, high, price)


def _intervals(frame: Frame) -> list[Interval]:
    position, interval = np.divmod(frame.cell, frame.intervals)
    problems = []
    for at in range(frame.intervals):
        rows = np.flatnonzero(interval == at)
        problems.append(
            Interval(
                position[rows].tolist(),
                frame.sell[rows].tolist(),
                frame.price[rows].tolist(),
                frame.energy[rows].tolist(),
                frame.tree.parent.tolist(),
                frame.up[:, at].tolist(),
                frame.down[:, at].tolist(),
                frame.fee_up.tolist(),
                frame.fee_down.tolist(),
            )
        )
    return problems


def allocate(problem: Interval) -> Optimum:
    """Solve the clearing LP of one interval."""
    model = pulp.LpProblem("clearing", pulp.LpMaximize)
    accepted, up, down = variables(model, problem)
    model += welfare(problem, accepted, up, down)
    balance(model, problem, accepted, up, down)
    solve_model(model)
    return Optimum(*([whole(variable) for variable in group] for group in (accepted, up, down)))


def variables(model: Any, problem: Interval) -> tuple[list[Any], list[Any], list[Any]]:
    """Accepted energy per order, flow up and flow down per edge, each within its bounds."""
    most = sum(problem.energy)
    accepted = [model.add_variable(f"q_{o}", 0, problem.energy[o]) for o in problem.orders]
    up = [model.add_variable(f"up_{n}", 0, min(problem.up[n], most) if n else 0) for n in problem.nodes]
    down = [model.add_variable(f"down_{n}", 0, min(problem.down[n], most) if n else 0) for n in problem.nodes]
    return accepted, up, down


def welfare(problem: Interval, accepted: list[Any], up: list[Any], down: list[Any]) -> Any:
    """What bids are worth, less what asks cost, less fees."""
    value = pulp.lpSum(
        (-problem.price[o] if problem.sell[o] else problem.price[o]) * accepted[o] for o in problem.orders
    )
    fees = pulp.lpSum(problem.fee_up[n] * up[n] + problem.fee_down[n] * down[n] for n in problem.edges)
    return value - fees


def balance(model: Any, problem: Interval, accepted: list[Any], up: list[Any], down: list[Any]) -> None:
    """What a node injects and what its children send leaves it towards its parent."""
    terms: list[list[Any]] = [[down[n] - up[n]] for n in problem.nodes]
    for o in problem.orders:
        terms[problem.node[o]].append(accepted[o] if problem.sell[o] else -1 * accepted[o])
    for n in problem.edges:
        terms[problem.parent[n]].append(up[n] - down[n])
    for n in problem.nodes:
        model += pulp.lpSum(terms[n]) == 0, f"balance_{n}"


def price_end(problem: Interval, optimum: Optimum, sense: int) -> list[int]:
    """Least (LpMinimize) or greatest (LpMaximize) prices on the optimal face, infinite where unbounded."""
    model = pulp.LpProblem("witness", sense)
    box = 1 + 2 * (max(map(abs, problem.price), default=0) + sum(problem.fee_up) + sum(problem.fee_down))
    price = [model.add_variable(f"p_{n}", -2 * box, 2 * box) for n in problem.nodes]
    model += pulp.lpSum(price)
    slackness(model, problem, optimum, price)
    solve_model(model)
    prices = [whole(variable) for variable in price]
    return [p if abs(p) < box else INFINITE if p > 0 else -INFINITE for p in prices]


def slackness(model: Any, problem: Interval, optimum: Optimum, price: list[Any]) -> None:
    """Complementary slackness: prices that the solved allocation leaves optimal."""
    for o in problem.orders:
        q, here, p = optimum.accepted[o], price[problem.node[o]], problem.price[o]
        asks_less, asks_more = (q < problem.energy[o], q > 0) if problem.sell[o] else (q > 0, q < problem.energy[o])
        if asks_less:
            model += here <= p
        if asks_more:
            model += here >= p
    for n in problem.edges:
        rise = price[problem.parent[n]] - price[n]
        least, most = rise_range(problem, optimum, n)
        if least > -INFINITE:
            model += rise >= least
        if most < INFINITE:
            model += rise <= most


def keep_together(problem: Interval, optimum: Optimum, wanted: list[int]) -> list[int]:
    """Move each node's wanted price, from the root down, into what its parent's price and its subtree allow.

    Needed behind one-way edges only, where a node with both ends may meet one with a single end.
    """
    low, high = [-INFINITE] * len(wanted), [INFINITE] * len(wanted)
    for o in problem.orders:
        n, q, p, energy = problem.node[o], optimum.accepted[o], problem.price[o], problem.energy[o]
        if q < energy if problem.sell[o] else q > 0:
            high[n] = min(high[n], p)
        if q > 0 if problem.sell[o] else q < energy:
            low[n] = max(low[n], p)
    for n in reversed(problem.edges):
        least, most = rise_range(problem, optimum, n)
        above = problem.parent[n]
        low[above], high[above] = max(low[above], low[n] + least), min(high[above], high[n] + most)
    price = list(wanted)
    for n in problem.edges:
        least, most = rise_range(problem, optimum, n)
        above = price[problem.parent[n]]
        price[n] = max(low[n], above - most, min(high[n], above - least, price[n]))
    return price


def rise_range(problem: Interval, optimum: Optimum, n: int) -> tuple[int, int]:
    """Least and greatest price difference from node n to its parent that leaves its edge's flow optimal."""
    net = optimum.up[n] - optimum.down[n]
    least, most = -INFINITE, INFINITE
    if net < problem.up[n]:
        most = problem.fee_up[n]
    if net > 0:
        least = problem.fee_up[n]
    if net > -problem.down[n]:
        least = max(least, -problem.fee_down[n])
    if net < 0:
        most = min(most, -problem.fee_down[n])
    return least, most


def solve_model(model: Any) -> None:
    """Solve a PuLP model with HiGHS, quietly, and insist on an optimum. Raises SolverError."""
    # PuLP 3 returns the status, PuLP 4 an object that holds it.
    result = model.solve(pulp.HiGHS(msg=False, threads=1))
    status = int(getattr(result, "status", result))
    if status != _OPTIMAL:
        raise SolverError(f"HiGHS stopped without an optimum, status {status}")


def whole(variable: Any) -> int:
    """A solved variable's value, which must be a whole number. Raises SolverError."""
    # PuLP keeps variables that no term mentions out of the model; zero is within all their bounds.
    value = variable.varValue or 0.0
    nearest: int = round(value)
    if abs(value - nearest) > 1e-4:
        raise SolverError(f"{variable.name} = {value} is not a whole number")
    return nearest
