"""Where time comes from. Epoch seconds of 1970 everywhere; the ESP32 counts from 2000, and only this file knows."""

import asyncio
import os
import sys
import time

import ntp

# ports differ in the year of their epoch
EPOCH_SHIFT_S = 946684800 if time.gmtime(0)[0] == 2000 else 0

# an offset up to this is corrected by running faster or slower, a greater one in one step once two answers agree
STEP_MS = 500
# how fast an offset is worked off
_SLEW = 2000
# what a crystal can be off by; more is a mistake [1e-9]
_DRIFT_MOST_PPB = 200_000
# how long the drift is watched before it is believed: the answers themselves scatter by tens of milliseconds
_DRIFT_LEAST_MS = 3_600_000
# how fast the error grows unseen, before and after the drift is known: temperature and age move it [1e-9]
_UNKNOWN_PPB = 50_000
_KNOWN_PPB = 10_000
# an interval that ends while the error is greater carries the flag "clock"
DOUBTFUL_MS = 2000

# at the very first the radio has not joined yet
_POLL_FIRST_S = 2
_POLL_LEAST_S = 16
_POLL_MOST_S = 1800
# the lookup of a name may block the meter for seconds while there is no network
_POLL_UNSET_S = 128
_POLL_OFFLINE_S = 300
_PROBLEMS_MOST = 8
# between two answers that must agree
_SECOND_ANSWER_S = 2
_AGREE_MS = 250
_LINE_BYTES = 64
# closed intervals that end so far ahead of the servers' time, for so long, were closed by a wrong time
_ASTRAY_MS = 86_400_000


def log(text: str) -> None:
    """Diagnostics; standard output belongs to the conductor's protocol."""
    sys.stderr.write(text + "\n")


def set_rtc(epoch_s: int) -> None:
    """Sets the board's own clock, which TLS asks for certificates' dates. On the unix port the host keeps it."""
    try:
        from machine import RTC
    except ImportError:
        return
    year, month, day, hour, minute, second, weekday = time.gmtime(epoch_s - EPOCH_SHIFT_S)[:7]
    RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


class ConductorClock:
    """Stands still until the conductor moves it by a line `tick <epoch>` on standard input."""

    is_set = True
    doubtful = False
    refused = 0

    def __init__(self, stream) -> None:
        # the host's own clock is right
        self.synced = asyncio.Event()
        self.synced.set()
        self._reader = asyncio.StreamReader(stream)
        self._now_s = None  # type: int | None
        self.error_ms = None  # type: int | None

    def now_ms(self) -> "int | None":
        return None if self._now_s is None else self._now_s * 1000

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

    async def run(self) -> None:
        """Nothing to do between ticks."""

    def closed(self, end_s: int) -> None:
        """The conductor never goes back."""

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
    """The board's ticks, disciplined by time servers: offset and drift are corrected, and held over while offline.

    `servers` are "host" or "host:port"; without any the operating system is asked, which has set its own clock.
    `error_ms` is a bound of the error, not a guess of it; None before the first sync.
    """

    def __init__(self, servers: "list[str]", ask=ntp.ask, ticks=time) -> None:
        self.synced = asyncio.Event()
        self._servers = servers
        self._ask = ask if servers else _ask_system
        self._ticks = ticks
        self._turn = 0
        self._last_ms = ticks.ticks_ms()
        # Ticks wrap after 12 days; this does not. Everything below is told by it.
        self._elapsed_ms = 0
        # The time was `_base_ms` at `_base_at_ms`. It runs `_drift_ppb` faster than the ticks and works off `_slew_ms`.
        self._base_ms = None  # type: int | None
        self._base_at_ms = 0
        self._drift_ppb = 0
        self._drift_known = False
        self._slew_ms = 0
        # an answer (time, elapsed) that the drift is measured from
        self._mark = None  # type: tuple[int, int] | None
        self._bound_ms = 0
        self._floor_ms = 0
        # since when the servers have said that the floor is days ahead
        self._astray_at_ms = None  # type: int | None
        self.refused = 0
        # said since the last answer
        self._problems = []

    @property
    def is_set(self) -> bool:
        return self._base_ms is not None

    @property
    def drift_ppb(self) -> int:
        """How much slower than true the ticks run [1e-9]; 0 until it was watched for an hour."""
        return self._drift_ppb

    @property
    def error_ms(self) -> "int | None":
        """A bound: what the last answer left open, and what may have been gathered since. None before the first."""
        if self._base_ms is None:
            return None
        elapsed_ms = self._elapsed()
        run_ms = elapsed_ms - self._base_at_ms
        rate_ppb = _KNOWN_PPB if self._drift_known else _UNKNOWN_PPB
        left_ms = abs(self._slew_ms) - min(abs(self._slew_ms), run_ms // _SLEW)
        stands_ms = max(0, self._floor_ms - self._time_ms(elapsed_ms))
        return self._bound_ms + left_ms + run_ms * rate_ppb // 1_000_000_000 + stands_ms

    @property
    def doubtful(self) -> bool:
        error_ms = self.error_ms
        return error_ms is None or error_ms > DOUBTFUL_MS

    def now_ms(self) -> "int | None":
        """Epoch milliseconds; None before the first sync. It does not go back over the end of a closed interval.

        But for one case: that end is more than a day ahead, and all answers of a whole day say so.
        """
        return None if self._base_ms is None else max(self._time_ms(self._elapsed()), self._floor_ms)

    def closed(self, end_s: int) -> None:
        """An interval that ended at `end_s` is closed: whatever a server says, time stays behind it."""
        self._floor_ms = max(self._floor_ms, end_s * 1000)

    async def tick(self) -> "int | None":
        """Each second of the time, as it begins; before the first sync 0, about once a second."""
        now_ms = self.now_ms()
        await asyncio.sleep_ms(1000 if now_ms is None else 1000 - now_ms % 1000)
        now_ms = self.now_ms()
        return 0 if now_ms is None else now_ms // 1000

    async def run(self) -> None:
        """Asks for the time, for ever: often at first, and seldom once the answers hold."""
        wait_s = _POLL_FIRST_S
        while True:
            if await self.synchronise():
                wait_s = max(_POLL_LEAST_S, min(2 * wait_s, _POLL_MOST_S))
            elif self._base_ms is None:
                wait_s = min(2 * wait_s, _POLL_UNSET_S)
            else:
                wait_s = _POLL_OFFLINE_S
            # a street that lost its power together does not ask together
            await asyncio.sleep_ms(wait_s * 1000 + os.urandom(1)[0] * wait_s // 2)

    async def synchronise(self) -> bool:
        """One question, or two where the answer is surprising; True when the clock follows the answer."""
        first = await self._answer()
        if first is None:
            return False
        if self._base_ms is not None and abs(self._offset_ms(first)) <= STEP_MS:
            self._follow(first)
            return True
        if not self._servers:
            self._step(first)
            return True
        await asyncio.sleep(_SECOND_ANSWER_S)
        second = None
        # another server; the same once more where no other answers: one that is dead must not leave the meter timeless
        for _ in self._servers:
            second = await self._answer()
            if second is not None:
                break
        if second is None:
            return False
        between_ms = self._ticks.ticks_diff(second.ticks_ms, first.ticks_ms)
        apart_ms = second.epoch_ms - first.epoch_ms - between_ms
        if abs(apart_ms) > _AGREE_MS + (first.round_trip_ms + second.round_trip_ms) // 2:
            self._complain("clock: two answers are %d ms apart" % apart_ms)
            return False
        self._step(second)
        return True

    async def _answer(self):
        server = "" if not self._servers else self._servers[self._turn % len(self._servers)]
        self._turn += 1
        host, _, port = server.partition(":")
        try:
            answer = await self._ask(host, int(port or ntp.PORT), ticks=self._ticks)
            self._problems = []
            return answer
        except (OSError, ntp.NtpError) as error:
            if isinstance(error, ntp.NtpError):
                self.refused += 1
            self._complain("clock: %s: %s" % (server, error))
            return None

    def _complain(self, problem: str) -> None:
        # a day offline is one line for each server, not a thousand
        if problem not in self._problems and len(self._problems) < _PROBLEMS_MOST:
            self._problems.append(problem)
            log(problem)

    def _elapsed(self) -> int:
        now_ms = self._ticks.ticks_ms()
        self._elapsed_ms += self._ticks.ticks_diff(now_ms, self._last_ms)
        self._last_ms = now_ms
        return self._elapsed_ms

    def _time_ms(self, elapsed_ms: int) -> int:
        assert self._base_ms is not None
        run_ms = elapsed_ms - self._base_at_ms
        slewed_ms = min(run_ms // _SLEW, abs(self._slew_ms))
        if self._slew_ms < 0:
            slewed_ms = -slewed_ms
        return self._base_ms + run_ms + run_ms * self._drift_ppb // 1_000_000_000 + slewed_ms

    def _offset_ms(self, answer) -> int:
        """How far the clock is behind the answer."""
        elapsed_ms = self._elapsed()
        return self._told_ms(answer) - self._time_ms(elapsed_ms)

    def _told_ms(self, answer) -> int:
        """The time at the last look at the ticks, by this answer."""
        return answer.epoch_ms + self._ticks.ticks_diff(self._last_ms, answer.ticks_ms)

    def _step(self, answer) -> None:
        elapsed_ms = self._elapsed()
        told_ms = self._told_ms(answer)
        if self._base_ms is not None:
            log("clock: moved by %d ms" % (told_ms - self._time_ms(elapsed_ms)))
        self._take(answer, told_ms, elapsed_ms, told_ms, 0)

    def _follow(self, answer) -> None:
        elapsed_ms = self._elapsed()
        told_ms = self._told_ms(answer)
        now_ms = self._time_ms(elapsed_ms)
        self._take(answer, told_ms, elapsed_ms, now_ms, told_ms - now_ms)

    def _take(self, answer, told_ms: int, elapsed_ms: int, now_ms: int, slew_ms: int) -> None:
        self._track(told_ms, elapsed_ms)
        self._base_ms = now_ms
        self._base_at_ms = elapsed_ms
        self._slew_ms = slew_ms
        self._bound_ms = answer.round_trip_ms // 2
        self._doubt_floor(told_ms, elapsed_ms)
        # this first: TLS begins with the event
        set_rtc(told_ms // 1000)
        self.synced.set()

    def _doubt_floor(self, told_ms: int, elapsed_ms: int) -> None:
        """Servers that were years ahead for a minute must not stop the meter for years."""
        if self._floor_ms - told_ms <= _ASTRAY_MS:
            self._astray_at_ms = None
        elif self._astray_at_ms is None:
            self._astray_at_ms = elapsed_ms
            log("clock: intervals are closed that end %d s ahead" % ((self._floor_ms - told_ms) // 1000))
        elif elapsed_ms - self._astray_at_ms > _ASTRAY_MS:
            log("clock: they were closed by a wrong time")
            self._astray_at_ms = None
            self._floor_ms = 0

    def _track(self, true_ms: int, elapsed_ms: int) -> None:
        """Compares the ticks with the answers' time, over an hour or more."""
        if self._mark is None:
            self._mark = (true_ms, elapsed_ms)
            return
        watched_ms = elapsed_ms - self._mark[1]
        if watched_ms < _DRIFT_LEAST_MS:
            return
        measured_ppb = (true_ms - self._mark[0] - watched_ms) * 1_000_000_000 // watched_ms
        self._mark = (true_ms, elapsed_ms)
        if abs(measured_ppb) > _DRIFT_MOST_PPB:
            self._complain("clock: a drift of %d ppb cannot be" % measured_ppb)
            return
        if self._drift_known:
            measured_ppb = (3 * self._drift_ppb + measured_ppb) // 4
        self._drift_ppb = measured_ppb
        self._drift_known = True


async def _ask_system(host: str, port: int, ticks=time) -> ntp.Answer:
    return ntp.Answer(time.time_ns() // 1_000_000 + EPOCH_SHIFT_S * 1000, ticks.ticks_ms(), 0)
