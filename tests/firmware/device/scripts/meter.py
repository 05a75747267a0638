# Feeds counters to the registers. Argument: a file with the measured registers, the number of sensors, and steps: lists
# of what each sensor says, null or {"counters": [4], "most": mWh, "wrap": mWh, "serial": n}. Prints registers, flags
# and what was believed after each step; the state goes through a file's bytes between any two of them.
import json
import sys

from metering import Metering

with open(sys.argv[1]) as file:
    measured, sensors, steps = json.load(file)
tags = list(range(100, 100 + sensors))
metering = Metering(sensors, set(measured))
out = []
for step in steps:
    believed = []
    for index, said in enumerate(step):
        if said is not None:
            believed.append(
                metering.take(index, tuple(said["counters"]), said.get("most"), said.get("wrap"), said.get("serial", 0))
            )
    metering.settle()
    state = metering.pack(tags, 77)
    out.append([list(metering.registers), metering.reset, believed])
    again = Metering(sensors, set(measured))
    assert again.unpack(state, tags) == 77 and again.pack(tags, 77) == state
    if all(believed):
        # a power cut; what is doubted is only doubted until then
        metering = again
    metering.reset = False
print(json.dumps(out))
