# Disturbs the telegrams of a meter that only talks; registers must only ever show what the meter counted.
# Argument: a file with settings, the telegram's file, a text in it that is its counter [kWh, three decimals] or null,
# how many telegrams, how many of a hundred are disturbed, whether two in a row may be, and a seed.
import asyncio
import json
import random
import sys

import fakes
from metering import Metering
from sensors import crc16
from sensors.make import make
from sensors.sensor import SensorError

with open(sys.argv[1]) as file:
    settings, path, counter, count, noise, in_a_row, seed = json.load(file)
random.seed(seed)
draw = random.getrandbits
plain = fakes.load(path)


def below(limit):
    return draw(16) % limit


def telegram(number):
    """The same with a counter that rises by a watt-hour each time, and a right CRC where there is one."""
    if counter is None:
        return plain
    whole, part = counter.split(".")
    kwh = int(whole + part) + number
    text = "%0*d" % (len(whole) + 3, kwh)
    new = plain.replace(counter.encode(), (text[:-3] + "." + text[-3:]).encode(), 1)
    end = new.rfind(b"!") + 1
    if len(new) - end > 2:
        new = new[:end] + b"%04X\r\n" % crc16.arc(new[:end])
    return new


def disturb(whole, before):
    kind = below(10)
    at = below(len(whole))
    to = min(at + below(40), len(whole))
    if kind == 0:
        return whole[:at]
    if kind == 1:
        return whole[at:]
    if kind == 2:
        return whole[:at] + bytes((whole[at] ^ 1 << below(8),)) + whole[at + 1 :]
    if kind == 3:
        return whole[:at] + bytes(draw(8) for _ in range(to - at)) + whole[to:]
    if kind == 4:
        return whole[:at] + before[at:]
    if kind == 5:
        return whole[:at] + whole[to:]
    if kind == 6:
        return whole[:at] + whole[at:to] + whole[at:]
    if kind == 7:
        return whole[:at] + bytes(draw(8) for _ in range(below(60))) + whole[at:]
    if kind == 8:
        # digits become other digits: what a text without a checksum can hide
        spoiled = bytearray(whole)
        for place in range(at, to):
            if 48 <= spoiled[place] <= 57:
                spoiled[place] = 48 + below(10)
        return bytes(spoiled)
    return bytes(draw(8) for _ in range(below(300)))


class Meter:
    number = 0
    disturbed = False
    waiting = b""
    before = plain

    def unasked(self):
        if not self.waiting:
            if self.number >= count:
                return b""
            whole = telegram(self.number)
            self.disturbed = below(100) < noise and (in_a_row or not self.disturbed) and self.number > 2
            self.waiting = disturb(whole, self.before) if self.disturbed else whole
            self.before = whole
            self.number += 1
            if not self.waiting:
                return b"\x00"
        piece = 1 + below(200)
        chunk, self.waiting = self.waiting[:piece], self.waiting[piece:]
        return chunk

    def answer(self, request):
        return b""


class Stream:
    """A line whose bytes are not dropped before a reading: every telegram is looked at."""

    def __init__(self, line):
        self._line = line
        self.lock = line.lock
        self.read = line.read

    def discard(self):
        pass


async def run():
    meter = Meter()
    sensor = make(settings, fakes.Buses(meter))
    sensor._line = Stream(sensor._line)
    fakes.hurry()
    metering = Metering(1, {0, 1})
    start = None
    good = errors = 0
    while meter.number < count:
        try:
            sample = await sensor.read()
        except SensorError:
            errors += 1
            continue
        good += 1
        imported = sample.counters_mwh[0]
        start = imported if start is None else start
        # what a right CRC says is true, to the last digit
        assert not in_a_row or imported in range(start, start + 1000 * meter.number, 1000), imported
        assert counter is not None or imported == start, imported
        if metering.take(0, (imported, 0, None, None), 2 * 10**6, None, sample.serial):
            # never above what the meter shows, and never set back
            assert metering.registers[0] <= 1000 * meter.number, (metering.registers, meter.number)
            assert not metering.reset, imported
            assert counter is not None or metering.registers[0] == 0
    return {"good": good, "errors": errors, "register": metering.registers[0]}


print(json.dumps(asyncio.run(run())))
