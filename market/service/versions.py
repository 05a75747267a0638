"""The versions of engine and solver that a settlement is made with; each gate closure records them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from market.clearing.clear import Solver

SOLVER: Solver = "pulp"


@cache
def versions() -> dict[str, str]:
    return {"engine": version("pumasi"), "solver": SOLVER, "pulp": version("pulp"), "highspy": version("highspy")}
