# Lives through a list of steps with an ATM90E32. Argument: a file with its settings and the steps:
# "read", "restart" (of the processor), "power cut" (of the chip), "absent", "present",
# ["disturb", register, answers], ["energy", register, 0.01 pulses], ["set", register, value]. Prints what
# reading gives.
import asyncio
import json
import sys

import fakes
from sensors.make import make
from sensors.sensor import SensorError

with open(sys.argv[1]) as file:
    settings, steps = json.load(file)
chip = fakes.Chip()
out = []


async def run():
    sensor = make(settings, fakes.Buses(chip))
    fakes.hurry()
    for step in steps:
        what, arguments = (step, []) if isinstance(step, str) else (step[0], step[1:])
        try:
            if what == "read":
                out.append(fakes.sample_of(await sensor.read()))
            elif what == "restart":
                sensor = make(settings, fakes.Buses(chip))
            elif what == "power cut":
                chip.power_on()
            elif what in ("absent", "present"):
                chip.absent = what == "absent"
            elif what == "disturb":
                chip.disturbed[arguments[0]] = arguments[1]
            elif what == "energy":
                chip.energy[arguments[0]] += arguments[1]
            elif what == "set":
                chip.registers[arguments[0]] = arguments[1]
        except (SensorError, ValueError) as error:
            out.append(str(error))


asyncio.run(run())
written = {"%02x" % register: value for register, value in chip.registers.items()}
print(json.dumps({"out": out, "resets": chip.resets, "registers": written}))
