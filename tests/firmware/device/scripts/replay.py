# Asks a simulated sensor. Arguments: profile file, JSON list of epochs.
import json
import sys

from sensors.simulated import Simulated

try:
    sensor = Simulated(sys.argv[1])
    print(json.dumps([list(sensor.counters_mwh(at)) for at in json.loads(sys.argv[2])]))
except ValueError as error:
    print(json.dumps(str(error)))
