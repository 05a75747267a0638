# Feeds counters to the registers. Argument: JSON list of [import, export, generation]; the first is the baseline.
import json
import sys

from metering import Metering

steps = json.loads(sys.argv[1])
metering = Metering()
metering.baseline(tuple(steps[0]))
out = []
for step in steps[1:]:
    reset = metering.advance(tuple(step))
    out.append([list(metering.registers), reset])
    # a power cut between any two steps changes nothing
    stored = (tuple(metering.registers), tuple(metering.counters))
    metering = Metering()
    metering.restore(stored[0], stored[1])
print(json.dumps(out))
