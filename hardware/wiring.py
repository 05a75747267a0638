"""Which wire goes where on each board, from pins.json: ``python -m hardware.wiring``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

PINS = Path(__file__).with_name("pins.json")
FILE = Path(__file__).with_name("wiring.md")
WIRES = {
    ("RS-485", "tx"): "DI of the transceiver",
    ("RS-485", "rx"): "RO of the transceiver",
    ("RS-485", "de"): "DE and /RE of the transceiver, joined",
    ("P1", "rx"): "P1 socket pin 5 (data), with 10 kΩ to 3.3 V",
    ("P1", "tx"): "nothing: the port only talks",
    ("IR", "rx"): "TX of the optical head (or of a PZEM-004T, JSY-MK-194T)",
    ("IR", "tx"): "RX of the optical head (or of a PZEM-004T, JSY-MK-194T)",
    ("I2C", "scl"): "SCL of the display",
    ("I2C", "sda"): "SDA of the display",
    ("SPI", "sck"): "SCK of an ATM90E32 board",
    ("SPI", "mosi"): "SDI of an ATM90E32 board",
    ("SPI", "miso"): "SDO of an ATM90E32 board",
    ("SPI", "cs"): "CS of an ATM90E32 board",
    ("S0-1", "pin"): "S0+ of the first pulse output (S0− to GND)",
    ("S0-2", "pin"): "S0+ of the second pulse output (S0− to GND)",
}
"""What a bought module calls the wire at a port's setting."""
NOT_PINS = ("uart", "inverted", "closed")
OWN = "pumasi-s3"


def document() -> str:
    boards: dict[str, dict[str, Any]] = json.loads(PINS.read_text())
    lines = [
        "# Wiring",
        "",
        "Made by `python -m hardware.wiring` from `hardware/pins.json`, which the firmware reads too; do not edit.",
        "The numbers are GPIO numbers. A module's VCC goes to 3.3 V, its GND to GND.",
    ]
    for name, board in boards.items():
        drivers: dict[str, list[str]] = {}
        for driver, ports in board["drivers"].items():
            for port in ports:
                drivers.setdefault(port, []).append(driver)
        lines += ["", f"## {name}: {board['says']}", ""]
        own = name == OWN
        if own:
            lines += ["On this board it is wired already; the table is for whoever debugs it.", ""]
        lines += ["| port | drivers | GPIO | " + ("signal |" if own else "goes to |"), "|---|---|--:|---|"]
        for port, settings in board["ports"].items():
            for member, gpio in settings.items():
                if member not in NOT_PINS:
                    to = f"`{member}`" if own else WIRES[port, member]
                    lines.append(f"| {port} | {', '.join(drivers[port])} | {gpio} | {to} |")
        lines += [
            f"| | button | {board['button']} | {'on the board' if own else 'BOOT, on the board'} |",
            f"| | light | {board['led']} | {'STATUS' if own else 'on most boards'} |",
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    argparse.ArgumentParser(prog="python -m hardware.wiring", description="Write hardware/wiring.md.").parse_args()
    FILE.write_text(document(), encoding="utf-8")
    print(f"{FILE.name}: written")


if __name__ == "__main__":
    main()
