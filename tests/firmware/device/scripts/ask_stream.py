# Reads a sensor that only talks. Argument: a file with settings, list of [telegram file or hex, repeats],
# and how many bytes come at once.
import asyncio
import binascii
import json
import sys

import fakes
from sensors.make import make
from sensors.sensor import SensorError

with open(sys.argv[1]) as file:
    settings, parts, piece = json.load(file)
stream = b"".join([
    (fakes.load(name) if "." in name else binascii.unhexlify(name)) * repeats for name, repeats in parts
])  # fmt: skip
device = fakes.Stream(stream, piece)
out = []


async def run():
    sensor = make(settings, fakes.Buses(device))
    fakes.hurry()
    while not out or device.more:
        began_ms = fakes.clock.now_ms
        try:
            out.append(fakes.sample_of(await sensor.read()))
        except SensorError as error:
            out.append(str(error))
        assert fakes.clock.now_ms - began_ms < 60_000, "a wait without end"


asyncio.run(run())
print(json.dumps(out))
