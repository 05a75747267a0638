"""The telegrams of Dutch and related meters (P1 port), and of meters with the D0 interface.

A telegram begins with `/`, has lines `1-0:1.8.1(001581.123*kWh)`, and ends with `!`, from DSMR 4.0 on followed by a
CRC of everything from `/` to `!`. Lines that are not about electricity here are only counted in the CRC.
Source: Netbeheer Nederland "P1 Companion Standard" 5.0.2 and "Dutch Smart Meter Requirements" 2.2; identification
codes: IEC 62056-61 (OBIS), in Sweden and Austria without tariffs (1.8.0), in Belgium and the Netherlands with.
"""

import binascii
from collections import namedtuple

from sensors import crc16

# values: integers by OBIS code, energy [mWh], power [W], voltage [mV], current [mA]
# checked: a CRC was there, and right
Telegram = namedtuple("Telegram", ("values", "serial", "checked"))

_LINE_MOST = 2200
_TELEGRAM_MOST = 16384
_DIGITS_MOST = 16

_ENERGY = {b"kWh": 1_000_000, b"Wh": 1000}
_POWER = {b"kW": 1000, b"W": 1}
_VOLTAGE = {b"V": 1000}
_CURRENT = {b"A": 1000}
_QUANTITIES = {}
_QUANTITIES.update([(b"%d.8.%d" % (way, tariff), _ENERGY) for way in (1, 2) for tariff in range(5)])
_QUANTITIES.update([(b"%d.7.0" % power, _POWER) for power in (1, 2, 21, 22, 41, 42, 61, 62)])
_QUANTITIES.update([(b"%d.7.0" % voltage, _VOLTAGE) for voltage in (32, 52, 72)])
_QUANTITIES.update([(b"%d.7.0" % current, _CURRENT) for current in (31, 51, 71)])
# under 0-0 or 1-0, as the maker likes
_SERIALS = (b"96.1.1", b"96.1.0", b"0.0.0", b"96.1.255")


class Telegrams:
    """Finds whole telegrams in pieces of a stream, whatever else is in it."""

    def __init__(self) -> None:
        self._rest = b""
        self._forget()

    def feed(self, chunk: bytes) -> "Telegram | None":
        """The last telegram that ends in `chunk`."""
        found = None
        self._rest += chunk
        while True:
            end = self._rest.find(b"\n") + 1
            if not end:
                break
            line = self._rest[:end]
            self._rest = self._rest[end:]
            telegram = self._line(line)
            if telegram is not None:
                found = telegram
        if len(self._rest) > _LINE_MOST:
            self._rest = b""
            self._forget()
        return found

    def _forget(self) -> None:
        self._inside = False
        self._crc = 0
        self._bytes = 0
        self._serial = 0
        self._values = {}

    def _line(self, line: bytes) -> "Telegram | None":
        start = line.rfind(b"/")
        if start >= 0 and (start == 0 or not self._inside):
            self._forget()
            self._inside = True
            line = line[start:]
            self._crc = crc16.arc(line)
            self._serial = binascii.crc32(line.strip())
            return None
        if not self._inside:
            return None
        self._bytes += len(line)
        if self._bytes > _TELEGRAM_MOST:
            self._forget()
            return None
        if line.startswith(b"!"):
            telegram = self._close(line[1:].strip())
            self._forget()
            return telegram
        self._crc = crc16.arc(line, self._crc)
        # most lines are about something else, and heap is dear
        if not line.startswith(b"1-0:") and not line.startswith(b"0-0:"):
            return None
        try:
            self._read(line)
        except ValueError:
            # a value that cannot be: nothing of this telegram is to be believed
            self._forget()
        return None

    def _close(self, text: bytes) -> "Telegram | None":
        if text:
            try:
                if len(text) != 4 or int(text, 16) != crc16.arc(b"!", self._crc):
                    return None
            except ValueError:
                return None
        if not self._values:
            return None
        return Telegram(self._values, self._serial & 0xFFFFFFFF or 1, bool(text))

    def _read(self, line: bytes) -> None:
        bracket = line.find(b"(")
        end = line.rfind(b")")
        # at the end of the line there may be one carriage return more or less
        if bracket < 0 or end < len(line) - 3:
            return
        star = line.find(b"*", 0, bracket)
        name = line[4 : star if star >= 0 else bracket]
        if name in _SERIALS:
            self._serial = binascii.crc32(line[bracket + 1 : end], self._serial)
            return
        units = _QUANTITIES.get(name) if line.startswith(b"1") else None
        if units is None:
            return
        if name in self._values:
            raise ValueError("twice")
        self._values[name] = _decimal(line[bracket + 1 : end], units, units is not _ENERGY)


def _decimal(text: bytes, units: dict, signed: bool) -> int:
    """`001581.123*kWh` in the small unit, rounded down. Raises ValueError."""
    number, _, unit = text.partition(b"*")
    negative = signed and number[:1] == b"-"
    whole, _, part = number[1 if negative else 0 :].partition(b".")
    digits = whole + part
    if unit not in units or not whole or not digits.isdigit() or len(digits) > _DIGITS_MOST:
        raise ValueError("no value")
    value = int(digits) * units[unit] // 10 ** len(part)
    return -value if negative else value
