# Connects again and again. Arguments: host, port, times, reply timeout [ms], keepalive [s], stay [ms]; files are those
# of the meter: ca.der, client.der, client.key.der where there is a ca.der.
# Prints how each connection ended and how many files and sockets are open before and after.
import asyncio
import json
import os
import sys

import mqtt
import trust
from dial import why

host = sys.argv[1]
port, times, timeout_ms, keepalive_s, stay_ms = [int(word) for word in sys.argv[2:]]
mqtt.WATCH_MS = 300
tls = "ca.der" in os.listdir(".")


async def once():
    client = mqtt.Client(lambda topic, payload: None, lambda: None, keepalive_s, timeout_ms)
    try:
        context = trust.context(client=True) if tls else None
        await client.connect(host, port, "rural3/m001", None, None, ("pumasi/1/a/b/status", b"gone"), context)
        await client.subscribe("pumasi/1/a/b/ack")
        for number in range(8):
            await client.publish("pumasi/1/a/b/reading", b"%d" % number + b" " * 200)
        waited_ms = 0
        while waited_ms < stay_ms:
            client.check()
            await asyncio.sleep_ms(20)
            waited_ms += 20
    except (OSError, EOFError, ValueError, asyncio.TimeoutError, mqtt.ProtocolError) as error:
        return type(error).__name__ + ": " + why(error)
    finally:
        await client.close()
    return "stayed"


async def run():
    first = await once()
    before = len(os.listdir("/proc/self/fd"))
    ends = [first]
    while len(ends) < times:
        ends.append(await once())
    await asyncio.sleep_ms(50)
    return {"ends": ends, "before": before, "after": len(os.listdir("/proc/self/fd"))}


print(json.dumps(asyncio.run(run())))
