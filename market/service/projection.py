"""Keeping the time series up with the record, on a thread of its own.

The series is a projection: nothing waits for it. How far it has come stands in a small file beside
the record; while the series is away the position stays, and the gap fills when it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from market.record import Record
from market.record.record import Gate
from market.series import Point, Series, SeriesError
from market.series.position import read_position, write_position
from market.service.points import points

RETRY_S = 5.0
GATES_PER_WRITE = 96
POINTS_PER_WRITE = 20_000


class Projection(threading.Thread):
    """Writes what the record holds to ``series``, whenever ``wake`` is called, until ``stop``."""

    def __init__(self, directory: Path, series: Series, name: str, report: Callable[[str], None]) -> None:
        super().__init__(name="projection", daemon=True)
        self._directory = directory
        self._series = series
        self._name = name
        self._report = report
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._position = 0
        self.trouble: str | None = None

    def wake(self) -> None:
        self._woken.set()

    def stop(self, timeout_s: float) -> None:
        """Write what is left, as far as the series takes it within the time."""
        self._stopping.set()
        self._woken.set()
        self.join(timeout_s)

    def run(self) -> None:
        begun = False
        while True:
            stopping = self._stopping.is_set()
            self._woken.clear()
            try:
                record = Record(self._directory, read_only=True)
                try:
                    if not begun:
                        self._begin(record)
                        begun = True
                    while self._write_next(record):
                        pass
                finally:
                    record.close()
                if self.trouble is not None:
                    self.trouble = None
                    self._report("the time series is back; the gap is filled")
            except Exception as error:
                # Whatever it is, the market goes on, and a person is told once.
                if self.trouble is None:
                    self._report(f"the time series is away, the market goes on: {error}")
                self.trouble = str(error)
            if stopping:
                return
            if self.trouble is None:
                self._woken.wait()
            else:
                self._stopping.wait(RETRY_S)

    def _begin(self, record: Record) -> None:
        """An earlier record's points go; after a power cut, what the series may have lost is written again.

        A series that is further than the record, or holds neither the record's first interval (which a database may
        have let go) nor the last one said to be written, is not this record's. Raises SeriesError while it is away.
        """
        position = read_position(self._directory, self._name)
        known = [gate for gate in (next(record.gates(), None), record.last_gate(up_to=position)) if gate is not None]
        spans = [(gate.start, gate.start + gate.length) for gate in known] or [(0, 1)]
        ours = any(self._series.community(*span) for span in spans)
        if position > record.last_gate_number() or not ours:
            position = 0
            write_position(self._directory, self._name, 0)
        if position == 0:
            try:
                self._series.clear()
            except SeriesError as error:
                self._report(f"the time series may still hold points of an earlier record: {error}")
        self._position = max(0, position - GATES_PER_WRITE)

    def _write_next(self, record: Record) -> bool:
        """Write the next gates' points; False when there are none. A rebuild that was begun sets us back with it."""
        begin = position = self._position = min(self._position, read_position(self._directory, self._name))
        batch: list[Point] = []
        for count, gate in enumerate(record.gates(after=position), start=1):
            batch.extend(points_of(record, gate))
            position = gate.number
            if count == GATES_PER_WRITE or len(batch) >= POINTS_PER_WRITE:
                break
        if not batch:
            return False
        self._series.write(batch)
        self._position = position
        if begin <= read_position(self._directory, self._name) < position:
            write_position(self._directory, self._name, position)
        return True


def rebuild(
    record: Record, directory: Path, series: Series, name: str, progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Forget the series and write it again from the record; returns (gate closures, points) written.

    Safe beside a running market: both write the same points, and this ends no earlier than the record did. If it is
    interrupted, the position stays where it came to: the market fills the rest. ``progress`` is called with how many
    gate closures are done, of how many.
    """
    write_position(directory, name, 0)
    series.clear()
    write_position(directory, name, 0)  # what a running market wrote meanwhile may be gone
    done = count = 0
    batch: list[Point] = []
    total = record.last_gate_number()
    while done < total:
        for gate in record.gates(after=done):
            batch.extend(points_of(record, gate))
            done = gate.number
            if len(batch) >= POINTS_PER_WRITE:
                series.write(batch)
                write_position(directory, name, max(done, read_position(directory, name)))
                count += len(batch)
                batch.clear()
            progress(done, max(total, done))
        total = record.last_gate_number()
    series.write(batch)
    write_position(directory, name, max(done, read_position(directory, name)))
    return done, count + len(batch)


def points_of(record: Record, gate: Gate) -> list[Point]:
    """The points of a stored gate closure."""
    registers = record.registers(gate.start, gate.length, gate.horizon, gate.corrections)
    return points(gate, record.rules(gate.inputs), msgspec.json.decode(record.result(gate.number)), registers)
