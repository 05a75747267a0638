"""The year of a few grids in one small file, so that a backtest needs no other package.

    python -m market.backtest.archive [OUT]

makes ``grids/simbench-2016.xz`` again; that needs the extra ``simbench``. The file is one line of JSON and then the
shapes as little-endian 32-bit integers, all compressed. ODbL-1.0: see the licence beside it.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from market.backtest.grid import Element, Grid, Home, Node
from market.clearing.problem import Ints

FILE = Path(__file__).parent / "grids" / "simbench-2016.xz"
CODES = ("1-LV-rural3--2-sw", "1-LV-semiurb4--2-sw")
ATTRIBUTION = (
    "Contains information from the SimBench database (https://simbench.net), which is made available under the Open "
    "Database License (ODbL) 1.0. SimBench: University of Kassel, TU Dortmund, RWTH Aachen University, Fraunhofer IEE."
)
# Words of 4 bytes: the low bytes of neighbours resemble each other more than bytes of one number do.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}]


def codes() -> tuple[str, ...]:
    """The grids of the file."""
    return tuple(_file()[0]["grids"])


def read_archived(code: str) -> Grid:
    """A grid of the file. Raises KeyError for any other."""
    head, values = _file()
    entry = head["grids"][code]
    homes = tuple(
        Home(household, node, tuple(Element(*e) for e in loads), tuple(Element(*e) for e in generators))
        for household, node, loads, generators in entry["homes"]
    )
    used = {element.shape for home in homes for element in (*home.loads, *home.generators)}
    shapes = {name: _decoded(values[at], name) for at, name in enumerate(head["shapes"]) if name in used}
    nodes = tuple(Node(*node) for node in entry["nodes"])
    return Grid(code, head["timezone"], head["start"], head["step_s"], nodes, homes, shapes)


def packed(grids: Sequence[Grid]) -> bytes:
    """The file of these grids; the same grids give the same bytes with the same liblzma."""
    shapes: dict[str, Ints] = {}
    for grid in grids:
        shapes |= grid.shapes
    head = {
        "licence": "ODbL-1.0",
        "attribution": ATTRIBUTION,
        "timezone": grids[0].timezone,
        "start": grids[0].start,
        "step_s": grids[0].step_s,
        "shapes": sorted(shapes),
        "grids": {
            grid.code: {
                "nodes": [[node.node, node.parent, node.level] for node in grid.nodes],
                "homes": [
                    [home.household, home.node, *([[e.shape, e.power_w] for e in es] for es in _sides(home))]
                    for home in grid.homes
                ],
            }
            for grid in grids
        },
    }
    text = json.dumps(head, separators=(",", ":")).encode() + b"\n"
    data = b"".join(_encoded(shapes[name], name).tobytes() for name in sorted(shapes))
    return lzma.compress(text + data, filters=FILTERS)


def _sides(home: Home) -> tuple[tuple[Element, ...], tuple[Element, ...]]:
    return home.loads, home.generators


def _smooth(name: str) -> bool:
    """The sun changes little by little: differences pack to half the size."""
    return name.startswith("PV")


def _encoded(shape: Ints, name: str) -> Any:
    return (np.diff(shape, prepend=0) if _smooth(name) else shape).astype("<i4")


def _decoded(values: Any, name: str) -> Ints:
    shape: Ints = values.astype(np.int64)
    return np.cumsum(shape) if _smooth(name) else shape


@cache
def _file() -> tuple[Any, Any]:
    head, _, data = lzma.decompress(FILE.read_bytes()).partition(b"\n")
    document = json.loads(head)
    return document, np.frombuffer(data, "<i4").reshape(len(document["shapes"]), -1)


def main(arguments: list[str]) -> int:
    """Make the file."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    from market.backtest.simbench import read_grid

    out = Path(arguments[0]) if arguments else FILE
    data = packed([read_grid(code) for code in CODES])
    out.write_bytes(data)
    print(f"{out}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
