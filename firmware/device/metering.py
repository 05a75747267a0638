"""Four cumulative registers, in integer mWh, from what a sensor counts."""

# places in `registers`
IMPORT, EXPORT, GENERATION, CONSUMPTION = range(4)
# place of the held-back consumption in `counters`, behind the sensor's import, export and generation
_OWED = 3


class Metering:
    """Registers [mWh] that never decrease.

    A sensor reports cumulative import, export and generation [mWh] since some origin of its own. Only differences
    count. Consumption follows from import + generation - export; where two sensors disagree for a moment and it would
    fall, it stands still and the missing energy is held in `owed` until it is made up.

    `registers` and `counters` are plain lists, so that they can be stored with each record and put back at boot.
    """

    def __init__(self) -> None:
        self.registers = [0, 0, 0, 0]
        # import, export and generation as last seen at the sensor, then `owed`
        self.counters = [0, 0, 0, 0]

    def restore(self, registers: "tuple[int, ...]", counters: "tuple[int, ...]") -> None:
        """Goes on exactly where a stored record ended."""
        self.registers = list(registers)
        self.counters = list(counters)

    def baseline(self, counters_mwh: "tuple[int, int, int]") -> None:
        """Takes the sensor's present counters as the origin: what it counted before is not ours."""
        self.counters = [counters_mwh[0], counters_mwh[1], counters_mwh[2], self.counters[_OWED]]

    def advance(self, counters_mwh: "tuple[int, int, int]") -> bool:
        """Moves the registers to the sensor's present counters; True when a counter was reset.

        A counter that decreased was reset to zero by the sensor: what it shows now is energy since then.
        """
        reset = False
        moved = [0, 0, 0]
        for index in range(3):
            step = counters_mwh[index] - self.counters[index]
            if step < 0:
                reset = True
                step = max(0, counters_mwh[index])
            moved[index] = step
            self.counters[index] = counters_mwh[index]
            self.registers[index] += step
        consumed = moved[IMPORT] + moved[GENERATION] - moved[EXPORT] - self.counters[_OWED]
        self.counters[_OWED] = max(0, -consumed)
        self.registers[CONSUMPTION] += max(0, consumed)
        return reset
