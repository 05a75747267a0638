"""Writes the board: footprints where `circuit` puts them, tracks from the router, copper areas, outline and legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from hardware.board import circuit, outline, project
from hardware.board.footprints import AT_X, AT_Y, Nets, Pad, footprint_node, pads, reference_places
from hardware.board.legend import Line, legend
from hardware.board.library import Library
from hardware.board.parts import PARTS
from hardware.board.router import GRID_MM, Copper, Job, Routed, Router, Rules
from hardware.board.schematic import DATE, REVISION, identity
from hardware.board.sexpr import Node, Text, number, write

LOGIC_TO = (57.75, 55.0)
FIELD_FROM = (63.5, 60.75)
"""Logic copper right of x is above y; field copper is right of x and below y."""
_LAYERS = (
    (0, "F.Cu", "signal"), (4, "In1.Cu", "power"), (6, "In2.Cu", "power"), (2, "B.Cu", "signal"),
    (9, "F.Adhes", "user"), (11, "B.Adhes", "user"), (13, "F.Paste", "user"), (15, "B.Paste", "user"),
    (5, "F.SilkS", "user"), (7, "B.SilkS", "user"), (1, "F.Mask", "user"), (3, "B.Mask", "user"), (17, "Dwgs.User",
    "user"),
    (19, "Cmts.User", "user"), (25, "Edge.Cuts", "user"), (27, "Margin", "user"), (31, "F.CrtYd", "user"),
    (29, "B.CrtYd", "user"), (35, "F.Fab", "user"), (33, "B.Fab", "user"),
)  # fmt: skip
FILL_CLEARANCE_MM = project.CLEARANCE_MM + 0.02
"""So that the filled areas keep the clearance when their corners are rounded."""
PLANES = {circuit.GND: "In1.Cu", circuit.V3: "In2.Cu"}


def board(library: Library, say: Callable[[str], None]) -> str:
    """The text of `pumasi-s3.kicad_pcb`, copper areas not yet filled. Raises RoutingError."""
    placed = [(component, library.footprint(PARTS[component.part].footprint)) for component in circuit.components()]
    nets = Nets(library)
    every_pad = [pad for component, footprint in placed for pad in pads(component, footprint, nets)]
    tracks = _route(every_pad, say)
    names = sorted({pad.net for pad in every_pad if pad.net})
    numbers = {"": 0} | {name: count for count, name in enumerate(names, 1)}
    node: Node = [
        "kicad_pcb", ["version", "20241229"], ["generator", Text("pumasi")], ["generator_version", Text("9.0")],
        ["general", ["thickness", number(outline.THICKNESS_MM)], ["legacy_teardrops", "no"]], ["paper", Text("A4")],
        [
            "title_block", ["title", Text("Pumasi meter, board pumasi-s3")], ["date", Text(DATE)], ["rev",
            Text(REVISION)],
            ["company", Text("CERN-OHL-S-2.0")],
        ],
        ["layers", *([str(count), Text(name), kind] for count, name, kind in _LAYERS)],
        ["setup", _stackup(), ["pad_to_mask_clearance", "0"], ["allow_soldermask_bridges_in_footprints", "no"]],
        *(["net", str(count), Text(name)] for name, count in numbers.items()),
    ]  # fmt: skip
    names_at = reference_places(placed, every_pad)
    node += [
        footprint_node(component, footprint, nets, numbers, names_at.get(component.reference))
        for component, footprint in placed
    ]
    node += _outline()
    node += [_text(line) for line in legend()]
    node += _tracks(tracks, numbers)
    node += _zones(numbers)
    node.append(["embedded_fonts", "no"])
    return write(node)


def _route(pads: list[Pad], say: Callable[[str], None]) -> dict[str, Routed]:
    field_nets = {project.label(net) for net in circuit.FIELD_NETS}

    def forbidden(side: str, x: float, y: float, half: float) -> bool:
        _, top, right, bottom = outline.ANTENNA
        if x < right + half and top - half < y < bottom + half:
            return True
        if side == "field":
            return x < FIELD_FROM[0] + half or y < FIELD_FROM[1] + half
        return x > LOGIC_TO[0] - half and y > LOGIC_TO[1] - half

    rules = Rules(
        outline.WIDTH_MM, outline.HEIGHT_MM, project.CLEARANCE_MM, project.VIA_MM, project.VIA_DRILL_MM,
        project.EDGE_MM, forbidden,
    )  # fmt: skip
    copper = [
        Copper(
            pad.net, pad.x, pad.y, pad.width, pad.height, (0, 1) if pad.through else (0,),
            min(pad.width, pad.height) / 2 if pad.round else 0.0, pad.drill, bool(pad.net),
            None if pad.net else (1.6 if pad.drill >= outline.HOLE_MM else 0.26),
        )
        for pad in pads
    ]  # fmt: skip
    jobs = []
    for net in sorted({one.net for one in copper if one.net}):
        own = tuple(one for one in copper if one.net == net)
        plane = net in PLANES
        if plane or len(own) > 1:
            jobs.append(
                Job(net, project.track_width(net), _apart(own), "field" if net in field_nets else "logic", plane)
            )
    return Router(rules, copper, jobs).run(say)


def _apart(pads: tuple[Copper, ...]) -> tuple[Copper, ...]:
    """Pads that lie on others of the same net (a socket's double contacts) need no track of their own."""
    kept: list[Copper] = []
    for pad in pads:
        if not any(
            abs(pad.x - other.x) < (pad.width + other.width) / 2 - 0.05
            and abs(pad.y - other.y) < (pad.height + other.height) / 2 - 0.05
            for other in kept
        ):
            kept.append(pad)
    return tuple(kept)


def _outline() -> list[Node]:
    r = outline.CORNER_MM
    w, h = outline.WIDTH_MM, outline.HEIGHT_MM
    k = r * (1 - math.sqrt(0.5))
    lines = (((r, 0), (w - r, 0)), ((w, r), (w, h - r)), ((w - r, h), (r, h)), ((0, h - r), (0, r)))
    arcs = (
        ((w - r, 0), (w - k, k), (w, r)), ((w, h - r), (w - k, h - k), (w - r, h)), ((r, h), (k, h - k), (0, h - r)),
        ((0, r), (k, k), (r, 0)),
    )  # fmt: skip

    def at(name: str, spot: tuple[float, float]) -> Node:
        return [name, number(AT_X + spot[0]), number(AT_Y + spot[1])]

    tail = [["stroke", ["width", "0.1"], ["type", "default"]], ["layer", Text("Edge.Cuts")]]
    made: list[Node] = [
        ["gr_line", at("start", a), at("end", b), *tail, ["uuid", Text(identity("edge", str(count)))]]
        for count, (a, b) in enumerate(lines)
    ]
    made += [
        ["gr_arc", at("start", a), at("mid", b), at("end", c), *tail, ["uuid", Text(identity("corner", str(count)))]]
        for count, (a, b, c) in enumerate(arcs)
    ]
    return made


def _text(line: Line) -> Node:
    layer = "B.SilkS" if line.back else "F.SilkS"
    justify = [word for word in (line.justify, "mirror" if line.back else "") if word]
    font: Node = [
        "font",
        ["size", number(line.size), number(line.size)],
        ["thickness", number(line.size * (0.2 if line.bold else 0.15))],
    ]
    if line.bold:
        font.append(["bold", "yes"])
    return [
        "gr_text", Text(line.text), ["at", number(AT_X + line.x), number(AT_Y + line.y), str(line.angle)],
        ["layer", Text(layer)], ["uuid", Text(identity("legend", line.text, number(line.x), number(line.y), layer))],
        ["effects", font, *([["justify", *justify]] if justify else [])],
    ]  # fmt: skip


def _tracks(routed: dict[str, Routed], numbers: dict[str, int]) -> list[Node]:
    made: list[Node] = []
    for net in sorted(routed):
        width = project.track_width(net)
        for path in routed[net].paths:
            for (layer, x1, y1), (_, x2, y2) in _straight(path):
                made.append(
                    [
                        "segment", ["start", number(AT_X + x1 * GRID_MM), number(AT_Y + y1 * GRID_MM)],
                        ["end", number(AT_X + x2 * GRID_MM), number(AT_Y + y2 * GRID_MM)], ["width", number(width)],
                        ["layer", Text(("F.Cu", "B.Cu")[layer])], ["net", str(numbers[net])],
                        ["uuid", Text(identity("track", net, f"{layer} {x1} {y1} {x2} {y2}"))],
                    ]
                )  # fmt: skip
        for x, y in routed[net].vias:
            made.append(
                [
                    "via", ["at", number(AT_X + x * GRID_MM), number(AT_Y + y * GRID_MM)], ["size",
                    number(project.VIA_MM)],
                    ["drill", number(project.VIA_DRILL_MM)], ["layers", Text("F.Cu"), Text("B.Cu")],
                    ["net", str(numbers[net])], ["uuid", Text(identity("via", net, f"{x} {y}"))],
                ]
            )  # fmt: skip
    return made


def _straight(path: list[tuple[int, int, int]]) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    start = path[0]
    for before, at, after in zip(path, path[1:], path[2:], strict=False):
        if (at[1] - before[1], at[2] - before[2]) != (after[1] - at[1], after[2] - at[2]):
            yield start, at
            start = at
    yield start, path[-1]


def _zones(numbers: dict[str, int]) -> list[Node]:
    w, h, e = outline.WIDTH_MM, outline.HEIGHT_MM, project.EDGE_MM
    _, top, right, bottom = outline.ANTENNA
    x, y = LOGIC_TO
    logic = (
        (e, e), (w - e, e), (w - e, y), (x, y), (x, h - e), (e, h - e), (e, bottom), (right, bottom), (right, top),
        (e, top),
    )  # fmt: skip
    field = ((FIELD_FROM[0], FIELD_FROM[1]), (w - e, FIELD_FROM[1]), (w - e, h - e), (FIELD_FROM[0], h - e))
    barrier = (
        (x, y), (w, y), (w, FIELD_FROM[1]), (FIELD_FROM[0], FIELD_FROM[1]), (FIELD_FROM[0], h), (x, h),
    )  # fmt: skip
    inner = {layer: net for net, layer in PLANES.items()}
    layers = ("F.Cu", "In1.Cu", "In2.Cu", "B.Cu")
    return [
        *(_area(project.label(inner.get(layer, circuit.GND)), layer, logic, numbers) for layer in layers),
        *(_area(project.label(circuit.FIELD_GND), layer, field, numbers) for layer in layers),
        _no_copper("barrier", barrier),
    ]


def _area(net: str, layer: str, corners: tuple[tuple[float, float], ...], numbers: dict[str, int]) -> Node:
    return [
        "zone", ["net", str(numbers[net])], ["net_name", Text(net)], ["layer", Text(layer)],
        ["uuid", Text(identity("zone", net, layer))], ["hatch", "edge", "0.5"],
        ["connect_pads", ["clearance", number(FILL_CLEARANCE_MM)]], ["min_thickness", "0.2"],
        ["filled_areas_thickness", "no"],
        ["fill", "yes", ["thermal_gap", "0.25"], ["thermal_bridge_width", "0.3"], ["island_removal_mode", "0"]],
        _polygon(corners),
    ]  # fmt: skip


def _no_copper(name: str, corners: tuple[tuple[float, float], ...]) -> Node:
    return [
        "zone", ["net", "0"], ["net_name", Text("")],
        ["layers", Text("F.Cu"), Text("In1.Cu"), Text("In2.Cu"), Text("B.Cu")],
        ["uuid", Text(identity("zone", name))], ["name", Text(name)], ["hatch", "edge", "0.5"],
        ["connect_pads", ["clearance", "0"]], ["min_thickness", "0.25"], ["filled_areas_thickness", "no"],
        [
            "keepout", ["tracks", "not_allowed"], ["vias", "not_allowed"], ["pads", "not_allowed"],
            ["copperpour", "not_allowed"], ["footprints", "allowed"],
        ],
        ["fill", ["thermal_gap", "0.5"], ["thermal_bridge_width", "0.5"]], _polygon(corners),
    ]  # fmt: skip


def _polygon(corners: tuple[tuple[float, float], ...]) -> Node:
    return ["polygon", ["pts", *(["xy", number(AT_X + x), number(AT_Y + y)] for x, y in corners)]]


def _stackup() -> Node:
    def copper(name: str) -> Node:
        return [
            "layer",
            Text(name),
            ["type", Text("copper")],
            ["thickness", "0.035" if name in ("F.Cu", "B.Cu") else "0.0152"],
        ]

    def glass(count: int, kind: str, thickness: str) -> Node:
        return [
            "layer", Text(f"dielectric {count}"), ["type", Text(kind)], ["thickness", thickness],
            ["material", Text("FR4")], ["epsilon_r", "4.5"], ["loss_tangent", "0.02"],
        ]  # fmt: skip

    return [
        "stackup",
        ["layer", Text("F.SilkS"), ["type", Text("Top Silk Screen")], ["color", Text("White")]],
        ["layer", Text("F.Mask"), ["type", Text("Top Solder Mask")], ["color", Text("Green")], ["thickness", "0.01"]],
        copper("F.Cu"), glass(1, "prepreg", "0.2104"), copper("In1.Cu"), glass(2, "core", "1.065"), copper("In2.Cu"),
        glass(3, "prepreg", "0.2104"), copper("B.Cu"),
        ["layer", Text("B.Mask"), ["type", Text("Bottom Solder Mask")], ["color", Text("Green")], ["thickness",
        "0.01"]],
        ["layer", Text("B.SilkS"), ["type", Text("Bottom Silk Screen")], ["color", Text("White")]],
        ["copper_finish", Text("ENIG")], ["dielectric_constraints", "no"],
    ]  # fmt: skip
