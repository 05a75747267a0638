"""Modbus RTU, as far as a meter is read with it.

Source: "Modbus Application Protocol Specification V1.1b3" and "Modbus over Serial Line V1.02" (frame: address,
function, data, CRC low byte first; an exception sets bit 7 of the function; 3.5 characters of silence between frames).
"""

import asyncio
import time

from sensors import crc16
from sensors.line import Line
from sensors.sensor import SensorError

_ATTEMPTS = 3
_QUIET_MS = 50
_QUIET_MOST_MS = 500


class Modbus:
    """Reads registers of the device with `address` on a line that others may share."""

    def __init__(self, line: Line, address: int, timeout_ms: int = 500) -> None:
        self._line = line
        self._address = address
        self._timeout_ms = timeout_ms

    async def read(self, function: int, start: int, count: int, answer_bytes: int = 0) -> bytes:
        """The data of `count` registers, two bytes each unless `answer_bytes` says otherwise. Raises SensorError.

        Modbus RTU does not number its answers. So a caller asks for blocks of different sizes, and after any failure
        the line must first fall quiet: a late answer is never taken for the next one.
        """
        request = bytes((self._address, function, start >> 8, start & 0xFF, count >> 8, count & 0xFF))
        crc = crc16.modbus(request)
        request += bytes((crc & 0xFF, crc >> 8))
        failure = ""
        async with self._line.lock:
            for _ in range(_ATTEMPTS):
                # more than 3.5 characters at 2,400 baud, and what came unasked is no answer
                await asyncio.sleep_ms(20)
                self._line.discard()
                self._line.write(request)
                answer = await self._answer(request, answer_bytes or 2 * count)
                if isinstance(answer, bytes):
                    return answer
                failure = answer
                await self._line.until_quiet(_QUIET_MS, _QUIET_MOST_MS)
        raise SensorError(failure)

    async def _answer(self, request: bytes, data_bytes: int) -> "bytes | str":
        """The data, or what was wrong."""
        function = request[1]
        frame = b""
        wanted = 5
        began_ms = time.ticks_ms()
        while len(frame) < wanted:
            left_ms = self._timeout_ms - time.ticks_diff(time.ticks_ms(), began_ms)
            chunk = await self._line.read(wanted - len(frame), max(left_ms, 1))
            if not chunk:
                return "no answer" if not frame else "the answer broke off"
            frame += chunk
            if frame.startswith(request):
                # a transceiver that hears itself
                frame = frame[len(request) :]
            if len(frame) >= 2 and frame[1] == function:
                wanted = data_bytes + 5
        crc = crc16.modbus(memoryview(frame)[:-2])
        if frame[-2] != crc & 0xFF or frame[-1] != crc >> 8:
            return "damaged answer"
        if frame[0] != self._address:
            return "address %d answered instead" % frame[0]
        if frame[1] == function | 0x80:
            return "refused, Modbus exception %d" % frame[2]
        if frame[1] != function or frame[2] != data_bytes:
            return "an answer to something else"
        return frame[3:-2]
