"""A tree's drawing: everything has its own place, parents stand between their children, it never grows large."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.operator.drawing import COLUMN, HEIGHT, ROW, WIDTH, Shape, draw


def shape(number: int, parent: int | None, load: int | None = None) -> Shape:
    return Shape(f"n{number}", None if parent is None else f"n{parent}", 1, load, "low", number)


@st.composite
def trees(draw_from: st.DrawFn) -> list[Shape]:
    count = draw_from(st.integers(1, 60))
    found = [shape(0, None)]
    for number in range(1, count):
        above = draw_from(st.integers(max(0, number - 12), number - 1))
        found.append(shape(number, above, draw_from(st.none() | st.integers(0, 1500))))
    return found


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(8, 30))
def test_any_tree(tree: list[Shape], most: int) -> None:
    drawing = draw(tree, most)
    places = {(one.x, one.y) for one in drawing.shapes}
    assert len(places) == len(drawing.shapes) <= most + 1
    assert all(0 <= one.x <= drawing.width - WIDTH and 0 <= one.y <= drawing.height - HEIGHT for one in drawing.shapes)
    columns: dict[int, list[int]] = {}
    for one in drawing.shapes:
        columns.setdefault(one.x, []).append(one.y)
    for rows in columns.values():
        rows.sort()
        assert all(below - above >= HEIGHT for above, below in pairwise(rows)), "nothing overlaps"
    root = drawing.shapes[0]
    assert (root.node, root.to_x, root.x) == ("n0", None, 1)
    # Every node is drawn, or in one that stands for it.
    assert sum(one.nodes for one in drawing.shapes) == len(tree)
    for one in drawing.shapes[1:]:
        assert one.to_x is not None
        assert one.x - one.to_x == COLUMN - WIDTH
        children = [other.y for other in drawing.shapes if (other.to_x, other.to_y) == (one.to_x, one.to_y)]
        assert one.to_y is not None
        assert min(children) <= one.to_y - HEIGHT // 2 <= max(children)


def test_of_too_many_children_the_most_loaded_are_drawn() -> None:
    tree = [shape(0, None), *(shape(i, 0, load=i) for i in range(1, 1001))]
    drawing = draw(tree, 20)
    assert len(drawing.shapes) == 20
    others = drawing.shapes[-1]
    assert (others.nodes, others.homes, others.load_permille, others.closed) == (982, 982, 982, False)
    assert {one.node for one in drawing.shapes[1:-1]} == {f"n{i}" for i in range(983, 1001)}


def test_a_node_whose_children_have_no_room_is_closed() -> None:
    tree = [shape(0, None), shape(1, 0), shape(2, 0), *(shape(i, 2) for i in range(3, 40))]
    drawing = draw(tree, 10)
    assert [(one.node, one.nodes, one.closed) for one in drawing.shapes] == [
        ("n0", 1, False),
        ("n1", 1, False),
        ("n2", 38, True),
    ]
    assert drawing.height == ROW + HEIGHT + 2
