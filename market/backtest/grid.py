"""A SimBench low-voltage grid: its tree, its homes, and the shapes their loads and roofs follow through the year.

Load and generation of one bus are one household. Storage is left out: SimBench's storage profile is no dispatch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from market.backtest.meters import Meters, net_of
from market.clearing.problem import UNLIMITED, Ints, Network

SHAPE_UNIT = 1_000_000
"""Shapes are whole millionths of an element's rated power."""
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Node:
    """A bus; a parent stands before its children in a grid's nodes."""

    node: str
    parent: str | None
    level: str  # substation | feeder | bus


@dataclass(frozen=True, slots=True)
class Element:
    """A load or generator: the shape it follows and its rated power [W]."""

    shape: str
    power_w: int


@dataclass(frozen=True, slots=True)
class Home:
    household: str
    node: str
    loads: tuple[Element, ...]
    generators: tuple[Element, ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid's year.

    Attributes:
        start, step_s: epoch seconds of the first step, and the length of all [s].
        shapes: by name, over steps, mean power in the step in millionths of the rated power.
    """

    code: str
    timezone: str
    start: int
    step_s: int
    nodes: tuple[Node, ...]
    homes: tuple[Home, ...]
    shapes: Mapping[str, Ints]


def meters_of(grid: Grid) -> Meters:
    """The homes' energy [Wh]: powers add up per home in exact integers and are rounded once, halves up.

    A shape that dips below zero (one heat pump's does, by 12 millionths) counts as zero there.
    """
    load = np.column_stack([_energy(grid, home.loads) for home in grid.homes])
    generation = np.column_stack([_energy(grid, home.generators) for home in grid.homes])
    taken, given = net_of(load, generation)
    names = tuple(home.household for home in grid.homes)
    at = tuple(home.node for home in grid.homes)
    return Meters(names, at, grid.start, grid.step_s, taken, given, generation, load)


def _energy(grid: Grid, elements: Sequence[Element]) -> Ints:
    steps = next(iter(grid.shapes.values())).size
    total = np.zeros(steps, np.int64)
    for element in elements:
        total += grid.shapes[element.shape] * element.power_w
    per_wh = SHAPE_UNIT * HOUR_S // grid.step_s
    energy: Ints = np.maximum((2 * total + per_wh) // (2 * per_wh), 0)
    return energy


def tree_of(grid: Grid, fee_ticks_by_level: Mapping[str, int]) -> tuple[tuple[str, ...], Network]:
    """Names of the nodes and the network, without limits; the fee is that of the edge above a node of this level."""
    index = {node.node: at for at, node in enumerate(grid.nodes)}
    fee = [0 if node.parent is None else fee_ticks_by_level.get(node.level, 0) for node in grid.nodes]
    parent = [-1 if node.parent is None else index[node.parent] for node in grid.nodes]
    return tuple(index), Network(parent, [UNLIMITED] * len(index), fee)
