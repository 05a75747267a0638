"""The record on disk, as the pages ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboard.record import CommunityInfo, HouseholdInfo, LastInterval
from market.record import Record
from market.settlement.rules import Rules


class StoredRecord:
    """A CommunityRecord over a store directory; every thread reads through a connection of its own.

    ``position`` says how many gate closures the time series holds: a page shows a change once its
    figures are there, not before. Raises RecordError when there is no record.
    """

    def __init__(self, directory: Path, position: Callable[[], int]) -> None:
        self._directory = directory
        self._position = position
        self._local = threading.local()
        self._known: _Known | None = None
        self._reading = threading.Lock()
        self.read()

    def community(self) -> CommunityInfo:
        rules = self.rules()
        return CommunityInfo(rules.community, rules.currency, rules.timezone, rules.interval_s)

    def households(self) -> Sequence[HouseholdInfo]:
        return self._newest().households

    def last_interval(self) -> LastInterval | None:
        counter = self.change_counter()
        gate = self.read().last_gate(up_to=counter)
        return None if gate is None else LastInterval(gate.start, gate.revision, counter)

    def change_counter(self) -> int:
        return self._position()

    def read(self) -> Record:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = _Held(Record(self._directory, read_only=True))
        return held.record

    def rules(self) -> Rules:
        return self._newest().rules

    def _newest(self) -> _Known:
        # Rules are never changed, so the threads share what one of them has read; parsing a large community takes long.
        record = self.read()
        versions = record.input_versions(2**62)
        known = self._known
        if known is not None and known.versions == versions:
            return known
        with self._reading:
            known = self._known
            if known is not None and known.versions == versions:
                return known
            rules = record.rules(versions)
            members = tuple(
                HouseholdInfo(member.household, member.name, rules.nodes[member.node], member.generates)
                for member in rules.members
            )
            known = self._known = _Known(versions, rules, members)
        return known


@dataclass(frozen=True)
class _Known:
    """The newest rules, and what versions of the inputs they are."""

    versions: dict[str, int]
    rules: Rules
    households: tuple[HouseholdInfo, ...]


class _Held:
    """A thread's record, closed when the thread ends."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __del__(self) -> None:
        try:  # noqa: SIM105 - when the interpreter ends, contextlib may be gone before
            self.record.close()
        except Exception:
            pass
