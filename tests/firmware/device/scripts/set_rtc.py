# A board whose epoch is the year given sets its own clock. Arguments: year, epoch seconds of 1970.
import json
import sys
import time as real

SHIFT_S = {1970: 0, 2000: 946684800}[int(sys.argv[1])]
told = []


class Time:
    ticks_ms = real.ticks_ms
    ticks_diff = real.ticks_diff
    ticks_add = real.ticks_add
    sleep_ms = real.sleep_ms

    def gmtime(self, seconds):
        return real.gmtime(seconds + SHIFT_S)


class Machine:
    def RTC(self):  # noqa: N802
        return self

    def datetime(self, parts):
        told.append(parts)


sys.modules["time"] = Time()
sys.modules["machine"] = Machine()
import clock  # noqa: E402

clock.set_rtc(int(sys.argv[2]))
print(json.dumps({"shift_s": clock.EPOCH_SHIFT_S, "parts": told[0]}))
