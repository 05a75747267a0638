"""Within the room: computation knows no file, clock or environment; readers and writers stand at its edge."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import market.backtest

ROOM = Path(market.backtest.__file__).parent
PURE = ("meters", "grid", "run", "rules", "law", "figures", "profile", "charts")
MAY_IMPORT = {
    "__future__", "collections", "dataclasses", "datetime", "markupsafe", "math", "numpy", "statistics", "typing",
    "market.clearing", "market.mechanisms", "market.units", *(f"market.backtest.{name}" for name in PURE),
}  # fmt: skip
EDGES = {"archive", "simbench", "meters_csv", "files", "report"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_every_file_is_in_one_of_the_two() -> None:
    assert {path.stem for path in ROOM.glob("*.py")} == {"__init__", *PURE, *EDGES}


@pytest.mark.parametrize("name", PURE)
def test_computation_is_pure(name: str) -> None:
    path = ROOM / f"{name}.py"
    for found in imports(path):
        assert any(found == entry or found.startswith(f"{entry}.") for entry in MAY_IMPORT), found
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (
            isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow", "perf_counter", "random"}
        )
