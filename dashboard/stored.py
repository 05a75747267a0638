"""The record on disk, as the pages ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
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
        self._record()

    def community(self) -> CommunityInfo:
        rules = self._rules()
        return CommunityInfo(rules.community, rules.currency, rules.timezone, rules.interval_s)

    def households(self) -> Sequence[HouseholdInfo]:
        rules = self._rules()
        return [
            HouseholdInfo(member.household, member.name, rules.nodes[member.node], member.generates)
            for member in rules.members
        ]

    def last_interval(self) -> LastInterval | None:
        counter = self.change_counter()
        gate = self._record().last_gate(up_to=counter)
        return None if gate is None else LastInterval(gate.start, gate.revision, counter)

    def change_counter(self) -> int:
        return self._position()

    def _record(self) -> Record:
        record: Record | None = getattr(self._local, "record", None)
        if record is None:
            record = self._local.record = Record(self._directory, read_only=True)
        return record

    def _rules(self) -> Rules:
        record = self._record()
        versions = record.input_versions(2**62)
        known: tuple[dict[str, int], Rules] | None = getattr(self._local, "rules", None)
        if known is None or known[0] != versions:
            known = self._local.rules = (versions, record.rules(versions))
        return known[1]
