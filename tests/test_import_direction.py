"""The pure core knows no network, database, clock, environment or random source; rooms import in one direction."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PURE = (
    "market/clearing", "market/mechanisms", "market/settlement", "market/tariffs", "market/billing", "market/proof",
    "market/forecast.py", "market/units.py",
)  # fmt: skip
PURE_MAY_IMPORT = {
    "__future__", "bisect", "calendar", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math", "msgspec", "operator", "re", "types",
    "typing", "warnings", "zoneinfo", "numpy", "pulp", "highspy",
    "market.billing", "market.clearing", "market.mechanisms", "market.proof", "market.settlement", "market.tariffs",
    "market.units",
}  # fmt: skip
CLOCKS_AND_CHANCE = {"now", "today", "utcnow", "fromtimestamp", "random"}

ROOMS = {
    "broker": {"broker"},
    "firmware/host": {"broker", "firmware"},
    "market/record": {"broker", "market.record", "market.settlement", "market.clearing", "market.units"},
    "market/proof": {"market.proof"},
    "market/statements": {"market.statements", "market.settlement", "market.tariffs", "market.units"},
    "market/series": {"market.series"},
    "market/service": {
        "broker", "market.backtest", "market.billing", "market.clearing", "market.mechanisms", "market.proof",
        "market.record", "market.series", "market.service", "market.settlement", "market.tariffs", "market.units",
        "market.whole_file",
    },
    "market/backtest": {
        "firmware.host.streets", "market.backtest", "market.clearing", "market.mechanisms", "market.order_files",
        "market.units",
    },
    "hardware": {"hardware"},
    "dashboard": {
        "broker", "dashboard", "market.billing", "market.clearing", "market.forecast", "market.mechanisms",
        "market.proof", "market.record", "market.series", "market.service", "market.settlement", "market.statements",
        "market.tariffs", "market.units",
    },
}  # fmt: skip
"""What a room may import of the project's own; the commands join the rooms and may import all."""
OURS = {"broker", "dashboard", "firmware", "hardware", "market"}


def modules(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module or ""


def allowed(name: str, room: set[str]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for entry in room)


@pytest.mark.parametrize("place", PURE)
def test_the_core_is_pure(place: str) -> None:
    assert modules(place), f"{place} is gone: this test must move with it"
    for path in modules(place):
        for name in imports(path):
            assert allowed(name, PURE_MAY_IMPORT), f"{path.relative_to(ROOT)} imports {name}"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in CLOCKS_AND_CHANCE, f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"


@pytest.mark.parametrize("place", ROOMS)
def test_rooms_import_in_one_direction(place: str) -> None:
    assert modules(place)
    for path in modules(place):
        for name in imports(path):
            if name.split(".")[0] in OURS:
                assert allowed(name, ROOMS[place]), f"{path.relative_to(ROOT)} imports {name}"


def test_host_code_never_imports_device_files() -> None:
    device = {path.stem for path in (ROOT / "firmware" / "device").rglob("*.py")}
    for place in ("broker", "dashboard", "firmware/host", "market"):
        for path in modules(place):
            for name in imports(path):
                assert not name.startswith("firmware.device"), path
                assert name not in device, f"{path} imports {name}"
