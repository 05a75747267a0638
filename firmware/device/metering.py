"""Four cumulative registers, in integer mWh, from what one or several sensors count."""

import struct

# places in `registers`, and in every sensor's counters
IMPORT, EXPORT, GENERATION, CONSUMPTION = range(4)

# A step up to this is believed at once; anything else only when the sensor says it twice in a row.
_SURE_MWH = 2_000_000
# what a sensor can have counted while nobody knows how long it was not asked
UNKNOWN_MWH = 2_000_000_000
_NONE = -(1 << 63)

_VERSION = 1
# version, number of sensors, reset, disturbed; the epoch metering began at; registers, held back
_HEAD = "<BBBBq5q"
# tag, serial, counters
_SENSOR = "<II4q"


class Metering:
    """Registers [mWh] that never decrease.

    A sensor reports counters since some origin of its own, of which only differences count. A counter that has become
    smaller was set back to zero, or reached its end and began again; a jump beyond what the connection can carry is
    another meter's counter. `reset` says that one of these was seen, `disturbed` that an interval holds energy that
    belongs to others or lacks some; both stand until the caller takes them back.

    `measured` are the registers that sensors move. Where consumption or generation is not among them it follows from
    import + generation = export + consumption; where two sensors disagree for a moment and it would fall, it stands
    still and the missing energy is held in `owed` until it is made up. With neither, what was exported must at least
    have been generated, and what was imported consumed.
    """

    def __init__(self, sensors: int, measured: "set[int]") -> None:
        self.registers = [0, 0, 0, 0]
        self.owed = 0
        self.reset = False
        self.disturbed = False
        self._measured = measured
        self._moved = [0, 0, 0, 0]
        self._counters = [None] * sensors  # type: list
        self._serials = [0] * sensors
        self._doubted = [None] * sensors  # type: list

    def begin(self, index: int, zero: bool) -> None:
        """Forgets what a sensor counted: its next counters are the origin, or zero is."""
        self._counters[index] = (0, 0, 0, 0) if zero else None
        self._serials[index] = 0

    def take(
        self, index: int, counters_mwh: tuple, most_mwh: "int | None" = None, wrap_mwh: "int | None" = None, serial=0
    ) -> bool:
        """Counts what a sensor has counted since it was last taken; False: ask again, this is unusual.

        `most_mwh` is what can have flowed meanwhile; None trusts the sensor in everything.
        """
        before = self._counters[index]
        if before is None:
            self._serials[index] = serial
            self._counters[index] = counters_mwh
            return True
        # another meter in the old one's place
        exchanged = serial != 0 and self._serials[index] not in (0, serial)
        steps = [0, 0, 0, 0]
        usual = not exchanged
        sure_mwh = _SURE_MWH if most_mwh is None else min(_SURE_MWH, most_mwh)
        for place in range(4):
            if counters_mwh[place] is not None and before[place] is not None:
                steps[place] = counters_mwh[place] - before[place]
                usual = usual and 0 <= steps[place] <= sure_mwh
        if not usual and most_mwh is not None and not self._confirmed(index, counters_mwh, serial):
            return False
        self._doubted[index] = None
        if serial:
            self._serials[index] = serial
        # what the sensor leaves out this time is still known
        self._counters[index] = tuple([before[i] if counters_mwh[i] is None else counters_mwh[i] for i in range(4)])
        for place in range(4):
            step = 0 if exchanged else self._step(steps[place], counters_mwh[place], most_mwh, wrap_mwh)
            self._moved[place] += step
            self.registers[place] += step
        if exchanged:
            self.reset = True
        return True

    def settle(self) -> None:
        """Moves the registers that nobody measures, once all sensors were taken."""
        moved = self._moved
        self._moved = [0, 0, 0, 0]
        if CONSUMPTION not in self._measured and GENERATION not in self._measured:
            self.registers[GENERATION] += moved[EXPORT]
            self.registers[CONSUMPTION] += moved[IMPORT]
            return
        if CONSUMPTION not in self._measured:
            derived, step = CONSUMPTION, moved[IMPORT] + moved[GENERATION] - moved[EXPORT]
        elif GENERATION not in self._measured:
            derived, step = GENERATION, moved[CONSUMPTION] + moved[EXPORT] - moved[IMPORT]
        else:
            return
        step -= self.owed
        self.owed = max(0, -step)
        self.registers[derived] += max(0, step)

    def pack(self, tags: "list[int]", began_s: int) -> bytes:
        """The whole state, for a file."""
        state = struct.pack(_HEAD, _VERSION, len(tags), self.reset, self.disturbed, began_s, *self.registers, self.owed)
        for index, tag in enumerate(tags):
            counters = [_NONE if value is None else value for value in self._counters[index] or (None,) * 4]
            state += struct.pack(_SENSOR, tag, self._serials[index], *counters)
        return state

    def unpack(self, state: bytes, tags: "list[int]", told: "tuple[int, ...] | None" = None) -> "int | None":
        """Goes on exactly where `state` was packed, and gives `began_s`; None when it is no state.

        `told` are the registers of the last record: a state below them is none, and if they are these, that record has
        declared the reset. A sensor is known by its tag; one with other settings begins anew, which is a reset.
        """
        head_bytes = struct.calcsize(_HEAD)
        if len(state) < head_bytes:
            return None
        version, sensors, reset, disturbed, began_s, *numbers = struct.unpack_from(_HEAD, state, 0)
        if version != _VERSION or len(state) != head_bytes + sensors * struct.calcsize(_SENSOR):
            return None
        if told is not None and any(numbers[place] < told[place] for place in range(4)):
            return None
        self.registers = numbers[:4]
        self.owed = numbers[4]
        self.reset = bool(reset) and tuple(self.registers) != told
        self.disturbed = bool(disturbed)
        known = {}
        for index in range(sensors):
            tag, serial, *counters = struct.unpack_from(_SENSOR, state, head_bytes + index * struct.calcsize(_SENSOR))
            known[tag] = (serial, tuple([None if value == _NONE else value for value in counters]))
        for index, tag in enumerate(tags):
            if tag in known:
                self._serials[index], counters = known[tag]
                # one that never answered has no counters
                self._counters[index] = None if counters == (None,) * 4 else counters
            else:
                self.reset = True
        return began_s

    def _confirmed(self, index: int, counters_mwh: tuple, serial: int) -> bool:
        """Whether the sensor has said nearly the same before; a disturbed answer does not come twice."""
        doubted = self._doubted[index]
        self._doubted[index] = (counters_mwh, serial)
        if doubted is None or doubted[1] != serial:
            return False
        for now, then in [(counters_mwh[place], doubted[0][place]) for place in range(4)]:
            if (now is None) != (then is None) or (now is not None and not 0 <= now - then <= _SURE_MWH):
                return False
        return True

    def _step(self, step: int, counter: "int | None", most_mwh: "int | None", wrap_mwh: "int | None") -> int:
        if 0 <= step <= (step if most_mwh is None else most_mwh):
            return step
        if step < 0 and wrap_mwh is not None and step + wrap_mwh <= (UNKNOWN_MWH if most_mwh is None else most_mwh):
            return step + wrap_mwh
        self.reset = True
        if step > 0 or counter is None or (most_mwh is not None and counter > most_mwh):
            return 0
        return max(0, counter)
