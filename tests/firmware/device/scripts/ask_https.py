# One HTTPS request that believes anybody. Arguments: port, timeout [ms].
# Prints [status, bytes of the body] or the error.
import asyncio
import json
import sys

import https
import trust


async def run():
    response = await https.open(
        "localhost", int(sys.argv[1]), trust.blind_context(), "GET", "/x", timeout_ms=int(sys.argv[2])
    )
    try:
        if response.length > 8192:
            raise https.HttpsError("an answer of %d bytes" % response.length)
        buffer = bytearray(1000)
        size = 0
        while True:
            step = await response.readinto(buffer)
            if not step:
                return [response.status, size]
            size += step
    finally:
        await response.close()


try:
    print(json.dumps(asyncio.run(run())))
except https.HttpsError as error:
    print(json.dumps(str(error)))
