"""The certificate accepts every clearing and names every tampering; it must not lean on the solvers."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import market.clearing.certificate
import market.clearing.slackness
from market import NO_PRICE, Book, Clearing, Network, clear
from market.clearing.certificate import Published, verify
from tests.market.clearing.problems import random_problem


def published(cleared: Clearing) -> Published:
    return Published(*(getattr(cleared, field.name) for field in fields(Published)))


@pytest.mark.parametrize("module", [market.clearing.certificate, market.clearing.slackness])
def test_shares_no_code_with_the_solvers(module: object) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    own = {name for name in imported if name.startswith("market")}
    assert own <= {"market.clearing.problem", "market.clearing.slackness"}


def test_every_clearing_is_proven() -> None:
    for seed in range(700):
        book, network = random_problem(seed)
        assert verify(book, network, published(clear(book, network))) == [], seed


def case() -> tuple[Book, Network, Published]:
    network = Network([-1, 0, 0], [-1, 4, -1], [0, 2, 3])
    book = Book([0] * 4, [1, 2, 2, 1], [1, 0, 1, 0], [10, 30, 25, 12], [9, 6, 5, 2])
    return book, network, published(clear(book, network))


def test_the_untouched_case_is_proven() -> None:
    assert verify(*case()) == []


@pytest.mark.parametrize(
    ("field", "place", "change", "name"),
    [
        ("accepted_wh", 0, 10, "energy-over-order"),
        ("accepted_wh", 1, -100, "energy-negative"),
        ("accepted_wh", 3, -1, "balance-broken"),
        ("flow_wh", (0, 1), 1, "limit-exceeded"),
        ("flow_wh", (0, 2), 1, "balance-broken"),
        ("flow_wh", (0, 0), 1, "balance-broken"),
        ("flow_wh", (0, 2), 10**9, "flow-impossible"),
        ("price_ticks", (0, 1), 10**6, "price-impossible"),
        ("price_ticks", (0, 1), 1, "price-outside-interval"),
        ("price_low", (0, 1), -1, "price-low-wrong"),
        ("price_high", (0, 2), 1, "price-high-wrong"),
    ],
)
def test_tampering_is_named(field: str, place: object, change: int, name: str) -> None:
    book, network, result = case()
    values = getattr(result, field).copy()
    values[place] += change
    assert name in [fault.name for fault in verify(book, network, replace(result, **{field: values}))]


def test_a_worse_allocation_is_not_optimal() -> None:
    book, network, result = case()
    nothing = replace(result, accepted_wh=np.zeros_like(result.accepted_wh), flow_wh=np.zeros_like(result.flow_wh))
    assert [fault.name for fault in verify(book, network, nothing)] == ["not-optimal"]


def test_a_missing_and_an_unfounded_price() -> None:
    book, network, result = case()
    gone = result.price_ticks.copy()
    gone[0, 1] = NO_PRICE
    assert "price-missing" in [fault.name for fault in verify(book, network, replace(result, price_ticks=gone))]
    empty = Book([], [], [], [], [], intervals=1)
    blank = published(clear(empty, network))
    assert verify(empty, network, blank) == []
    said = replace(blank, price_ticks=np.zeros_like(blank.price_ticks))
    assert "price-unfounded" in [fault.name for fault in verify(empty, network, said)]


def test_any_single_change_of_a_number_is_found() -> None:
    rng = np.random.default_rng(3)
    tried = 0
    for seed in range(400):
        book, network = random_problem(seed)
        result = published(clear(book, network))
        field = ("accepted_wh", "flow_wh", "price_low", "price_high")[seed % 4]
        values = getattr(result, field).copy()
        if not values.size:
            continue
        at = np.unravel_index(rng.integers(values.size), values.shape)
        if values[at] == NO_PRICE:
            continue
        values[at] += int(rng.choice([-1, 1]))
        assert verify(book, network, replace(result, **{field: values})), (seed, field, at)
        tried += 1
    assert tried > 100
