"""JSY-MK-194T: two current transformers, one voltage, Modbus over a TTL UART, direction-capable.

Function 3 from register 0x0048, 14 registers of 32 bits: voltage 1 [0.1 mV], current 1 [0.1 mA], power 1 [0.1 mW],
positive energy 1 [0.1 Wh], power factor, negative energy 1 [0.1 Wh], direction of 1 and 2 (a byte each, 1 = negative),
frequency, then the same six of channel 2. Factory settings: address 1, 4,800 baud, no parity.
Source: "JSY-MK-194 Manual" of 2023 as told in the repositories FConcept/ESP32-conx-to-JSY-MK-194 and
clankgeek/JSY-MK-194.
"""

import struct

from sensors.modbus import Modbus
from sensors.sensor import Sensor

_READ_HOLDING = 3
_BAUDRATES = (4800, 9600, 19200, 38400)


def make(settings, buses) -> "Jsy194t":
    baudrate = settings.choice("baudrate", _BAUDRATES, 4800)
    address = settings.integer("address", 1, 247, 1)
    channel = settings.choice("channel", (1, 2))
    return Jsy194t(
        settings.role, settings.boolean("reversed"), Modbus(buses.line(settings, baudrate), address), channel
    )


class Jsy194t(Sensor):
    """One of the two channels. Both may be configured: they take turns on the line."""

    # counters of 32 bits, in 0.1 Wh
    wrap_mwh = 100 << 32

    def __init__(self, role: str, backwards: bool, modbus: Modbus, channel: int) -> None:
        super().__init__(role, backwards)
        self._modbus = modbus
        self._channel = channel

    async def read(self, epoch_s: "int | None" = None):
        data = await self._modbus.read(_READ_HOLDING, 0x0048, 14, 56)
        voltage, current, power, positive, _, negative = struct.unpack_from(">6I", data, 32 * (self._channel - 1))
        power_w = power // 10_000
        if data[23 + self._channel]:
            power_w = -power_w
        return self.sample(100 * positive, 100 * negative, (power_w,), (voltage // 10,), (current // 10,))
