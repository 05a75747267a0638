# The link with an outbox of its own, without sensors. Arguments: scenario, seconds to run at most.
# Prints what happened, in order.
import asyncio
import json
import sys
import time

import configuration
import link
from messages import VERSION
from outbox import Outbox

NOW_S = 1_800_000_000
scenario, stay_s = sys.argv[1], int(sys.argv[2])
happened = []
config = configuration.load("config.json")


class Clock:
    def __init__(self):
        self.synced = asyncio.Event()

    def now_ms(self):
        return None if scenario == "unsynced" else NOW_S * 1000


class Radio:
    """Joined at once; the radio of the tests of `wifi` is another."""

    async def ensure(self, fresh):
        happened.append(["ensure", fresh])

    def rssi_dbm(self):
        return -61


def status():
    return {"firmware": VERSION, "free_memory": 1, "outbox": 0, "clock_error_ms": None}


async def run():
    clock = Clock()
    if scenario == "unsynced":
        link._TIME_S = 0.3
    else:
        clock.synced.set()
    if scenario in ("nobody", "unsynced"):
        link.BACKOFF_LEAST_MS = link.BACKOFF_MOST_MS = 20
    radio = Radio() if scenario in ("nobody", "unsynced") else None
    box = Outbox("outbox")
    if scenario == "astray":
        # two real records, two of a time that was two years ahead, one real
        for start in (NOW_S - 1800, NOW_S - 900, NOW_S + 63_072_000, NOW_S + 63_072_900, NOW_S):
            box.append(start, 900, [start, 0, 0, start], 0)
    made = link.Link(
        config, box, clock, radio, lambda: happened.append(["ready"]), status,
        lambda what, payload: happened.append([what, str(payload, "utf-8")]),
    )  # fmt: skip
    running = asyncio.create_task(made.run())
    began_ms = time.ticks_ms()
    known = 0
    while time.ticks_diff(time.ticks_ms(), began_ms) < stay_s * 1000 and ["price", "end"] not in happened:
        if made.connections > known:
            known = made.connections
            happened.append(["connected", made.connected, made.last_error])
            if scenario == "reconnect" and known == 1:
                made.reconnect()
        if scenario == "unsynced" and len(happened) == 3:
            clock.synced.set()
        if scenario == "nobody" and len(happened) > 20:
            break
        await asyncio.sleep_ms(5)
    if scenario == "astray":
        happened.append(["outbox", box.acknowledged, box.dropped, box.first])
    happened.append(["last", made.connected, made.last_error])
    running.cancel()
    await asyncio.sleep_ms(50)


asyncio.run(run())
print(json.dumps(happened))
