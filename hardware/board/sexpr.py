"""S-expressions as KiCad writes them: lists whose items are lists, `Text` (quoted) or bare words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|([^\s()"]+))')
_INDENT_FROM = 90
"""A list that is longer than this [characters] is broken into lines."""

_CORNERS = 12


class Text(str):
    """A quoted string."""

    __slots__ = ()


Node = list[Any]


def parse(source: str) -> Node:
    """The one list that `source` holds. Raises ValueError."""
    stack: list[Node] = [[]]
    at, end = 0, len(source.rstrip())
    while at < end:
        match = _TOKEN.match(source, at)
        if match is None:
            raise ValueError(f"not an S-expression at character {at}")
        at = match.end()
        opened, closed, quoted, word = match.groups()
        if opened:
            stack.append([])
        elif closed:
            done = stack.pop()
            if not stack:
                raise ValueError("a bracket too many")
            stack[-1].append(done)
        elif word is not None:
            stack[-1].append(word)
        else:
            stack[-1].append(Text(quoted.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError("not one S-expression")
    found: Node = stack[0][0]
    return found


def write(node: Node) -> str:
    return "\n".join(_lines(node, 0)) + "\n"


def find(node: Node, name: str) -> Node | None:
    """The first child list called `name`."""
    return next(every(node, name), None)


def every(node: Node, name: str) -> Iterator[Node]:
    return (child for child in node if isinstance(child, list) and child and child[0] == name)


def child(node: Node, name: str) -> Node:
    """Raises KeyError."""
    found = find(node, name)
    if found is None:
        raise KeyError(f"({node[0]} …) has no ({name} …)")
    return found


def number(value: float) -> str:
    """At most four decimals [0.1 um], without idle zeros."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _atom(item: Any) -> str:
    if isinstance(item, Text):
        return '"' + item.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(item, float):
        return number(item)
    return str(item)


def _flat(node: Any) -> str:
    if not isinstance(node, list):
        return _atom(node)
    return "(" + " ".join(_flat(item) for item in node) + ")"


def _lines(node: Any, depth: int) -> list[str]:
    flat = _flat(node)
    if not isinstance(node, list) or len(flat) + depth <= _INDENT_FROM:
        return ["\t" * depth + flat]
    head = 1
    while head < len(node) and not isinstance(node[head], list):
        head += 1
    lines = ["\t" * depth + "(" + " ".join(_flat(item) for item in node[:head])]
    if node[0] == "pts":
        # polygons are long: several corners in a line
        rows = (node[start : start + _CORNERS] for start in range(head, len(node), _CORNERS))
        lines += ["\t" * (depth + 1) + " ".join(_flat(item) for item in row) for row in rows]
    else:
        for item in node[head:]:
            lines += _lines(item, depth + 1)
    lines.append("\t" * depth + ")")
    return lines
