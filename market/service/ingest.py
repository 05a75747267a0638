"""What becomes of a message. Every message has exactly one named outcome; none stops ingest.

The outcomes, in the order in which they are looked for:

=================  ============================================================================
oversized          longer than 1 KiB
malformed          no topic or no JSON of the contract, or a ``first`` above its ``seq``
unknown-meter      no meter of this community's members, now or before
unknown-key        sealed with a key generation that is not good now (``market.service.keys``)
forged             the seal is wrong: nothing it says is believed
too-many-outboxes  a new outbox of a meter that has begun more than any flash is initialised
too-far-ahead      a seq so far above what is kept that those between cannot all be under way
early              an interval that has not begun by the market's clock
misaligned         not one of the community's intervals, or one before the meter's first
duplicate          the same reading again
conflicting        another reading for an interval that has one: the first stands
impossible         registers that would run backwards, or faster than any connection carries
quarantine-full    misaligned, conflicting or impossible, and no more raw bytes are kept for the meter
late               stored, after its interval's gate had closed: the interval is run again
stored             stored in time
=================  ============================================================================

Only a message with a good seal advances its outbox; from ``misaligned`` on it is either stored or
kept in quarantine with its raw bytes, so that the meter may forget it. What comes too early, too far
ahead, from an outbox too many or when the meter's quarantine is full is not acknowledged: the meter
keeps it and sends it again.

A meter's status says how it is, and nothing is settled by it; a bad one is counted by the same first three names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from broker.contract import MAX_PAYLOAD_BYTES, Ack, Reading, Status, parse_topic, topic
from broker.keys import sign, verify
from market.record import Record
from market.record.readings import Place
from market.service.keys import Keys
from market.settlement.rules import Meter, Registers

POWER_BOUND_W = 1_000_000
"""No household's connection carries more; registers that run faster are not believed."""
WINDOW_SEQS = 4096
"""Seqs that may be kept above a missing one: more than a meter's outbox of 30 days holds."""

Payload = TypeVar("Payload")
_READING, _STATUS = msgspec.json.Decoder(Reading), msgspec.json.Decoder(Status)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as it came from the broker."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Batch:
    """What storing a batch led to: acks to publish, outcomes, and the (interval start, meter) stored.

    ``rotated``: meters of which the first reading under their next key was stored.
    """

    acks: list[Message]
    outcomes: Counter[str]
    stored: list[tuple[int, str]]
    rotated: list[str]


class Ingest:
    """Stores batches of messages, durable before anything is acknowledged."""

    def __init__(self, record: Record, master: bytes) -> None:
        self._record = record
        self.keys = Keys(record, master)
        self._known: dict[int, dict[str, Meter]] = {}
        self._meters: set[str] = set()
        self._inputs_version = -1
        self._said: dict[str, tuple[bool, str]] = {}
        self._bad_statuses: Counter[str] = Counter()
        self.learn()

    def learn(self) -> None:
        """Take in the stored members: those of now, and those of before, whose readings may still come."""
        newest = self._record.inputs_version()
        if newest == self._inputs_version:
            return
        self._inputs_version = newest
        for versions in self._record.member_versions():
            if versions["members"] in self._known:
                continue
            rules = self._record.rules(versions)
            meters = {meter.meter: meter for member in rules.members for meter in member.meters}
            self._known[versions["members"]] = meters
            self._meters |= set(meters)
            self._community, self._length_s = rules.community, rules.interval_s
        self.keys.learn()

    def store(self, messages: Iterable[Message], *, now: int, closed_before: int) -> Batch:
        """Store the messages in one transaction; when this returns, it is durable.

        ``now`` [epoch s] is the market's clock; intervals that start before ``closed_before`` have
        had their gate closed.
        """
        batch = Batch([], Counter(), [], [])
        used: set[tuple[str, int]] = set()
        following: dict[tuple[str, str, int], int] = {}
        with self._record.transaction():
            # Another process may have stored members since.
            self.learn()
            for message in messages:
                outcome, meter, reading = self._outcome(message, now, closed_before)
                if reading is not None and outcome in ("stored", "late"):
                    self._record.add_reading(meter, reading, message.payload)
                    batch.stored.append((reading.start, meter))
                    used.add((meter, reading.kid))
                elif outcome != "duplicate":
                    sealed, raw = reading is not None, message.payload[:MAX_PAYLOAD_BYTES]
                    kept = self._record.quarantine(outcome, message.topic[:256], raw, now, sealed=sealed)
                    if sealed and not kept:
                        outcome, reading = "quarantine-full", None
                batch.outcomes[outcome] += 1
                if reading is not None:
                    following[meter, reading.outbox, reading.kid] = self._record.advance_outbox(
                        meter, reading.outbox, reading.seq, reading.first
                    )
            self._record.count(batch.outcomes)
        # Only now is it durable that the meter has its next key.
        batch.rotated.extend(meter for meter, kid in sorted(used) if self.keys.seen(meter, kid))
        batch.acks.extend(self._ack(*key, value) for key, value in following.items())
        return batch

    def status(self, message: Message) -> tuple[str, bool] | None:
        """(meter, whether it is online); None for what is no status of a known meter, which is counted.

        ``store_statuses`` makes it durable; the broker keeps each meter's newest until then.
        """
        place = parse_topic(message.topic)
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            outcome = "oversized"
        elif place is None or (status := _decode(message.payload, _STATUS)) is None:
            outcome = "malformed"
        elif place[1] not in self._meters:
            outcome = "unknown-meter"
        else:
            # The last will says nothing but that the meter is gone.
            said = msgspec.json.encode(status).decode() if status.online else ""
            self._said[place[1]] = (status.online, said or self._said.get(place[1], (False, ""))[1])
            return place[1], status.online
        self._bad_statuses[outcome] += 1
        return None

    def store_statuses(self, now: int) -> None:
        """Store what ``status`` took in since the last time, in one transaction, at ``now`` [epoch s]."""
        if not self._said and not self._bad_statuses:
            return
        with self._record.transaction():
            self._record.store_statuses(self._said, now)
            self._record.count(self._bad_statuses)
        self._said, self._bad_statuses = {}, Counter()

    def acks(self) -> list[Message]:
        """The newest ack of every meter, to be published again after a connection to the broker."""
        return [
            self._ack(meter, outbox, self.keys.present(meter), following)
            for meter, outbox, following in self._record.outboxes()
            if meter in self._meters
        ]

    def _ack(self, meter: str, outbox: str, kid: int, following: int) -> Message:
        name = topic(self._community, meter, "ack")
        return Message(name, sign(self.keys.key(meter, kid), name, msgspec.json.encode(Ack(1, kid, outbox, following))))

    def _outcome(self, message: Message, now: int, closed_before: int) -> tuple[str, str, Reading | None]:
        """(outcome, meter, the reading when its outbox may advance over it)."""
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            return "oversized", "", None
        place = parse_topic(message.topic)
        if place is None or place[2] != "reading":
            return "malformed", "", None
        community, meter, _ = place
        reading = _decode(message.payload, _READING)
        if reading is None or reading.first > reading.seq:
            return "malformed", meter, None
        if community != self._community or meter not in self._meters:
            return "unknown-meter", meter, None
        known = self._known[self._record.input_versions(reading.start)["members"]].get(meter)
        if reading.kid not in self.keys.good(meter):
            return "unknown-key", meter, None
        if not verify(self.keys.key(meter, reading.kid), message.topic, message.payload):
            return "forged", meter, None
        following = self._record.next_seq(meter, reading.outbox)
        if not following and not self._record.has_room(meter, reading.outbox):
            return "too-many-outboxes", meter, None
        if reading.seq >= max(following, reading.first) + WINDOW_SEQS:
            return "too-far-ahead", meter, None
        if reading.start > now:
            return "early", meter, None
        return self._kept_outcome(known, meter, reading, closed_before), meter, reading

    def _kept_outcome(self, known: Meter | None, meter: str, reading: Reading, closed_before: int) -> str:
        length_s = self._length_s
        if known is None or reading.length != length_s or reading.start % length_s or reading.start < known.since:
            return "misaligned"
        stored = self._record.reading_at(meter, reading.start, length_s)
        if stored is not None:
            return "duplicate" if _same(stored, reading) else "conflicting"
        if not self._possible(known, reading):
            return "impossible"
        return "late" if reading.start < closed_before else "stored"

    def _possible(self, known: Meter, reading: Reading) -> bool:
        registers = Registers(reading.import_wh, reading.export_wh, reading.generation_wh, reading.consumption_wh)
        place, where = (reading.start, registers), (known.meter, reading.start, known.since)
        if self._fits(known, place, self._record.neighbours(*where)):
            return True
        # A wrong reading that was put right must not keep out those that follow it.
        return self._fits(known, place, self._record.corrected_neighbours(*where))

    def _fits(self, known: Meter, place: Place, around: tuple[Place | None, Place | None]) -> bool:
        before, after = around
        early = before or (known.since - self._length_s, known.seed)
        return rises(early, place) and (after is None or rises(place, after))


def rises(early: Place, late: Place) -> bool:
    """Whether registers go from one (interval start, registers) to the next as fast as a connection carries at most."""
    most_wh = POWER_BOUND_W * (late[0] - early[0]) // 3600
    for low, high in zip(early[1], late[1], strict=True):  # noqa: SIM110 - a generator takes twice as long
        if not 0 <= high - low <= most_wh:
            return False
    return True


def _decode(payload: bytes, decoder: msgspec.json.Decoder[Payload]) -> Payload | None:
    """The payload as the decoder's type, or None when it is not one."""
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _same(payload: bytes, reading: Reading) -> bool:
    """Whether two readings say the same of the same interval; a resent one may carry another ``first`` or key."""
    stored = msgspec.json.decode(payload, type=Reading)
    sealed = {"kid": reading.kid, "mac": reading.mac}
    return msgspec.structs.replace(stored, first=0, **sealed) == msgspec.structs.replace(reading, first=0)
