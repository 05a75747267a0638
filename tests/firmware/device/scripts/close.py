# Lives through a list of steps with sensors that say what they are told. Argument: a file with the sensors
# {"role", "volatile", "wrap"}, the configuration, and the steps: {"now": epoch, "say": [counters or null, …],
# "disturbed": what the first sensor says once before, "ms": since the last step, "doubtful": true},
# {"cut": configuration} (everything from flash again, with changes), {"restart": tag} (as a meter does by itself, with
# another tag of the first sensor), "spoil" (the state), "full" (the next record finds
# no room). Prints every record, and what each step closed.
import asyncio
import json
import os
import sys

import fakes
import intervals
from messages import FLAGS
from outbox import Outbox
from sensors.sensor import Sample, Sensor, SensorError
from slots import Slots

with open(sys.argv[1]) as file:
    kinds, config, steps = json.load(file)
fakes.hurry()


class Config:
    def __init__(self, fields):
        self.interval_s = fields.get("interval_s", 900)
        self.limits = fields.get("limits")
        self.seed = fields.get("seed")


class Told(Sensor):
    said = None
    disturbed = None
    driver = "told"

    def __init__(self, index, kind):
        super().__init__(kind["role"])
        self.volatile = kind.get("volatile", False)
        self.wrap_mwh = kind.get("wrap")
        self.tag = kind.get("tag", 1000 + index)

    async def read(self, epoch_s=None):
        if self.disturbed is not None:
            said, self.disturbed = self.disturbed, None
            return Sample(tuple(said), (5,), (), (), (), 0)
        if self.said is None:
            raise SensorError("no answer")
        return Sample(tuple(self.said), (5,), (), (), (), 0)


class Watched(Slots):
    saves = 0

    def save(self, content):
        Watched.saves += 1
        super().save(content)


class Clock:
    doubtful = False


def boot(fields):
    box = Outbox("box")
    sensors = [Told(index, kind) for index, kind in enumerate(kinds)]
    return box, sensors, intervals.Intervals(box, Watched("box/metering"), sensors, Config(fields))


async def run():
    closed = []
    box, sensors, meter = boot(config)
    for step in steps:
        if step == "spoil":
            for suffix in (".a", ".b"):
                try:
                    with open("box/metering" + suffix, "wb") as file:
                        file.write(b"\xff" * 100)
                except OSError:
                    pass
        elif step == "full":
            Outbox.append = refuse
        elif "restart" in step:
            meter.save()
            kinds[0]["tag"] = step["restart"]
            box, sensors, meter = boot(config)
        elif "cut" in step:
            Outbox.append = append
            config.update(step["cut"])
            box, sensors, meter = boot(config)
        else:
            fakes.clock.now_ms += step.get("ms", 5000)
            for index, said in enumerate(step.get("say", [])):
                sensors[index].said = said
            if "disturbed" in step:
                sensors[0].disturbed = step["disturbed"]
            Clock.doubtful = step.get("doubtful", False)
            try:
                closed.append(await meter.step(step["now"], Clock))
                while meter.behind:
                    assert len(closed[-1]) % 16 == 0
                    closed[-1] += await meter.step(step["now"], Clock)
            except OSError as error:
                closed.append(str(error))
    records = []
    for seq in range(box.first, box.next_seq):
        record = box.read(seq)
        names = [name for bit, name in enumerate(FLAGS) if record.flags >> bit & 1]
        records.append([record.start, record.length, list(record.registers), names])
    views = meter.views()
    views = [[view.role, view.driver, view.age_s, view.error] for view in views]
    counted = {"progress": meter.progress, "answers": meter.answers, "registers": list(meter.registers)}
    counted["saves"] = Watched.saves
    counted.update({"closed": closed, "records": records, "states": meter.sensor_states(), "views": views})
    return counted


def refuse(*_):
    raise OSError(28)


append = Outbox.append
try:
    os.mkdir("box")
except OSError:
    pass
print(json.dumps(asyncio.run(run())))
