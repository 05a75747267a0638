"""PZEM-004T version 3: one phase, Modbus over a TTL UART. It measures no direction.

Function 4 from register 0x0000, ten registers, 32-bit values low word first: voltage [0.1 V], current [mA], power
[0.1 W], energy [Wh], frequency, power factor, alarm. Address 1 from the factory, 9,600 baud, no parity.
Source: Peacefair "PZEM-004T-10A/100A AC communication module" manual V1.0. It counts what flows either way, so an
inverter's own use at night is counted as generation; the counter goes back to zero at 9,999.99 kWh.
"""

import struct

from sensors.modbus import Modbus
from sensors.sensor import Sensor

_READ_INPUT = 4


def make(settings, buses) -> "Pzem004t":
    if settings.role == "grid":
        raise settings.refusal(
            "role",
            "a PZEM-004T measures no direction, so it cannot tell import from export; it may be generation or load",
        )
    if settings.boolean("reversed"):
        raise settings.refusal("reversed", "a PZEM-004T measures no direction")
    address = settings.integer("address", 1, 247, 1)
    return Pzem004t(settings.role, Modbus(buses.line(settings, 9600), address))


class Pzem004t(Sensor):
    def __init__(self, role: str, modbus: Modbus) -> None:
        super().__init__(role)
        self._modbus = modbus

    async def read(self, epoch_s: "int | None" = None):
        words = struct.unpack(">10H", await self._modbus.read(_READ_INPUT, 0x0000, 10))
        current_ma, deciwatts, energy_wh = (words[place] | words[place + 1] << 16 for place in (1, 3, 5))
        return self.sample(1000 * energy_wh, None, (deciwatts // 10,), (100 * words[0],), (current_ma,))
