"""The pin map, the schematic as KiCad exported it, and the board say the same of every pin of the processor."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hardware.board import circuit
from hardware.board.sexpr import child, every, find, parse

HARDWARE = Path(__file__).parents[2] / "hardware"
BOARDS: dict[str, Any] = json.loads((HARDWARE / "pins.json").read_text())
PROCESSOR = "U2"
SPECIAL = {"TXD0": 43, "RXD0": 44, "USB_D-": 19, "USB_D+": 20}
"""Pins of the module that are not called after their GPIO."""
OUTPUTS = ("tx", "de", "sck", "mosi", "cs", "scl", "sda")


def gpio_of(pin_name: str) -> int | None:
    match = re.fullmatch(r"IO(\d+)", pin_name)
    return int(match[1]) if match else SPECIAL.get(pin_name)


def schematic_nets() -> dict[int, str]:
    """GPIO -> net, from the netlist that KiCad made of the schematic: neither the generator's input nor its code."""
    found = {}
    netlist = parse((HARDWARE / "output" / "netlist.net").read_text())
    for net in every(child(netlist, "nets"), "net"):
        for node in every(net, "node"):
            function = find(node, "pinfunction")
            if child(node, "ref")[1] == PROCESSOR and function is not None:
                gpio = gpio_of(str(function[1]))
                if gpio is not None:
                    found[gpio] = str(child(net, "name")[1])
    return found


def board_nets() -> dict[int, str]:
    """GPIO -> net, from the pads of the board."""
    board = parse((HARDWARE / "pumasi-s3" / "pumasi-s3.kicad_pcb").read_text())
    for footprint in every(board, "footprint"):
        if [one[2] for one in every(footprint, "property") if one[1] == "Reference"] == [PROCESSOR]:
            return {
                gpio: str(child(pad, "net")[-1])
                for pad in every(footprint, "pad")
                if (function := find(pad, "pinfunction")) is not None
                and (gpio := gpio_of(str(function[1]))) is not None
            }
    raise AssertionError("the board has no processor")


@pytest.mark.parametrize("nets", [schematic_nets, board_nets])
def test_every_gpio_has_the_net_that_the_pin_map_gives_it(nets: Any) -> None:
    drawn = nets()
    assert len(drawn) == 36  # the module has 36 GPIOs
    wired = {gpio: net.removeprefix("/") for gpio, net in drawn.items() if not net.startswith("unconnected-")}
    assert wired == circuit.gpio_nets(BOARDS["pumasi-s3"])


def test_a_net_is_called_after_its_port() -> None:
    nets = circuit.gpio_nets(BOARDS["pumasi-s3"])
    spi = BOARDS["pumasi-s3"]["ports"]["SPI"]
    assert [nets[spi[name]] for name in ("sck", "mosi", "miso", "cs")] == ["SPI_SCK", "SPI_MOSI", "SPI_MISO", "SPI_CS"]
    assert nets[BOARDS["pumasi-s3"]["ports"]["S0-2"]["pin"]] == "S0-2"


def test_the_metering_chip_hangs_at_the_port_of_its_driver() -> None:
    """Its own pins, by the names in its symbol, lead to the processor's pins of that port."""
    netlist = parse((HARDWARE / "output" / "netlist.net").read_text())
    chip = {
        str(child(node, "pinfunction")[1]): str(child(net, "name")[1]).removeprefix("/")
        for net in every(child(netlist, "nets"), "net")
        for node in every(net, "node")
        if child(node, "ref")[1] == "U3" and find(node, "pinfunction") is not None
    }
    nets = circuit.gpio_nets(BOARDS["pumasi-s3"])
    (port,) = BOARDS["pumasi-s3"]["drivers"]["atm90e32"]
    pins = BOARDS["pumasi-s3"]["ports"][port]
    wanted = {"SCLK": "sck", "SDI": "mosi", "SDO": "miso", "~{CS}": "cs"}
    assert {name: nets[pins[member]] for name, member in wanted.items()} == {name: chip[name] for name in wanted}
    # normal mode
    assert chip["PM0"] == chip["PM1"] == chip["AVDD"] == chip["DVDD"] == "+3V3_METER"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_no_pin_has_two_uses(name: str) -> None:
    # uart 1 is shared by P1 and the infrared head, but not their pins
    assert circuit.gpio_nets(BOARDS[name])


def test_a_pin_with_two_uses_is_refused() -> None:
    board = json.loads(json.dumps(BOARDS["pumasi-s3"]))
    board["led"] = board["ports"]["SPI"]["cs"]
    with pytest.raises(ValueError, match="GPIO 10 has two nets"):
        circuit.gpio_nets(board)


def test_pins_with_a_task_of_their_own_are_left_alone_on_the_esp32_s3() -> None:
    """Strapping pins but the button's; flash and octal PSRAM; USB only for USB. Source: ESP32-S3 datasheet."""
    board = BOARDS["pumasi-s3"]
    used = circuit.gpio_nets(board)
    assert not used.keys() & {3, 45, 46, *range(22, 38)}
    assert used[0] == "BUTTON"
    assert (used[19], used[20]) == ("USB_D-", "USB_D+")
    assert max(used) <= 48


def test_pins_with_a_task_of_their_own_are_left_alone_on_the_esp32() -> None:
    """Flash; 34 to 39 cannot drive; 12 sets the flash's voltage. Source: ESP32 datasheet."""
    board = BOARDS["esp32-devkit"]
    used = circuit.gpio_nets(board)
    assert not used.keys() & {1, 3, 12, *range(6, 12)}
    driven = {gpio for port in board["ports"].values() for member, gpio in port.items() if member in OUTPUTS}
    assert not (driven | {board["led"]}) & set(range(34, 40))


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_driver_has_a_port_that_exists(name: str) -> None:
    ports = BOARDS[name]["ports"]
    assert all(port in ports for places in BOARDS[name]["drivers"].values() for port in places)
    assert {port for places in BOARDS[name]["drivers"].values() for port in places} == set(ports)
