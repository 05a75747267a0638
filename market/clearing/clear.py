"""Clear a book on its network: who trades, and the witness that nobody could do better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from market.clearing import certificate, curve, lp, matching
from market.clearing.frame import fitting_tree, frames
from market.clearing.problem import NO_PRICE, Book, Ints, Network
from market.clearing.slackness import stand_in
from market.clearing.ties import share

Solver = Literal["curve", "pulp"]
SOLVERS = {"curve": curve.solve, "pulp": lp.solve}


@dataclass(frozen=True, eq=False)
class Clearing:
    """The result of :func:`clear`.

    Attributes:
        accepted_wh: over orders [Wh].
        price_ticks, price_low, price_high: (intervals, nodes), the witness [ticks]; NO_PRICE where nothing bounds it.
        flow_wh: (intervals, nodes), from each node to its parent [Wh].
        primal, dual: over intervals, both objectives [Wh x tick]; equal, which proves the result optimal.
    """

    book: Book
    network: Network
    accepted_wh: Ints
    price_ticks: Ints
    price_low: Ints
    price_high: Ints
    flow_wh: Ints
    primal: Ints
    dual: Ints

    @property
    def welfare(self) -> Ints:
        """What all households together gain per interval, after network fees [Wh x tick]."""
        return self.primal

    @property
    def gap(self) -> Ints:
        """Dual minus primal per interval; zero proves the optimum [Wh x tick]."""
        return self.dual - self.primal

    def matches(self) -> tuple[Ints, Ints, Ints]:
        """Arrays seller order, buyer order, energy [Wh]: partners under one node first, then the next level."""
        return matching.match(self.book, self.network, self.accepted_wh)


def allocate(book: Book, network: Network, price_ticks: Ints) -> tuple[Ints, Ints]:
    """Accepted energy over orders and flows (intervals, nodes) that the tie rule picks at an optimal witness.

    ``price_ticks`` is a published witness (intervals, nodes). Solves nothing: whoever has the prices can tell who
    should have traded.
    """
    price = stand_in(network, price_ticks)
    flow = np.zeros((book.intervals, network.nodes), np.int64)
    accepted = np.zeros(book.orders, np.int64)
    for first, frame in frames(book, network, fitting_tree(book, network)):
        rows = slice(first, first + frame.intervals)
        allocation = share(frame, np.ascontiguousarray(price[rows, frame.tree.node].T))
        accepted[frame.order] = allocation.accepted
        flow[rows, frame.tree.node] = allocation.flow.T
    return accepted, flow


def clear(book: Book, network: Network, solver: Solver = "curve") -> Clearing:
    """Clear every interval of the book. Both solvers return the same to the last unit.

    Raises :class:`~market.clearing.problem.ProblemError` when book and network do not fit, and
    :class:`~market.clearing.lp.SolverError` when the LP solver does not reach an integer optimum.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, not {solver!r}")
    tree = fitting_tree(book, network)
    shape = (book.intervals, network.nodes)
    price, low, high = (np.full(shape, NO_PRICE, np.int64) for _ in range(3))
    flow = np.zeros(shape, np.int64)
    accepted = np.zeros(book.orders, np.int64)
    for first, frame in frames(book, network, tree):
        witness = SOLVERS[solver](frame)
        allocation = share(frame, witness.price)
        accepted[frame.order] = allocation.accepted
        rows = slice(first, first + frame.intervals)
        for published, solved in (
            (price, witness.price),
            (low, witness.low),
            (high, witness.high),
            (flow, allocation.flow),
        ):
            published[rows, frame.tree.node] = solved.T
    proof = certificate.values(book, network, accepted, flow, price)
    return Clearing(book, network, accepted, price, low, high, flow, proof.primal, proof.dual)
