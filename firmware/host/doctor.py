"""The self-test's result as a table for people."""

from __future__ import annotations

from typing import Any

WORDS = {"ok": "ok", "warn": "WARN", "fail": "FAILS", "skip": "-"}


def table(said: dict[str, Any]) -> list[str]:
    """One line per check: what was looked at, how it is, what the meter says."""
    rows = [(str(row["check"]), WORDS.get(_level(row), "?"), str(row.get("says", ""))) for row in said["checks"]]
    width = max((len(check) for check, _, _ in rows), default=0)
    return [f"  {check:<{width}}  {word:<5}  {says}".rstrip() for check, word, says in rows]


def fails(said: dict[str, Any]) -> list[str]:
    """The checks that failed, by name."""
    return [str(row["check"]) for row in said["checks"] if _level(row) == "fail"]


def _level(row: dict[str, Any]) -> str:
    if "level" in row:
        return str(row["level"])
    return "skip" if row.get("ok") is None else "ok" if row["ok"] else "fail"
