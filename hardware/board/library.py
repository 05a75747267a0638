"""Symbols and footprints: KiCad's own libraries, and the one symbol they lack."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hardware.board.sexpr import Node, Text, child, every, find, number, parse

OWN_LIBRARY = "Pumasi"
OWN_FOOTPRINTS = {"USB_C_Receptacle_GCT_USB4105-xx-A_16P_TopMnt_Horizontal": "Connector_USB"}
"""Changed copies of KiCad's footprints, and the libraries they come from."""

# Pins of the ATM90E32AS, TQFP-48. Source: Atmel 46003 "M90E32AS Datasheet"; checked against the netlist of
# CircuitSetup's Split-Single-Phase-Energy-Meter 1.3, a board that works.
_LEFT = (
    ("I1P", 3), ("I1N", 4), None, ("I2P", 5), ("I2N", 6), None, ("I3P", 7), ("I3N", 8), None, ("V1P", 13), ("V1N", 14),
    None, ("V2P", 15), ("V2N", 16), None, ("V3P", 17), ("V3N", 18), None, ("PM0", 33), ("PM1", 34),
)  # fmt: skip
_RIGHT = (
    ("~{CS}", 37), ("SCLK", 38), ("SDO", 39), ("SDI", 40), ("~{RESET}", 41), None, ("IRQ0", 30), ("IRQ1", 31),
    ("WarnOut", 29), ("ZX0", 22), ("ZX1", 23), ("ZX2", 24), ("CF1", 25), ("CF2", 26), ("CF3", 27), ("CF4", 28), None,
    ("OSCI", 20), ("OSCO", 21), None,
    ("VREF", 11), ("VDD18", 42), ("VDD18", 43),
)  # fmt: skip
_TOP = (("AVDD", 1), ("DVDD", 48))
_BOTTOM = (
    ("AGND", 2), ("AGND", 12), ("GND", 9), ("GND", 10), ("DGND", 19), ("GND", 32), ("GND", 36), ("DGND", 44),
    ("DGND", 47),
)  # fmt: skip
_OPEN = (("NC", 35), ("NC", 45), ("NC", 46))
_KINDS = {
    "~{CS}": "input", "SCLK": "input", "SDI": "input", "~{RESET}": "input", "SDO": "tri_state", "PM0": "input",
    "PM1": "input", "AVDD": "power_in", "DVDD": "power_in", "AGND": "power_in", "DGND": "power_in", "GND": "passive",
    "VDD18": "passive", "VREF": "passive", "OSCI": "input", "OSCO": "output", "NC": "no_connect",
}  # fmt: skip


@dataclass(frozen=True)
class Pin:
    """Where a wire meets it [mm, y up], the direction from there into the symbol [degrees], and its name."""

    number: str
    name: str
    kind: str
    x: float
    y: float
    angle: int


@dataclass(frozen=True)
class Library:
    """KiCad's folder `share/kicad`."""

    folder: Path

    def symbol(self, name: str) -> Node:
        """The symbol as a schematic embeds it: called by library and name, derived ones made whole."""
        library, _, short = name.partition(":")
        if library == OWN_LIBRARY:
            return own_symbol()
        symbols = _symbols(self.folder / "symbols" / f"{library}.kicad_sym")
        node = symbols[short]
        derived = find(node, "extends")
        if derived is not None:
            node = _derive(symbols[str(derived[1])], node)
        node = copy.deepcopy(node)
        node[1] = Text(name)
        return node

    def footprint(self, name: str) -> Node:
        library, _, short = name.partition(":")
        if library == OWN_LIBRARY:
            return self._own_footprint(short)
        return copy.deepcopy(_file(self.folder / "footprints" / f"{library}.pretty" / f"{short}.kicad_mod"))

    def _own_footprint(self, short: str) -> Node:
        """KiCad's footprint, its pegs' holes through all layers: on four layers KiCad reads them so, and then warns."""
        node = self.footprint(f"{OWN_FOOTPRINTS[short]}:{short}")
        for pad in every(node, "pad"):
            if pad[2] == "np_thru_hole":
                child(pad, "layers")[1:] = [Text("*.Cu"), Text("*.Mask")]
        return node

    def own_footprints(self) -> dict[str, Node]:
        """By the name of their file in the project's own library."""
        return {f"{short}.kicad_mod": self._own_footprint(short) for short in sorted(OWN_FOOTPRINTS)}


def pins(symbol: Node) -> list[Pin]:
    found = []
    for unit in every(symbol, "symbol"):
        for pin in every(unit, "pin"):
            x, y, angle = child(pin, "at")[1:4]
            found.append(
                Pin(
                    str(child(pin, "number")[1]),
                    str(child(pin, "name")[1]),
                    str(pin[1]),
                    float(x),
                    float(y),
                    int(angle),
                )
            )
    return found


def own_symbol() -> Node:
    width, height = 45.72, 68.58
    half, top = width / 2, height / 2
    made: list[Node] = []
    for row, one in enumerate(_LEFT):
        if one is not None:
            made.append(_pin(one, -half - 2.54, 31.75 - 2.54 * row, 0))
    for row, one in enumerate(_RIGHT):
        if one is not None:
            made.append(_pin(one, half + 2.54, 31.75 - 2.54 * row, 180))
    for column, one in enumerate(_TOP):
        made.append(_pin(one, -7.62 + 15.24 * column, top + 2.54, 270))
    for column, one in enumerate(_BOTTOM):
        made.append(_pin(one, -20.32 + 5.08 * column, -top - 2.54, 90))
    for column, one in enumerate(_OPEN):
        made.append(_pin(one, -half, -29.21 - 1.27 * column, 0, hidden=True))
    effects: Node = ["effects", ["font", ["size", "1.27", "1.27"]]]
    hide: Node = ["effects", ["font", ["size", "1.27", "1.27"]], ["hide", "yes"]]

    def said(name: str, value: str, x: float, y: float, shown: Node) -> Node:
        return ["property", Text(name), Text(value), ["at", number(x), number(y), "0"], shown]

    body: Node = [
        "symbol", Text("ATM90E32AS_0_1"),
        [
            "rectangle", ["start", number(-half), number(top)], ["end", number(half), number(-top)],
            ["stroke", ["width", "0.254"], ["type", "default"]], ["fill", ["type", "background"]],
        ],
    ]  # fmt: skip
    return [
        "symbol", Text(f"{OWN_LIBRARY}:ATM90E32AS"), ["pin_names", ["offset", "1.016"]], ["exclude_from_sim", "no"],
        ["in_bom", "yes"], ["on_board", "yes"],
        said("Reference", "U", -half, top + 1.27, effects), said("Value", "ATM90E32AS", 0, 0, effects),
        said("Footprint", "Package_QFP:TQFP-48_7x7mm_P0.5mm", 0, -2.54, hide), said("Datasheet", "", 0, 0, hide),
        said("Description", "Three-phase energy metering IC, SPI, TQFP-48", 0, 0, hide), body,
        ["symbol", Text("ATM90E32AS_1_1"), *made], ["embedded_fonts", "no"],
    ]  # fmt: skip


def own_library() -> Node:
    """The library file that KiCad's editor needs to show the symbol."""
    symbol = own_symbol()
    symbol[1] = Text("ATM90E32AS")
    return ["kicad_symbol_lib", ["version", "20241209"], ["generator", Text("pumasi")], symbol]


def _pin(one: tuple[str, int], x: float, y: float, angle: int, hidden: bool = False) -> Node:
    name, pad = one
    kind = _KINDS.get(name, "input" if name[0] in "IV" and name[-1] in "PN" else "output")
    effects = ["effects", ["font", ["size", "1.27", "1.27"]]]
    return [
        "pin", kind, "line", ["at", number(x), number(y), str(angle)], ["length", "0" if hidden else "2.54"],
        *([["hide", "yes"]] if hidden else []),
        ["name", Text(name), effects], ["number", Text(str(pad)), effects],
    ]  # fmt: skip


def _derive(base: Node, node: Node) -> Node:
    """`node` with the graphics and pins of `base`, as KiCad flattens a derived symbol."""
    own = {str(one[1]): one for one in every(node, "property")}
    short = str(node[1])
    made: Node = []
    for item in copy.deepcopy(base):
        if isinstance(item, list) and item and item[0] == "property" and str(item[1]) in own:
            made.append(copy.deepcopy(own.pop(str(item[1]))))
            continue
        if isinstance(item, list) and item and item[0] == "symbol":
            made += [copy.deepcopy(one) for one in own.values()]
            own = {}
            item[1] = Text(str(item[1]).replace(str(base[1]), short, 1))
        made.append(item)
    made[1] = Text(short)
    return made


@cache
def _file(path: Path) -> Node:
    return parse(path.read_text(encoding="utf-8"))


@cache
def _symbols(path: Path) -> dict[str, Node]:
    return {str(node[1]): node for node in every(_file(path), "symbol")}
