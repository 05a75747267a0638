"""Puts a library's footprint onto the board: nets at its pads, identities that last, its name where there is room."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hardware.board import outline, project
from hardware.board.circuit import Component
from hardware.board.legend import legend
from hardware.board.library import Library, pins
from hardware.board.names import Box, Name, name_places, text_box
from hardware.board.parts import PARTS
from hardware.board.schematic import PROJECT, identity, value_of
from hardware.board.sexpr import Node, Text, child, every, find, number

_LEFT_OUT = ("version", "generator", "generator_version", "layer", "descr", "tags")
AT_X, AT_Y = 50.0, 50.0
"""Where the board's upper left corner lies on the page [mm]."""


@dataclass(frozen=True)
class Pad:
    """A pad on the board [mm]; `net` as the netlist calls it, empty for a mere hole."""

    net: str
    x: float
    y: float
    width: float
    height: float
    round: bool
    drill: float
    through: bool


class Nets:
    """The net of a pad as KiCad's netlist names it."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def of(self, component: Component, pad: str) -> str:
        net = component.nets.get(pad)
        if net is not None:
            return project.label(net)
        for pin in pins(self.library.symbol(PARTS[component.part].symbol)):
            if pin.number == pad:
                name = "" if pin.name == "~" else pin.name + "-"
                return f"unconnected-({component.reference}-{name}Pad{pad})"
        return ""


def _turn(x: float, y: float, angle: float) -> tuple[float, float]:
    c, s = round(math.cos(math.radians(angle)), 9), round(math.sin(math.radians(angle)), 9)
    return x * c + y * s, -x * s + y * c


def pads(component: Component, footprint: Node, nets: Nets) -> Iterator[Pad]:
    x, y, angle = component.board
    for pad in every(footprint, "pad"):
        spot = [float(one) for one in child(pad, "at")[1:]]
        dx, dy = _turn(spot[0], spot[1], angle)
        width, height = (float(one) for one in child(pad, "size")[1:3])
        if ((spot[2] if len(spot) > 2 else 0) + angle) % 180 == 90:
            width, height = height, width
        hole = find(pad, "drill")
        drill = (
            0.0 if hole is None else max(float(one) for one in hole[1:] if not isinstance(one, list) and one != "oval")
        )
        if pad[2] == "smd" and not any("Cu" in layer for layer in child(pad, "layers")[1:]):
            continue
        yield Pad(
            nets.of(component, str(pad[1])) if pad[1] else "", x + dx, y + dy, width, height,
            pad[3] in ("circle", "oval"), drill, pad[2] != "smd",
        )  # fmt: skip


def footprint_node(
    component: Component, footprint: Node, nets: Nets, numbers: dict[str, int], named: Name | None
) -> Node:
    part = PARTS[component.part]
    x, y, angle = component.board
    made: Node = [
        "footprint", Text(part.footprint), ["layer", Text("F.Cu")],
        ["uuid", Text(identity("footprint", component.reference))],
        ["at", number(AT_X + x), number(AT_Y + y), str(angle)],
    ]  # fmt: skip
    said = {"Reference": component.reference, "Value": value_of(component)}
    for count, item in enumerate(footprint[2:]):
        if not isinstance(item, list) or item[0] in _LEFT_OUT:
            continue
        name = item[0]
        _identify(item, component.reference, str(count))
        if name in ("property", "pad", "zone") or name.startswith("fp_"):
            _give_identity(item, component.reference, str(count))
        if name == "property":
            item[2] = Text(said.get(str(item[1]), item[2]))
            if item[1] in ("Footprint",):
                continue
            _angle(item, angle)
            if item[1] == "Reference":
                _shrink(item)
                if named is None:
                    item.insert(len(item) - 1, ["hide", "yes"])
                else:
                    dx, dy = _turn(named.x - x, named.y - y, -angle)
                    child(item, "at")[1:] = [number(dx), number(dy), str(named.angle)]
        elif name == "fp_text":
            _angle(item, angle)
        elif name == "pad":
            _angle(item, angle)
            net = nets.of(component, str(item[1])) if item[1] else ""
            if net:
                item += [["net", str(numbers[net]), Text(net)], *_pin_of(nets, component, str(item[1]))]
        elif name == "zone":
            for polygon in every(item, "polygon"):
                for spot in every(child(polygon, "pts"), "xy"):
                    dx, dy = _turn(float(spot[1]), float(spot[2]), angle)
                    spot[1:] = [number(AT_X + x + dx), number(AT_Y + y + dy)]
        if name == "attr" and component.part in ("hole", "test point"):
            item[1:] = [word for word in item[1:] if word != "exclude_from_bom"] + ["exclude_from_bom"]
        made.append(item)
        if name == "property" and item[1] == "Value":
            have = {str(one[1]) for one in every(footprint, "property")}
            fields = {"Datasheet": "", "Description": "", "Manufacturer": part.manufacturer, "MPN": part.mpn}
            for key, value in fields.items():
                if key not in have and (value or key.startswith("D")):
                    made.append(_field(component, key, value, angle))
            made.append(["path", Text("/" + identity("symbol", component.reference))])
            made.append(["sheetname", Text("/")])
            made.append(["sheetfile", Text(f"{PROJECT}.kicad_sch")])
    return made


def reference_places(placed: list[tuple[Component, Node]], pads: list[Pad]) -> dict[str, Name]:
    grow = 0.06
    taken = [
        Box(
            pad.x - pad.width / 2 - grow,
            pad.y - pad.height / 2 - grow,
            pad.x + pad.width / 2 + grow,
            pad.y + pad.height / 2 + grow,
        )
        for pad in pads
    ]
    taken += [
        text_box(line.text, line.x, line.y, line.size, line.angle, line.justify) for line in legend() if not line.back
    ]
    bodies = []
    for component, footprint in placed:
        drawn = list(_drawn(component, footprint, "F.SilkS"))
        taken += drawn
        court = list(_drawn(component, footprint, "F.CrtYd"))
        if component.part == "module":
            court = drawn
        if component.part != "hole" and court:
            bodies.append(
                (
                    component.reference,
                    Box(
                        min(box.left for box in court) + 0.2, min(box.top for box in court) + 0.2,
                        max(box.right for box in court) - 0.2, max(box.bottom for box in court) - 0.2,
                    ),
                )
            )  # fmt: skip
    return name_places(bodies, taken, Box(0.3, 0.3, outline.WIDTH_MM - 0.3, outline.HEIGHT_MM - 0.3))


def _drawn(component: Component, footprint: Node, layer: str) -> Iterator[Box]:
    """The boxes around the footprint's lines on a layer, on the board [mm]."""
    x, y, angle = component.board
    for item in footprint[2:]:
        if not isinstance(item, list) or item[0] not in ("fp_line", "fp_arc", "fp_circle", "fp_poly", "fp_rect"):
            continue
        if str(child(item, "layer")[1]) != layer:
            continue
        spots = [_turn(float(one[1]), float(one[2]), angle) for one in _spots(item)]
        if item[0] == "fp_circle":
            (cx, cy), (ex, ey) = spots
            r = math.hypot(ex - cx, ey - cy)
            spots = [(cx - r, cy - r), (cx + r, cy + r)]
        xs, ys = [x + dx for dx, _ in spots], [y + dy for _, dy in spots]
        yield Box(min(xs) - 0.06, min(ys) - 0.06, max(xs) + 0.06, max(ys) + 0.06)


def _spots(item: Node) -> Iterator[Node]:
    for part in item:
        if isinstance(part, list) and part:
            if part[0] in ("start", "mid", "end", "center", "xy"):
                yield part
            elif part[0] == "pts":
                yield from _spots(part)


def _pin_of(nets: Nets, component: Component, pad: str) -> list[Node]:
    for pin in pins(nets.library.symbol(PARTS[component.part].symbol)):
        if pin.number == pad:
            return (
                [["pinfunction", Text(pin.name)], ["pintype", Text(pin.kind)]]
                if pin.name != "~"
                else [["pintype", Text(pin.kind)]]
            )
    return []


def _field(component: Component, key: str, value: str, angle: int) -> Node:
    return [
        "property", Text(key), Text(value), ["at", "0", "0", str(angle)], ["unlocked", "yes"], ["layer", Text("F.Fab")],
        ["hide", "yes"], ["uuid", Text(identity("field", component.reference, key))],
        ["effects", ["font", ["size", "1", "1"], ["thickness", "0.15"]]],
    ]  # fmt: skip


def _identify(item: Node, *names: str) -> None:
    for count, part in enumerate(item):
        if isinstance(part, list) and part:
            if part[0] == "uuid":
                part[1] = Text(identity("part", *names))
            else:
                _identify(part, *names, str(count))


def _give_identity(item: Node, *names: str) -> None:
    """KiCad draws lots for the identities that a library leaves out."""
    if find(item, "uuid") is None:
        at = next(
            (place for place, part in enumerate(item) if isinstance(part, list) and part[0] == "effects"), len(item)
        )
        item.insert(at, ["uuid", Text(identity("part", *names, "own"))])


def _angle(item: Node, angle: int) -> None:
    """In a board file the angles of pads and texts are those on the board, not those in the footprint."""
    at = child(item, "at")
    turned = (float(at[3]) if len(at) > 3 else 0.0) + angle
    at[3:] = [number(turned % 360)]


def _shrink(item: Node) -> None:
    font = child(child(item, "effects"), "font")
    child(font, "size")[1:] = ["0.8", "0.8"]
    child(font, "thickness")[1:] = ["0.12"]
