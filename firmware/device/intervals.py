"""Closes intervals: the sensor's counters at each interval's end become a durable record."""

import struct

from messages import RESET
from metering import Metering
from outbox import Outbox
from slots import Slots

_STATE = "<9q"


class Intervals:
    """Intervals are half open, aligned to the epoch and closed in order.

    The registers go on from the last record, or, before there is one, from the origin stored at the very first tick.
    `sensor.counters_mwh(epoch_s)` gives cumulative import, export and generation [mWh]; `sensor_flag` is a bit that
    every record of this sensor carries.
    """

    def __init__(self, outbox: Outbox, origin: Slots, sensor, sensor_flag: int, length_s: int) -> None:
        self._outbox = outbox
        self._origin = origin
        self._sensor = sensor
        self._sensor_flag = sensor_flag
        self._length_s = length_s
        self._metering = Metering()
        self._closed_s = None  # type: int | None
        if outbox.last is not None:
            self._metering.restore(outbox.last.registers, outbox.last.counters)
            self._closed_s = outbox.last.start + outbox.last.length
        elif origin.content is not None and len(origin.content) == struct.calcsize(_STATE):
            state = struct.unpack(_STATE, origin.content)
            self._metering.restore(state[1:5], state[5:9])
            self._closed_s = state[0] - state[0] % length_s

    def close_until(self, epoch_s: int):
        """Yields the start of each interval that ended at or before `epoch_s`, once its record is durable."""
        length_s = self._length_s
        if self._closed_s is None:
            self._begin(epoch_s)
            return
        start = self._closed_s - self._closed_s % length_s
        # after an absence longer than the outbox holds, the registers still bound the whole gap
        start = max(start, epoch_s - epoch_s % length_s - self._outbox.capacity * length_s)
        while start + length_s <= epoch_s:
            reset = self._metering.advance(self._sensor.counters_mwh(start + length_s))
            flags = self._sensor_flag | (RESET if reset else 0)
            self._outbox.append(start, length_s, self._metering.registers, self._metering.counters, flags)
            self._closed_s = start + length_s
            yield start
            start += length_s

    def _begin(self, epoch_s: int) -> None:
        self._metering.baseline(self._sensor.counters_mwh(epoch_s))
        state = [epoch_s] + self._metering.registers + self._metering.counters
        self._origin.save(struct.pack(_STATE, *state))
        self._closed_s = epoch_s - epoch_s % self._length_s
