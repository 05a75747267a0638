"""A sensor that replays a profile file: energy counters as a pure function of time.

The file's first line is `<start epoch> <step seconds>`; each further line is `<load> <generation>`, mean watts in one
step. It repeats from the start when it ends. Because the counters depend on nothing but time, a power cut loses no
energy. The file is read step by step; memory does not grow with its length.
"""

from sensors.sensor import Sample, Sensor, SensorError


def make(settings, buses) -> "Simulated":
    if settings.role != "grid":
        raise settings.refusal(
            "role", "a simulated sensor stands for grid and generation together: it has the role grid"
        )
    path = settings.text("profile")
    try:
        return Simulated(path, settings.boolean("reversed"))
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "%s cannot be read (error %s)" % (path, error.errno)
        raise settings.refusal("profile", reason)


class Simulated(Sensor):
    """Cumulative import, export and generation [mWh] at a given time."""

    exact = True
    flag = "simulated"

    def __init__(self, path: str, backwards: bool = False) -> None:
        super().__init__("grid", backwards)
        self._path = path
        with open(path, "rb") as file:
            words = file.readline().split()
            if len(words) != 2:
                raise ValueError(path + ": the first line is not '<start epoch> <step seconds>'")
            self._start = int(words[0])
            self._step_s = int(words[1])
            self._body = file.tell()
        if self._step_s <= 0:
            raise ValueError(path + ": the step is not positive")
        self._rewind()
        self._net_w = 0
        self._steps = 0
        self._advance_to(None)
        self._steps = self._index
        if self._steps == 0:
            raise ValueError(path + ": no steps")
        # joules in one round of the profile
        self._round_j = tuple(self._sums_j)

    def measures(self) -> "tuple[int, ...]":
        return (0, 1, 2)

    async def read(self, epoch_s: "int | None" = None):
        try:
            imported, exported, generated = self.counters_mwh(self._start if epoch_s is None else epoch_s)
        except (OSError, ValueError) as error:
            raise SensorError(str(error))
        power_w = self._net_w
        if self._backwards:
            # a current transformer the wrong way round
            imported, exported, power_w = exported, imported, -power_w
        return Sample((imported, exported, generated, None), (power_w,), (), (), (), 0)

    def counters_mwh(self, epoch_s: int) -> "tuple[int, int, int]":
        """(import, export, generation) [mWh] from the profile's start to `epoch_s`; negative before the start."""
        since = epoch_s - self._start
        rounds, within = divmod(since, self._steps * self._step_s)
        step, part_s = divmod(within, self._step_s)
        if step < self._index:
            self._rewind()
        load_w, generation_w = self._advance_to(step)
        self._net_w = net_w = load_w - generation_w
        power_w = (max(0, net_w), max(0, -net_w), generation_w)
        sums_j = self._sums_j
        # 1 mWh = 3.6 J
        return tuple((rounds * self._round_j[i] + sums_j[i] + power_w[i] * part_s) * 5 // 18 for i in range(3))  # type: ignore

    def _rewind(self) -> None:
        self._index = 0
        self._offset = self._body
        self._sums_j = [0, 0, 0]

    def _advance_to(self, step: "int | None") -> "tuple[int, int]":
        """Sums every step before `step` and gives the watts of `step`; with None sums the whole file."""
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            while True:
                line = file.readline()
                words = line.split()
                if not words:
                    if step is None:
                        return 0, 0
                    raise ValueError(self._path + ": changed while in use")
                if len(words) != 2:
                    raise ValueError(self._path + ": step " + str(self._index) + " is not '<load> <generation>'")
                load_w = int(words[0])
                generation_w = int(words[1])
                if load_w < 0 or generation_w < 0:
                    raise ValueError(self._path + ": step " + str(self._index) + " is negative")
                if self._index == step:
                    return load_w, generation_w
                net_j = (load_w - generation_w) * self._step_s
                self._sums_j[0] += max(0, net_j)
                self._sums_j[1] += max(0, -net_j)
                self._sums_j[2] += generation_w * self._step_s
                self._index += 1
                self._offset += len(line)
