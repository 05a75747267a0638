# Heap [bytes] that a driver takes. Argument: a file with its settings and what its bus says (hex by block, a telegram's
# file, or nothing). Prints what importing takes, what the sensor takes, and the most that a reading has in use on top.
import asyncio
import binascii
import gc
import json
import sys

import fakes
import intervals  # noqa: F401 (every meter has it)
from configuration import ConfigurationError  # noqa: F401
from sensors.make import make

with open(sys.argv[1]) as file:
    settings, said = json.load(file)
if settings["driver"] == "atm90e32":
    device = fakes.Chip()
elif settings["driver"] == "s0":

    class Pin:
        IRQ_FALLING = IRQ_RISING = 1

        def irq(self, **_):
            pass

    device = Pin()
elif isinstance(said, dict):
    device = fakes.Slave(1, {
        tuple(int(word, 0) for word in key.split()): binascii.unhexlify(data) for key, data in said.items()
    })  # fmt: skip
else:
    device = fakes.Stream(fakes.load(said) * 2, 64) if said else None


def used():
    gc.collect()
    return gc.mem_alloc()


async def run():
    before = used()
    __import__("sensors." + settings["driver"], None, None, ("make",))
    imported = used()
    buses = fakes.Buses(device)
    if settings["driver"] == "s0":
        from sensors.s0 import Contact

        buses.device = Contact(device)
    sensor = make(settings, buses)
    made = used()
    fakes.hurry()
    gc.collect()
    gc.disable()
    await sensor.read()
    most = gc.mem_alloc()
    gc.enable()
    await asyncio.sleep_ms(0)
    return {"import": imported - before, "sensor": made - imported, "reading": most - made, "kept": used() - made}


print(json.dumps(asyncio.run(run())))
