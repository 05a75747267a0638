"""Make `rural3-summer.json.gz`: one real summer week of a SimBench low-voltage grid.

    python -m firmware.host.streets.make [OUT]

Needs the package `simbench` (the optional extra of the same name). The result depends on the data set
only: the same SimBench data give the same JSON text and, with the same zlib, the same file.
"""

import gzip
import importlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

GRID = "1-LV-rural3--2-sw"
TIMEZONE = "Europe/Berlin"
START = datetime(2016, 7, 11, tzinfo=ZoneInfo(TIMEZONE))
STEP_S = 900
STEPS = 7 * 24 * 4
OUT = Path(__file__).parent / "rural3-summer.json.gz"
ATTRIBUTION = (
    "Contains information from the SimBench database (https://simbench.net), grid 1-LV-rural3--2-sw, "
    "which is made available under the Open Database License (ODbL) 1.0. "
    "SimBench: University of Kassel, TU Dortmund, RWTH Aachen University, Fraunhofer IEE."
)
OPENING = "pccpcpccpcpc"  # a demo of twelve homes has five with PV (p) and seven consumers (c)
PLAIN_LOADS = "H0-"  # household load profiles; the other families are trades, heat pumps and car chargers
OPENING_PV_W = 12_000  # a roof, not a barn


def busbar_tree(net: Any) -> tuple[dict[int, int | None], dict[int, int]]:
    """Parents of all low-voltage buses, and the feeder head each belongs to, from the transformer's busbar down.

    Only lines in service whose switches are all closed conduct. ValueError if the grid is not radial.
    """
    opened = {(row.et, int(row.element)) for row in net.switch.itertuples() if not row.closed}
    neighbours: dict[int, set[int]] = {}
    for row in net.line.itertuples():
        if row.in_service and ("l", int(row.Index)) not in opened:
            a, b = int(row.from_bus), int(row.to_bus)
            neighbours.setdefault(a, set()).add(b)
            neighbours.setdefault(b, set()).add(a)
    root = int(net.trafo.lv_bus.iloc[0])
    parent: dict[int, int | None] = {root: None}
    feeder: dict[int, int] = {}
    queue = [root]
    for bus in queue:
        for below in sorted(neighbours.get(bus, ()), key=lambda b: bus_number(net, b)):
            if below == parent[bus]:
                continue
            if below in parent:
                raise ValueError(f"{GRID}: bus {below} is reached twice, the grid is not radial")
            parent[below] = bus
            feeder[below] = feeder.get(bus, below)
            queue.append(below)
    return parent, feeder


def bus_number(net: Any, bus: int) -> int:
    """The number in SimBench's own bus name, e.g. 94 in "LV3.101 Bus 94"."""
    return int(str(net.bus.name[bus]).rsplit(" ", 1)[1])


def first_step(times: list[str]) -> int:
    """Index of START in SimBench's column of local wall-clock times, checked to be one unbroken week."""
    wanted = START.strftime("%d.%m.%Y %H:%M")
    first = times.index(wanted)
    week = [datetime.strptime(text, "%d.%m.%Y %H:%M") for text in times[first : first + STEPS]]
    if len(week) != STEPS or any((b - a).total_seconds() != STEP_S for a, b in pairwise(week)):
        raise ValueError(f"{GRID}: the week from {wanted} is not unbroken")
    return first


def watts(elements: Iterable[Any], profiles: Any, suffix: str, first: int) -> dict[int, NDArray[np.float64]]:
    """Mean power of each quarter-hour, summed per bus [W], over shape (STEPS,)."""
    total: dict[int, NDArray[np.float64]] = {}
    for row in elements:
        shape = profiles[f"{row.profile}{suffix}"].to_numpy(dtype=np.float64)[first : first + STEPS]
        power = shape * (float(row.p_mw) * float(row.scaling) * 1e6)
        bus = int(row.bus)
        total[bus] = total[bus] + power if bus in total else power
    return total


def round_robin(groups: list[list[int]]) -> Iterator[int]:
    for turn in range(max(map(len, groups), default=0)):
        yield from (group[turn] for group in groups if turn < len(group))


def order_homes(net: Any, feeder: dict[int, int]) -> list[int]:
    """Buses of the homes: OPENING spread over the feeders, largest first, then the others, feeder by feeder in turn."""
    plain = {int(b) for b in net.load.bus} - {int(r.bus) for r in net.load.itertuples() if PLAIN_LOADS not in r.profile}
    pv_w = (net.sgen.groupby("bus").p_mw.sum() * 1e6).to_dict()
    homes = sorted({int(b) for b in net.load.bus} | {int(b) for b in net.sgen.bus}, key=lambda b: bus_number(net, b))
    streets: dict[int, list[int]] = {}
    for bus in homes:
        streets.setdefault(feeder[bus], []).append(bus)
    largest = sorted(streets, key=lambda head: (-len(streets[head]), bus_number(net, head)))
    opening: list[int] = []
    for kind in OPENING:
        wanted = [b for b in homes if b in plain and b not in opening and (b in pv_w) == (kind == "p")]
        used = Counter(feeder[b] for b in opening)
        fitting = [b for b in wanted if pv_w.get(b, 0) <= OPENING_PV_W]
        opening.append(min(fitting, key=lambda b: (used[feeder[b]], largest.index(feeder[b]))))
    rest = [[b for b in streets[head] if b not in opening] for head in largest]
    return opening + list(round_robin(rest))


def street(net: Any) -> dict[str, Any]:
    """The document of the file, as plain data."""
    parent, feeder = busbar_tree(net)
    names = {bus: "substation" if up is None else f"n{bus_number(net, bus)}" for bus, up in parent.items()}
    first = first_step(list(net.profiles["load"].time))
    if list(net.profiles["renewables"].time)[first] != list(net.profiles["load"].time)[first]:
        raise ValueError(f"{GRID}: load and generation profiles do not share their times")
    load = watts(net.load.itertuples(), net.profiles["load"], "_pload", first)
    generation = watts(net.sgen.itertuples(), net.profiles["renewables"], "", first)
    none = np.zeros(STEPS)

    def level(bus: int) -> str:
        return "substation" if parent[bus] is None else "feeder" if feeder[bus] == bus else "bus"

    def whole(power: NDArray[np.float64]) -> list[int]:
        return [int(w) for w in np.rint(power)]  # to the nearest watt, halves to even

    return {
        "grid": GRID,
        "licence": "ODbL-1.0",
        "attribution": ATTRIBUTION,
        "timezone": TIMEZONE,
        "start": int(START.timestamp()),
        "step_s": STEP_S,
        "steps": STEPS,
        "nodes": [
            {"node": names[bus], "parent": None if up is None else names[up], "level": level(bus)}
            for bus, up in parent.items()
        ],
        "homes": [
            {
                "household": f"h{place:03d}",
                "node": names[bus],
                "load_w": whole(load.get(bus, none)),
                "generation_w": whole(generation.get(bus, none)),
            }
            for place, bus in enumerate(order_homes(net, feeder), start=1)
        ],
    }


def packed(document: dict[str, Any]) -> bytes:
    """The document as gzipped JSON without a time or a file name in its header."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def main(arguments: list[str]) -> int:
    out = Path(arguments[0]) if arguments else OUT
    simbench: Any = importlib.import_module("simbench")
    data = packed(street(simbench.get_simbench_net(GRID)))
    out.write_bytes(data)
    print(f"{out}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
