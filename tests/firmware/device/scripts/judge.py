# What the wiring checks say. Argument: a file with the function, the samples as [power of each phase, flags], and more.
import json
import sys

from sensors import diagnose
from sensors.sensor import Sample

with open(sys.argv[1]) as file:
    function, samples, more = json.load(file)
samples = [Sample((None,) * 4, tuple(power_w), (), (), tuple(flags), 0) for power_w, flags in samples]
if function == "reversed_ct":
    print(json.dumps(diagnose.reversed_ct(more[0], samples[0])))
else:
    print(json.dumps(getattr(diagnose, function)(*samples, *more)))
