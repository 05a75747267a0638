# A board whose epoch is the year given, whose NTP fails three times, and whose clock then runs a quarter hour a second.
import asyncio
import json
import sys
import time as real

EPOCH_YEAR = int(sys.argv[1])
SHIFT_S = {1970: 0, 2000: 946684800}[EPOCH_YEAR]
TRUE_S = 1_800_000_300


class Time:
    ticks_ms = real.ticks_ms
    ticks_diff = real.ticks_diff

    def __init__(self):
        # a board wakes at its epoch
        self.offset_s = 0
        self.began_ms = real.ticks_ms()

    def gmtime(self, seconds):
        return (EPOCH_YEAR, 1, 1, 0, 0, 0, 0, 1)

    def time(self):
        return self.offset_s + real.ticks_diff(real.ticks_ms(), self.began_ms) * 900 // 1000


class Ntp:
    asked = 0

    def settime(self):
        self.asked += 1
        if self.asked <= 2:
            raise OSError(110)
        if self.asked == 3:
            # an answer from a server that has lost its own time
            board.offset_s = 86400
            return
        board.offset_s = TRUE_S - SHIFT_S
        board.began_ms = real.ticks_ms()


board = Time()
ntp = Ntp()
sys.modules["time"] = board
sys.modules["ntptime"] = ntp
import clock  # noqa: E402

clock._RETRY_S = 0
clock._NAP_S = 0


async def run():
    keeper = clock.NtpClock(900)
    first = await keeper.tick()
    second = await keeper.tick()
    third = await keeper.tick()
    return [first, second, third]


told = asyncio.run(run())
print(json.dumps({"shift_s": clock.EPOCH_SHIFT_S, "asked": ntp.asked, "ticks": told}))
