# Reads a Modbus sensor. Argument: a file with settings, {"function start count": data in hex}, and a list of faults for
# each reading.
import asyncio
import binascii
import json
import sys

import fakes
from configuration import ConfigurationError
from sensors.make import make
from sensors.sensor import SensorError

with open(sys.argv[1]) as file:
    settings, blocks, readings = json.load(file)
slave = fakes.Slave(settings.get("address", 1), {
    tuple(int(word, 0) for word in key.split()): binascii.unhexlify(data) for key, data in blocks.items()
})  # fmt: skip
buses = fakes.Buses(slave)
out = []


async def run():
    sensor = make(settings, buses)
    fakes.hurry()
    for faults in readings:
        slave.faults = list(faults)
        began_ms = fakes.clock.now_ms
        try:
            out.append(fakes.sample_of(await sensor.read()))
        except SensorError as error:
            out.append(str(error))
        assert fakes.clock.now_ms - began_ms < 10_000, "a wait without end"
        assert not slave.faults, "fewer questions than faults"


try:
    asyncio.run(run())
except ConfigurationError as error:
    out.append("configuration: " + str(error))
print(json.dumps({"out": out, "line": buses.asked, "requests": [binascii.hexlify(r).decode() for r in slave.requests]}))
