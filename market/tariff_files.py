"""Tariff documents as files: the built-in ones and one's own, with every fault told as one line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec

from market.tariffs.tariff import Tariff, TariffError, parse_tariff

SUFFIX = ".json"
SIZE_BOUND = 2**24


def built_in() -> list[str]:
    """The names of the tariffs that come with the package."""
    return sorted(entry.name.removesuffix(SUFFIX) for entry in _data().iterdir() if entry.name.endswith(SUFFIX))


def read_body(name: str) -> Any:
    """The content of a built-in tariff, or of a file where ``name`` is a path (it has a dot or a slash).

    Raises TariffError.
    """
    if "." in name or "/" in name:
        return _decoded(name, Path(name))
    if name not in built_in():
        raise TariffError(f"tariff {name!r} is unknown; built in are {', '.join(built_in())}; or give a file")
    return _decoded(f"{name}{SUFFIX}", _data() / f"{name}{SUFFIX}")


def read_tariff(name: str) -> Tariff:
    """A built-in tariff by name, or one's own by path. Raises TariffError."""
    body = read_body(name)
    try:
        return parse_tariff(body)
    except TariffError as error:
        raise TariffError(f"{name}: {error}") from None


def with_built_ins(document: Any) -> Any:
    """A community's document in which names of built-in tariffs have become their content.

    So what is stored stands by itself, whatever a later version of the package brings. Raises TariffError.
    """
    tariffs = document.get("tariffs") if isinstance(document, Mapping) else None
    if not isinstance(tariffs, Mapping) or not any(isinstance(body, str) for body in tariffs.values()):
        return document
    found = {}
    for name, body in tariffs.items():
        if not isinstance(body, str):
            found[name] = body
        elif body in built_in():
            found[name] = read_body(body)
        else:
            raise TariffError(f"tariffs: {name}: {body!r} is no built-in tariff; there are {', '.join(built_in())}")
    return {**document, "tariffs": found}


def _data() -> Traversable:
    return files("market.tariffs").joinpath("data")


def _decoded(name: str, place: Traversable | Path) -> Any:
    try:
        with place.open("rb") as file:
            text = file.read(SIZE_BOUND + 1)
    except OSError as error:
        raise TariffError(f"{name}: {error.strerror or 'cannot be read'}") from None
    if len(text) > SIZE_BOUND:
        raise TariffError(f"{name}: more than {SIZE_BOUND} bytes")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TariffError(f"{name}: not JSON: {error}") from None
