"""The board's outline and what stands at its edges: plain numbers [mm] for the board's generator and the enclosure.

Origin: the board's lower left corner as seen from the components; x to the right (along the DIN rail), y up.
"""

from __future__ import annotations

from dataclasses import dataclass

WIDTH_MM = 100.0
HEIGHT_MM = 84.0
THICKNESS_MM = 1.6
CORNER_MM = 2.0
HOLE_MM = 3.2
"""Four holes for M3 screws."""
HOLES = ((4.0, 4.0), (96.0, 4.0), (4.0, 80.0), (96.0, 80.0))
COMPONENT_HEIGHT_MAX_MM = 17.0
"""Above the board: the RJ12 socket and the isolated converter stand below it, the terminals below 12."""
BARRIER_MM = 5.5
"""Least distance between copper of the logic and of the field side."""


@dataclass(frozen=True)
class Connector:
    """What a cable or a hand reaches: the middle of its body, its size, and how far it stands over the edge [mm]."""

    name: str
    edge: str
    x: float
    y: float
    width: float
    depth: float
    height: float
    overhang: float = 0.0


CONNECTORS = (
    Connector("voltage L1 L2 L3", "top", 43.3, 78.6, 31.5, 9.9, 11.7),
    Connector("current L1 L2 L3", "top", 76.1, 78.6, 31.5, 9.9, 11.7),
    Connector("USB-C", "bottom", 17.0, 3.2, 9.0, 7.4, 3.3, 0.5),
    Connector("P1", "bottom", 33.2, 8.4, 13.2, 18.0, 13.2, 0.5),
    Connector("IR", "bottom", 49.75, 4.2, 14.0, 7.6, 9.0),
    Connector("RS-485", "bottom", 71.0, 4.2, 10.5, 7.6, 9.0),
    Connector("S0", "bottom", 84.75, 4.2, 14.0, 7.6, 9.0),
)
BUTTONS = {"BOOT": (33.0, 37.0), "RESET": (45.0, 37.0)}
LEDS = {"METER": (57.0, 39.5), "STATUS": (57.0, 36.5), "POWER": (57.0, 33.5)}
DISPLAY_HEADER = (35.81, 27.5)
"""The middle of the four pins GND, VCC, SCL, SDA."""
ANTENNA = (0.0, 18.0, 6.5, 66.0)
"""x, y, x, y: no copper and no metal in, above or below this part of the board."""
