"""What a meter costs: ``python -m hardware.cost``. Quantities from the circuit, prices from prices.csv."""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hardware.board.circuit import components
from hardware.board.parts import PARTS

PRICES = Path(__file__).with_name("prices.csv")
FILE = Path(__file__).with_name("cost.md")
DATE = "November 2026"
SIZES = (1, 10, 100)
CERTAIN_PERCENT = 30
"""How far off a sum may well be."""


@dataclass(frozen=True)
class Price:
    """[EUR] of one piece when so many meters are made, without value-added tax."""

    group: str
    item: str
    quantity: int
    says: str
    each: tuple[float, ...]


def prices() -> list[Price]:
    with PRICES.open(newline="", encoding="utf-8") as file:
        return [
            Price(
                row["group"],
                row["item"],
                int(row["quantity"] or 0),
                row["says"],
                tuple(float(row[f"each_{size}"]) for size in SIZES),
            )
            for row in csv.DictReader(file)
        ]


def quantities() -> Counter[str]:
    """How many of each part are on a board, by the manufacturer's number."""
    found: Counter[str] = Counter()
    for component in components():
        mpn = PARTS[component.part].mpn
        if mpn:
            found[mpn] += 1
    return found


def parts() -> list[Price]:
    """The board's parts with their quantities. Raises KeyError, with its number, for one without a price."""
    known = {price.item: price for price in prices() if price.group == "part"}
    return [Price("part", mpn, count, known[mpn].says, known[mpn].each) for mpn, count in sorted(quantities().items())]


def total(rows: list[Price]) -> tuple[float, ...]:
    return tuple(sum(row.quantity * row.each[place] for row in rows) for place in range(len(SIZES)))


def _line(name: str, sums: tuple[float, ...], bold: bool = False) -> str:
    mark = "**" if bold else ""
    return f"| {mark}{name}{mark} | " + " | ".join(f"{mark}{value:.0f}{mark}" for value in sums) + " |"


def _head(first: str) -> list[str]:
    return [f"| {first} | " + " | ".join(f"each of {size}" for size in SIZES) + " |", "|---|" + "--:|" * len(SIZES)]


def document() -> str:
    groups: dict[str, list[Price]] = {}
    for price in prices():
        groups.setdefault(price.group, []).append(price)
    groups["part"] = parts()
    own = [("parts on the board", total(groups["part"])), ("board, assembly, freight", total(groups["board"]))]
    own += [("enclosure and display", total(groups["case"])), ("USB supply", total(groups["outside"]))]
    board = tuple(map(sum, zip(*(sums for _, sums in own), strict=True)))
    lines = [
        "# What a meter costs",
        "",
        "Made by `python -m hardware.cost` from `hardware/prices.csv`; do not edit.",
        f"{DATE}, EUR without value-added tax.",
        "",
        "**Prices are estimates**: the general level of large distributors and board houses, from memory. No quotation",
        f"was asked for. A sum may well be {CERTAIN_PERCENT} % off, single parts more, and freight",
        "and customs depend on where you live. Quantities are counted from the circuit.",
        "",
        "## The project's own board",
        "",
        *_head("EUR"),
        *[_line(name, sums) for name, sums in own],
        _line("the meter without transformers", board, bold=True),
    ]
    for name, group in (("three phases, class 0.5", "aimed"), ("one phase, hobby", "hobby")):
        rows = groups[group] if group == "aimed" else [_single(row) for row in groups[group]]
        sums = total(rows)
        lines += [_line(f"transformers: {name}", sums)]
        lines += [_line(f"whole, {name}", tuple(a + b for a, b in zip(board, sums, strict=True)), bold=True)]
    lines += ["", "Calibration takes a reference instrument; none is in the sum.", "", "## Bought modules", ""]
    modules = {row.item: row for row in groups["bought"]}
    supply = total(groups["outside"])
    lines += _head("EUR")
    for name, items in BOUGHT.items():
        sums = total([modules[item] for item in items])
        lines.append(_line(name, tuple(a + b for a, b in zip(sums, supply, strict=True)), bold=True))
    lines += ["", "USB supply included; cable, terminals and an electrician's hour are not.", "", "## Every part", ""]
    lines += ["| part | on a board | 1 | 10 | 100 | |", "|---|--:|--:|--:|--:|---|"]
    for group in ("part", "board", "case", "outside", "aimed", "hobby", "bought"):
        for row in groups[group]:
            each = " | ".join(f"{value:.3f}" if value < 0.1 else f"{value:.2f}" for value in row.each)
            lines.append(f"| {row.item} | {row.quantity} | {each} | {row.says} |")
    return "\n".join([*lines, ""])


def _single(row: Price) -> Price:
    """For one phase: one of each."""
    return Price(row.group, row.item, 1, row.says, row.each)


BOUGHT = {
    "ESP32 board, RS-485 adapter, SDM120": ("ESP32 development board", "RS-485 adapter 3.3 V", "SDM120 Modbus"),
    "ESP32 board, P1 cable": ("ESP32 development board", "P1 cable with inverter"),
    "ESP32 board, SML head": ("ESP32 development board", "optical SML head TTL"),
}


def main() -> None:
    argparse.ArgumentParser(prog="python -m hardware.cost", description="Write hardware/cost.md.").parse_args()
    FILE.write_text(document(), encoding="utf-8")
    print(f"{FILE.name}: written")


if __name__ == "__main__":
    main()
