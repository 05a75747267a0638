# The provisioning window with a stand-in for the radio. Arguments: HTTP port, DNS port, seconds that it stays open.
# Prints whether something is staged, and what the radio was told.
import asyncio
import gc
import json
import sys

import network
import portal
import web
import wifi

wifi.JOIN_TIMEOUT_MS = 300
wifi._STEP_MS = 20
web.TIMEOUT_MS = 3000
portal.LINGER_S = 0.2
http_port, dns_port, open_s = [int(word) for word in sys.argv[1:4]]
window = portal.Window(wifi.Wifi(None, None), http_port, dns_port, open_s)
least = gc.mem_free()


async def watch_memory():
    global least
    while True:
        gc.collect()
        least = min(least, gc.mem_free())
        await asyncio.sleep_ms(50)


async def run():
    watching = asyncio.create_task(watch_memory())
    opened = await window.open()
    watching.cancel()
    return opened


staged = asyncio.run(run())
print(json.dumps({"staged": staged, "told": network.told, "least_free": least}))
