"""Where time comes from. Epoch seconds of 1970 everywhere; the ESP32 counts from 2000, and only this file knows."""

import asyncio
import sys
import time

# ports differ in the year of their epoch
EPOCH_SHIFT_S = 946684800 if time.gmtime(0)[0] == 2000 else 0

# a clock that shows less was never set: the firmware is younger than this (2026-01-01)
PLAUSIBLE_S = 1767225600

_RESYNC_S = 3600
_RETRY_S = 5
# sleeps are short, so that a corrected clock is followed
_NAP_S = 10
_LINE_BYTES = 64


def log(text: str) -> None:
    """Diagnostics; standard output belongs to the conductor's protocol."""
    sys.stderr.write(text + "\n")


class ConductorClock:
    """Stands still until the conductor moves it by a line `tick <epoch>` on standard input."""

    def __init__(self, stream) -> None:
        self._reader = asyncio.StreamReader(stream)
        self._now_s = None  # type: int | None
        self.error_ms = None  # type: int | None

    async def tick(self) -> "int | None":
        """The next tick [s]; None after `stop` or at the end of input."""
        while True:
            line = await self._line()
            if line is None or line == b"stop":
                return None
            words = line.split()
            if len(words) != 2 or words[0] != b"tick" or not words[1].isdigit():
                log("clock: not a tick: " + repr(line))
                continue
            now_s = int(words[1])
            if self._now_s is not None and now_s < self._now_s:
                log("clock: tick %d is before %d" % (now_s, self._now_s))
                continue
            self._now_s = now_s
            return now_s

    async def _line(self) -> "bytes | None":
        # Byte by byte: asking a pipe for more than it holds would block every other task.
        line = b""
        while True:
            byte = await self._reader.read(1)
            if not byte:
                return None
            if byte == b"\n":
                return line.strip()
            if len(line) < _LINE_BYTES:
                line += byte


class NtpClock:
    """The board's own clock, set by NTP. On the unix port the host keeps it, and there is no ntptime."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s
        self._next_s = None  # type: int | None
        self._synced_ms = None
        self.error_ms = None  # type: int | None

    async def tick(self) -> "int | None":
        """Returns at the first sync and then at every interval boundary."""
        while self._synced_ms is None:
            self._synchronise()
            if self._synced_ms is None:
                await asyncio.sleep(_RETRY_S)
        while True:
            now_s = int(time.time()) + EPOCH_SHIFT_S
            if self._next_s is None or now_s >= self._next_s:
                self._next_s = now_s - now_s % self._interval_s + self._interval_s
                return now_s
            if time.ticks_diff(time.ticks_ms(), self._synced_ms) > _RESYNC_S * 1000:
                self._synchronise()
            await asyncio.sleep(min(self._next_s - now_s, _NAP_S))

    def _synchronise(self) -> None:
        try:
            import ntptime

            before_s = int(time.time())
            ntptime.settime()
            if self._synced_ms is not None:
                self.error_ms = (int(time.time()) - before_s) * 1000
        except ImportError:
            log("clock: no ntptime here, the host keeps the clock")
        except (OSError, OverflowError) as error:
            log("clock: NTP did not answer: " + repr(error))
        if time.time() + EPOCH_SHIFT_S >= PLAUSIBLE_S:
            self._synced_ms = time.ticks_ms()
