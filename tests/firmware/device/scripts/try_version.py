# Judges the running version, with ticks of its own. Argument: a JSON list of [running time in ms, answers, connections]
# looks at one boot. Prints after each whether it is proven, healthy, asks for a restart, and how often flash was
# written.
import json
import sys

import stage
import trial

writes = 0
save = stage.save


def counted(state):
    global writes
    writes += 1
    save(state)


stage.save = counted


class Ticks:
    now_ms = (1 << 30) - 5000

    def ticks_ms(self):
        return self.now_ms % (1 << 30)

    def ticks_diff(self, left, right):
        return (left - right + (1 << 29)) % (1 << 30) - (1 << 29)


ticks = Ticks()
began_ms = ticks.now_ms
judge = trial.Trial(ticks)
told = []
for running_ms, answers, connections in json.loads(sys.argv[1]):
    ticks.now_ms = began_ms + running_ms
    judge.look(answers, connections)
    told.append([judge.proven, judge.healthy, judge.restart, writes])
print(json.dumps({"slot": judge.slot, "boots": judge.boots, "told": told, "state": stage.state()}))
