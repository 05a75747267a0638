"""Every bound and every malformed tree, by name and row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from market import Book, Network, ProblemError, clear

GOOD = {"interval": [0, 0], "node": [0, 0], "sell": [1, 0], "price_ticks": [1, 2], "energy_wh": [5, 5]}


def book(**changed: Any) -> Book:
    return Book(**(GOOD | changed))


CASES: list[tuple[str, int | None, Callable[[], object]]] = [
    ("no-nodes", None, lambda: Network([], [], [])),
    ("two-roots", 2, lambda: Network([-1, 0, -1], [-1] * 3, [0] * 3)),
    ("cycle", 1, lambda: Network([-1, 2, 1], [-1] * 3, [0] * 3)),
    ("cycle", 0, lambda: Network([1, 0], [-1] * 2, [0] * 2)),
    ("parent-self", 1, lambda: Network([-1, 1], [-1] * 2, [0] * 2)),
    ("parent-unknown", 1, lambda: Network([-1, 2], [-1] * 2, [0] * 2)),
    ("parent-unknown", 1, lambda: Network([-1, -2], [-1] * 2, [0] * 2)),
    ("limit-negative", 1, lambda: Network([-1, 0], [-1, -2], [0, 0])),
    ("limit-too-large", 1, lambda: Network([-1, 0], [-1, 2**61], [0, 0])),
    ("limit-negative", 1, lambda: Network([-1, 0], [-1, 1], [0, 0], limit_down_wh=[-1, -5])),
    ("fee-negative", 1, lambda: Network([-1, 0], [-1, -1], [0, -1])),
    ("fee-too-large", 1, lambda: Network([-1, 0], [-1, -1], [0, 2**30])),
    ("shape-mismatch", None, lambda: Network([-1, 0], [-1], [0, 0])),
    ("shape-mismatch", None, lambda: Network([-1, 0], [-1, 1], [0])),
    ("shape-mismatch", None, lambda: Network([[-1, 0]], [-1, 1], [0, 0])),
    ("shape-mismatch", None, lambda: Network([-1], [[-1], [1]], [0], limit_down_wh=[[1]])),
    ("not-a-number", 1, lambda: Network([-1, 0], [-1, float("nan")], [0, 0])),
    ("not-a-number", 0, lambda: book(price_ticks=[float("nan"), 1])),
    ("not-a-number", 1, lambda: book(energy_wh=[1, float("inf")])),
    ("not-an-integer", 1, lambda: book(energy_wh=[1, 1.5])),
    ("not-an-integer", None, lambda: book(energy_wh=["1", "x"])),
    ("too-large", 1, lambda: book(energy_wh=[1, 1e300])),
    ("too-large", 1, lambda: book(energy_wh=[1, 2**70])),
    ("interval-negative", 1, lambda: book(interval=[0, -1])),
    ("interval-unknown", 1, lambda: book(interval=[0, 3], intervals=3)),
    ("too-many-intervals", None, lambda: book(interval=[0, 2**40])),
    ("node-unknown", 1, lambda: book(node=[0, -1])),
    ("side-unknown", 0, lambda: book(sell=[2, 0])),
    ("price-too-large", 1, lambda: book(price_ticks=[0, 2**30])),
    ("price-too-large", 1, lambda: book(price_ticks=[0, -(2**30)])),
    ("energy-negative", 1, lambda: book(energy_wh=[0, -1])),
    ("energy-too-large", 0, lambda: book(energy_wh=[2**31, 1])),
    ("shape-mismatch", None, lambda: book(energy_wh=[1])),
    ("node-unknown", 1, lambda: clear(book(node=[0, 1]), Network([-1], [-1], [0]))),
    ("shape-mismatch", None, lambda: clear(book(), Network([-1], [[-1], [-1]], [0]))),
    (
        "value-too-large",
        0,
        lambda: clear(
            Book([0] * 3, [0] * 3, [1, 0, 0], [2**30 - 1] * 3, [2**31 - 1] * 3),
            Network([-1], [-1], [0]),
        ),
    ),
    (
        "path-fee-too-large",
        None,
        lambda: clear(Book([], [], [], [], []), Network([-1, *range(299)], [-1] * 300, [2**30 - 1] * 300)),
    ),
    (
        "too-many-cells",
        None,
        lambda: clear(Book([], [], [], [], [], intervals=2**30), Network([-1, 0], [-1, -1], [0, 0])),
    ),
]


@pytest.mark.parametrize(("name", "row", "act"), CASES, ids=[f"{n}-{at}" for at, (n, _, _) in enumerate(CASES)])
def test_named_with_row(name: str, row: int | None, act: Callable[[], object]) -> None:
    with pytest.raises(ProblemError) as caught:
        act()
    assert (caught.value.name, caught.value.row) == (name, row)
    assert "\n" not in str(caught.value)


def test_an_empty_book_has_no_intervals_unless_told() -> None:
    cleared = clear(Book([], [], [], [], []), Network([-1], [-1], [0]))
    assert cleared.price_ticks.shape == (0, 1)
    cleared = clear(Book([], [], [], [], [], intervals=3), Network([-1, 0], [-1, 1], [0, 0]))
    assert cleared.flow_wh.shape == (3, 2)
    assert not cleared.gap.any()


def test_arrays_are_read_only_copies() -> None:
    prices = np.array([1, 2])
    made = book(price_ticks=prices)
    prices[0] = 99
    assert made.price_ticks.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        made.price_ticks[0] = 3
