"""The market: a pure engine, the record, the service and the command around it.

The engine's public names are imported when they are first asked for, so that what needs no solver
(the dashboard, the record's readers) loads none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from market.clearing.clear import Clearing, clear
    from market.clearing.problem import NO_PRICE, Book, Network, ProblemError

__all__ = ["NO_PRICE", "Book", "Clearing", "Network", "ProblemError", "clear"]

_HOME = {"Clearing": "market.clearing.clear", "clear": "market.clearing.clear"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'market' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "market.clearing.problem")), name)
