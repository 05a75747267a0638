"""Writes the schematic: one sheet, a titled frame per block, a short wire and a label or power symbol at every pin."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator

from hardware.board import circuit
from hardware.board.circuit import Block, Component
from hardware.board.library import Library, Pin, pins
from hardware.board.parts import PARTS
from hardware.board.sexpr import Node, Text, child, every, number, write

STEP = 2.54
LEFT, TOP = 5, 5
"""Of the sheet's frame [steps]."""
VERSION = "20250114"
_SPACE = uuid.UUID("5f5b6bb2-4a34-5f57-8c1e-6f2f7d5f2f10")
PROJECT = "pumasi-s3"
REVISION = "0.1"
DATE = "2026-11-22"


def identity(*names: str) -> str:
    """The same names give the same UUID, so that a rerun writes the same bytes."""
    return str(uuid.uuid5(_SPACE, "/".join(names)))


ROOT = identity("sheet")


def value_of(component: Component) -> str:
    """A test point's is its net."""
    return component.value or PARTS[component.part].value or component.nets["1"]


def schematic(library: Library) -> str:
    """The text of `pumasi-s3.kicad_sch`."""
    writer = _Writer(library)
    for block in circuit.blocks():
        writer.block(block)
    return writer.text()


class _Writer:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._symbols: dict[str, Node] = {}
        self._items: list[Node] = []
        self._power = 0
        self._flag = 0

    def text(self) -> str:
        used = [self._symbols[name] for name in sorted(self._symbols)]
        title = [
            "title_block", ["title", Text("Pumasi meter, board pumasi-s3")], ["date", Text(DATE)], ["rev",
            Text(REVISION)],
            ["company", Text("CERN-OHL-S-2.0")],
            ["comment", "1", Text("NO MAINS on this board: extra-low voltage only")],
            ["comment", "2", Text("Not built or measured yet")],
        ]  # fmt: skip
        return write(
            [
                "kicad_sch", ["version", VERSION], ["generator", Text("pumasi")], ["generator_version", Text("9.0")],
                ["uuid", Text(ROOT)], ["paper", Text("User"), "594", "330"], title, ["lib_symbols", *used],
                *self._items,
                ["sheet_instances", ["path", Text("/"), ["page", Text("1")]]], ["embedded_fonts", "no"],
            ]
        )  # fmt: skip

    def block(self, block: Block) -> None:
        left, top = (LEFT + block.left) * STEP, (TOP + block.top) * STEP
        self._items.append(
            [
                "rectangle", ["start", number(left), number(top)],
                ["end", number(left + block.width * STEP), number(top + block.height * STEP)],
                ["stroke", ["width", "0.2"], ["type", "dash"]], ["fill", ["type", "none"]],
                ["uuid", Text(identity("frame", block.title))],
            ]
        )  # fmt: skip
        self._say(block.title, left + 2, top + 4.5, 2.6, bold=True)
        for row, note in enumerate(block.notes):
            self._say(note, left + 2, top + block.height * STEP - 2 - 2.6 * (len(block.notes) - 1 - row), 1.6)
        for component in block.components:
            self._component(component, left, top)
        for place, net in enumerate(block.flags):
            x = left + (block.width - 6 - 6 * place) * STEP
            y = top + (block.height - 6) * STEP
            self._flag += 1
            self._symbol("power:PWR_FLAG", f"#FLG{self._flag:02}", "PWR_FLAG", "", (x, y, 0), {}, said=False)
            self._end(net, x, y, 270)

    def _component(self, component: Component, left: float, top: float) -> None:
        part = PARTS[component.part]
        column, row, angle = component.sheet
        at = (left + column * STEP, top + row * STEP, angle)
        fields = {"Manufacturer": part.manufacturer, "MPN": part.mpn}
        self._symbol(
            part.symbol, component.reference, value_of(component), part.footprint, at, fields, bool(part.value)
        )
        seen = set()
        ends: list[tuple[str, float, float]] = []
        for pin in pins(self._symbols[part.symbol]):
            x, y, outward = _placed(pin, at)
            spot = (round(x, 3), round(y, 3))
            net = component.nets.get(pin.number)
            if spot in seen:
                continue
            seen.add(spot)
            if net is None:
                if pin.kind != "no_connect":
                    self._items.append(
                        [
                            "no_connect",
                            ["at", number(x), number(y)],
                            ["uuid", Text(identity("nc", component.reference, pin.number))],
                        ]
                    )
                continue
            dx, dy = round(math.cos(math.radians(outward))) * STEP, -round(math.sin(math.radians(outward))) * STEP
            if outward in (0, 180) and net in circuit.POWER_SYMBOLS and component.reference.startswith("J"):
                # beyond the labels of the pins above and below
                dx *= (
                    2 + max(len(other) for other in component.nets.values() if other not in circuit.POWER_SYMBOLS) // 2
                )
            self._wire(component.reference + pin.number, x, y, x + dx, y + dy)
            if outward in (90, 270) and net not in circuit.POWER_SYMBOLS:
                # so that the label stands on a line and not across one
                self._wire(component.reference + pin.number + "end", x + dx, y + dy, x + dx + STEP, y + dy)
                dx += STEP
            beside = next((end for end in ends if end[0] == net and end[2] == y + dy and abs(x - end[1]) < 6), None)
            if outward in (90, 270) and net in circuit.POWER_SYMBOLS:
                ends.append((net, x, y + dy))
                if beside is not None:
                    # pins in a row share one symbol
                    self._wire(component.reference + pin.number + "row", beside[1], beside[2], x, y + dy)
                    continue
            self._end(net, x + dx, y + dy, outward)

    def _end(self, net: str, x: float, y: float, outward: int) -> None:
        """What names the net at a wire's end: a power symbol, or a label that reads from left to right."""
        symbol = circuit.POWER_SYMBOLS.get(net)
        if symbol is not None and outward in (90, 270):
            self._power += 1
            angle = {90: 180, 270: 0}[outward] if "GND" in net else {90: 0, 270: 180}[outward]
            self._symbol(symbol, f"#PWR{self._power:03}", net, "", (x, y, angle), {})
            return
        turned = {0: ("0", "left"), 180: ("180", "right"), 90: ("0", "left"), 270: ("0", "left")}[outward]
        # sideways pins stand close: there a supply is named by a label too
        kind: Node = ["global_label", Text(net), ["shape", "passive"]] if symbol is not None else ["label", Text(net)]
        self._items.append(
            [
                *kind, ["at", number(x), number(y), turned[0]],
                ["effects", ["font", ["size", "1.27", "1.27"]], ["justify", turned[1], "bottom"]],
                ["uuid", Text(identity("label", net, number(x), number(y)))],
            ]
        )  # fmt: skip

    def _symbol(
        self, name: str, reference: str, value: str, footprint: str, at: tuple[float, float, int],
        fields: dict[str, str], said: bool = True,
    ) -> None:  # fmt: skip
        symbol = self._symbols.setdefault(name, self._library.symbol(name))
        hidden = reference.startswith("#")
        x, y, angle = at
        places = list(_field_places(symbol, at, hidden))
        properties: list[Node] = [
            _field("Reference", reference, places[0], hidden),
            _field("Value", value, places[1], not said or not value),
            _field("Footprint", footprint, (x, y, 0, ""), True),
            _field("Datasheet", "", (x, y, 0, ""), True),
            _field("Description", "", (x, y, 0, ""), True),
            *(_field(key, text, (x, y, 0, ""), True) for key, text in fields.items() if text),
        ]
        flag = "no" if hidden or name.startswith(("Mechanical:", "Connector:TestPoint")) else "yes"
        unit = identity("symbol", reference)
        self._items.append(
            [
                "symbol", ["lib_id", Text(name)], ["at", number(x), number(y), str(angle)], ["unit", "1"],
                ["exclude_from_sim", "no"], ["in_bom", flag], ["on_board", "yes"], ["dnp", "no"], ["uuid", Text(unit)],
                *properties,
                *(["pin", Text(pin.number), ["uuid", Text(identity("pin", reference,
                pin.number))]] for pin in pins(symbol)),
                [
                    "instances",
                    ["project", Text(PROJECT), ["path", Text("/" + ROOT), ["reference", Text(reference)], ["unit",
                    "1"]]],
                ],
            ]
        )  # fmt: skip

    def _wire(self, name: str, x1: float, y1: float, x2: float, y2: float) -> None:
        points = ["pts", ["xy", number(x1), number(y1)], ["xy", number(x2), number(y2)]]
        stroke = ["stroke", ["width", "0"], ["type", "default"]]
        self._items.append(["wire", points, stroke, ["uuid", Text(identity("wire", name))]])

    def _say(self, text: str, x: float, y: float, size: float, bold: bool = False) -> None:
        font: Node = ["font", ["size", number(size), number(size)], *([["bold", "yes"]] if bold else [])]
        self._items.append(
            [
                "text", Text(text), ["exclude_from_sim", "no"], ["at", number(x), number(y), "0"],
                ["effects", font, ["justify", "left", "bottom"]], ["uuid", Text(identity("text", text))],
            ]
        )  # fmt: skip


FieldPlace = tuple[float, float, int, str]


def _field(name: str, value: str, place: FieldPlace, hidden: bool) -> Node:
    effects: Node = ["effects", ["font", ["size", "1.27", "1.27"]]]
    if place[3]:
        effects.append(["justify", place[3]])
    if hidden:
        effects.append(["hide", "yes"])
    return ["property", Text(name), Text(value), ["at", number(place[0]), number(place[1]), str(place[2])], effects]


def _field_places(symbol: Node, at: tuple[float, float, int], power: bool) -> Iterator[FieldPlace]:
    """Where reference and value are written: beside small parts, above large ones. [mm on the sheet]"""
    x, y, angle = at
    if power:
        down = 3.2 if "GND" in str(symbol[1]) else -3.2
        yield (x, y, 0, "")
        yield (x, y + (down if angle == 0 else -down), 0, "")
        return
    found = pins(symbol)
    spans_x = [pin.x for pin in found] or [0.0]
    spans_y = [pin.y for pin in found] or [0.0]
    small = len(found) <= 2 and max(spans_x) - min(spans_x) + max(spans_y) - min(spans_y) <= 11
    if small and angle in (0, 180) and max(spans_x) == min(spans_x):
        yield (x + 2.0, y - 1.0, 0, "left")
        yield (x + 2.0, y + 1.3, 0, "left")
        return
    if small:
        turn = 90 if angle in (90, 270) else 0
        higher = 1.3 if "Switch" in str(symbol[1]) else 0.0
        yield (x, y - 4.4 - higher, turn, "")
        yield (x, y - 2.6 - higher, turn, "")
        return
    boxes = [
        [float(part[1]), float(part[2])]
        for unit in every(symbol, "symbol")
        for box in every(unit, "rectangle")
        for part in (child(box, "start"), child(box, "end"))
    ]
    tops = [spot[1] for spot in boxes] + [pin.y for pin in found]
    lows = tops if angle != 180 else [-value for value in tops]
    lefts = [spot[0] for spot in boxes] or spans_x
    start = min(lefts if angle != 180 else [-value for value in lefts])
    above = [pin.x for pin in found if pin.angle == 270]
    if above:
        start = min(above) + 1.3
    yield (x + start, y - max(lows) - 1.2 - 2.0, 0, "left") if angle in (0, 180) else (x, y - 6, 90, "")
    yield (x + start, y - max(lows) - 1.2, 0, "left") if angle in (0, 180) else (x, y - 4, 90, "")


def _placed(pin: Pin, at: tuple[float, float, int]) -> tuple[float, float, int]:
    """The pin's end on the sheet, and the direction away from the symbol [degrees, counterclockwise]."""
    x, y, angle = at
    c, s = round(math.cos(math.radians(angle))), round(math.sin(math.radians(angle)))
    return x + pin.x * c - pin.y * s, y - (pin.x * s + pin.y * c), (pin.angle + 180 + angle) % 360
