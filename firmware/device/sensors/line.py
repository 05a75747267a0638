"""A serial line to one or several devices: bytes in, bytes out, and no wait without end."""

import asyncio
import time

# short enough that a receive buffer of 2 KiB cannot overflow between two looks at 115,200 baud
_LOOK_MS = 10
_CHUNK_BYTES = 256


class Line:
    """`uart` has `any()`, `read(n)`, `write(data)` and, where there is a direction pin (RS-485), `flush()`.

    Whoever uses the line holds `lock` from the question to the end of the answer.
    """

    def __init__(self, uart, direction=None) -> None:
        self._uart = uart
        self._direction = direction
        self.lock = asyncio.Lock()

    def write(self, data: bytes) -> None:
        if self._direction is None:
            self._uart.write(data)
            return
        self._direction(1)
        self._uart.write(data)
        # a request has 8 bytes: 33 ms at 2,400 baud
        self._uart.flush()
        self._direction(0)

    def discard(self) -> None:
        """Drops what has come unasked."""
        for _ in range(64):
            if not self._uart.any():
                return
            self._uart.read(_CHUNK_BYTES)

    async def read(self, most: int, timeout_ms: int) -> bytes:
        """1 to `most` bytes as soon as there are any; nothing after `timeout_ms` of silence."""
        began_ms = time.ticks_ms()
        while not self._uart.any():
            if time.ticks_diff(time.ticks_ms(), began_ms) >= timeout_ms:
                return b""
            await asyncio.sleep_ms(_LOOK_MS)
        return self._uart.read(min(most, _CHUNK_BYTES)) or b""

    async def until_quiet(self, quiet_ms: int, timeout_ms: int) -> None:
        """Drops what comes until nothing came for `quiet_ms`: the late answer to an earlier question, or noise."""
        began_ms = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), began_ms) < timeout_ms:
            if not await self.read(_CHUNK_BYTES, quiet_ms):
                return
