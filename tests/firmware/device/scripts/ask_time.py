# One question to a time server. Arguments: port, timeout [ms].
import asyncio
import json
import sys
import time

import ntp

began_ms = time.ticks_ms()
try:
    answer = asyncio.run(ntp.ask("127.0.0.1", int(sys.argv[1]), int(sys.argv[2])))
    told = {"epoch_ms": answer.epoch_ms, "age_ms": time.ticks_diff(time.ticks_ms(), answer.ticks_ms)}
    told["round_trip_ms"] = answer.round_trip_ms
except (OSError, ntp.NtpError) as error:
    told = {"error": type(error).__name__ + ": " + str(error)}
told["waited_ms"] = time.ticks_diff(time.ticks_ms(), began_ms)
print(json.dumps(told))
