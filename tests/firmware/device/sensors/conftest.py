from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def ask(on_device: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs a script of `scripts/` with arguments from a file: on the command line the unix port takes 255 bytes."""

    def run(script: str, *arguments: object, heap: str | None = None) -> Any:
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        return on_device(script, "arguments.json", **({} if heap is None else {"heap": heap}))

    return run
