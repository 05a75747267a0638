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

scenario, stay_s = sys.argv[1], int(sys.argv[2])
happened = []
config = configuration.load("config.json")


class Clock:
    def __init__(self):
        self.synced = asyncio.Event()


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
    made = link.Link(
        config, Outbox("outbox"), clock, radio, lambda: happened.append(["ready"]), status,
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
    happened.append(["last", made.connected, made.last_error])
    running.cancel()
    await asyncio.sleep_ms(50)


asyncio.run(run())
print(json.dumps(happened))
