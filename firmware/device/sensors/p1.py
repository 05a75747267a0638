"""A smart meter's P1 port (DSMR 2.2 to 5, and its kin in Belgium, Luxembourg, Sweden) or D0 interface: it only talks.

115,200 baud 8N1 from DSMR 4.0 on, 9,600 baud 7E1 before (`"dsmr": 2`). The signal of a P1 port is inverted and needs
a pull-up; where no transistor turns it round, the UART does (`"inverted": true`, the default).
"""

import time

from sensors.line import Line
from sensors.p1_telegram import Telegram, Telegrams
from sensors.sensor import Sensor, SensorError

# DSMR before 5.0 sends every 10 s, and without a CRC two telegrams are needed
TIMEOUT_MS = 25_000
# two telegrams without a CRC must be neighbours
_NEIGHBOUR_MS = 60_000
_NEIGHBOUR_MWH = 5_000_000


def make(settings, buses) -> "P1":
    old = settings.choice("dsmr", (2, 3, 4, 5), 5) < 4
    if old:
        line = buses.line(settings, 9600, bits=7, parity=0, inverted=True)
    else:
        line = buses.line(settings, 115200, inverted=True)
    return P1(settings.role, settings.boolean("reversed"), line)


class P1(Sensor):
    """Tariffs are summed."""

    def __init__(self, role: str, backwards: bool, line: Line) -> None:
        super().__init__(role, backwards)
        self._line = line
        self._earlier = None  # type: tuple | None

    async def read(self, epoch_s: "int | None" = None):
        telegrams = Telegrams()
        began_ms = time.ticks_ms()
        async with self._line.lock:
            self._line.discard()
            while True:
                left_ms = TIMEOUT_MS - time.ticks_diff(time.ticks_ms(), began_ms)
                chunk = await self._line.read(256, left_ms) if left_ms > 0 else b""
                if not chunk:
                    raise SensorError("no telegram")
                telegram = telegrams.feed(chunk)
                if telegram is None:
                    continue
                if not telegram.checked:
                    telegram = self._believed(telegram)
                    if telegram is None:
                        continue
                sums_mwh = _sums_mwh(telegram)
                if sums_mwh[0] is not None or sums_mwh[1] is not None:
                    return self._to_sample(telegram, sums_mwh)

    def _believed(self, telegram: Telegram) -> "Telegram | None":
        """Without a CRC: the earlier of two telegrams in a row that agree.

        A disturbed counter is too high, and then the next telegram is below it, or too low, and then it is below what
        is known already. So one disturbed telegram never moves a register.
        """
        now_ms = time.ticks_ms()
        earlier = self._earlier
        self._earlier = (telegram, now_ms)
        if earlier is None or time.ticks_diff(now_ms, earlier[1]) > _NEIGHBOUR_MS:
            return None
        before = earlier[0]
        if before.serial != telegram.serial or set(before.values) != set(telegram.values):
            return None
        for name, value in before.values.items():
            if b".8." in name and not 0 <= telegram.values[name] - value <= _NEIGHBOUR_MWH:
                return None
        return before

    def _to_sample(self, telegram: Telegram, sums_mwh):
        values = telegram.values
        phases = [phase for phase in (21, 41, 61) if _code(phase) in values or _code(phase + 1) in values]
        # the sum over all phases has the numbers 1 and 2
        power_w = [values.get(_code(phase), 0) - values.get(_code(phase + 1), 0) for phase in phases or [1]]
        return self.sample(
            sums_mwh[0],
            sums_mwh[1],
            tuple(power_w),
            tuple([values[_code(code)] for code in (32, 52, 72) if _code(code) in values]),
            tuple([abs(values[_code(code)]) for code in (31, 51, 71) if _code(code) in values]),
            (),
            telegram.serial,
        )


def _code(quantity: int) -> bytes:
    return b"%d.7.0" % quantity


def _sums_mwh(telegram: Telegram) -> "list[int | None]":
    """Import and export: the total where the meter gives one, otherwise all tariffs."""
    sums = []
    for direction in (b"1.8.", b"2.8."):
        total = telegram.values.get(direction + b"0")
        if total is None:
            tariffs = [value for name, value in telegram.values.items() if name[:4] == direction]
            total = sum(tariffs) if tariffs else None
        sums.append(total)
    return sums
