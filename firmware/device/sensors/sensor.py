"""What every driver is and gives."""

from collections import namedtuple

from metering import CONSUMPTION, EXPORT, GENERATION, IMPORT

# counters_mwh: (import, export, generation, consumption), each an integer [mWh] since the sensor's own origin, or None
#     where the sensor does not measure it
# power_w: one integer for each phase, positive in the direction of the role: import, generation, consumption
# voltage_mv, current_ma: one integer for each phase, or nothing
# flags: any of "phase-order", "phase-loss"
# serial: an integer that tells one physical meter from another, 0 where it cannot be told
Sample = namedtuple("Sample", ("counters_mwh", "power_w", "voltage_mv", "current_ma", "flags", "serial"))

_REGISTERS = {"grid": (IMPORT, EXPORT), "generation": (GENERATION, None), "load": (CONSUMPTION, None)}


UNCALIBRATED = "not calibrated yet"


class SensorError(Exception):
    """No answer, or none to be believed; the text says which. The last known counters stand."""


class Sensor:
    """A driver adds `async read(epoch_s)`, which gives a Sample or raises SensorError, and never waits without end.

    `exact` sensors answer for any moment asked about; others only for now. `volatile` ones count from zero at every
    boot. A counter that reaches `wrap_mwh` goes on at zero; None: it never does, and a smaller value is a reset.
    """

    exact = False
    volatile = False
    wrap_mwh = None  # type: int | None
    # a name that every record of this sensor carries
    flag = None  # type: str | None
    driver = ""
    # identifies the sensor's settings, across boots
    tag = 0
    ignored = ()  # type: tuple[str, ...]

    def __init__(self, role: str, backwards: bool = False) -> None:
        self.role = role
        self._backwards = backwards

    def measures(self) -> "tuple[int, ...]":
        """Places of the registers that this sensor moves."""
        return tuple(place for place in _REGISTERS[self.role] if place is not None)

    def sample(
        self,
        positive_mwh: "int | None",
        negative_mwh: "int | None",
        power_w: "tuple[int, ...]",
        voltage_mv: "tuple[int, ...]" = (),
        current_ma: "tuple[int, ...]" = (),
        flags: "tuple[str, ...]" = (),
        serial: int = 0,
    ) -> Sample:
        """Puts what was counted forwards and backwards into the registers of the role."""
        if self._backwards:
            positive_mwh, negative_mwh = negative_mwh, positive_mwh
            power_w = tuple(-power for power in power_w)
        counters_mwh = [None, None, None, None]  # type: list[int | None]
        forwards, backwards = _REGISTERS[self.role]
        counters_mwh[forwards] = positive_mwh
        if backwards is not None:
            counters_mwh[backwards] = negative_mwh
        return Sample(tuple(counters_mwh), power_w, voltage_mv, current_ma, flags, serial)
