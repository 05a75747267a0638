"""A light meter: the firmware's contract in plain Python, for thousands of meters in one process.

No network and no clock in here. What a meter has measured follows from its profile and its origin, so that its outbox
needs no memory of its own: after a power cut it is made again from what `Memory` keeps.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from broker import contract, keys
from firmware.host.faults import clock_error_s
from firmware.host.profile import Profile, Registers

CAPACITY = 2921
"""Records an outbox holds, as the firmware's: 30 days of quarter-hours."""
VERSION = "0.2.0-light"
OFFLINE = b'{"v":1,"online":false}'


class MeterSettings(msgspec.Struct, frozen=True):
    """One meter of a fleet's file. `certificate` is the path of a PEM file with certificate and key, "" without TLS."""

    community: str
    meter: str
    kid: int
    key: str
    user: str
    password: str
    load_w: list[int]
    generation_w: list[int]
    certificate: str = ""
    reversed_ct: bool = False
    drift_ppm: int = 0


class Memory(msgspec.Struct, frozen=True):
    """What outlives a light meter's power cut. key "" is the settings' key; `config` is the version last applied."""

    outbox: str
    origin: int
    kid: int = 0
    key: str = ""
    config: int = 0


class Record(NamedTuple):
    seq: int
    registers: tuple[int, int, int, int]


class Meter:
    """A meter's outbox: what it holds, what the market has, and what to say about it."""

    def __init__(self, settings: MeterSettings, profile: Profile, interval_s: int, memory: Memory | None) -> None:
        """ValueError for a key that is not 32 bytes in hexadecimal digits."""
        self.user, self.password, self.name = settings.user, settings.password, settings.meter
        self.certificate = settings.certificate
        self.refused_acks = self.refused_configs = self.power_cuts = 0
        # Not the settings themselves: their lists of numbers are large, and the profile holds them more tightly.
        self._community, self._first_key = settings.community, (settings.kid, settings.key)
        self._reversed_ct, self._drift_ppm = settings.reversed_ct, settings.drift_ppm
        self._interval_s, self._profile = interval_s, profile
        self.reading_topic, self.ack_topic, self.status_topic, self.config_topic = (
            contract.topic(settings.community, settings.meter, what) for what in ("reading", "ack", "status", "config")
        )
        self._start_from(memory or Memory(secrets.token_hex(8), -1))

    def _start_from(self, memory: Memory) -> None:
        self.outbox = memory.outbox
        self.origin = None if memory.origin < 0 else memory.origin
        self.kid = memory.kid or self._first_key[0]
        self.config_version = memory.config
        self._key = bytes.fromhex(memory.key or self._first_key[1])
        if len(self._key) != keys.KEY_BYTES:
            raise ValueError(f"{self.user}: the key has not {keys.KEY_BYTES} bytes")
        self.acknowledged = self.next_seq = self.silent_ticks = 0
        self._registers = None if self.origin is None else self._make_registers(self.origin)
        self._last: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._records: deque[Record] = deque(maxlen=CAPACITY)

    def _make_registers(self, origin: int) -> Registers:
        return Registers(self._profile, origin, reversed_ct=self._reversed_ct)

    @property
    def memory(self) -> Memory:
        """What must be durable before anything is said."""
        key = "" if self._key.hex() == self._first_key[1] else self._key.hex()
        origin = -1 if self.origin is None else self.origin
        return Memory(self.outbox, origin, self.kid, key, self.config_version)

    @property
    def first(self) -> int:
        """The oldest sequence number still held."""
        return self._records[0].seq if self._records else self.next_seq

    @property
    def registers(self) -> tuple[int, int, int, int]:
        """Import, export, generation, consumption [Wh] at the end of the last interval that was closed."""
        return self._last

    def clock(self, epoch_s: int) -> int:
        """What the meter's own clock shows: it drifts, and is set right at the beginning of every day."""
        return epoch_s + clock_error_s(self._drift_ppm, epoch_s)

    def begin(self, epoch_s: int) -> None:
        """The registers are zero here."""
        self.origin = epoch_s
        self._registers = self._make_registers(epoch_s)

    def cut_power(self) -> None:
        """All is forgotten but what `memory` keeps."""
        self.power_cuts += 1
        self._start_from(self.memory)

    def close_until(self, epoch_s: int) -> Iterator[int]:
        """Close the intervals that ended at or before `epoch_s`; yields the starts of those the market lacks."""
        assert self.origin is not None and self._registers is not None
        first_start = self.origin - self.origin % self._interval_s
        closed = (epoch_s - first_start) // self._interval_s
        for seq in range(max(self.next_seq, closed - CAPACITY), closed):
            start = first_start + seq * self._interval_s
            self._last = self._registers.at(start + self._interval_s)
            self.next_seq = seq + 1
            if seq >= self.acknowledged:  # after a restart the retained ack may know more than this process
                self._records.append(Record(seq, self._last))
                yield start
        if self._records:  # the oldest of a full outbox are gone
            self.acknowledged = max(self.acknowledged, self.first)

    def reading(self, seq: int) -> bytes:
        """The signed reading of a record that is held."""
        assert self.origin is not None
        record = self._records[seq - self.first]
        start = self.origin - self.origin % self._interval_s + seq * self._interval_s
        body = {
            "v": 1,
            "kid": self.kid,
            "outbox": self.outbox,
            "seq": seq,
            "first": self.first,
            "start": start,
            "length": self._interval_s,
            "import_wh": record.registers[0],
            "export_wh": record.registers[1],
            "generation_wh": record.registers[2],
            "consumption_wh": record.registers[3],
            "flags": ["simulated"],
        }
        return keys.sign(self._key, self.reading_topic, msgspec.json.encode(body))

    def status(self) -> bytes:
        said: dict[str, Any] = {
            "v": 1,
            "online": True,
            "firmware": VERSION,
            "rssi": None,
            "free_memory": 0,
            "outbox": max(0, self.next_seq - self.acknowledged),
            "clock_error_ms": None,
            "kid": self.kid,
            "config": self.config_version,
            "refused": {"ack": self.refused_acks, "config": self.refused_configs},
        }
        return msgspec.json.encode(said)

    def heard(self, payload: bytes) -> bool:
        """An ack; True when it moved the mark. One that is not ours is counted and changes nothing."""
        next_seq = self._next_of(payload)
        # Before the first tick the outbox looks empty, though an earlier process may have sent much of it.
        if next_seq is None or (next_seq > self.next_seq and self.next_seq > 0):
            self.refused_acks += 1
            return False
        before = self.acknowledged
        while self._records and self._records[0].seq < next_seq:
            self._records.popleft()
        self.acknowledged = max(next_seq, self.first)
        return self.acknowledged != before

    def _next_of(self, payload: bytes) -> int | None:
        if not keys.verify(self._key, self.ack_topic, payload):
            return None
        try:
            ack = msgspec.json.decode(payload, type=contract.Ack)
        except msgspec.DecodeError:
            return None
        return ack.next if ack.kid == self.kid and ack.outbox == self.outbox and ack.next >= 0 else None

    def heard_config(self, payload: bytes) -> bool:
        """A configuration; True when `memory` has changed. Of its members only the key's nonce means anything here."""
        if not keys.verify(self._key, self.config_topic, payload):
            self.refused_configs += 1
            return False
        said = msgspec.json.decode(payload)
        if said["kid"] != self.kid or said["version"] <= self.config_version:
            return False
        self.config_version = said["version"]
        if "nonce" in said:
            self.kid += 1
            self._key = keys.rotate(self._key, self._community, self.name, self.kid, said["nonce"])
        return True
