"""The conductor of a simulated street: children that share one lock-step clock.

Each child (a meter's firmware, the light fleet, the market) is told the time by lines on its
standard input and answers with lines of JSON on its standard output. The next interval starts when
the gate of the last has closed, so that an accelerated run is repeatable.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from firmware.host.faults import clock_error_s

RESTART_PAUSE_S, RESTART_PAUSE_MOST_S = 0.05, 2.0
RESTARTS_BOUND = 10
"""A child that ends this often has something wrong that starting it again does not mend."""


class Said(NamedTuple):
    """A line from a child's standard output; None when the child has ended."""

    child: Child
    event: dict[str, Any] | None


class ConductorError(RuntimeError):
    """The run cannot go on; the message says which child, and where its log lies."""


class Child:
    """A process under the conductor. It gets a session of its own, so that Ctrl-C reaches only the conductor."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        said: queue.SimpleQueue[Said],
        directory: Path | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        self.name = name
        self.log = log
        self.drift_ppm = 0
        self.restarts = -1
        self._power_cut = False
        self._command = list(command)
        self._directory = directory
        self._environment = environment
        self._said = said
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, or start it again. Raises ConductorError when it has ended by itself too often."""
        if self._power_cut:
            self._power_cut = False
        else:
            self.restarts += 1
            if self.restarts > RESTARTS_BOUND:
                raise ConductorError(f"{self.name} ended {self.restarts} times: {self._last_words()} ({self.log})")
            if self.restarts:
                time.sleep(min(RESTART_PAUSE_S * 2**self.restarts, RESTART_PAUSE_MOST_S))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-200:] if lines else "it said nothing"

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    self._said.put(Said(self, event))
        process.wait()
        if process is self._process:
            self._said.put(Said(self, None))

    def tell(self, line: str) -> None:
        """Write a line to its standard input; a child that has just ended does not hear it."""
        assert self._process is not None and self._process.stdin is not None
        with suppress(BrokenPipeError, OSError, ValueError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def tick(self, now: int) -> None:
        """Tell it the time, by a clock that may drift."""
        self.tell(f"tick {now + clock_error_s(self.drift_ppm, now)}")

    def cut_power(self) -> None:
        """End it at once, without a word; whoever listens to it starts it again."""
        assert self._process is not None
        self._power_cut = True
        self._process.kill()

    def ask_to_stop(self) -> None:
        """SIGTERM, and the end of standard input."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, OSError):
            self._process.stdin.close()

    def end(self, deadline_s: float) -> None:
        """Wait for it until ``deadline_s`` (monotonic), then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Children:
    """The children of a run, started one by one and ended together; their logs lie in ``logs``."""

    def __init__(self, logs: Path) -> None:
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._logs = logs
        self._all: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        child = Child(name, command, self._logs / f"{name}.log", self.said, directory, environment)
        # Known before it runs: Ctrl-C at any moment ends it with the others.
        self._all.append(child)
        child.start()
        return child

    def ask(self, child: Child, question: str, event: str, timeout_s: float) -> dict[str, Any]:
        """What ``child`` answers to a line on its standard input; what else is said meanwhile is lost.

        Raises ConductorError when it does not answer.
        """
        child.tell(question)
        deadline_s = time.monotonic() + timeout_s
        with suppress(queue.Empty):
            while True:
                said = self.said.get(timeout=max(0.0, deadline_s - time.monotonic()))
                if said.child is child and said.event is not None and said.event.get("event") == event:
                    return said.event
        raise ConductorError(f"{child.name} does not say {event!r} within {timeout_s:.0f} s; its log is {child.log}")

    def end(self, within_s: float) -> None:
        """Ask all to stop; kill those that are still there after ``within_s``."""
        deadline_s = time.monotonic() + within_s
        for child in self._all:
            child.ask_to_stop()
        for child in self._all:
            child.end(deadline_s)


class Conductor:
    """The clock of a run: the market first, then the meters, one interval after the other.

    ``others`` hear no clock; like the rest they are started again when they end. ``slow`` are the meters whose clocks
    may be up to ``slowest_s`` behind: they are told the time once more, when by their clock too the interval has ended.
    """

    def __init__(
        self,
        market: Child,
        meters: Sequence[Child],
        others: Sequence[Child],
        said: queue.SimpleQueue[Said],
        *,
        slow: Sequence[Child] = (),
        slowest_s: int = 0,
    ) -> None:
        self._market = market
        self._meters = list(meters)
        self._slow, self._slowest_s = list(slow), slowest_s
        self._watched = {market, *meters, *others}
        self._said = said
        self._now: int | None = None

    def begin(self, now: int, timeout_s: float) -> None:
        """Set every clock to ``now``, which closes nothing, and wait until every child is ready.

        Raises ConductorError when one is not in time.
        """
        self._now = now
        for child in (self._market, *self._meters):
            child.tell(f"tick {now}")  # whatever they will drift, now their clocks have just been set
        waiting = {child.name for child in (self._market, *self._meters)}
        deadline_s = time.monotonic() + timeout_s
        while waiting:
            event = self._hear(deadline_s)
            if event is None:
                raise ConductorError(f"not ready within {timeout_s:.0f} s: {', '.join(sorted(waiting)[:5])}")
            if event.event is not None and event.event.get("event") in ("ready", "connected"):
                waiting.discard(event.child.name)

    def step(self, now: int, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Move the clock to ``now``; yields what the market says until the gate of the interval ending then has closed.

        A child that has ended is started again and told the time. Raises ConductorError when the
        gate does not close within ``timeout_s``.
        """
        self._now = now
        for child in (self._market, *self._meters):
            child.tick(now)
        for child in self._slow:
            child.tick(now + self._slowest_s)
        deadline_s = time.monotonic() + timeout_s
        while True:
            said = self._hear(deadline_s)
            if said is None:
                raise ConductorError(f"no gate closed within {timeout_s:.0f} s; the market's log is {self._market.log}")
            if said.child is not self._market or said.event is None:
                continue
            yield said.event
            if said.event.get("event") == "gate" and said.event["start"] + said.event["length"] >= now:
                return

    def drain(self, quiet_s: float) -> Iterator[dict[str, Any]]:
        """What the market still says, until it has said nothing for ``quiet_s``."""
        while (said := self._hear(time.monotonic() + quiet_s)) is not None:
            if said.child is self._market and said.event is not None:
                yield said.event

    def again(self) -> None:
        """Tell the market the time that it is, once more: it looks for corrections although no interval ends."""
        if self._now is not None:
            self._market.tick(self._now)

    def _hear(self, deadline_s: float) -> Said | None:
        while True:
            try:
                said = self._said.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                return None
            if said.event is None and said.child in self._watched:
                said.child.start()
                if self._now is not None:
                    said.child.tick(self._now)
            return said
