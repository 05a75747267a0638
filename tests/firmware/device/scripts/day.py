# A meter as it is flashed (modules in a/) that tells after each hour of its own time what its heap holds once it is
# collected. Runs in the meter's flash folder, instead of main.py. Argument: intervals in an hour.
import gc
import sys

gc.threshold(16_384)
sys.path.insert(0, "a")
import meter  # noqa: E402

hour = int(sys.argv[1])
closed = 0
event = meter.event


def counting(name, identity, start=None):
    global closed
    event(name, identity, start)
    if name == "closed":
        closed += 1
        if closed % hour == 0:
            gc.collect()
            told = (gc.mem_alloc(), gc.mem_free())
            sys.stdout.write('{"event":"heap","held":%d,"free":%d}\n' % told)


meter.event = counting
sys.exit(meter.main())
