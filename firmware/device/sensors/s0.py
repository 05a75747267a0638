"""S0: a meter closes a contact once for every so many watt-hours.

A pulse is at least 30 ms closed and 30 ms open (EN 62053-31, class A). It has no direction: at the grid connection
one input counts import and another export.
"""

import time

from sensors.sensor import Sensor

DEBOUNCE_MS = 20


def make(settings, buses) -> "S0":
    pulses_per_kwh = settings.integer("pulses_per_kwh", 1, 100_000)
    register = None
    if settings.role == "grid":
        register = settings.choice("register", ("import", "export"))
    elif settings.has("register"):
        raise settings.refusal("register", "only the role grid has one")
    if settings.boolean("reversed"):
        raise settings.refusal("reversed", "a pulse has no direction; register says which one is counted")
    return S0(settings.role, buses.pulses(settings), pulses_per_kwh, register == "export")


class Contact:
    """Counts closings of a contact at a pin that has `irq`, `value()` and the triggers of machine.Pin.

    A pulse counts once it ends, if it was closed for `debounce_ms`: bounces and spikes are shorter.
    """

    def __init__(self, pin, closed: int = 0, debounce_ms: int = DEBOUNCE_MS) -> None:
        self._closed = closed
        self._debounce_ms = debounce_ms
        self._since_ms = None
        self._count = 0
        pin.irq(handler=self._edge, trigger=pin.IRQ_FALLING | pin.IRQ_RISING)

    def value(self) -> int:
        return self._count

    def _edge(self, pin) -> None:
        now_ms = time.ticks_ms()
        if pin.value() == self._closed:
            if self._since_ms is None:
                self._since_ms = now_ms
        elif self._since_ms is not None:
            if time.ticks_diff(now_ms, self._since_ms) >= self._debounce_ms:
                self._count += 1
            self._since_ms = None


class S0(Sensor):
    """`pulses` has `value()`: a Contact, or a machine.Counter, which counts in hardware."""

    volatile = True

    def __init__(self, role: str, pulses, pulses_per_kwh: int, exported: bool) -> None:
        # export is import backwards
        super().__init__(role, exported)
        self._pulses = pulses
        self._pulses_per_kwh = pulses_per_kwh
        # what was shown at the last pulse, and when
        self._seen = pulses.value()
        self._seen_ms = time.ticks_ms()
        self._power_w = 0

    async def read(self, epoch_s: "int | None" = None):
        count = self._pulses.value()
        now_ms = time.ticks_ms()
        since_ms = max(time.ticks_diff(now_ms, self._seen_ms), 1)
        # 1 kWh = 3.6e9 W ms
        power_w = 3_600_000_000 * max(count - self._seen, 1) // (self._pulses_per_kwh * since_ms)
        if count != self._seen:
            self._seen, self._seen_ms, self._power_w = count, now_ms, power_w
        # without a pulse it is less than one pulse in the time since the last
        self._power_w = min(self._power_w, power_w)
        counted_mwh = count * 1_000_000 // self._pulses_per_kwh
        return self.sample(counted_mwh, None, (self._power_w,))
