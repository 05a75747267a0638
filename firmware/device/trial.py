"""Is the version that runs a good one? Until it is found healthy its boots count against it (see `stage`)."""

import time

import stage
from clock import log

# metering has made progress for so long
HEALTHY_MS = 60_000
# a new version must have reached its broker by then; who cannot be reached cannot be updated again
REACH_MS = 3_600_000


class Trial:
    """Without slots (firmware run from its source folder) there is nothing to judge.

    `slot` is the running one or None, `boots` those of this version since it was last found healthy, this one included.
    `restart` asks for a restart that counts against the version.
    """

    def __init__(self, ticks=time) -> None:
        self._ticks = ticks
        self._began_ms = ticks.ticks_ms()
        self._state = stage.state() if stage.has_slots() else None
        self._done = self._state is None
        self.slot = None if self._state is None else self._state["slot"]
        self.boots = 0 if self._state is None else self._state["boots"]
        self.restart = False

    @property
    def proven(self) -> bool:
        return self._state is None or self._state["proven"]

    @property
    def healthy(self) -> bool:
        """It may be relied on, and so may be replaced."""
        return self._done and self.proven

    def look(self, progress: int, connections: int) -> None:
        """Called with each round of metering: sensors' answers and connections to the broker so far."""
        if self._done or self._state is None:
            return
        running_ms = self._ticks.ticks_diff(self._ticks.ticks_ms(), self._began_ms)
        reached = connections > 0 or self.proven
        if running_ms > HEALTHY_MS and progress > 0 and reached:
            self._prove(self._state)
        elif running_ms > REACH_MS:
            self._done = True
            if not self.proven:
                log("trial: this version has not reached its broker, or no sensor")
                self.restart = True

    def _prove(self, state: dict) -> None:
        self._done = True
        state["proven"] = True
        state["boots"] = 0
        try:
            stage.save(state)
        except OSError as error:
            # it counts on; a flash that cannot be written has other worries
            log("trial: not saved: " + str(error))
