"""Reads from a certificate (X.509 in DER, RFC 5280) whom it names and when it is valid. It checks no signature."""

from collections import namedtuple

# common_name: text or None; begins_s, ends_s: epoch seconds of 1970
Certificate = namedtuple("Certificate", ("common_name", "begins_s", "ends_s"))

_SEQUENCE = 0x30
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_VERSION = 0xA0
# the object identifier 2.5.4.3
_COMMON_NAME = b"\x06\x03\x55\x04\x03"


def read(der: bytes) -> Certificate:
    """Raises ValueError for anything that is not a certificate."""
    try:
        return _read(der)
    except IndexError:
        raise ValueError("the certificate is cut short")


def _read(der: bytes) -> Certificate:
    place, _ = _enter(der, 0, _SEQUENCE)
    place, _ = _enter(der, place, _SEQUENCE)
    if der[place] == _VERSION:
        place = _skip(der, place)
    # serial number, algorithm, issuer
    for _ in range(3):
        place = _skip(der, place)
    validity, _ = _enter(der, place, _SEQUENCE)
    ends = _skip(der, validity)
    subject = _skip(der, place)
    return Certificate(_common_name(der, subject, _skip(der, subject)), _time(der, validity), _time(der, ends))


def _enter(der: bytes, place: int, kind: int) -> "tuple[int, int]":
    """(where the content begins, its length)."""
    if der[place] != kind:
        raise ValueError("not a certificate")
    return _content(der, place)


def _content(der: bytes, place: int) -> "tuple[int, int]":
    length = der[place + 1]
    if length < 0x80:
        return place + 2, length
    count = length & 0x7F
    if not 0 < count < 4:
        raise ValueError("not a certificate")
    length = 0
    for index in range(count):
        length = length << 8 | der[place + 2 + index]
    return place + 2 + count, length


def _skip(der: bytes, place: int) -> int:
    begins, length = _content(der, place)
    return begins + length


def _common_name(der: bytes, begins: int, ends: int) -> "str | None":
    place = bytes(der[begins:ends]).find(_COMMON_NAME)
    if place < 0:
        return None
    text, length = _content(der, begins + place + len(_COMMON_NAME))
    return str(der[text : text + length], "utf-8")


def _time(der: bytes, place: int) -> int:
    """YYMMDDHHMMSSZ until 2049, YYYYMMDDHHMMSSZ after it."""
    begins, length = _content(der, place)
    text = str(der[begins : begins + length], "utf-8")
    if der[place] == _UTC_TIME and length == 13:
        text = ("20" if text[:2] < "50" else "19") + text
    elif der[place] != _GENERALIZED_TIME or length != 15:
        raise ValueError("not a certificate")
    year, month, day, hour, minute, second = [int(text[a:b]) for a, b in _FIELDS]
    return epoch_s(year, month, day, hour, minute, second)


_FIELDS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))


def epoch_s(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Seconds since 1970 of a date in UTC; `mktime` differs from port to port."""
    # years that begin in March: the leap day comes last
    year -= month < 3
    days = year * 365 + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second
