"""The circuit: every component, the net at each of its pins, and where it stands on the sheet and on the board.

Positions on the sheet are in steps of 2.54 mm from the block's upper left corner; positions on the board in mm from its
upper left corner, y down, angles counterclockwise. The processor's nets come from `hardware/pins.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parents[1] / "pins.json"
BOARD = "pumasi-s3"

GND, FIELD_GND = "GND", "GND_FIELD"
V3, V5, FIELD_V5, METER_V3 = "+3V3", "+5V", "+5V_FIELD", "+3V3_METER"
FIELD_NETS = (
    FIELD_GND,
    FIELD_V5,
    "RS485_A",
    "RS485_B",
    "RS485_TERM",
    "S0_1_PLUS",
    "S0_1_MINUS",
    "S0_2_PLUS",
    "S0_2_MINUS",
)
"""Nets of the side that is isolated from everything else."""
WIDE_NETS = {V5: 0.4, FIELD_V5: 0.4, "VBUS": 0.3}
"""Widths of tracks that carry more than a signal [mm]; VBUS as wide as the contacts of the socket allow."""
POWER_SYMBOLS = {
    GND: "power:GND", V3: "power:+3V3", V5: "power:+5V", "VBUS": "power:VBUS", METER_V3: "power:+3.3VA",
    FIELD_GND: "power:GND2", FIELD_V5: "power:+5VD",
}  # fmt: skip

Place = tuple[float, float, int]


@dataclass(frozen=True)
class Component:
    """`nets` by pin number; pins that are not named stay unconnected."""

    reference: str
    part: str
    nets: Mapping[str, str]
    sheet: Place
    board: Place
    value: str | None = None


@dataclass(frozen=True)
class Block:
    """A titled frame on the sheet; place and size in steps of 2.54 mm."""

    title: str
    left: int
    top: int
    width: int
    height: int
    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """Nets that something outside the board feeds."""


def gpio_nets(board: Mapping[str, Any]) -> dict[int, str]:
    """The schematic's net of each GPIO: `<port>_<MEMBER>`, and just the port for a pulse input. Raises ValueError."""
    named: list[tuple[int, str]] = [(board["button"], "BUTTON"), (board["led"], "LED")]
    for port, members in board["ports"].items():
        for member, gpio in members.items():
            if member not in ("uart", "inverted", "closed"):
                named.append((gpio, port if member == "pin" else f"{port}_{member.upper()}"))
    named += [(gpio, net) for net, gpio in board.get("wires", {}).items()]
    nets = dict(named)
    if len(nets) != len(named):
        twice = sorted({gpio for gpio, _ in named if sum(gpio == other for other, _ in named) > 1})
        raise ValueError(f"GPIO {', '.join(map(str, twice))} has two nets")
    return nets


def processor_pads() -> dict[int, str]:
    """The pad of each GPIO of the ESP32-S3-WROOM-1. Source: Espressif's datasheet of the module, table of pins."""
    left = (4, 5, 6, 7, 15, 16, 17, 18, 8, 19, 20)
    bottom = (3, 46, 9, 10, 11, 12, 13, 14, 21, 47, 48, 45)
    right = (0, 35, 36, 37, 38, 39, 40, 41, 42, 44, 43, 2, 1)
    return {gpio: str(pad) for pad, gpio in enumerate((*left, *bottom, *right), start=4)}


def _two(
    reference: str, part: str, one: str, two: str, sheet: Place, board: Place, value: str | None = None
) -> Component:
    return Component(reference, part, {"1": one, "2": two}, sheet, board, value)


def _power() -> Block:
    usb = {
        "S1": GND, "A1": GND, "A12": GND, "B1": GND, "B12": GND, "A4": "VBUS", "A9": "VBUS", "B4": "VBUS", "B9": "VBUS",
        "A5": "CC1", "B5": "CC2", "A6": "USB_D+", "B6": "USB_D+", "A7": "USB_D-", "B7": "USB_D-",
    }  # fmt: skip
    guard = {"1": "USB_D-", "6": "USB_D-", "3": "USB_D+", "4": "USB_D+", "5": "VBUS", "2": GND}
    return Block(
        "Power and USB", 0, 0, 70, 38,
        (
            Component("J1", "usb", usb, (8, 14, 0), (17, 80.825, 0)),
            _two("R1", "5k1", "CC1", GND, (22, 21, 0), (11.5, 73.5, 90)),
            _two("R2", "5k1", "CC2", GND, (28, 21, 0), (22.5, 73.5, 270)),
            Component("D1", "usb guard", guard, (26, 10, 0), (17, 71.5, 270)),
            _two("F1", "fuse", "VBUS", V5, (39, 8, 90), (21.5, 67.5, 180)),
            _two("C1", "10u", V5, GND, (45, 12, 0), (14.75, 61.5, 90)),
            Component("U1", "regulator", {"1": V5, "3": V5, "2": GND, "5": V3}, (52, 10, 0), (11.25, 61.5, 180)),
            _two("C2", "10u", V3, GND, (59, 12, 0), (7.75, 61.5, 270)),
            _two("C3", "100n", V3, GND, (64, 12, 0), (7.75, 65.5, 90)),
            _two("R3", "1k", V3, "LED_POWER", (42, 24, 0), (60.5, 50.5, 180)),
            Component("D2", "green", {"2": "LED_POWER", "1": GND}, (51, 28, 0), (57, 50.5, 0)),
        ),
        ("5 V from USB-C, at most 0.75 A; native USB of the", "ESP32-S3 for flashing and the console."),
        ("VBUS", V5, GND),
    )  # fmt: skip


def _processor(board: Mapping[str, Any]) -> Block:
    pads = processor_pads()
    nets = {pads[gpio]: net for gpio, net in gpio_nets(board).items()}
    nets |= {"2": V3, "1": GND, "40": GND, "41": GND, "3": "EN"}
    return Block(
        "Processor", 72, 0, 68, 38,
        (
            Component("U2", "module", nets, (20, 17, 0), (13.0, 42, 90)),
            _two("C4", "10u", V3, GND, (38, 8, 0), (8, 54.25, 270)),
            _two("C5", "100n", V3, GND, (43, 8, 0), (7.75, 57.5, 270)),
            _two("R4", "10k", V3, "EN", (50, 8, 0), (10.5, 54.25, 270)),
            _two("C6", "1u", "EN", GND, (50, 20, 0), (12.75, 54.25, 90)),
            Component("SW2", "button", {"1": "EN", "2": GND}, (56, 15, 0), (45, 47, 0), "RESET"),
            _two("R5", "10k", V3, "BUTTON", (58, 8, 0), (29.75, 40.5, 270)),
            Component("SW1", "button", {"1": "BUTTON", "2": GND}, (56, 25, 0), (33, 47, 0), "BOOT"),
            _two("R6", "1k", "LED", "LED_STATUS", (40, 24, 90), (60.5, 47.5, 180)),
            Component("D3", "green", {"2": "LED_STATUS", "1": GND}, (41, 28, 0), (57, 47.5, 0)),
        ),
        ("BOOT is the meter's button; held while RESET is pressed", "it starts the ROM's flashing over USB."),
    )  # fmt: skip


def _metering() -> Block:
    chip = {
        "1": METER_V3, "48": METER_V3, "33": METER_V3, "34": METER_V3, "2": GND, "9": GND, "10": GND, "12": GND,
        "19": GND, "32": GND, "36": GND, "44": GND, "47": GND, "3": "I1P", "4": "I1N", "5": "I2P", "6": "I2N",
        "7": "I3P", "8": "I3N", "11": "VREF", "13": "V1P", "14": GND, "15": "V2P", "16": GND, "17": "V3P", "18": GND,
        "20": "OSCI", "21": "OSCO", "22": "ATM_ZX0", "25": "CF1", "29": "ATM_WARN", "30": "ATM_IRQ0", "31": "ATM_IRQ1",
        "37": "SPI_CS", "38": "SPI_SCK", "39": "SPI_MISO", "40": "SPI_MOSI", "41": "ATM_RESET", "42": "VDD18",
        "43": "VDD18",
    }  # fmt: skip
    return Block(
        "Metering", 142, 0, 82, 38,
        (
            Component("U3", "metering", chip, (18, 18, 0), (50, 30, 180)),
            _two("L1", "bead", V3, METER_V3, (42, 6, 90), (58.25, 38.75, 0)),
            _two("C7", "10u", METER_V3, GND, (50, 9, 0), (58.5, 36, 0)),
            _two("C8", "100n", METER_V3, GND, (56, 9, 0), (57.0, 33.25, 0)),
            _two("C9", "100n", METER_V3, GND, (62, 9, 0), (54.5, 38.0, 270)),
            _two("C10", "10u", "VDD18", GND, (67, 9, 0), (50.25, 39.0, 270)),
            _two("C11", "100n", "VDD18", GND, (71, 9, 0), (52.5, 38.0, 270)),
            _two("C12", "10u", "VREF", GND, (75, 9, 0), (58.5, 24.5, 0)),
            _two("C13", "100n", "VREF", GND, (79, 9, 0), (57.5, 27.0, 0)),
            Component("Y1", "crystal", {"1": "OSCI", "3": "OSCO", "2": GND, "4": GND}, (46, 22, 0), (47.75, 23.0, 180)),
            _two("R7", "10k", METER_V3, "SPI_CS", (56, 21, 0), (43.5, 36.5, 270)),
            _two("R8", "10k", METER_V3, "ATM_RESET", (62, 21, 0), (45.75, 38.75, 90)),
            _two("C14", "100n", "ATM_RESET", GND, (62, 29, 0), (47.75, 38.75, 270)),
            _two("R9", "1k", "CF1", "LED_METER", (70, 20, 90), (60.5, 44.5, 180)),
            Component("D4", "red", {"2": "LED_METER", "1": GND}, (71, 24, 0), (57, 44.5, 0)),
        ),
        ("SPI mode 3. PM1 = PM0 = 1: normal mode. The crystal's load",
         "capacitors are in the chip. D4 blinks 3200 times per kWh."),
        (METER_V3,),
    )  # fmt: skip


def _voltage() -> Block:
    terminals = {"6": "U1_IN", "5": GND, "4": "U2_IN", "3": GND, "2": "U3_IN", "1": GND}
    parts = [Component("J2", "terminal 6", terminals, (9, 16, 180), (56, 5.5, 180), "9 V AC")]
    for phase in (1, 2, 3):
        x, y = 22.5 + 10 * phase, 18
        at = 18 + 14 * (phase - 1)
        numbers = [10 + 2 * (phase - 1), 11 + 2 * (phase - 1)]
        parts += [
            _two(f"R{numbers[0]}", "20k 0.1%", f"U{phase}_IN", f"V{phase}P", (at, 10, 0), (x, y - 2.5, 270)),
            _two(f"R{numbers[1]}", "1k 0.1%", f"V{phase}P", GND, (at, 20, 0), (x, y + 1.5, 270)),
            _two(f"C{14 + phase}", "33n C0G", f"V{phase}P", GND, (at + 6, 20, 0), (x + 2.5, y + 1.5, 270)),
        ]
    return Block(
        "Voltage: secondary sides of isolating transformers, 9 V AC", 0, 40, 64, 34, tuple(parts),
        ("NO MAINS HERE. 230 V : 9 V safety transformers (EN 61558-2-6).",
         "9 V give 0.43 V at the chip; 0.72 V (15 V AC) is its limit."),
    )  # fmt: skip


def _current() -> Block:
    terminals = {"6": "CT1_K", "5": "CT1_L", "4": "CT2_K", "3": "CT2_L", "2": "CT3_K", "1": "CT3_L"}
    parts = [Component("J3", "terminal 6", terminals, (9, 16, 180), (88.8, 5.5, 180), "CT 50 mA")]
    for phase in (1, 2, 3):
        middle = 65.94 + 10.16 * (phase - 1)
        x = 4 * round(middle * 4) / 16
        for half, (end, side) in enumerate((("K", "P"), ("L", "N"))):
            sheet = 18 + 26 * (phase - 1) + 12 * half
            first = 16 + 6 * (phase - 1) + 3 * half
            outward = -1 if half == 0 else 1
            parts += [
                _two(f"R{first}", "10R 0.1%", f"CT{phase}_{end}", GND, (sheet, 9, 0), (x + outward * 1.25, 15.25, 270)),
                _two(
                    f"R{first + 1}",
                    "10R 0.1%",
                    f"CT{phase}_{end}",
                    GND,
                    (sheet + 6, 9, 0),
                    (x + outward * 3.75, 15.25, 270),
                ),
                _two(
                    f"R{first + 2}",
                    "1k 0.1%",
                    f"CT{phase}_{end}",
                    f"I{phase}{side}",
                    (sheet, 20, 0),
                    (x + outward * 1.25, 19.5, 270),
                ),
                _two(
                    f"C{18 + 2 * (phase - 1) + half}",
                    "33n C0G",
                    f"I{phase}{side}",
                    GND,
                    (sheet + 6, 24, 0),
                    (x + outward * 1.25, 23.5, 270),
                ),
            ]
    return Block(
        "Current: split-core transformers, 50 mA", 66, 40, 100, 34, tuple(parts),
        ("Burden 10 R in all per phase: 0.50 V at 50 mA. Close the core",
         "around the conductor only while the terminals are connected here."),
    )  # fmt: skip


def _ports() -> Block:
    p1 = {"2": "P1_REQUEST", "3": GND, "5": "P1_DATA", "6": GND}
    return Block(
        "Smart meter P1, infrared head, display", 168, 40, 56, 34,
        (
            Component("J4", "p1", p1, (6, 9, 0), (30, 67.5, 0)),
            _two("R34", "100R 1206", V5, "P1_REQUEST", (23, 7, 0), (38.75, 61.5, 270)),
            _two("R35", "4k7", V3, "P1_DATA", (29, 7, 0), (26.75, 61.5, 270)),
            _two("R36", "1k", "P1_DATA", "P1_IN", (31, 12, 90), (28.75, 61.5, 90)),
            Component("U4", "inverter", {"2": "P1_IN", "5": V3, "3": GND, "4": "P1_RX"}, (46, 12, 0), (32.25, 61.5,
            90)),
            _two("C24", "100n", V3, GND, (53, 5, 0), (35.5, 61.5, 270)),
            Component("J5", "terminal 4", {"1": V3, "2": GND, "3": "IR_HEAD", "4": "IR_LED"}, (7, 25, 180), (44.5,
            78.5, 0), "IR head"),
            _two("R37", "100R", "IR_HEAD", "IR_RX", (21, 24, 90), (51.5, 71.5, 90)),
            _two("R38", "10k", V3, "IR_RX", (28, 20, 0), (49.0, 71.5, 270)),
            _two("R39", "100R", "IR_LED", "IR_TX", (21, 29, 90), (55.0, 71.5, 90)),
            Component("J6", "header 4", {"1": GND, "2": V3, "3": "I2C_SCL", "4": "I2C_SDA"}, (37, 26, 180), (32,
            56.5, 90), "SSD1306"),
            _two("R40", "4k7", V3, "I2C_SCL", (45, 26, 0), (42.75, 56.5, 270)),
            _two("R41", "4k7", V3, "I2C_SDA", (51, 26, 0), (44.75, 56.5, 270)),
        ),
        ("P1 data is turned round by U4: the UART sees it upright.",),
    )  # fmt: skip


def _field() -> Block:
    bus = {
        "5": "RS-485_DE", "4": "RS-485_DE", "6": "RS-485_TX", "3": "RS-485_RX", "1": V3, "2": GND, "7": GND, "8": GND,
        "9": FIELD_GND, "10": FIELD_GND, "15": FIELD_GND, "16": FIELD_V5, "12": "RS485_A", "13": "RS485_B",
    }  # fmt: skip
    parts = [
        Component("U5", "converter", {"1": V5, "2": GND, "5": FIELD_GND, "7": FIELD_V5}, (18, 9, 0), (96, 51.65, 0)),
        _two("C25", "10u", V5, GND, (7, 10, 0), (93.5, 46.75, 180)),
        _two("C26", "10u", FIELD_V5, FIELD_GND, (31, 10, 0), (91.25, 71.0, 90)),
        Component("U6", "transceiver", bus, (51, 13, 0), (71, 58, 270)),
        _two("C27", "100n", V3, GND, (39, 6, 0), (66.5, 50.5, 180)),
        _two("C28", "100n", FIELD_V5, FIELD_GND, (62, 6, 0), (64.75, 65.25, 180)),
        Component("D5", "bus guard", {"1": "RS485_A", "2": "RS485_B", "3": FIELD_GND}, (72, 22, 0), (71, 72.5, 90)),
        _two("R42", "120R 1206", "RS485_A", "RS485_TERM", (74, 6, 90), (66.5, 70.0, 90)),
        _two("JP1", "jumper", "RS485_TERM", "RS485_B", (88, 7, 0), (76.25, 68.75, 0)),
        Component(
            "J7", "terminal 3", {"1": "RS485_A", "2": "RS485_B", "3": FIELD_GND}, (88, 15, 0), (67.5, 78.5, 0), "RS-485"
        ),
        Component(
            "J8",
            "terminal 4",
            {"1": "S0_1_PLUS", "2": "S0_1_MINUS", "3": "S0_2_PLUS", "4": "S0_2_MINUS"},
            (131, 12, 0),
            (79.5, 78.5, 0),
            "S0",
        ),
    ]
    for count in (1, 2):
        x, y = 79.5 + 7 * (count - 1), 8 + 12 * (count - 1)
        light = {"1": f"S0_{count}_MINUS", "2": FIELD_GND, "3": GND, "4": f"S0-{count}"}
        parts += [
            _two(
                f"R{41 + 2 * count}",
                "390R",
                FIELD_V5,
                f"S0_{count}_PLUS",
                (122, 4 + 12 * (count - 1), 90),
                (x, 72.0, 270),
            ),
            Component(f"U{6 + count}", "optocoupler", light, (108, y, 180), (x + 0.5, 58, 90)),
            _two(f"R{42 + 2 * count}", "10k", V3, f"S0-{count}", (96, y - 3, 0), (x + 1.75, 49.5, 270)),
        ]
    return Block(
        "Field side, isolated: RS-485 and S0", 0, 76, 140, 30, tuple(parts),
        ("5.5 mm without copper between logic and field side (functional isolation). JP1 terminates the bus.",
         "S0: a meter's pulse output closes S0+ to S0-; 5 V, 9 mA."),
    )  # fmt: skip


def _rest() -> Block:
    points = (
        ("TP1", GND, 52.5, 62.0), ("TP2", V3, 49.5, 62.0), ("TP3", V5, 46.5, 62.0), ("TP4", "UART0_TX", 46.5, 66.5),
        ("TP5", "UART0_RX", 49.5, 66.5), ("TP6", "P1_TX", 52.5, 66.5), ("TP7", "VDD18", 55.0, 41.75),
        ("TP8", "ATM_ZX0", 41.0, 25.0), ("TP9", "CF1", 41.0, 28.5), ("TP10", FIELD_V5, 82.0, 67.0), ("TP11",
        FIELD_GND, 85.25, 67.0),
    )  # fmt: skip
    parts = [
        Component(name, "test point", {"1": net}, (6 + 7 * (count % 6), 8 + 9 * (count // 6), 0), (x, y, 0))
        for count, (name, net, x, y) in enumerate(points)
    ]
    holes = ((4, 4), (96, 4), (4, 80), (96, 80))
    parts += [
        Component(f"H{count}", "hole", {}, (54 + 6 * count, 8, 0), (x, y, 0))
        for count, (x, y) in enumerate(holes, start=1)
    ]
    return Block("Test points and holes", 142, 76, 82, 30, tuple(parts))


def blocks() -> tuple[Block, ...]:
    board = json.loads(PINS.read_text())[BOARD]
    return (_power(), _processor(board), _metering(), _voltage(), _current(), _ports(), _field(), _rest())


def components() -> Iterator[Component]:
    for block in blocks():
        yield from block.components
