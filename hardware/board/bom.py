"""The bill of materials, as tables: one for people with alternatives, one as assemblers read it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hardware.board import circuit
from hardware.board.parts import PARTS, Part
from hardware.board.schematic import value_of

COLUMNS = ("references", "quantity", "value", "package", "manufacturer", "mpn", "alternatives", "says")


@dataclass(frozen=True)
class Line:
    references: tuple[str, ...]
    value: str
    part: Part

    @property
    def package(self) -> str:
        return self.part.footprint.partition(":")[2]


def lines() -> list[Line]:
    """What is to be bought, one line a part number, in the order of the references."""
    found: dict[str, list[circuit.Component]] = {}
    for component in circuit.components():
        if PARTS[component.part].mpn:
            found.setdefault(PARTS[component.part].mpn, []).append(component)
    made = []
    for group in found.values():
        part = PARTS[group[0].part]
        values = sorted({value_of(component) for component in group})
        references = tuple(sorted((component.reference for component in group), key=_order))
        made.append(Line(references, part.value if len(values) > 1 else values[0], part))
    return sorted(made, key=lambda line: _order(line.references[0]))


def table() -> str:
    return _csv(
        COLUMNS,
        [
            (
                " ".join(line.references), str(len(line.references)), line.value, line.package, line.part.manufacturer,
                line.part.mpn, line.part.alternatives, line.part.says,
            )
            for line in lines()
        ],
    )  # fmt: skip


def assembler_table() -> str:
    return _csv(
        ("Comment", "Designator", "Footprint", "Manufacturer", "MPN"),
        [
            (line.value, ",".join(line.references), line.package, line.part.manufacturer, line.part.mpn)
            for line in lines()
        ],
    )


def _csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return file.getvalue()


def _order(reference: str) -> tuple[str, int]:
    match = re.fullmatch(r"([A-Z]+)(\d+)", reference)
    assert match is not None
    return match[1], int(match[2])
