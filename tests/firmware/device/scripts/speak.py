# One MQTT connection. Arguments: port, messages to publish, packet id to start after, reply timeout [ms], stay [s];
# a file with the authority's certificate (DER) for TLS, or nothing.
# Prints what ended it, what was heard and how many PUBACKs are missing.
import asyncio
import json
import sys
import time

import mqtt
import trust

port, count, packet_id, timeout_ms, stay_s = [int(word) for word in sys.argv[1:6]]
heard = []
mqtt.WATCH_MS = 300
ended = None


async def run():
    global ended
    woken = asyncio.Event()
    client = mqtt.Client(lambda topic, payload: heard.append([topic, len(payload)]), woken.set, 1, timeout_ms)
    client._packet_id = packet_id
    try:
        tls = None
        if len(sys.argv) > 6:
            with open(sys.argv[6], "rb") as file:
                tls = trust.context(authority=file.read())
        await client.connect("localhost", port, "speaker", None, None, ("pumasi/1/a/b/status", b"gone"), tls)
        if not await client.subscribe("pumasi/1/a/b/ack"):
            raise mqtt.ProtocolError("subscription refused")
        for number in range(count):
            await client.publish("pumasi/1/a/b/reading", b"%d" % number)
            while len(client._unanswered) >= 16:
                woken.clear()
                await woken.wait()
                client.check()
        end = time.time() + stay_s
        while time.time() < end or (client._unanswered and time.time() < end + 5):
            client.check()
            await asyncio.sleep_ms(20)
    except (OSError, EOFError, asyncio.TimeoutError, mqtt.ProtocolError) as error:
        ended = error
    finally:
        await client.close()
    return client


client = asyncio.run(run())
print(
    json.dumps(
        {
            "ended": None if ended is None else type(ended).__name__ + ": " + str(ended),
            "heard": heard,
            "unanswered": len(client._unanswered),
            "oversized": client.oversized,
            "packet_id": client._packet_id,
        }
    )
)
