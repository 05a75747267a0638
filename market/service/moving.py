"""The record's tables that move, held against those that do not: how far outboxes are kept, how often outcomes came.

What arrived in an outbox is in ``reading`` or in ``quarantine``, so how far it is kept follows from them, up to one
thing: a meter that sends a stored reading again may say that it holds nothing older, which is kept nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from broker.contract import Reading, parse_topic
from market.record import Record

KEPT = ("misaligned", "conflicting", "impossible")
"""Outcomes of messages that bear a good seal, are not stored as readings and advance their outbox all the same."""
STORED = ("stored", "late")


class MovedError(Exception):
    """A row of a table that moves contradicts the rows of those that do not; the message names it."""


@dataclass
class _Outbox:
    """``following`` and ``held`` as they follow from what is kept; ``most``: above the greatest seq that came."""

    following: int = 0
    most: int = 0
    newest: int = 0
    held: set[int] = field(default_factory=set)

    def keep(self, seq: int, first: int, arrival: int) -> None:
        self.following = max(self.following, first)
        self.most, self.newest = max(self.most, seq + 1), max(self.newest, arrival)
        if seq >= self.following:
            self.held.add(seq)
        while self.following in self.held:
            self.following += 1
        self.held = {held for held in self.held if held > self.following} if self.held else self.held


class Moving:
    """What the tables that move should say, gathered from the readings as they are gone through."""

    def __init__(self) -> None:
        self._outboxes: dict[tuple[str, str], _Outbox] = {}
        self._readings = 0

    def keep(self, meter: str, reading: Reading, arrival: int) -> None:
        """Take in a stored reading, as the meter sent it, with its arrival number."""
        self._outboxes.setdefault((meter, reading.outbox), _Outbox()).keep(reading.seq, reading.first, arrival)
        self._readings += arrival > 0

    def check(self, record: Record, counted: Mapping[str, int]) -> None:
        """Raises MovedError. ``counted`` is what the newest closure saw of the outcomes."""
        quarantined = self._keep_quarantined(record)
        self._check_outboxes(record)
        outcomes = record.outcomes()
        stored = sum(outcomes.get(name, 0) for name in STORED)
        if stored != self._readings:
            raise MovedError(f"outcome: {stored} messages are counted as stored, there are {self._readings} readings")
        for name, least in (quarantined | Counter(dict(counted))).items():
            if outcomes.get(name, 0) < least:
                raise MovedError(f"outcome: {name} is counted {outcomes.get(name, 0)} times, it came {least} times")

    def _keep_quarantined(self, record: Record) -> Counter[str]:
        count: Counter[str] = Counter()
        for row in record.rows("quarantine", -(2**62), 2**62):
            outcome, topic, payload = str(row[2]), str(row[3]), row[4]
            count[outcome] += 1
            place = parse_topic(topic)
            if outcome in KEPT and place is not None:
                assert isinstance(payload, bytes)
                try:
                    self.keep(place[1], msgspec.json.decode(payload, type=Reading), 0)
                except msgspec.DecodeError as error:
                    raise MovedError(f"quarantine {row[0]}: what the meter sent cannot be read: {error}") from None
        return count

    def _check_outboxes(self, record: Record) -> None:
        held: dict[tuple[str, str], set[int]] = {}
        for meter, outbox, seq in record.moving("held"):
            assert isinstance(seq, int)
            held.setdefault((str(meter), str(outbox)), set()).add(seq)
        horizon = record.horizon()
        for meter, outbox, following, advanced in record.moving("outbox"):
            assert isinstance(following, int)
            assert isinstance(advanced, int)
            where, due = f"outbox {outbox} of {meter}", self._outboxes.pop((str(meter), str(outbox)), None)
            if due is None:
                raise MovedError(f"{where}: nothing came from it")
            if not due.following <= following <= max(due.most, due.following):
                raise MovedError(f"{where}: it is kept up to {following}, what came says {due.following}")
            if not due.newest <= advanced <= horizon:
                raise MovedError(f"{where}: it advanced at {advanced}, its newest reading came at {due.newest}")
            beyond = {seq for seq in due.held if seq > following}
            if held.pop((str(meter), str(outbox)), set()) != beyond:
                raise MovedError(f"{where}: what is held beyond {following} is not what came")
        for meter, outbox in (*held, *self._outboxes):
            raise MovedError(f"outbox {outbox} of {meter}: how far it is kept is not stored")
