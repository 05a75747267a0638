"""The box in two parts, base and lid, as solids: everything in mm, everything from the numbers on top.

x runs along the rail, y up the wall, z away from it; z = 0 is the front of the rail. The board's numbers come from
hardware/board/outline.py. A modular device is a multiple of 17.5 mm wide, 90 mm high, and its 45 mm nose looks through
the opening of a distribution board's cover (DIN 43880).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from manifold3d import Manifold

from hardware.board import outline

MODULE_MM = 17.5
MODULES = 6
SIZE_X, SIZE_Y = MODULES * MODULE_MM, 90.0
FLOOR, ROOF = 2.4, 2.4
PLAY = 0.5
"""Between the board's edge and the wall."""
WALL_X = (SIZE_X - outline.WIDTH_MM) / 2 - PLAY
WALL_Y = (SIZE_Y - outline.HEIGHT_MM) / 2 - PLAY
STANDOFF = 5.0
"""Below the board: pins of the parts that go through it."""
BOARD_TOP = FLOOR + STANDOFF + outline.THICKNESS_MM
SHOULDER = BOARD_TOP + outline.COMPONENT_HEIGHT_MAX_MM + 1.0 + ROOF
NOSE_Y, NOSE_Z = 45.0, 53.0
"""How high the nose is on the wall, and how far its front stands from the rail."""
PARTING = BOARD_TOP + 12.0
"""Where lid meets base: the terminals' wires go in below."""
LIP, LIP_GAP = 3.0, 0.2
POST, SCREW, SCREW_CORE, SCREW_HEAD = 7.0, 3.4, 2.6, 6.2
"""One M3 screw in each corner goes through lid and board into the base, where it cuts its thread."""
HEAD_AT = SHOULDER - 5.0
HOLE_GAP = 0.6
"""Around what is plugged in."""
WALL_LEAST = 2.5
"""A strip of wall that is narrower would break."""
PLUGS = {"USB-C": (12.8, 7.6)}
"""Width and height of a plug's handle that has to enter the wall, or the plug would not reach its socket."""
LIGHT, FINGER = 2.2, 4.0
"""A light pipe, and a rod that reaches a button."""
DISPLAY = (26.0, 15.0)
"""What is seen of an SSD1306 of 0.96 inch."""
RAIL = 35.0
"""TS35 (EN 60715): 35 mm high, edges 1 mm thick."""
RAIL_PLAY, RAIL_EDGE, HOOK, HOOK_GRIP = 0.3, 1.3, 2.2, 1.6
SPRING_LENGTH, SPRING, SPRING_Z = 32.0, 1.8, 4.0
SIDES = 32
"""Of a circle."""
OUT = 1.0
"""How far a cut goes beyond what it cuts."""


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Manifold:
    return Manifold.cube((x[1] - x[0], y[1] - y[0], z[1] - z[0])).translate((x[0], y[0], z[0]))


def rod(x: float, y: float, z: tuple[float, float], diameter: float) -> Manifold:
    return Manifold.cylinder(z[1] - z[0], diameter / 2, diameter / 2, SIDES).translate((x, y, z[0]))


def union(solids: Iterable[Manifold]) -> Manifold:
    found = Manifold()
    for solid in solids:
        found += solid
    return found


def on_board(x: float, y: float) -> tuple[float, float]:
    """A place of the board in the box."""
    return WALL_X + PLAY + x, WALL_Y + PLAY + y


HOLES = [on_board(x, y) for x, y in outline.HOLES]
BAND = (WALL_Y, SIZE_Y - WALL_Y)
NOSE = ((SIZE_Y - NOSE_Y) / 2, (SIZE_Y + NOSE_Y) / 2)


def base() -> Manifold:
    """Floor with the rail's hooks, walls up to the parting, and the board's standoffs."""
    shell = box((0, SIZE_X), (0, SIZE_Y), (0, PARTING))
    room = box((WALL_X, SIZE_X - WALL_X), BAND, (FLOOR, PARTING + OUT))
    posts = union(rod(x, y, (0, FLOOR + STANDOFF), POST) for x, y in HOLES)
    cores = union(rod(x, y, (0.8, FLOOR + STANDOFF + OUT), SCREW_CORE) for x, y in HOLES)
    return (shell - room + posts - cores - _mouths(PARTING + OUT)) + _hooks()


def lid() -> Manifold:
    """Shoulders over the terminals and the nose between them, with a lip that enters the base."""
    shell = box((0, SIZE_X), (0, SIZE_Y), (PARTING, SHOULDER)) + box((0, SIZE_X), NOSE, (PARTING, NOSE_Z))
    inner_x = (WALL_X, SIZE_X - WALL_X)
    room = box(inner_x, BAND, (PARTING - OUT, SHOULDER - ROOF))
    room += box(inner_x, (NOSE[0] + ROOF, NOSE[1] - ROOF), (PARTING - OUT, NOSE_Z - ROOF))
    posts = union(rod(x, y, (BOARD_TOP, SHOULDER), POST) for x, y in HOLES)
    bores = union(rod(x, y, (BOARD_TOP - OUT, SHOULDER + OUT), SCREW) for x, y in HOLES)
    bores += union(rod(x, y, (HEAD_AT, SHOULDER + OUT), SCREW_HEAD) for x, y in HOLES)
    return shell - room + _lip() + posts - bores - _mouths(PARTING) - _above_terminals() - _front()


def _lip() -> Manifold:
    """Inside the base's two short walls; in the long ones are the openings."""
    thick = 1.2
    y = BAND[0] + POST + 1.0, BAND[1] - POST - 1.0
    left = WALL_X + LIP_GAP, WALL_X + LIP_GAP + thick
    right = SIZE_X - left[1], SIZE_X - left[0]
    rim = PARTING + 2.0
    # held by the roof of the lid's own wall
    joints = [box((0.5, left[1]), y, (PARTING, rim)), box((right[0], SIZE_X - 0.5), y, (PARTING, rim))]
    return union([box(left, y, (PARTING - LIP, rim)), box(right, y, (PARTING - LIP, rim)), *joints])


def _mouths(top: float) -> Manifold:
    """The openings in the walls for what is plugged in or screwed on."""
    return union([*(_mouth(connector, top) for connector in outline.CONNECTORS), *_joined(top)])


def _joined(top: float) -> Iterator[Manifold]:
    """Between two openings that leave less wall than can be printed."""
    for edge in ("top", "bottom"):
        beside = sorted(
            (one for one in outline.CONNECTORS if one.edge == edge and one.name not in PLUGS), key=lambda one: one.x
        )
        for left, right in pairwise(beside):
            end, begin = left.x + left.width / 2 + HOLE_GAP, right.x - right.width / 2 - HOLE_GAP
            if begin - end < WALL_LEAST:
                lower = min(left, right, key=lambda one: one.height)
                yield _mouth(replace(lower, x=(begin + end) / 2, width=begin - end), top)


def _crown(connector: outline.Connector) -> float:
    return BOARD_TOP + connector.height + HOLE_GAP


def _mouth(connector: outline.Connector, top: float) -> Manifold:
    x, _ = on_board(connector.x, connector.y)
    y = (SIZE_Y - WALL_Y - OUT, SIZE_Y + OUT) if connector.edge == "top" else (-OUT, WALL_Y + OUT)
    if connector.name in PLUGS:
        width, height = PLUGS[connector.name]
        middle = BOARD_TOP + connector.height / 2
        return box((x - width / 2, x + width / 2), y, (middle - height / 2, middle + height / 2))
    half = connector.width / 2 + HOLE_GAP
    # open upwards, so that the board can be put in
    return box((x - half, x + half), y, (BOARD_TOP, max(top, _crown(connector))))


def is_terminal(connector: outline.Connector) -> bool:
    """Screws that are turned from the front."""
    return connector.name not in ("USB-C", "P1")


def _above_terminals() -> Manifold:
    """A screwdriver's way through the shoulders."""
    cuts = []
    for connector in outline.CONNECTORS:
        if is_terminal(connector):
            x, y = on_board(connector.x, connector.y)
            half = connector.width / 2 - 0.5
            depth = 2.5
            cuts.append(box((x - half, x + half), (y - depth, y + depth), (SHOULDER - ROOF - OUT, SHOULDER + OUT)))
    return union(cuts)


def _front() -> Manifold:
    """Through the nose: lights, buttons, the display's window."""
    through = (NOSE_Z - ROOF - OUT, NOSE_Z + OUT)
    cuts = [rod(*on_board(x, y), through, LIGHT) for x, y in outline.LEDS.values()]
    cuts += [rod(*on_board(x, y), through, FINGER) for x, y in outline.BUTTONS.values()]
    centre = SIZE_X - 27.0, (NOSE[0] + NOSE[1]) / 2
    half_x, half_y = DISPLAY[0] / 2, DISPLAY[1] / 2
    cuts.append(box((centre[0] - half_x, centre[0] + half_x), (centre[1] - half_y, centre[1] + half_y), through))
    return union(cuts)


def _hooks() -> Manifold:
    """Below the floor: a fixed hook over the rail's upper edge, and one on a spring below the lower one."""
    middle_y, middle_x = SIZE_Y / 2, SIZE_X / 2
    upper, lower = middle_y + RAIL / 2 + RAIL_PLAY, middle_y - RAIL / 2 - RAIL_PLAY
    span = (middle_x - 20.0, middle_x + 20.0)
    under = -RAIL_EDGE - HOOK
    fixed = box(span, (upper, upper + 4.0), (under, FLOOR)) + box(span, (upper - 2.5, upper + 4.0), (under, -RAIL_EDGE))
    # the spring: two beams along the rail, held at their outer ends, that bend away from it
    block = (middle_x - 8.0, middle_x + 8.0)
    ends = (block[0] - SPRING_LENGTH, block[1] + SPRING_LENGTH)
    beam_y = (lower - 5.0, lower - 5.0 + SPRING)
    beam_z = (-0.6 - SPRING_Z, -0.6)
    beams = box((ends[0] - 5.0, ends[1] + 5.0), beam_y, beam_z)
    held = box((ends[0] - 5.0, ends[0]), (beam_y[0] - 3.0, beam_y[1]), (beam_z[0], FLOOR))
    held += box((ends[1], ends[1] + 5.0), (beam_y[0] - 3.0, beam_y[1]), (beam_z[0], FLOOR))
    grip = box(block, (beam_y[0], lower), beam_z) + Manifold.hull_points(_wedge(block, lower, under))
    # down to the box's edge, with a slot for a screwdriver
    tongue = box((middle_x - 5.0, middle_x + 5.0), (-4.0, beam_y[0] + 0.5), (beam_z[0], beam_z[0] + 2.4))
    tongue -= box((middle_x - 3.0, middle_x + 3.0), (-2.6, -1.2), (beam_z[0] - OUT, beam_z[0] + 2.4 + OUT))
    return fixed + beams + held + grip + tongue


def _wedge(x: tuple[float, float], y: float, under: float) -> list[tuple[float, float, float]]:
    """The sprung hook's nose: flat towards the rail's edge, slanted on the other side so that it snaps in."""
    profile = ((y - 2.0, -RAIL_EDGE), (y + HOOK_GRIP, -RAIL_EDGE), (y - 2.0, under - 1.1), (y, under - 1.1))
    return [(end, *point) for end in x for point in profile]
