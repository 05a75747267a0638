"""The light fleet: thousands of simulated meters in one process, with the firmware's contract but without the firmware.

    python -m firmware.host.light FILE

FILE names the broker and the meters, see `Fleet`. Standard input carries `tick <epoch>` and `stop`, standard output
JSON lines, as with a meter's own process. What a meter has measured follows from its profile and its origin alone, so
FILE.state, written once at the first tick, is all that makes its outbox durable.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
import msgspec

from broker import contract, keys
from broker.run import raise_open_files
from firmware.host.profile import Profile, Registers

IN_FLIGHT = 16
RESEND_TICKS = 2
RESEND_S = 10.0
STATUS_S = 60.0
BACKOFF_LEAST_S = 0.5
BACKOFF_MOST_S = 30.0
GOOD_CONNECTION_S = 10.0
REPLY_TIMEOUT_S = 10.0
CONNECTING_AT_ONCE = 50
CAPACITY = 2921
"""Records an outbox holds, as the firmware's: 30 days of quarter-hours."""

VERSION = "0.1.0-light"
OFFLINE = b'{"v":1,"online":false}'


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int


class MeterSettings(msgspec.Struct, frozen=True):
    community: str
    meter: str
    kid: int
    key: str
    user: str
    password: str
    load_w: list[int]
    generation_w: list[int]


class Fleet(msgspec.Struct, frozen=True):
    broker: Address
    interval_s: int
    profile_start: int
    step_s: int
    meters: list[MeterSettings]


class Memory(msgspec.Struct, frozen=True):
    """What FILE.state keeps of a meter."""

    outbox: str
    origin: int


class Record(NamedTuple):
    seq: int
    registers: tuple[int, int, int, int]


class Meter:
    """A meter's outbox: what it holds, what the market has, and what to say about it. No network, no clock."""

    def __init__(self, settings: MeterSettings, profile: Profile, interval_s: int, memory: Memory | None) -> None:
        """ValueError for a key that is not 32 bytes in hexadecimal digits."""
        self.user, self.password, self.name = settings.user, settings.password, settings.meter
        self.outbox = secrets.token_hex(8) if memory is None else memory.outbox
        self.origin = None if memory is None else memory.origin
        self.acknowledged = 0
        self.next_seq = 0
        self.refused_acks = 0
        self.wake = asyncio.Event()
        self.silent_ticks = 0
        self._kid, self._key = settings.kid, bytes.fromhex(settings.key)
        if len(self._key) != keys.KEY_BYTES:
            raise ValueError(f"{settings.user}: the key has not {keys.KEY_BYTES} bytes")
        self._interval_s, self._profile = interval_s, profile
        self._registers = None if memory is None else Registers(profile, memory.origin)
        self._records: deque[Record] = deque(maxlen=CAPACITY)
        self.reading_topic, self.ack_topic, self.status_topic = (
            contract.topic(settings.community, settings.meter, what) for what in ("reading", "ack", "status")
        )

    @property
    def first(self) -> int:
        """The oldest sequence number still held."""
        return self._records[0].seq if self._records else self.next_seq

    def begin(self, epoch_s: int) -> None:
        """The registers are zero here."""
        self.origin = epoch_s
        self._registers = Registers(self._profile, epoch_s)

    def close_until(self, epoch_s: int) -> Iterator[int]:
        """Close the intervals that ended at or before `epoch_s`; yields the starts of those the market lacks."""
        assert self.origin is not None and self._registers is not None
        first_start = self.origin - self.origin % self._interval_s
        closed = (epoch_s - first_start) // self._interval_s
        for seq in range(max(self.next_seq, closed - CAPACITY), closed):
            start = first_start + seq * self._interval_s
            record = Record(seq, self._registers.at(start + self._interval_s))
            self.next_seq = seq + 1
            if seq >= self.acknowledged:  # after a restart the retained ack may know more than this process
                self._records.append(record)
                yield start
        if self._records:  # the oldest of a full outbox are gone
            self.acknowledged = max(self.acknowledged, self.first)

    def reading(self, seq: int) -> bytes:
        """The signed reading of a record that is held."""
        assert self.origin is not None
        record = self._records[seq - self.first]
        import_wh, export_wh, generation_wh, consumption_wh = record.registers
        body = {
            "v": 1,
            "kid": self._kid,
            "outbox": self.outbox,
            "seq": seq,
            "first": self.first,
            "start": self.origin - self.origin % self._interval_s + seq * self._interval_s,
            "length": self._interval_s,
            "import_wh": import_wh,
            "export_wh": export_wh,
            "generation_wh": generation_wh,
            "consumption_wh": consumption_wh,
            "flags": ["simulated"],
        }
        return keys.sign(self._key, self.reading_topic, msgspec.json.encode(body))

    def status(self) -> bytes:
        held = max(0, self.next_seq - self.acknowledged)
        said = contract.Status(v=1, online=True, firmware=VERSION, outbox=held)
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
        return ack.next if ack.kid == self._kid and ack.outbox == self.outbox and ack.next >= 0 else None


class Connection:
    """One meter's connection, which comes and goes; `connected` is set at the first one that listens for acks."""

    def __init__(self, meter: Meter, broker: Address, gate: asyncio.Semaphore) -> None:
        self.connected = asyncio.Event()
        self._meter, self._broker, self._gate = meter, broker, gate
        self._sent = 0
        self._silent_since_s = 0.0

    async def run(self) -> None:
        """Connect, send, and connect again, for ever."""
        backoff_s = BACKOFF_LEAST_S
        while True:
            began_s = time.monotonic()
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError) as errors:
                logging.getLogger(__name__).info("%s: %r", self._meter.user, errors.exceptions[0])
            if time.monotonic() - began_s > GOOD_CONNECTION_S:
                backoff_s = BACKOFF_LEAST_S
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # a street must not return as one
            backoff_s = min(2 * backoff_s, BACKOFF_MOST_S)

    async def _session(self) -> None:
        meter = self._meter
        async with AsyncExitStack() as stack:
            async with self._gate:
                client = aiomqtt.Client(
                    self._broker.host,
                    self._broker.port,
                    username=meter.user,
                    password=meter.password,
                    identifier=meter.user,
                    will=aiomqtt.Will(meter.status_topic, OFFLINE, qos=1, retain=True),
                    timeout=REPLY_TIMEOUT_S,
                )
                await stack.enter_async_context(client)
                self._sent = meter.acknowledged
                await client.subscribe(meter.ack_topic, qos=1)
            self.connected.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(client))
                tasks.create_task(self._send(client))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes) and self._meter.heard(message.payload):
                self._restart_silence()
                self._meter.wake.set()

    async def _send(self, client: aiomqtt.Client) -> None:
        meter, status_due_s = self._meter, 0.0
        while True:
            meter.wake.clear()
            if time.monotonic() >= status_due_s:
                await client.publish(meter.status_topic, meter.status(), qos=1, retain=True)
                status_due_s = time.monotonic() + STATUS_S
            await self._send_readings(client)
            until_s = status_due_s
            if self._sent > meter.acknowledged:
                until_s = min(until_s, self._silent_since_s + RESEND_S)
            with suppress(TimeoutError):  # then it is time to look again
                async with asyncio.timeout(max(0.01, until_s - time.monotonic())):
                    await meter.wake.wait()

    async def _send_readings(self, client: aiomqtt.Client) -> None:
        meter = self._meter
        silent_s = time.monotonic() - self._silent_since_s
        if self._sent > meter.acknowledged and (meter.silent_ticks >= RESEND_TICKS or silent_s >= RESEND_S):
            self._sent = meter.acknowledged
        while True:
            self._sent = max(self._sent, meter.acknowledged, meter.first)
            if self._sent >= meter.next_seq or self._sent - meter.acknowledged >= IN_FLIGHT:
                return
            if self._sent == meter.acknowledged:
                self._restart_silence()
            payload = meter.reading(self._sent)
            self._sent += 1
            await client.publish(meter.reading_topic, payload, qos=1)

    def _restart_silence(self) -> None:
        self._meter.silent_ticks = 0
        self._silent_since_s = time.monotonic()


def read_fleet(path: Path) -> Fleet:
    """ValueError for a file that is not a fleet's, msgspec's included."""
    return msgspec.json.decode(path.read_bytes(), type=Fleet)


def make_meters(fleet: Fleet, memories: dict[str, Memory]) -> list[Meter]:
    """ValueError for a profile or a key that is not one."""
    if fleet.interval_s < 1:
        raise ValueError("the interval is not positive")
    profiles: dict[tuple[tuple[int, ...], tuple[int, ...]], Profile] = {}  # a district has many equal ones
    meters = []
    for settings in fleet.meters:
        powers = (tuple(settings.load_w), tuple(settings.generation_w))
        if powers not in profiles:
            profiles[powers] = Profile(fleet.profile_start, fleet.step_s, *powers)
        meters.append(Meter(settings, profiles[powers], fleet.interval_s, memories.get(settings.user)))
    return meters


def read_memories(path: Path) -> dict[str, Memory]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Memory]) if path.exists() else {}


def save_memories(path: Path, meters: list[Meter]) -> None:
    """Durable when it returns, and whole or not there at all."""
    memories = {m.user: Memory(m.outbox, m.origin) for m in meters if m.origin is not None}
    scratch = path.with_name(path.name + ".new")
    with scratch.open("wb") as file:
        file.write(msgspec.json.encode(memories))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def tick(meters: list[Meter], state: Path, epoch_s: int) -> list[str]:
    """Move every meter's clock; the events to tell the conductor, each about a reading that is durable by now."""
    new = [meter for meter in meters if meter.origin is None]
    for meter in new:
        meter.begin(epoch_s)
    if new:
        save_memories(state, meters)
    events = []
    for meter in meters:
        meter.silent_ticks += 1
        events += [
            json.dumps({"event": "closed", "meter": meter.name, "start": start}, separators=(",", ":"))
            for start in meter.close_until(epoch_s)
        ]
        meter.wake.set()
    return events


def say(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


async def follow_clock(meters: list[Meter], state: Path) -> None:
    """Do what standard input says, until it says stop or ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    now_s = 0
    while line := await reader.readline():
        match line.split():
            case [b"stop"]:
                return
            case [b"tick", epoch] if epoch.isdigit() and int(epoch) >= now_s:
                now_s = int(epoch)
                say(tick(meters, state, now_s))
            case _:
                print(f"not a tick, or one back in time: {line!r}", file=sys.stderr)


async def run(fleet: Fleet, meters: list[Meter], state: Path) -> None:
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    connections = [Connection(meter, fleet.broker, gate) for meter in meters]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    async def announce() -> None:
        for connection in connections:
            await connection.connected.wait()
        say(['{"event":"ready"}'])

    announcing = asyncio.create_task(announce())
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(connection.run()) for connection in connections]
    ends += [asyncio.create_task(follow_clock(meters, state)), asyncio.create_task(stopped.wait())]
    ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    for task in ended:
        task.result()  # brings a failure with it: a meter that cannot send must not look alive


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=os.environ.get("PUMASI_LOG", "WARNING"), stream=sys.stderr)
    # A lost connection is no error here, and Connection.run tells of it; aiomqtt and the futures it leaves behind would
    # tell again, for thousands of meters.
    for name in ("asyncio", "mqtt"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if len(arguments) != 1:
        print("usage: python -m firmware.host.light FILE", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    state = path.with_name(path.name + ".state")

    async def start() -> None:
        fleet = read_fleet(path)
        meters = make_meters(fleet, read_memories(state))
        fleet.meters.clear()  # the lists of numbers are large, and the profiles hold them more tightly
        await run(fleet, meters, state)
        # Gone without a word, like a meter without power: the broker says `offline` for each, and no one waits for
        # thousands of goodbyes.
        sys.stdout.flush()
        os._exit(0)

    raise_open_files()
    try:
        asyncio.run(start())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
