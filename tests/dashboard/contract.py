"""Every operation of the OpenAPI document with parameters that fit, for tests that go through all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

METHODS = ("get", "post", "put", "patch", "delete")
INTERVAL = 1_468_230_300
"""The second interval of tests.market.settled's record [epoch s]."""
FITTING: dict[str, str] = {
    "start": str(INTERVAL),
    "month": "2016-07",
    "day": "2016-07-11",
    "meter": "m001",
    "token": "0" * 16,
    "session": "0" * 16,
    "passkey": "0" * 16,
}
INVITATION = "x" * 43


@dataclass(frozen=True)
class Operation:
    """A path and method, and what it says it needs: ``scopes`` is None where anybody may come."""

    method: str
    path: str
    scopes: frozenset[str] | None
    details: dict[str, Any]

    @property
    def safe(self) -> bool:
        return self.method == "get"

    @property
    def streams(self) -> bool:
        return self.path.endswith("/events")

    def url(self, household: str) -> str:
        """The path with parameters that fit."""
        values = dict(FITTING, household=household)
        if self.path.startswith("/invitation/"):
            values["token"] = INVITATION
        for parameter in self.details.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] not in values:
                values[parameter["name"]] = _fitting(parameter["schema"])
        return self.path.format(**values)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


def operations(app: FastAPI) -> Iterator[Operation]:
    for path, methods in app.openapi()["paths"].items():
        for method in METHODS:
            if method in methods:
                details = methods[method]
                needs = details.get("security")
                scopes = None if needs is None else frozenset(s for n in needs for names in n.values() for s in names)
                yield Operation(method, path, scopes, details)


def _fitting(schema: dict[str, Any]) -> str:
    if schema.get("type") == "integer":
        return str(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
    if "enum" in schema:
        return str(schema["enum"][0])
    pattern = schema.get("pattern", "")
    for value in ("1", "a", "m001", "2016-07", "2016-07-11", "0" * 16, "0" * 32, "0" * 64, "x" * 43):
        if re.search(pattern, value):
            return value
    raise AssertionError(f"no value fits {schema}; name one in FITTING")
