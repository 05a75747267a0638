# The watchdog, with ticks of its own. Argument: a file with a JSON list of [time in ms, progress]. Prints after each
# round whether the hardware was fed.
import json
import sys

from watchdog import Watchdog


class Hardware:
    fed = 0

    def feed(self):
        self.fed += 1


class Ticks:
    now_ms = 0

    def ticks_ms(self):
        return (self.now_ms + (1 << 30) - 5000) % (1 << 30)

    def ticks_diff(self, left, right):
        return (left - right + (1 << 29)) % (1 << 30) - (1 << 29)


ticks = Ticks()
hardware = Hardware()
watchdog = Watchdog(hardware, ticks)
told = []
with open(sys.argv[1]) as file:
    rounds = json.load(file)
for ticks.now_ms, progress in rounds:
    before = hardware.fed
    watchdog.round(progress)
    told.append(hardware.fed - before)
# nothing fitted is nothing fed
Watchdog(None, ticks).round(1)
print(json.dumps(told))
