"""Every part that the board uses: what to order, and what may stand in for it.

Alternatives are parts of the same footprint and pinout. Those of resistors and ceramic capacitors are any part of the
same value, size, tolerance and dielectric.
"""

from __future__ import annotations

from dataclasses import dataclass

_R = "Resistor_SMD:R_0603_1608Metric"
_R5 = "Resistor_SMD:R_0805_2012Metric"
_R6 = "Resistor_SMD:R_1206_3216Metric"
_C = "Capacitor_SMD:C_0603_1608Metric"
_C5 = "Capacitor_SMD:C_0805_2012Metric"
_TERMINAL = "TerminalBlock_Phoenix:TerminalBlock_Phoenix_"
_PIN_HEADER = "Connector_PinHeader_2.54mm:PinHeader_1x0"


@dataclass(frozen=True)
class Part:
    """`symbol` and `footprint` as library:name; `mpn` empty: nothing to buy."""

    symbol: str
    footprint: str
    value: str
    manufacturer: str = ""
    mpn: str = ""
    alternatives: str = ""
    says: str = ""


def _resistor(value: str, code: str, size: str = "0603") -> Part:
    footprint = {"0603": _R, "1206": _R6}[size]
    return Part("Device:R", footprint, value, "Yageo", f"RC{size}FR-07{code}L", f"any {value} 1 % {size}", "thick film")


def _precise(value: str, code: str) -> Part:
    return Part(
        "Device:R",
        _R5,
        f"{value} 0.1%",
        "Panasonic",
        f"ERA-6AEB{code}V",
        f"any {value} 0.1 % 25 ppm/K 0805",
        "thin film",
    )


def _led(colour: str, mpn: str) -> Part:
    return Part("Device:LED", "LED_SMD:LED_0603_1608Metric", colour, "Würth", mpn, f"any {colour} LED 0603", "LED")


PARTS = {
    "10k": _resistor("10k", "10K"),
    "4k7": _resistor("4k7", "4K7"),
    "5k1": _resistor("5k1", "5K1"),
    "1k": _resistor("1k", "1K"),
    "390R": _resistor("390R", "390R"),
    "100R": _resistor("100R", "100R"),
    "100R 1206": _resistor("100R", "100R", "1206"),
    "120R 1206": _resistor("120R", "120R", "1206"),
    "10R 0.1%": _precise("10R", "100"),
    "1k 0.1%": _precise("1k", "102"),
    "20k 0.1%": _precise("20k", "203"),
    "33n C0G": Part(
        "Device:C", _C5, "33n C0G", "Murata", "GRM2195C1H333JA01D", "any 33 nF C0G 50 V 5 % 0805", "ceramic"
    ),
    "100n": Part("Device:C", _C, "100n", "Murata", "GRM188R71H104KA93D", "any 100 nF X7R 25 V 0603", "ceramic"),
    "1u": Part("Device:C", _C, "1u", "Murata", "GRM188R61E105KA12D", "any 1 uF X5R 16 V 0603", "ceramic"),
    "10u": Part("Device:C", _C5, "10u", "Murata", "GRM21BR61C106KE15L", "any 10 uF X5R 16 V 0805", "ceramic"),
    "bead": Part(
        "Device:FerriteBead", "Inductor_SMD:L_0603_1608Metric", "600R@100MHz", "Murata", "BLM18AG601SN1D",
        "any bead 600 R at 100 MHz, 0.2 A, 0603", "ferrite bead",
    ),
    "fuse": Part(
        "Device:Polyfuse", "Fuse:Fuse_1206_3216Metric", "0.75A", "Bourns", "MF-NSMF075-2", "Bel 0ZCJ0075AF2E",
        "resettable fuse",
    ),
    "green": _led("green", "150060GS75000"),
    "red": _led("red", "150060RS75000"),
    "yellow": _led("yellow", "150060YS75000"),
    "button": Part(
        "Switch:SW_Push", "Button_Switch_SMD:SW_SPST_PTS645Sx43SMTR92", "button", "C&K", "PTS645SM43SMTR92LFS",
        "any of the series PTS645 in the same case", "tactile switch",
    ),
    "module": Part(
        "RF_Module:ESP32-S3-WROOM-1", "RF_Module:ESP32-S3-WROOM-1", "ESP32-S3-WROOM-1-N16R8", "Espressif",
        "ESP32-S3-WROOM-1-N16R8", "ESP32-S3-WROOM-1-N8R8, ESP32-S3-WROOM-1-N8", "Wi-Fi module",
    ),
    "metering": Part(
        "Pumasi:ATM90E32AS", "Package_QFP:TQFP-48_7x7mm_P0.5mm", "ATM90E32AS", "Microchip", "ATM90E32AS-AU-R",
        "ATM90E32AS-AU-Y (tray)", "three-phase metering IC",
    ),
    "crystal": Part(
        "Device:Crystal_GND24", "Crystal:Crystal_SMD_3225-4Pin_3.2x2.5mm", "16.384MHz", "Abracon",
        "ABM8-16.384MHZ-B2-T",
        "any 16.384 MHz crystal 3225, 30 ppm", "crystal",
    ),
    "regulator": Part(
        "Regulator_Linear:AP2112K-3.3", "Package_TO_SOT_SMD:SOT-23-5", "AP2112K-3.3", "Diodes", "AP2112K-3.3TRG1",
        "TI TLV75733PDBVR", "3.3 V 0.6 A regulator",
    ),
    "usb": Part(
        "Connector:USB_C_Receptacle_USB2.0_16P", "Pumasi:USB_C_Receptacle_GCT_USB4105-xx-A_16P_TopMnt_Horizontal",
        "USB-C", "GCT", "USB4105-GF-A", "USB4105-GF-A-060 (shorter pegs)", "receptacle",
    ),
    "usb guard": Part(
        "Power_Protection:USBLC6-2SC6", "Package_TO_SOT_SMD:SOT-23-6", "USBLC6-2SC6", "STMicroelectronics",
        "USBLC6-2SC6", "USBLC6-2SC6Y", "ESD protection",
    ),
    "inverter": Part(
        "74xGxx:74LVC1G14", "Package_TO_SOT_SMD:SOT-23-5", "74LVC1G14", "TI", "SN74LVC1G14DBVR", "Nexperia 74LVC1G14GV",
        "Schmitt inverter",
    ),
    "p1": Part(
        "Connector:RJ12", "Connector_RJ:RJ12_Amphenol_54601-x06_Horizontal", "P1", "Amphenol", "54601-906WPLF",
        "none that was checked", "RJ12 socket",
    ),
    "transceiver": Part(
        "Interface_UART:ISO3082DW", "Package_SO:SOIC-16W_7.5x10.3mm_P1.27mm", "ISO3082DW", "TI", "ISO3082DWR",
        "ISO3082DW (tube)", "isolated RS-485 transceiver",
    ),
    "converter": Part(
        "Converter_DCDC:TEA1-0505HI", "Converter_DCDC:Converter_DCDC_TRACO_TEA1-xxxxHI_THT", "TEA1-0505HI", "Traco",
        "TEA 1-0505HI", "none that was checked", "isolated converter 5 V to 5 V, 1 W",
    ),
    "optocoupler": Part(
        "Isolator:LTV-817S", "Package_DIP:SMDIP-4_W9.53mm", "LTV-817S", "Lite-On", "LTV-817S-TA1",
        "Everlight EL817S1(TU)", "optocoupler",
    ),
    "bus guard": Part(
        "Diode:SM712_SOT23", "Package_TO_SOT_SMD:SOT-23", "SM712", "Littelfuse", "SM712-02HTG", "Semtech SM712.TCT",
        "RS-485 surge protection",
    ),
    "terminal 6": Part(
        "Connector:Screw_Terminal_01x06", _TERMINAL + "MKDS-1,5-6-5.08_1x06_P5.08mm_Horizontal", "6 x 5.08", "Phoenix",
        "1715763", "any of the series MKDS 1,5/6-5,08", "screw terminal",
    ),
    "terminal 4": Part(
        "Connector:Screw_Terminal_01x04", _TERMINAL + "PT-1,5-4-3.5-H_1x04_P3.50mm_Horizontal", "4 x 3.5", "Phoenix",
        "1984633", "Würth 691214110004", "screw terminal",
    ),
    "terminal 3": Part(
        "Connector:Screw_Terminal_01x03", _TERMINAL + "PT-1,5-3-3.5-H_1x03_P3.50mm_Horizontal", "3 x 3.5", "Phoenix",
        "1984620", "Würth 691214110003", "screw terminal",
    ),
    "header 4": Part(
        "Connector_Generic:Conn_01x04", _PIN_HEADER + "4_P2.54mm_Vertical", "SSD1306", "Würth", "61300411121",
        "any pin header 1 x 4, 2.54 mm", "pin header",
    ),
    "jumper": Part(
        "Connector_Generic:Conn_01x02", _PIN_HEADER + "2_P2.54mm_Vertical", "120R", "Würth", "61300211121",
        "any pin header 1 x 2, 2.54 mm, with a jumper", "pin header",
    ),
    "test point": Part("Connector:TestPoint", "TestPoint:TestPoint_Pad_D1.5mm", ""),
    "hole": Part("Mechanical:MountingHole", "MountingHole:MountingHole_3.2mm_M3", "M3"),
}  # fmt: skip
