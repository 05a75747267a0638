# Asks a simulated sensor. Arguments: profile file, JSON list of epochs, and "reversed" for a transformer the wrong way
# round, which is then read as a meter reads it.
import asyncio
import json
import sys

from sensors.simulated import Simulated

try:
    sensor = Simulated(sys.argv[1], len(sys.argv) > 3)
    if len(sys.argv) > 3:
        samples = [asyncio.run(sensor.read(at)) for at in json.loads(sys.argv[2])]
        print(json.dumps([[list(sample.counters_mwh), list(sample.power_w)] for sample in samples]))
        sys.exit(0)
    print(json.dumps([list(sensor.counters_mwh(at)) for at in json.loads(sys.argv[2])]))
except ValueError as error:
    print(json.dumps(str(error)))
