# An ATM90E32 on a test bench. Argument: a file with its settings, its transformers' errors (fakes.Bench) and the steps:
# ["load", V, A, degrees], ["calibrate", phase, mV, mA, mW], ["angle", phase, mV, mA, mW], ["shows", phase]. Prints what
# is shown and what is refused, and the gains.
import asyncio
import json
import sys

import fakes
from sensors.make import make

with open(sys.argv[1]) as file:
    settings, errors, steps = json.load(file)
chip = fakes.Bench((0, 0, 0), errors)
out = []


async def run():
    sensor = make(settings, fakes.Buses(chip))
    fakes.hurry()
    await sensor.begin()
    for what, *arguments in steps:
        try:
            if what == "load":
                chip.load = arguments
            elif what == "calibrate":
                await sensor.calibrate(*arguments)
            elif what == "angle":
                await sensor.calibrate_angle(*arguments)
            elif what == "shows":
                out.append([values[arguments[0]] for values in await sensor.measure(2)])
        except ValueError as error:
            out.append(str(error))
    return sensor.gains()


gains = asyncio.run(run())
print(json.dumps({"out": out, "gains": gains}))
