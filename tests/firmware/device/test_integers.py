"""No float in the firmware: an ESP32's floats are of single precision, and lose watt-hours from 16,777,216 on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVICE = Path(__file__).resolve().parents[3] / "firmware" / "device"
MODULES = sorted(DEVICE.rglob("*.py"))
# module and function that give a float, here or on a board
GIVES_FLOAT = {("time", "time"), ("time", "mktime"), ("random", "random"), ("random", "uniform"), ("math", "*")}
# of struct and array: half, single and double precision
FLOAT_FORMAT = re.compile(r"[<>=!@]?[\d a-zA-Z?]*[efd][\d a-zA-Z?]*")


def floats(source: str) -> Iterator[str]:
    """Every place of a module where a float can come from, with its line."""
    tree = ast.parse(source)
    whole = {  # whole seconds, whatever the port gives
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node) == "int(time.time())"
    }
    for node in ast.walk(tree):
        if id(node) in whole:
            continue
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id="float" | "complex")):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="struct"), attr=_), args=[ast.Constant(value=str(text)), *_]
            ):
                if FLOAT_FORMAT.fullmatch(text):
                    yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=attr)) if (module, attr) in GIVES_FLOAT:
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Import(names=names) if any(name.name == "math" for name in names):
                yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(module="math"):
                yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(DEVICE).as_posix())
def test_no_float_anywhere(module: Path) -> None:
    assert list(floats(module.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1.5", "x = 1e3", "x = a / b", "x /= 2", "x = float(a)", "x = struct.unpack('>f', b)",
        "x = struct.unpack_from('<2HdI', b, 0)", "x = time.time()", "import math", "from math import pi", "x = 2j",
    ],
)  # fmt: skip
def test_the_search_finds_them(source: str) -> None:
    assert len(list(floats(source))) == 1


@pytest.mark.parametrize(
    "source", ["x = a // b", "x = int(time.time())", "x = struct.unpack('>9qH', b)", "x = time.ticks_ms()"]
)
def test_the_search_passes_integers(source: str) -> None:
    assert list(floats(source)) == []
