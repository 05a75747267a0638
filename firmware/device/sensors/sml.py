"""A German meter's infrared port (SML, pushed every one to four seconds): 9,600 baud 8N1 through an optical head.

1-0:1.8.0 and 2.8.0 are the counters, 16.7.0 the power of all phases, 36.7.0, 56.7.0 and 76.7.0 of each. Without the
PIN many meters show whole kWh and no power; the network operator gives the PIN to the household.

The direction of power is told in three ways. Most meters send a signed 16.7.0. Some (EMH) send only its size and put
the direction into the status word beside 1.8.0. DZG's DVS74 sends an unsigned number as a signed one; its status word
tells which it is. Status words: two bytes, bit 5 is delivery (FNN "EDL 1.0"; EMH); four bytes with bit 2 always set,
bit 11 is delivery (Sagemcom "Smarty BZ" manual; DZG).
"""

import binascii
import time

from sensors.line import Line
from sensors.sensor import Sensor, SensorError
from sensors.sml_file import Files, entries

TIMEOUT_MS = 10_000
MOST_MWH = 1000 << 32  # 4.3 GWh: no household's meter has counted so far

_WH, _W, _V, _A = 30, 27, 35, 33
_IMPORT = b"\x01\x00\x01\x08\x00\xff"
_EXPORT = b"\x01\x00\x02\x08\x00\xff"
_SUMS = (b"\x01\x00\x10\x07\x00\xff", b"\x01\x00\x0f\x07\x00\xff", b"\x01\x00\x01\x07\x00\xff")
_PHASES = ((0x24, 0x38, 0x4C), (0x15, 0x29, 0x3D))
_VOLTAGES = (0x20, 0x34, 0x48)
_CURRENTS = (0x1F, 0x33, 0x47)


def make(settings, buses) -> "Sml":
    return Sml(
        settings.role,
        settings.boolean("reversed"),
        buses.line(settings, settings.choice("baudrate", (9600, 115200, 921600), 9600)),
    )


class Sml(Sensor):
    def __init__(self, role: str, backwards: bool, line: Line) -> None:
        super().__init__(role, backwards)
        self._line = line

    async def read(self, epoch_s: "int | None" = None):
        files = Files()
        began_ms = time.ticks_ms()
        async with self._line.lock:
            self._line.discard()
            while True:
                left_ms = TIMEOUT_MS - time.ticks_diff(time.ticks_ms(), began_ms)
                chunk = await self._line.read(256, left_ms) if left_ms > 0 else b""
                if not chunk:
                    raise SensorError("no telegram")
                content = files.feed(chunk)
                if content is None:
                    continue
                try:
                    sample = self._to_sample(content)
                except ValueError as error:
                    raise SensorError("a telegram that cannot be read: %s" % error)
                if sample is not None:
                    return sample

    def _to_sample(self, content: bytes):
        """None for a file without counters. Raises ValueError."""
        server, found = entries(content)
        counters_mwh = [_scaled(found, code, _WH, 3) for code in (_IMPORT, _EXPORT)]
        if counters_mwh[0] is None and counters_mwh[1] is None:
            return None
        known_mwh = [counter for counter in counters_mwh if counter is not None]
        if min(known_mwh) < 0:
            raise ValueError("a counter below zero")
        if max(known_mwh) >= MOST_MWH:
            raise ValueError("a counter beyond 4.3 GWh")
        return self.sample(
            counters_mwh[0],
            counters_mwh[1],
            _power_w(found),
            _row(found, _VOLTAGES, _V),
            tuple([abs(current) for current in _row(found, _CURRENTS, _A)]),
            (),
            binascii.crc32(server) & 0xFFFFFFFF or 1 if type(server) is bytes else 0,
        )


def _scaled(found: dict, code: bytes, unit: int, digits: int) -> "int | None":
    """The value times 10^digits, rounded down; None where the meter does not send it. Raises ValueError."""
    entry = found.get(code)
    if entry is None or entry[2] != unit:
        return None
    scaler = 0 if entry[3] is None else entry[3]
    if type(scaler) is not int or not -10 <= scaler <= 10:
        raise ValueError("a scaler beyond ten")
    power = scaler + digits
    return entry[4] * 10**power if power >= 0 else entry[4] // 10**-power


def _row(found: dict, quantities: "tuple[int, ...]", unit: int) -> "tuple[int, ...]":
    values = [_scaled(found, bytes((1, 0, quantity, 7, 0, 255)), unit, 3) for quantity in quantities]
    return tuple([value for value in values if value is not None])


def _power_w(found: dict) -> "tuple[int, ...]":
    delivering = _delivering(found)
    for quantities in _PHASES:
        codes = [bytes((1, 0, quantity, 7, 0, 255)) for quantity in quantities]
        powers = [power for power in [_watts(found, code, None) for code in codes] if power is not None]
        if len(powers) == 3:
            return tuple(powers)
    for code in _SUMS:
        power = _watts(found, code, delivering)
        if power is not None:
            return (power,)
    return ()


def _watts(found: dict, code: bytes, delivering: "bool | None") -> "int | None":
    milliwatts = _scaled(found, code, _W, 3)
    if milliwatts is None:
        return None
    if delivering is True:
        milliwatts = -abs(milliwatts)
    elif delivering is False and milliwatts < 0:
        entry = found[code]
        found[code] = entry[:4] + (entry[4] + (1 << 8 * entry[5]), entry[5])
        milliwatts = _scaled(found, code, _W, 3) or 0
    return milliwatts // 1000 if milliwatts >= 0 else -(-milliwatts // 1000)


def _delivering(found: dict) -> "bool | None":
    for code in (_IMPORT, _EXPORT):
        if code in found and found[code][0] is not None:
            status, status_bytes = found[code][:2]
            if status_bytes == 2:
                return bool(status & 0x20)
            if status_bytes in (3, 4) and status & 0xFF == 4:
                return bool(status & 0x800)
    return None
