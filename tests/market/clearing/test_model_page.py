"""docs/model.md names functions that exist, and its example runs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "model.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(market(?:\.\w+)+)`", PAGE))))
def test_every_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(module), attribute)


def test_the_example_says_what_happens() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, object] = {}
    exec(code, scope)
    for expression, said in re.findall(r"^(cleared\.\w+)  # (\[.*?\])", code, re.MULTILINE):
        assert str(eval(expression, scope)) == said
