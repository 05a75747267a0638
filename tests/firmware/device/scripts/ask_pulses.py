# Closes and opens a contact. Argument: a file with settings and a list of [ms since the last step, level of the pin or
# "read"]. Prints what the readings give.
import asyncio
import json
import sys

import fakes
from sensors import s0
from sensors.make import make

with open(sys.argv[1]) as file:
    settings, steps = json.load(file)
out = []


class Pin:
    IRQ_FALLING = 1
    IRQ_RISING = 2

    def __init__(self):
        self.level = 1

    def irq(self, handler, trigger):
        assert trigger == 3
        self.handler = handler

    def value(self):
        return self.level


class Time:
    now_ms = fakes.PERIOD_MS - 1000

    def ticks_ms(self):
        return self.now_ms % fakes.PERIOD_MS

    def ticks_diff(self, later, earlier):
        return fakes.ticks_diff(later, earlier)


pin, s0.time = Pin(), Time()


async def run():
    buses = fakes.Buses()
    contact = s0.Contact(pin, settings.get("closed", 0), settings.get("debounce_ms", s0.DEBOUNCE_MS))
    buses.device = contact
    sensor = make(settings, buses)
    for after_ms, level in steps:
        s0.time.now_ms += after_ms
        if level == "read":
            out.append(fakes.sample_of(await sensor.read()))
        elif level != pin.level:
            pin.level = level
            pin.handler(pin)
        else:
            # an edge that was over before it was looked at
            pin.handler(pin)


asyncio.run(run())
print(json.dumps(out))
