"""What becomes of a message. Every message has exactly one named outcome; none stops ingest.

The outcomes, in the order in which they are looked for:

=============  ==========================================================================
oversized      longer than 1 KiB
malformed      no topic or no JSON of the contract
unknown-meter  no meter of this community's members
unknown-key    sealed with a key generation the meter does not have now
forged         the seal is wrong: nothing it says is believed
misaligned     not one of the community's intervals
early          an interval that has not ended by the market's clock
duplicate      the same reading again
conflicting    another reading for an interval that has one: the first stands
impossible     registers that would run backwards, or jump further than an order may
late           stored, after its interval's gate had closed: the interval is run again
stored         stored in time
=============  ==========================================================================

Only a message with a good seal advances its outbox; from there on it is either stored or kept
in quarantine with its raw bytes, so that the meter may forget it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from broker.contract import MAX_PAYLOAD_BYTES, Ack, Reading, parse_topic, topic
from broker.keys import derive_key, sign, verify
from market.clearing.problem import ENERGY_BOUND_WH
from market.record import Record
from market.settlement.rules import Meter, Registers, Rules


@dataclass(frozen=True)
class Message:
    """A message as it came from the broker."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Batch:
    """What storing a batch led to: acks to publish, outcomes, and the (interval start, meter) stored."""

    acks: list[Message]
    outcomes: Counter[str]
    stored: list[tuple[int, str]]


class Ingest:
    """Stores batches of messages, durable before anything is acknowledged."""

    def __init__(self, record: Record, master: bytes) -> None:
        self._record = record
        self._master = master
        self._meters: dict[str, Meter] = {}
        self._keys: dict[str, bytes] = {}

    def use(self, rules: Rules) -> None:
        """From now on listen to these members' meters."""
        self._rules = rules
        self._meters = {meter.meter: meter for member in rules.members for meter in member.meters}
        self._keys = {
            meter.meter: derive_key(self._master, rules.community, meter.meter, meter.kid)
            for meter in self._meters.values()
        }

    def knows(self, meter: str) -> bool:
        return meter in self._meters

    def key(self, meter: str) -> bytes:
        return self._keys[meter]

    def store(self, messages: Iterable[Message], *, now: int, closed_before: int) -> Batch:
        """Store the messages in one transaction; when this returns, it is durable.

        ``now`` [epoch s] is the market's clock; intervals that start before ``closed_before`` have
        had their gate closed.
        """
        batch = Batch([], Counter(), [])
        following: dict[tuple[str, str], int] = {}
        with self._record.transaction():
            for message in messages:
                outcome, meter, reading = self._outcome(message, now, closed_before)
                batch.outcomes[outcome] += 1
                if reading is not None and outcome in ("stored", "late"):
                    self._record.add_reading(meter, reading, message.payload)
                    batch.stored.append((reading.start, meter))
                elif outcome != "duplicate":
                    self._record.quarantine(
                        outcome, message.topic[:256], message.payload[:MAX_PAYLOAD_BYTES], now, bounded=reading is None
                    )
                if reading is not None:
                    following[meter, reading.outbox] = self._record.advance_outbox(
                        meter, reading.outbox, reading.seq, reading.first
                    )
            self._record.count(batch.outcomes)
        batch.acks.extend(self.ack(meter, outbox, value) for (meter, outbox), value in following.items())
        return batch

    def acks(self) -> list[Message]:
        """The newest ack of every meter, to be published again after a connection to the broker."""
        return [self.ack(*row) for row in self._record.outboxes() if row[0] in self._meters]

    def ack(self, meter: str, outbox: str, following: int) -> Message:
        name = topic(self._rules.community, meter, "ack")
        body = msgspec.json.encode(Ack(1, self._meters[meter].kid, outbox, following))
        return Message(name, sign(self._keys[meter], name, body))

    def _outcome(self, message: Message, now: int, closed_before: int) -> tuple[str, str, Reading | None]:
        """(outcome, meter, the reading when its seal is good)."""
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            return "oversized", "", None
        place = parse_topic(message.topic)
        if place is None or place[2] != "reading":
            return "malformed", "", None
        community, meter, _ = place
        try:
            reading = msgspec.json.decode(message.payload, type=Reading)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "malformed", meter, None
        known = self._meters.get(meter)
        if community != self._rules.community or known is None:
            return "unknown-meter", meter, None
        if reading.kid != known.kid:
            return "unknown-key", meter, None
        if not verify(self._keys[meter], message.topic, message.payload):
            return "forged", meter, None
        return self._authentic_outcome(known, reading, message, now, closed_before), meter, reading

    def _authentic_outcome(self, known: Meter, reading: Reading, message: Message, now: int, closed_before: int) -> str:
        length = self._rules.interval_s
        if reading.length != length or reading.start % length or reading.start < known.since:
            return "misaligned"
        if reading.start > now:
            return "early"
        stored = self._record.reading_at(known.meter, reading.start, length)
        if stored is not None:
            return "duplicate" if _same(stored, reading) else "conflicting"
        if not self._possible(known, reading):
            return "impossible"
        return "late" if reading.start < closed_before else "stored"

    def _possible(self, known: Meter, reading: Reading) -> bool:
        registers = Registers(reading.import_wh, reading.export_wh, reading.generation_wh, reading.consumption_wh)
        before, after = self._record.neighbours(known.meter, reading.start, known.since)
        forward = all(
            0 <= value - least < ENERGY_BOUND_WH for least, value in zip(before or known.seed, registers, strict=True)
        )
        return forward and (after is None or all(value <= most for value, most in zip(registers, after, strict=True)))


def _same(payload: bytes, reading: Reading) -> bool:
    """Whether two readings say the same of the same interval; a resent one may carry another ``first``."""
    stored = msgspec.json.decode(payload, type=Reading)
    return msgspec.structs.replace(stored, first=0, mac=reading.mac) == msgspec.structs.replace(reading, first=0)
