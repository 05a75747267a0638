"""A tree from left to right as rows and columns: what is drawn where. Large trees are drawn as far as they fit.

Nodes are drawn level by level while there is room. What has no room is one shape for each parent that says how many
nodes it stands for, and how loaded the worst of them is. Leaves take a row each, a parent the middle of its own
(a tidy tree after Reingold and Tilford, 1981, with leaves of one height).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

SHAPES_BOUND = 60
COLUMN, ROW, WIDTH, HEIGHT = 176, 46, 132, 36
"""Pixels from column to column and from row to row, and of a shape."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A node to draw; ``flow_wh`` is towards its parent."""

    node: str
    parent: str | None
    homes: int
    load_permille: int | None
    band: str
    flow_wh: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A shape's upper left corner [px], and where the line to its parent ends. ``nodes`` above 1: it stands for many.

    ``closed``: nodes lie below it that are not drawn.
    """

    node: str
    nodes: int
    homes: int
    load_permille: int | None
    band: str
    flow_wh: int
    x: int
    y: int
    to_x: int | None
    to_y: int | None
    closed: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on a canvas [px]."""

    width: int
    height: int
    shapes: tuple[Drawn, ...]


@dataclass
class _Place:
    """Where a shape goes: ``above`` is the place of its parent in the list, ``stands`` how many nodes it is for."""

    shape: Shape
    above: int | None
    depth: int
    stands: int
    closed: bool
    middle: int = 0


def draw(shapes: Sequence[Shape], most: int = SHAPES_BOUND) -> Drawing:
    """Draw the tree whose root comes first, at most about ``most`` shapes of it; parents come before their children."""
    children: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes[1:]:
        assert shape.parent is not None
        children[shape.parent].append(shape)
    places = _chosen(shapes[0], children, _counts(shapes), most)
    _set_rows(places)
    return Drawing(
        max(one.depth for one in places) * COLUMN + WIDTH + 2,
        max(one.middle for one in places) + HEIGHT // 2 + 1,
        tuple(_drawn(one, None if one.above is None else places[one.above]) for one in places),
    )


def _counts(shapes: Sequence[Shape]) -> dict[str, int]:
    """Nodes at and below each."""
    found = {shape.node: 1 for shape in shapes}
    for shape in reversed(shapes[1:]):
        assert shape.parent is not None
        found[shape.parent] += found[shape.node]
    return found


def _chosen(root: Shape, children: dict[str, list[Shape]], counts: dict[str, int], most: int) -> list[_Place]:
    """What is drawn, a node before those below it, siblings in order."""
    opened, left = {root.node}, most - 1 - len(children[root.node])
    level = children[root.node]
    while level:
        following = []
        for node in level:
            own = children[node.node]
            if own and len(own) <= left:
                opened.add(node.node)
                left -= len(own)
                following += own
        level = following
    places: list[_Place] = []
    waiting: list[tuple[Shape, int | None, int, int | None]] = [(root, None, 0, None)]
    while waiting:
        shape, above, depth, others = waiting.pop()
        closed = others is None and shape.node not in opened and bool(children[shape.node])
        places.append(_Place(shape, above, depth, others or (counts[shape.node] if closed else 1), closed))
        if others is None and shape.node in opened:
            below = _gathered(children[shape.node], counts, most)
            waiting += [(one, len(places) - 1, depth + 1, many) for one, many in reversed(below)]
    return places


def _gathered(own: Sequence[Shape], counts: dict[str, int], most: int) -> list[tuple[Shape, int | None]]:
    """The shapes: of too many, the most loaded ones, and one for the others with how many nodes it stands for."""
    if len(own) < most:
        return [(one, None) for one in own]
    by_load = sorted(own, key=lambda one: -(one.load_permille or 0))
    shown, others = {one.node for one in by_load[: most - 2]}, by_load[most - 2 :]
    rest = replace(others[0], homes=sum(one.homes for one in others), flow_wh=sum(one.flow_wh for one in others))
    return [*((one, None) for one in own if one.node in shown), (rest, sum(counts[one.node] for one in others))]


def _set_rows(places: Sequence[_Place]) -> None:
    parents = {one.above for one in places}
    row = 0
    for i, one in enumerate(places):
        if i not in parents:
            one.middle = row * ROW + HEIGHT // 2 + 1
            row += 1
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for i in reversed(range(len(places))):
        if i in parents:
            places[i].middle = (first[i] + last[i]) // 2
        above = places[i].above
        if above is not None:
            first[above] = places[i].middle
            last.setdefault(above, places[i].middle)


def _drawn(one: _Place, above: _Place | None) -> Drawn:
    shape = one.shape
    return Drawn(
        node=shape.node,
        nodes=one.stands,
        homes=shape.homes,
        load_permille=shape.load_permille,
        band=shape.band,
        flow_wh=shape.flow_wh,
        x=one.depth * COLUMN + 1,
        y=one.middle - HEIGHT // 2,
        to_x=None if above is None else above.depth * COLUMN + WIDTH + 1,
        to_y=None if above is None else above.middle,
        closed=one.closed,
    )
