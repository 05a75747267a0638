"""Closes intervals: what the sensors have counted at each interval's end becomes a durable record."""

import asyncio
import time
from collections import namedtuple

from messages import flag_bit
from metering import UNKNOWN_MWH, Metering
from sensors.sensor import SensorError

# A chip's energy register of 16 bits must not overflow between two rounds.
ROUND_MS = 5000
# what a power cut may cost of what only this processor counts
SAVE_S = 60
# an interval closed this long after its end has other energy in it
LATE_S = 30
# the clock has given up a time that was so far ahead (see NtpClock.now_ms)
_ASTRAY_S = 86_400
# a long absence is many intervals: others must get a turn
_STEP_MOST = 16
# no connection carries more, unless `limits.power_w` says so: what a counter moves faster is another meter's
_POWER_W = 100_000
_NAMES = ("import_wh", "export_wh", "generation_wh", "consumption_wh")

# age_s: since `sample`; error: what is wrong now, or None
View = namedtuple("View", ("role", "driver", "sample", "age_s", "error"))


class Intervals:
    """Intervals are half open, aligned to the epoch and closed in order; each of them gets a record.

    The registers and what each sensor showed lie in `state`, a Slots, which is saved before the record that says the
    same: after a power cut no register is below a record. What a sensor counts itself is never lost. What only this
    processor counts (pulses, registers that reading clears) is saved every 60 s, so that a power cut costs less.

    A sensor that does not answer at an interval's end leaves its registers as they were; the record says `estimated`,
    and so does the record of the interval in which the missing energy appears. After an absence of the meter the
    energy is spread evenly over the intervals that nobody saw. A new meter's registers begin at `config.seed` [Wh].
    """

    def __init__(self, outbox, state, sensors: list, config) -> None:
        self._outbox = outbox
        self._state = state
        self._sensors = sensors
        self._tags = [sensor.tag for sensor in sensors]
        self._length_s = config.interval_s
        self._power_w = max((config.limits or {}).get("power_w", 0), _POWER_W)
        self._exact = all(sensor.exact for sensor in sensors)
        self._flags = 0
        measured = set()
        for sensor in sensors:
            measured.update(sensor.measures())
            if sensor.flag is not None:
                self._flags |= flag_bit(sensor.flag)
        self._metering = Metering(len(sensors), measured)
        self._samples = [None] * len(sensors)  # type: list
        self._errors = ["no answer yet"] * len(sensors)  # type: list
        # since each sensor was last taken; None: not since boot
        self._silent_s = [None] * len(sensors)  # type: list
        self._round_ms = None
        self._round_s = 0
        self._saved_s = 0
        self._saved = None
        # rounds of asking the sensors, and answers that were taken
        self.progress = 0
        self.answers = 0
        # more intervals have ended than one step closes
        self.behind = False
        self._closed_s = None  # type: int | None
        self._restore(config.seed or {})

    @property
    def registers(self) -> "list[int]":
        """Import, export, generation, consumption [mWh], now."""
        return self._metering.registers

    async def step(self, now_s: int, clock=None) -> "list[int]":
        """Asks the sensors where that is due and closes what has ended; gives the starts, each durable.

        `now_s` is 0 before the time is known: then sensors count, and nothing is closed. Raises OSError when the flash
        takes no more records.
        """
        if self._exact:
            if not now_s:
                return []
            if self._closed_s is None:
                await self._ask(now_s)
        elif self._due(now_s):
            await self._ask(now_s)
        self.behind = False
        if not now_s:
            return []
        if self._closed_s is None:
            self._closed_s = now_s - now_s % self._length_s
            self._closed = tuple(self._metering.registers)
            self._save(now_s)
            return []
        if not self._exact and now_s + _ASTRAY_S < self._closed_s:
            # no record is of the time that is gone, and what flowed meanwhile is in the next one
            self._closed_s = now_s - now_s % self._length_s
            self._closed = tuple(self._metering.registers)
            self._metering.disturbed = True
            return []
        flags = self._flags
        if clock is not None and clock.doubtful:
            flags |= flag_bit("clock")
        return await self._close(now_s, flags)

    def save(self) -> None:
        """Before a restart that is no power cut: what was counted since the last record is not to be lost."""
        self._save(self._began_s)

    def sensor_states(self) -> "dict[str, str]":
        """ "ok", or what is wrong in at most 40 characters, by role; a second sensor of a role has a number."""
        states = {}
        for index, sensor in enumerate(self._sensors):
            error = self._errors[index]
            number = 1
            name = sensor.role
            while name in states:
                number += 1
                name = sensor.role + str(number)
            states[name] = "ok" if error is None else error[:40]
        return states

    def views(self) -> "list[View]":
        return [
            View(sensor.role, sensor.driver, self._samples[i], self._silent_s[i], self._errors[i])
            for i, sensor in enumerate(self._sensors)
        ]

    def _restore(self, seed_wh: "dict[str, int]") -> None:
        last = self._outbox.last
        metering = self._metering
        began_s = None
        if self._state.content is not None:
            began_s = metering.unpack(self._state.content, self._tags, None if last is None else last.registers)
        if began_s is None:
            if last is None:
                metering.registers = [1000 * seed_wh.get(name, 0) for name in _NAMES]
            else:
                # the state is gone, but what was told stands; what flowed since is not known
                metering.registers = list(last.registers)
                metering.reset = True
        elif any(sensor.volatile for sensor in self._sensors):
            metering.disturbed = True
        for index, sensor in enumerate(self._sensors):
            if sensor.volatile:
                metering.begin(index, True)
        if last is not None:
            self._closed_s = last.start + last.length
            self._closed = last.registers
        elif began_s:
            self._closed_s = began_s - began_s % self._length_s
            self._closed = tuple(metering.registers)
        self._began_s = began_s or 0

    def _due(self, now_s: int) -> bool:
        if self._round_ms is None or time.ticks_diff(time.ticks_ms(), self._round_ms) >= ROUND_MS:
            return True
        if not now_s or self._closed_s is None:
            return False
        # once more at each interval's end
        end_s = now_s - now_s % self._length_s
        return end_s > self._closed_s and self._round_s < end_s

    async def _ask(self, now_s: int) -> None:
        """One round: every sensor, once or, where its answer is unusual, twice."""
        since_s = 0
        if self._round_ms is None:
            self._round_ms = time.ticks_ms()
        else:
            since_s = max(time.ticks_diff(time.ticks_ms(), self._round_ms) // 1000, 0)
            # whole seconds: what is over counts in the next round
            self._round_ms = time.ticks_add(self._round_ms, 1000 * since_s)
        self._round_s = now_s
        if self._exact:
            for index in range(len(self._sensors)):
                await self._take(index, now_s, 0)
        else:
            await asyncio.gather(*[self._take(index, now_s, since_s) for index in range(len(self._sensors))])
        self._metering.settle()
        self.progress += 1
        self._saved_s += since_s
        if self._saved_s >= SAVE_S and any(sensor.volatile for sensor in self._sensors):
            self._save(self._began_s)

    async def _take(self, index: int, now_s: int, since_s: int) -> None:
        sensor = self._sensors[index]
        silent_s = self._silent_s[index]
        if silent_s is not None:
            silent_s = self._silent_s[index] = silent_s + since_s
        most_mwh = None
        if not sensor.exact:
            # 1 Ws = 5/18 mWh
            most_mwh = UNKNOWN_MWH if silent_s is None else self._power_w * (silent_s + 60) * 5 // 18
        try:
            for _ in range(2):
                sample = await sensor.read(now_s or None)
                if self._metering.take(index, sample.counters_mwh, most_mwh, sensor.wrap_mwh, sample.serial):
                    self._samples[index] = sample
                    self._errors[index] = None
                    self._silent_s[index] = 0
                    self.answers += 1
                    return
            raise SensorError("a counter jumps about")
        except (SensorError, OSError) as error:
            self._errors[index] = str(error)

    async def _close(self, now_s: int, flags: int) -> "list[int]":
        length_s = self._length_s
        # after another interval length was set, on the new grid
        start_s = -(-self._closed_s // length_s) * length_s  # type: ignore
        # after an absence longer than the outbox holds, the registers still bound the whole gap
        start_s = max(start_s, now_s - now_s % length_s - self._outbox.capacity * length_s)
        last_s = now_s - now_s % length_s
        closed = []
        while start_s + length_s <= last_s:
            if len(closed) == _STEP_MOST:
                self.behind = True
                break
            end_s = start_s + length_s
            if self._exact:
                await self._ask(end_s)
                told_s = end_s
            else:
                told_s = last_s if now_s - last_s <= LATE_S else now_s
            self._record(start_s, told_s, flags)
            closed.append(start_s)
            start_s = end_s
        return closed

    def _record(self, start_s: int, told_s: int, flags: int) -> None:
        """One record; the sensors have told the registers of `told_s`, at its end or later."""
        metering = self._metering
        end_s = start_s + self._length_s
        registers = list(metering.registers)
        if end_s != told_s:
            # nobody looked: the energy since the last record is spread evenly
            metering.disturbed = True
            since_s, all_s = end_s - self._closed_s, told_s - self._closed_s  # type: ignore
            registers = [old + (registers[i] - old) * since_s // all_s for i, old in enumerate(self._closed)]
        lacking = any(error is not None for error in self._errors)
        if metering.disturbed or lacking:
            flags |= flag_bit("estimated")
            metering.disturbed = True
        if metering.reset:
            flags |= flag_bit("reset")
        # the flags, too, stay in the state until the record that tells them is durable
        self._save(self._began_s)
        self._outbox.append(start_s, self._length_s, registers, flags)
        self._closed_s = end_s
        self._closed = tuple(registers)
        metering.reset = False
        # what is missing or was guessed here is in the next interval
        metering.disturbed = lacking or end_s != told_s

    def _save(self, began_s: int) -> None:
        self._began_s = began_s
        self._saved_s = 0
        state = self._metering.pack(self._tags, began_s)
        # nothing new needs no erasing
        if state != self._saved:
            self._state.save(state)
            self._saved = state
