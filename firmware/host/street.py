"""The real street that simulated meters live on: homes, their week of power, and the tree of the grid."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

RURAL3 = Path(__file__).parent / "streets" / "rural3-summer.json.gz"
DAY_S = 86_400
MAX_HOMES = 100_000


@dataclass(frozen=True, slots=True)
class Node:
    node: str
    parent: str | None
    level: str  # district | substation | feeder | bus


@dataclass(frozen=True, slots=True)
class Home:
    """Mean power per step [W]; both tuples have the street's number of steps."""

    household: str
    node: str
    load_w: tuple[int, ...]
    generation_w: tuple[int, ...]

    @property
    def meter(self) -> str:
        """The id of the home's one meter: m001 for h001, s2-m001 for s2-h001."""
        head, letter, number = self.household.rpartition("h")
        assert letter
        return f"{head}m{number}"

    @property
    def prosumer(self) -> bool:
        return any(self.generation_w)


@dataclass(frozen=True, slots=True)
class Street:
    grid: str
    licence: str
    attribution: str
    timezone: str
    start: int  # epoch [s] of the first step
    step_s: int
    steps: int
    nodes: tuple[Node, ...]  # a parent comes before its children
    homes: tuple[Home, ...]  # any first n of them are a fair mix


def load_street(path: Path = RURAL3) -> Street:
    """Read a street file made by `streets/make.py`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        document = json.load(file)
    return Street(
        grid=document["grid"],
        licence=document["licence"],
        attribution=document["attribution"],
        timezone=document["timezone"],
        start=document["start"],
        step_s=document["step_s"],
        steps=document["steps"],
        nodes=tuple(Node(n["node"], n["parent"], n["level"]) for n in document["nodes"]),
        homes=tuple(
            Home(h["household"], h["node"], tuple(h["load_w"]), tuple(h["generation_w"])) for h in document["homes"]
        ),
    )


def with_homes(street: Street, n: int) -> Street:
    """The street with exactly `n` homes: its first ones, or, when it has too few, a district of copies of it.

    A copy's ids begin with s2-, s3-, ...; all substations hang under one node "district". A copy's loads are the
    original's moved by whole days within the week, so that copies differ; generation is not moved, because one sun
    shines on the whole district. ValueError unless 1 <= n <= MAX_HOMES.
    """
    if not 1 <= n <= MAX_HOMES:
        raise ValueError(f"a street has 1 to {MAX_HOMES} homes, not {n}")
    if n <= len(street.homes):
        return replace(street, homes=street.homes[:n])
    copies = -(-n // len(street.homes))
    nodes = [Node("district", None, "district")]
    for copy in range(copies):
        nodes += (Node(_name(n.node, copy), _name(n.parent or "district", copy), n.level) for n in street.nodes)
    return replace(street, nodes=tuple(nodes), homes=tuple(islice(_copied_homes(street), n)))


def _name(node: str, copy: int) -> str:
    return node if copy == 0 or node == "district" else f"s{copy + 1}-{node}"


def _copied_homes(street: Street) -> Iterator[Home]:
    steps_per_day = DAY_S // street.step_s
    days = street.steps // steps_per_day
    by_shift = [  # thousands of homes share these few tuples
        [home.load_w[shift * steps_per_day :] + home.load_w[: shift * steps_per_day] for home in street.homes]
        for shift in range(days)
    ]
    copy = 0
    while True:
        for home, load_w in zip(street.homes, by_shift[copy % days], strict=True):
            yield Home(_name(home.household, copy), _name(home.node, copy), load_w, home.generation_w)
        copy += 1
