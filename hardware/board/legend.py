"""What is printed on the board [mm from its upper left corner, y down]."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    text: str
    x: float
    y: float
    size: float = 1.0
    angle: int = 0
    justify: str = ""
    bold: bool = False
    back: bool = False


_WARNING = "NO MAINS: extra-low voltage only"


def legend() -> tuple[Line, ...]:
    return (*_front(), *_back())


def _front() -> tuple[Line, ...]:
    lines = [
        Line("PUMASI", 18.0, 4.5, 2.6, bold=True),
        Line("meter s3  0.1", 18.0, 8.0, 1.2),
        Line("CERN-OHL-S v2", 18.0, 10.2, 1.0),
        Line("NO MAINS", 16.0, 14.5, 2.0, bold=True),
        Line("extra-low voltage only", 16.0, 17.2, 1.1),
        Line("VOLTAGE", 37.5, 14.4, 0.9),
        Line("9 V AC", 47.5, 14.4, 0.9),
        Line("CURRENT 50 mA", 76.1, 26.6, 1.0),
        Line("USB-C 5 V", 6.4, 74.6, 0.9),
        Line("P1", 33.2, 64.9, 1.2),
        Line("IR head", 45.2, 71.8, 1.0),
        Line("FIELD SIDE, isolated", 82.7, 64.75, 0.9),
        Line("RS-485", 69.0, 66.7, 1.0),
        Line("S0", 83.0, 72.5, 1.0),
        Line("BOOT", 33.0, 42.9, 1.0),
        Line("RESET", 45.0, 42.9, 1.0),
        Line("METER", 55.0, 44.5, 0.9, justify="right"),
        Line("STATUS", 55.0, 47.5, 0.9, justify="right"),
        Line("POWER", 55.0, 50.5, 0.9, justify="right"),
        Line("SSD1306", 35.8, 58.75, 0.8),
    ]
    for place, word in enumerate(("GND", "VCC", "SCL", "SDA")):
        lines.append(Line(word, 32.0 + 2.54 * place, 53.8, 0.8, 90))
    for place, word in enumerate(("L1", "N", "L2", "N", "L3", "N")):
        lines.append(Line(word, 30.6 + 5.08 * place, 11.9, 0.9))
    for place, word in enumerate(("k L1", "l", "k L2", "l", "k L3", "l")):
        lines.append(Line(word, 63.4 + 5.08 * place, 11.9, 0.9))
    for place, word in enumerate(("3V3", "GND", "RX", "TX")):
        lines.append(Line(word, 44.5 + 3.5 * place, 74.4, 0.8))
    for place, word in enumerate(("A", "B", "GND")):
        lines.append(Line(word, 67.5 + 3.5 * place, 74.6, 0.8))
    for place, word in enumerate(("1+", "1-", "2+", "2-")):
        lines.append(Line(word, 79.5 + 3.5 * place, 74.6, 0.8))
    return tuple(lines)


def _back() -> tuple[Line, ...]:
    return (
        Line("PUMASI meter, board pumasi-s3, revision 0.1", 50.0, 30.0, 2.0, bold=True, back=True),
        Line(_WARNING, 50.0, 35.0, 2.0, bold=True, back=True),
        Line("Open hardware: CERN-OHL-S v2. Not built or measured yet.", 50.0, 39.5, 1.5, back=True),
        Line("9 V AC from safety isolating transformers", 43.3, 14.0, 1.3, back=True),
        Line("split-core transformers, 50 mA", 78.0, 18.0, 1.3, back=True),
        Line("antenna: keep metal away", 3.2, 42.0, 1.1, 90, back=True),
        Line("field side", 82.0, 73.0, 1.5, back=True),
    )
