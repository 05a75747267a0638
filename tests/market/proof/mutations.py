"""Every way to change one field of a proof file, also of the JSON texts inside it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

TEXTS = ("entry", "text")
"""Members that hold JSON as text."""


def mutations(proof: Any) -> Iterator[tuple[str, str]]:
    """(what was changed, the whole file) for every field: other values, left out, twice, one more."""
    for path, changed in _changed(proof, ""):
        yield path, json.dumps(changed)


def _changed(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield f"{path}.{name} left out", {key: row for key, row in value.items() if key != name}
            inner = _in_text(member, f"{path}.{name}") if name in TEXTS else _changed(member, f"{path}.{name}")
            for where, changed in inner:
                yield where, {**value, name: changed}
        yield f"{path} one more", {**value, "more": 0}
        yield f"{path} a list", [value]
    elif isinstance(value, list):
        for i, member in enumerate(value):
            yield f"{path}[{i}] left out", value[:i] + value[i + 1 :]
            yield f"{path}[{i}] twice", [*value[: i + 1], *copy.deepcopy(value[i:])]
            for where, changed in _changed(member, f"{path}[{i}]"):
                yield where, [*value[:i], changed, *value[i + 1 :]]
        yield f"{path} no list", {"0": value}
        if not value:
            yield f"{path} one more", [0]
    else:
        for other in _others(value):
            yield f"{path} {value!r} -> {other!r}", other


def _in_text(text: str, path: str) -> Iterator[tuple[str, Any]]:
    for where, changed in _changed(json.loads(text), path):
        yield where, json.dumps(changed, separators=(",", ":"))
    yield f"{path} spaced", text.replace(",", ", ", 1)
    yield f"{path} no JSON", text[:-1]
    yield f"{path} no text", 0
    yield f"{path} with a control sign", f"{text}\n"


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value, int(value)]
    if isinstance(value, int):
        return [value + 1, value - 1, float(value) + 0.5, str(value), None]
    if value is None:
        return [0, ""]
    flipped = value[:-1] + ("0" if value[-1:] != "0" else "1")
    return [other for other in (flipped, "", f"{value}0", 0, None, True, []) if other != value]
