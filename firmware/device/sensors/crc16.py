"""Two checksums of 16 bits, four bits at a time: a table of 16 entries is what memory affords.

Both are reflected. Polynomial 0x8005 (Modbus over serial line V1.02, and DSMR P1 from 4.0 on) and 0x1021 (SML: CRC-16
of ITU-T X.25, and its variant Kermit).
"""

from array import array


def _table(polynomial: int) -> "array[int]":
    entries = array("H")
    for value in range(16):
        for _ in range(4):
            value = value >> 1 ^ polynomial if value & 1 else value >> 1
        entries.append(value)
    return entries


_ARC = _table(0xA001)
_CCITT = _table(0x8408)


def _crc(table: "array[int]", data, value: int) -> int:
    for byte in data:
        value ^= byte
        value = value >> 4 ^ table[value & 15]
        value = value >> 4 ^ table[value & 15]
    return value


def arc(data, value: int = 0) -> int:
    """DSMR; `value` goes on from an earlier part."""
    return _crc(_ARC, data, value)


def modbus(data) -> int:
    return _crc(_ARC, data, 0xFFFF)


def x25(data) -> int:
    return _crc(_CCITT, data, 0xFFFF) ^ 0xFFFF


def kermit(data) -> int:
    return _crc(_CCITT, data, 0)
