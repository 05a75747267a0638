"""What became of messages: how far each outbox is acknowledged, counts by outcome, raw bytes of the refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from market.record import schema
from market.record.readings import Readings
from market.record.rows import MeterStatus

QUARANTINE_BOUND = 10_000
"""Raw messages kept of each outcome, for each meter whose seal they bear; past it they are only counted."""
IN_FLIGHT = 16
"""A meter sends this many again when it was not acknowledged; the same bytes among the last ones kept are kept once."""
OUTBOX_BOUND = 64
"""Outboxes that a meter may begin: one each time its flash is initialised."""


@dataclass
class _Outbox:
    """``following``: every seq below it is kept. ``held``: seqs kept above it."""

    following: int = 0
    held: set[int] = field(default_factory=set)


class Messages(Readings):
    """The part of a Record that knows what became of messages."""

    def _forget_messages(self) -> None:
        self._outboxes: dict[str, dict[str, _Outbox]] = {}
        self._advanced: dict[tuple[str, str], int] = {}
        self._held: list[tuple[str, str, int]] = []
        self._dropped: dict[tuple[str, str], int] = {}
        self._quarantined: dict[tuple[str, str | None], int] = {}
        self._refused: list[tuple[int, str, str, bytes]] = []

    def _flush_messages(self) -> None:
        if self._held:
            self._db.insert(schema.held, self._held, "ON CONFLICT DO NOTHING")
        if self._dropped:
            self._db.executemany(
                "DELETE FROM held WHERE meter = ? AND outbox = ? AND seq < ?",
                [(*key, following) for key, following in self._dropped.items()],
            )
        if self._advanced:
            rows = [(*key, self._outboxes[key[0]][key[1]].following, at) for key, at in self._advanced.items()]
            self._db.insert(
                schema.outbox,
                rows,
                "ON CONFLICT (meter, outbox) DO UPDATE SET next = excluded.next, advanced = excluded.advanced",
            )
        if self._refused:
            number = self._db.one("SELECT coalesce(max(arrival), 0) FROM quarantine")[0]
            self._db.insert(schema.quarantine, [(number + i, *row) for i, row in enumerate(self._refused, start=1)])
        self._held, self._dropped, self._advanced, self._refused = [], {}, {}, []

    def count(self, outcomes: Mapping[str, int]) -> None:
        """Add to the counts of the named outcomes."""
        self._db.insert(
            schema.outcome,
            list(outcomes.items()),
            "ON CONFLICT (name) DO UPDATE SET count = outcome.count + excluded.count",
        )

    def outcomes(self) -> dict[str, int]:
        """How often each named outcome came, by name."""
        return dict(self._db.execute("SELECT name, count FROM outcome ORDER BY name").fetchall())

    def store_statuses(self, said: Mapping[str, tuple[bool, str]], now: int) -> None:
        """Take in what meters said of their health: (online, JSON object; empty where it says nothing but that).

        What a meter has said before, and the broker kept, changes nothing. To be called within ``transaction``.
        """
        assert self._db.writing
        self._db.insert(
            schema.status,
            [(meter, now, int(online), body) for meter, (online, body) in sorted(said.items())],
            "ON CONFLICT (meter) DO UPDATE SET received_at = excluded.received_at, online = excluded.online,"
            " body = CASE excluded.body WHEN '' THEN status.body ELSE excluded.body END"
            " WHERE status.online <> excluded.online OR (excluded.body <> '' AND status.body <> excluded.body)",
        )

    def statuses(self) -> dict[str, MeterStatus]:
        """What each meter said last of its own health, by meter; a meter that never said anything is not there."""
        rows = self._db.execute("SELECT meter, received_at, online, body FROM status ORDER BY meter")
        return {
            meter: MeterStatus(received_at, bool(online), msgspec.json.decode(body) if body else {})
            for meter, received_at, online, body in rows
        }

    def quarantine(self, outcome: str, topic: str, payload: bytes, now: int, *, sealed: bool) -> bool:
        """Keep the raw bytes of a message that was not stored; False where the bound is reached.

        ``sealed``: a meter's good seal is on it. Then it is bounded for the meter alone; otherwise for everybody.
        To be called within ``transaction``.
        """
        assert self._db.writing
        topic = topic.replace("\0", "\ufffd")  # PostgreSQL keeps no NUL in a text
        key = (outcome, topic if sealed else None)
        if key not in self._quarantined:
            self._flush_messages()
            where, values = ("AND topic = ?", (outcome, topic)) if sealed else ("", (outcome,))
            (kept,) = self._db.one(f"SELECT count(*) FROM quarantine WHERE outcome = ? {where}", *values)
            self._quarantined[key] = kept
        if sealed and self._kept_lately(outcome, topic, payload):
            return True
        if self._quarantined[key] >= QUARANTINE_BOUND:
            return False
        self._quarantined[key] += 1
        self._refused.append((now, outcome, topic, payload))
        return True

    def _kept_lately(self, outcome: str, topic: str, payload: bytes) -> bool:
        self._flush_messages()
        rows = self._db.execute(
            f"SELECT payload FROM quarantine WHERE outcome = ? AND topic = ? ORDER BY arrival DESC LIMIT {IN_FLIGHT}",
            (outcome, topic),
        )
        return payload in [bytes(kept) for (kept,) in rows]

    def next_seq(self, meter: str, outbox: str) -> int:
        """Every seq of the outbox below this is kept; 0 for an outbox that was never heard."""
        known = self._outboxes_of(meter).get(outbox)
        return 0 if known is None else known.following

    def has_room(self, meter: str, outbox: str) -> bool:
        """Whether the outbox is known, or the meter may still begin another."""
        known = self._outboxes_of(meter)
        return outbox in known or len(known) < OUTBOX_BOUND

    def advance_outbox(self, meter: str, outbox: str, seq: int, first: int) -> int:
        """Note that ``seq`` is kept and that nothing below ``first`` will come; returns the new ``next``.

        To be called within ``transaction``.
        """
        assert self._db.writing
        key = (meter, outbox)
        known = self._outboxes_of(meter)
        state = known.get(outbox)
        if state is None:
            state = known[outbox] = _Outbox()
        following = max(state.following, first)
        if seq > following:
            if seq not in state.held:
                state.held.add(seq)
                self._held.append((*key, seq))
        elif seq == following:
            following += 1
        if state.held:
            while following in state.held:
                following += 1
            below = {held for held in state.held if held < following}
            if below:
                state.held -= below
                self._dropped[key] = following
        state.following = following
        self._advanced[key] = self.horizon()
        return following

    def outboxes(self) -> list[tuple[str, str, int]]:
        """(meter, outbox, next) of the outbox that each meter used last."""
        rows = self._db.execute("SELECT meter, outbox, next FROM outbox ORDER BY meter, advanced, outbox")
        return list({meter: (meter, outbox, following) for meter, outbox, following in rows}.values())

    def _outboxes_of(self, meter: str) -> dict[str, _Outbox]:
        # What is not written yet is only of outboxes that are remembered.
        known = self._outboxes.get(meter) if self._db.writing else None
        if known is None:
            known = {
                outbox: _Outbox(following)
                for outbox, following in self._db.execute("SELECT outbox, next FROM outbox WHERE meter = ?", (meter,))
            }
            for outbox, seq in self._db.execute("SELECT outbox, seq FROM held WHERE meter = ?", (meter,)):
                known[outbox].held.add(seq)
            if self._db.writing:
                self._outboxes[meter] = known
        return known
