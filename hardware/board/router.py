"""Finds the tracks: A* on a grid of two layers, nets ripped up and routed again until none stands in another's way.

Source: L. McMurchie, C. Ebeling, "PathFinder: a negotiation-based performance-driven router for FPGAs", 1995. Every
choice is made by order and integers, so the same board gives the same tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hardware.board.way import Spot, Way

GRID_MM = 0.25
_MARGIN_MM = 0.03
"""So that the middle of a step between two grid points keeps the clearance too."""
_ROUNDS = 60


@dataclass(frozen=True)
class Copper:
    """A rectangle or a disc (`radius` of its corners) that is there before any track. Layers: 0 front, 1 back."""

    net: str
    x: float
    y: float
    width: float
    height: float
    layers: tuple[int, ...]
    radius: float = 0.0
    drill: float = 0.0
    terminal: bool = True
    clearance: float | None = None


@dataclass(frozen=True)
class Job:
    """A net to route. With `plane` each pad gets a via of its own to an inner layer instead of a way to the others."""

    net: str
    width: float
    pads: tuple[Copper, ...]
    side: str
    plane: bool = False


@dataclass
class Routed:
    """Tracks as lists of grid spots on one layer, and vias as (column, row)."""

    paths: list[list[Spot]] = field(default_factory=list)
    vias: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    width: float
    height: float
    clearance: float
    via: float
    via_drill: float
    edge: float
    forbidden: Callable[[str, float, float, float], bool]
    """Whether copper of a side, of a half width, may not be at x, y [mm]."""


class RoutingError(Exception):
    """A net that cannot be routed, or nets that stay in each other's way."""


class Router:
    def __init__(self, rules: Rules, copper: Sequence[Copper], jobs: Sequence[Job]) -> None:
        self._rules = rules
        self._columns = round(rules.width / GRID_MM) + 1
        self._rows = round(rules.height / GRID_MM) + 1
        self._size = self._columns * self._rows
        self._jobs = {job.net: job for job in jobs}
        self._numbers = {
            net: number for number, net in enumerate(sorted({one.net for one in copper} | set(self._jobs)), 1)
        }
        self._widths = sorted({job.width for job in jobs})
        self._forbidden: dict[tuple[str, float], np.ndarray] = {}
        shape = (2, self._rows, self._columns)
        self._owners = {width: np.zeros(shape, np.int32) for width in self._widths}
        self._via_owner = np.zeros(shape[1:], np.int32)
        self._busy = {width: np.zeros(shape, np.int16) for width in self._widths}
        self._via_busy = np.zeros(shape[1:], np.int16)
        self._history = np.zeros(shape, np.int32)
        self._stamps: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._routed: dict[str, Routed] = {}
        for one in copper:
            self._place(one)

    def run(self, say: Callable[[str], None] = lambda line: None) -> dict[str, Routed]:
        """Raises RoutingError."""
        order = sorted(self._jobs.values(), key=lambda job: (job.plane, self._span(job), job.net))
        waiting = [job.net for job in order]
        for turn in range(_ROUNDS):
            for net in waiting:
                self._rip(net)
                self._routed[net] = self._route(self._jobs[net], 12 + 18 * turn)
                self._stamp(net)
            waiting = self._quarrels(order)
            say(f"  round {turn + 1}: {len(waiting)} nets in each other's way")
            if not waiting:
                return self._routed
        raise RoutingError("these nets stay in each other's way: " + ", ".join(waiting))

    # --- what is in the way

    def _place(self, one: Copper) -> None:
        number = self._numbers[one.net] if one.net else -1
        clearance = self._rules.clearance if one.clearance is None else one.clearance
        for width, owner in self._owners.items():
            for layer in one.layers:
                self._claim(owner[layer], self._near(one, width / 2 + clearance + _MARGIN_MM), number)
        self._claim(self._via_owner, self._near(one, self._rules.via / 2 + clearance + _MARGIN_MM), number)
        if one.terminal and one.net:
            # no via in a pad, and none so near to a hole that the drills meet
            around = self._rules.via / 2 if not one.drill else self._rules.via_drill / 2 + 0.25
            self._via_owner[self._near(one, around)] = -1

    @staticmethod
    def _claim(owner: np.ndarray, where: np.ndarray, number: int) -> None:
        part = owner[where]
        owner[where] = np.where((part == 0) | (part == number), number, -1)

    def _near(self, one: Copper, distance: float) -> np.ndarray:
        """The grid points nearer than `distance` to the copper."""
        mask = np.zeros((self._rows, self._columns), bool)
        reach_x, reach_y = one.width / 2 + distance, one.height / 2 + distance
        left, right = (
            max(int((one.x - reach_x) / GRID_MM), 0),
            min(int((one.x + reach_x) / GRID_MM) + 1, self._columns - 1),
        )
        top, bottom = (
            max(int((one.y - reach_y) / GRID_MM), 0),
            min(int((one.y + reach_y) / GRID_MM) + 1, self._rows - 1),
        )
        if left > right or top > bottom:
            return mask
        xs = np.abs(np.arange(left, right + 1) * GRID_MM - one.x) - (one.width / 2 - one.radius)
        ys = np.abs(np.arange(top, bottom + 1) * GRID_MM - one.y) - (one.height / 2 - one.radius)
        away = np.hypot(np.maximum(xs, 0)[None, :], np.maximum(ys, 0)[:, None]) - one.radius
        mask[top : bottom + 1, left : right + 1] = away < distance - 1e-9
        return mask

    def _forbidden_for(self, side: str, half: float) -> np.ndarray:
        key = (side, half)
        if key not in self._forbidden:
            mask = np.zeros((self._rows, self._columns), bool)
            least = self._rules.edge + half
            for row in range(self._rows):
                y = row * GRID_MM
                for column in range(self._columns):
                    x = column * GRID_MM
                    mask[row, column] = (
                        x < least or y < least or x > self._rules.width - least or y > self._rules.height - least
                        or self._rules.forbidden(side, x, y, half)
                    )  # fmt: skip
            self._forbidden[key] = mask
        return self._forbidden[key]

    def _quarrels(self, order: Sequence[Job]) -> list[str]:
        """Nets whose tracks are too near to another's; their places become dearer."""
        found = set()
        for job in order:
            routed = self._routed[job.net]
            own = self._stamps[job.net]
            busy = self._busy[job.width] - own[self._widths.index(job.width)][0]
            via_busy = self._via_busy - own[-1][1]
            for path in routed.paths:
                for layer, column, row in path:
                    if busy[layer, row, column] > 0:
                        found.add(job.net)
                        self._history[layer, row, column] += 6
            for column, row in routed.vias:
                if via_busy[row, column] > 0:
                    found.add(job.net)
                    self._history[:, row, column] += 6
        return [job.net for job in order if job.net in found]

    def _rip(self, net: str) -> None:
        for width, (tracks, vias) in zip(self._widths, self._stamps.pop(net, []), strict=False):
            self._busy[width] -= tracks
            if width == self._widths[-1]:
                self._via_busy -= vias

    def _stamp(self, net: str) -> None:
        job, routed = self._jobs[net], self._routed[net]
        stamps = []
        vias = self._covered(job, routed, self._rules.via)[0] | self._covered(job, routed, self._rules.via)[1]
        for width in self._widths:
            tracks = self._covered(job, routed, width).astype(np.int16)
            self._busy[width] += tracks
            stamps.append((tracks, vias.astype(np.int16)))
        self._via_busy += vias.astype(np.int16)
        self._stamps[net] = stamps

    def _covered(self, job: Job, routed: Routed, width: float) -> np.ndarray:
        """Where the middle of another net's copper of `width` would be too near."""
        cover = np.zeros((2, self._rows, self._columns), bool)
        track = _disc(job.width / 2 + self._rules.clearance + width / 2 + _MARGIN_MM)
        via = _disc(self._rules.via / 2 + self._rules.clearance + width / 2 + _MARGIN_MM)
        for path in routed.paths:
            for layer, column, row in path:
                self._print(cover[layer], track, column, row)
        for column, row in routed.vias:
            for layer in (0, 1):
                self._print(cover[layer], via, column, row)
        return cover

    def _print(self, cover: np.ndarray, stamp: np.ndarray, column: int, row: int) -> None:
        reach = stamp.shape[0] // 2
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, self._rows), min(column + reach + 1, self._columns)
        cover[top:bottom, left:right] |= stamp[
            top - row + reach : bottom - row + reach, left - column + reach : right - column + reach
        ]

    # --- the way

    def _route(self, job: Job, price: int) -> Routed:
        number = self._numbers[job.net]
        owner = self._owners[job.width]
        closed = (owner != 0) & (owner != number) | self._forbidden_for(job.side, job.width / 2)[None]
        closed_via = (self._via_owner != 0) & (self._via_owner != number) | self._forbidden_for(
            job.net, self._rules.via / 2
        )
        dear = self._busy[job.width].astype(np.int32) * price + self._history
        dear_via = self._via_busy.astype(np.int32) * price
        way = Way(self._columns, self._rows, closed, closed_via, dear, dear_via)
        routed = Routed()
        terminals = [self._terminal(job, pad, closed) for pad in job.pads]
        if job.plane:
            for pad, spots in zip(job.pads, terminals, strict=True):
                if not pad.drill:
                    path = way.to_plane(spots)
                    if path is None:
                        raise RoutingError(f"{job.net}: no room for a via near {pad.x:.2f}, {pad.y:.2f}")
                    self._keep(routed, path, way)
                    routed.vias.append(path[-1][1:])
                    way.close_via(*path[-1][1:])
            return routed
        tree = list(terminals[0])
        left = list(range(1, len(terminals)))
        centres = [(pad.x / GRID_MM, pad.y / GRID_MM) for pad in job.pads]
        done = [0]
        while left:
            near = min(left, key=lambda one: (min(_apart(centres[one], centres[two]) for two in done), one))
            path = way.between(tree, terminals[near], centres[near])
            if path is None:
                raise RoutingError(f"{job.net}: no way to {job.pads[near].x:.2f}, {job.pads[near].y:.2f}")
            self._keep(routed, path, way)
            tree += [*path, *terminals[near]]
            left.remove(near)
            done.append(near)
        return routed

    def _keep(self, routed: Routed, path: list[Spot], way: Way) -> None:
        run = [path[0]]
        for spot in path[1:]:
            if spot[0] != run[-1][0]:
                if len(run) > 1:
                    routed.paths.append(run)
                if spot[1:] not in routed.vias:
                    routed.vias.append(spot[1:])
                    way.close_via(*spot[1:])
                run = [spot]
            else:
                run.append(spot)
        if len(run) > 1:
            routed.paths.append(run)

    def _terminal(self, job: Job, pad: Copper, closed: np.ndarray) -> list[Spot]:
        inside = self._near(
            Copper(pad.net, pad.x, pad.y, max(pad.width - 0.1, 0.01), max(pad.height - 0.1, 0.01), pad.layers), 0.03
        )
        rows, columns = np.nonzero(inside)
        spots = [
            (layer, int(column), int(row))
            for layer in pad.layers
            for row, column in zip(rows, columns, strict=True)
            if not closed[layer, row, column]
        ]
        middle = (pad.x / GRID_MM, pad.y / GRID_MM)
        spots.sort(key=lambda spot: (_apart((spot[1], spot[2]), middle), spot))
        if not spots:
            raise RoutingError(f"{job.net}: the pad at {pad.x:.2f}, {pad.y:.2f} cannot be reached")
        return spots[: 9 * len(pad.layers)]

    def _span(self, job: Job) -> float:
        xs, ys = [pad.x for pad in job.pads], [pad.y for pad in job.pads]
        return max(xs) - min(xs) + max(ys) - min(ys)


def _disc(radius: float) -> np.ndarray:
    reach = int(radius / GRID_MM)
    steps = np.arange(-reach, reach + 1) * GRID_MM
    near: np.ndarray = np.hypot(steps[None, :], steps[:, None]) < radius - 1e-9
    return near


def _apart(one: tuple[float, float], two: tuple[float, float]) -> float:
    return abs(one[0] - two[0]) + abs(one[1] - two[1])
