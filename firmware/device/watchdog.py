"""The hardware's watchdog, fed only while metering makes progress."""

import time

# a name's lookup and a TLS handshake block for seconds; nothing should block for as long as this
TIMEOUT_MS = 120_000
# the loop goes round, but the sensors' rounds do not end: only a restart helps
PATIENCE_MS = 900_000


class Watchdog:
    """`hardware` is a machine.WDT or anything with `feed()`, or None where there is none."""

    def __init__(self, hardware, ticks=time) -> None:
        self._hardware = hardware
        self._ticks = ticks
        self._progress = -1
        self._since_ms = ticks.ticks_ms()
        self._stuck = False

    def round(self, progress: int) -> None:
        """The loop of metering came round; `progress` grows with each round of asking the sensors, answered or not."""
        now_ms = self._ticks.ticks_ms()
        if progress != self._progress:
            self._progress = progress
            self._since_ms = now_ms
        # once true it stays so: ticks wrap
        self._stuck = self._stuck or self._ticks.ticks_diff(now_ms, self._since_ms) > PATIENCE_MS
        if not self._stuck:
            self.feed()

    def feed(self) -> None:
        if self._hardware is not None:
            self._hardware.feed()


def shorter(hardware):
    """The watchdog that the boot stage started, with the meter's own timeout."""
    if hardware is None:
        return None
    return type(hardware)(timeout=TIMEOUT_MS)
