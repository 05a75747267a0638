# Disturbs the answers of Modbus meters in every way; registers must only ever show what the meter counted.
# Argument: a file with settings, the answers {"function start count": [hex, …]} of which those with the same place
# belong together, the import counters they mean [mWh], how many readings, and a seed.
import asyncio
import binascii
import json
import random
import sys

import fakes
from metering import Metering
from sensors.make import make
from sensors.sensor import SensorError

with open(sys.argv[1]) as file:
    settings, answers, counters_mwh, readings, seed = json.load(file)
random.seed(seed)
draw = random.getrandbits


def below(limit):
    return draw(16) % limit


def disturb(frame, others):
    """The frame with noise before, inside or after it, cut, flipped, or spliced with another."""
    kind = below(9)
    at = below(len(frame))
    if kind == 0:
        return b""
    if kind == 1:
        return frame[:at]
    if kind == 2:
        return frame[at:]
    if kind == 3:
        return frame[:at] + bytes((frame[at] ^ 1 << below(8),)) + frame[at + 1 :]
    if kind == 4:
        return bytes(draw(8) for _ in range(below(80)))
    if kind == 5:
        return bytes(draw(8) for _ in range(below(4))) + frame
    if kind == 6:
        return frame[:at] + others[below(len(others))][at:]
    if kind == 7:
        return frame[:at] + frame[at + 1 :]
    return frame[:at] + bytes((draw(8),)) + frame[at:]


class Noisy(fakes.Slave):
    noise = 0
    place = 0
    frames = (b"\x00",)

    def answer(self, request):
        address, function, start, count = (
            request[0],
            request[1],
            request[2] << 8 | request[3],
            request[4] << 8 | request[5],
        )
        data = binascii.unhexlify(answers["%d %d %d" % (function, start, count)][self.place])
        frame = bytes((address, function, len(data))) + data
        frame += fakes.crc_modbus(frame)
        self.frames = (self.frames + (frame,))[-4:]
        if below(100) < self.noise:
            return disturb(frame, self.frames)
        return frame

    def unasked(self):
        return bytes(draw(8) for _ in range(1 + below(9))) if below(400) < self.noise else b""


async def run():
    slave = Noisy(1, {})
    sensor = make(settings, fakes.Buses(slave))
    fakes.hurry()
    metering = Metering(1, {0, 1})
    good = errors = shown = 0
    for reading in range(readings):
        slave.place = reading * len(counters_mwh) // readings
        slave.noise = 0 if reading == 0 else 75
        try:
            sample = await sensor.read()
        except SensorError:
            errors += 1
            continue
        good += 1
        imported = next(counter for counter in sample.counters_mwh if counter is not None)
        # a whole older answer was true a moment ago
        assert imported in counters_mwh[max(slave.place - 1, 0) : slave.place + 1], (imported, counters_mwh)
        metering.take(0, (imported, 0, None, None), 10**9)
        shown = max(shown, imported)
        assert metering.registers[0] == shown - counters_mwh[0] and not metering.reset
    return {"good": good, "errors": errors}


print(json.dumps(asyncio.run(run())))
