"""One question to a time server: SNTP, RFC 4330 (client) and RFC 5905 (what makes an answer unfit)."""

import asyncio
import errno
import os
import socket
import struct
import time
from collections import namedtuple

PORT = 123
# younger than this firmware, and nothing but nonsense is further away: 2026-01-01 to 2068-01-01. Soon after it an ESP32
# counts more seconds since 2000 than its calendar takes, and would raise OverflowError.
LEAST_S = 1767225600
MOST_S = 3092601600

_TIMEOUT_MS = 3000
_LOOK_MS = 5
_PACKET_BYTES = 48
# version 4, mode 3: a client's request
_REQUEST = 0x23
_MODE_SERVER = 4
_UNSYNCHRONISED = 3
# 1900 to 1970
_SHIFT_S = 2208988800
# how far a server may be from its own source (RFC 5905, MAXDIST)
_DISTANCE_MOST_MS = 1500
# coarse clocks on both sides
_ROUNDING_MS = 20

# the time was `epoch_ms` (of 1970) when the ticks stood at `ticks_ms`; wrong by half of `round_trip_ms` at most
Answer = namedtuple("Answer", ("epoch_ms", "ticks_ms", "round_trip_ms"))


class NtpError(Exception):
    """One line: why this answer is not believed."""


async def ask(host: str, port: int = PORT, timeout_ms: int = _TIMEOUT_MS, ticks=time) -> Answer:
    """Raises OSError (no such host, no route, ETIMEDOUT) or NtpError. Looking up the name blocks."""
    address = socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0][-1]
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asking.setblocking(False)
        asking.connect(address)
        # The server gives the transmit time back. Noise in its place makes an answer hard to forge, and tells nothing.
        cookie = os.urandom(8)
        sent_ms = ticks.ticks_ms()
        asking.send(bytes((_REQUEST,)) + bytes(39) + cookie)
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            now_ms = ticks.ticks_ms()
            try:
                packet = asking.recv(_PACKET_BYTES + 64)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                packet = None
            if packet is not None and packet[24:32] == cookie:
                return _read(packet, ticks.ticks_diff(now_ms, sent_ms), now_ms)
            if ticks.ticks_diff(now_ms, sent_ms) > timeout_ms:
                raise OSError(errno.ETIMEDOUT)
    finally:
        asking.close()


def _read(packet: bytes, waited_ms: int, now_ms: int) -> Answer:
    if len(packet) < _PACKET_BYTES or packet[0] & 7 != _MODE_SERVER:
        raise NtpError("not an answer")
    stratum = packet[1]
    if stratum == 0:
        raise NtpError("told to go away: " + repr(packet[12:16]))
    if packet[0] >> 6 == _UNSYNCHRONISED or stratum > 15:
        raise NtpError("the server does not know the time itself")
    delay, dispersion = struct.unpack_from(">II", packet, 4)
    if (delay >> 1) + dispersion > _DISTANCE_MOST_MS * 65536 // 1000:
        raise NtpError("the server is too far from its source")
    came_ms = _milliseconds(packet, 32)
    left_ms = _milliseconds(packet, 40)
    round_trip_ms = waited_ms - (left_ms - came_ms)
    if left_ms < came_ms or round_trip_ms < -_ROUNDING_MS:
        raise NtpError("the server's times contradict each other")
    round_trip_ms = max(0, round_trip_ms)
    if not LEAST_S * 1000 <= left_ms < MOST_S * 1000:
        raise NtpError("the year is wrong")
    return Answer(left_ms + round_trip_ms // 2, now_ms, round_trip_ms)


def _milliseconds(packet: bytes, at: int) -> int:
    """A timestamp's milliseconds since 1970. Right beyond the counter's wrap of 2036, until 2106."""
    seconds, fraction = struct.unpack_from(">II", packet, at)
    return (seconds - _SHIFT_S & 0xFFFFFFFF) * 1000 + (fraction * 1000 >> 32)
