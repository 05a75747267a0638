"""A bad network between meters and broker: a TCP proxy that loses packets, stalls, cuts and lies.

A packet that is lost comes late, when TCP has sent it again, and holds up all behind it. One in ten of them never
comes: the proxy understands MQTT 3.1.1's framing and takes a whole packet out, as a middlebox does that dies with what
it has acknowledged. What is encrypted it cannot read, and can only delay, stall and cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

HOST = "127.0.0.1"
PUBLISH = 0x30
TLS_HANDSHAKE = 0x16
GONE_PER_LOSS = 0.1
"""For every packet lost, so many never come."""
BREAKS_PER_LOSS = 0.02
"""For every packet lost, so many connections stall, and so many are cut."""
RETRANSMIT_S, RETRANSMIT_MOST_S = 0.2, 6.4
"""How long TCP waits before it sends a packet again, twice as long every time it is lost again (RFC 6298)."""
TLS_CHUNK_BYTES = 16_384
MAX_PACKET_BYTES = 262_144
REPLAY_MEMORY = 96
"""Readings remembered of each meter: a day of quarter-hours."""

Forgery = Literal["forged", "replayed", "foreign"]
FORGERIES: tuple[Forgery, ...] = ("forged", "replayed", "foreign")


@dataclass
class Captured:
    """What the proxy has heard of one meter: its topic, and its newest readings."""

    topic: bytes
    readings: deque[bytes] = field(default_factory=lambda: deque(maxlen=REPLAY_MEMORY))


class CutError(Exception):
    """This connection is cut."""


class Proxy:
    """Runs in a thread of its own; `counts` says what it has done.

    loss: the probability that a packet, in either direction, is lost.
    """

    def __init__(self, broker_host: str, broker_port: int, loss: float = 0.0, seed: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._broker = (broker_host, broker_port)
        self._loss = loss
        self._random = random.Random(seed)
        self._away = False
        self._to_forge: deque[Forgery] = deque()
        self._captured: dict[bytes, Captured] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen on a free port of loopback; returns when it does."""
        self._thread.start()
        self._in_loop(self._listen())

    def stop(self) -> None:
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def away(self, away: bool) -> None:
        """While away, whoever is connected is cut off and nobody gets in: the broker is not to be reached."""
        self._in_loop(self._set_away(away))

    def forge(self, kinds: list[Forgery]) -> None:
        """Do each of these at one of the next readings that come by."""
        self._loop.call_soon_threadsafe(self._to_forge.extend, kinds)

    def _in_loop(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut_all()

    async def _set_away(self, away: bool) -> None:
        self._away = away
        if away:
            await self._cut_all()

    async def _cut_all(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(
                OSError, CutError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError
            ):
                if not self._away:
                    await self._connect(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        broker_reader, broker_writer = await asyncio.open_connection(*self._broker)
        try:
            first = await reader.readexactly(1)
            read = self._chunk if first[0] == TLS_HANDSHAKE else self._packet
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, first, broker_writer, read, self._heard))
                ways.create_task(self._pass(broker_reader, b"", writer, read, None))
        except* (OSError, CutError, asyncio.IncompleteReadError):
            pass
        finally:
            broker_writer.transport.abort()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        begun: bytes,
        sink: asyncio.StreamWriter,
        read: Callable[..., object],
        hear: Callable[[bytes], bytes] | None,
    ) -> None:
        while True:
            packet: bytes = await read(source, begun)  # type: ignore[misc]
            begun = b""
            self.counts["packets"] += 1
            readable = read == self._packet
            if self._happens(self._loss):
                self.counts["lost"] += 1
                if readable and self._happens(GONE_PER_LOSS):
                    self.counts["gone"] += 1
                    continue
                await asyncio.sleep(self._retransmission_s())
            if self._happens(self._loss * BREAKS_PER_LOSS):
                self.counts["stalled"] += 1
                await asyncio.sleep(3600)  # until whoever waits gives up
            if self._happens(self._loss * BREAKS_PER_LOSS):
                self.counts["cut"] += 1
                raise CutError
            sink.write(packet + (hear(packet) if hear and readable else b""))
            await sink.drain()

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _retransmission_s(self) -> float:
        """How late a packet is that was lost once, and each time it is sent again perhaps once more [s]."""
        wait_s = total_s = RETRANSMIT_S
        while self._happens(self._loss) and wait_s < RETRANSMIT_MOST_S:
            wait_s *= 2
            total_s += wait_s
        return total_s

    async def _packet(self, source: asyncio.StreamReader, begun: bytes) -> bytes:
        """One MQTT packet, whole."""
        head = begun or await source.readexactly(1)
        length = 0
        for shift in (0, 7, 14, 21):
            byte = await source.readexactly(1)
            head += byte
            length |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                break
        if length > MAX_PACKET_BYTES:
            raise CutError
        return head + await source.readexactly(length)

    async def _chunk(self, source: asyncio.StreamReader, begun: bytes) -> bytes:
        """Whatever has come of an encrypted stream."""
        chunk = begun + await source.read(TLS_CHUNK_BYTES)
        if chunk == begun:
            raise CutError
        return chunk

    def _heard(self, packet: bytes) -> bytes:
        """Remember a meter's reading; what a forger sends behind it."""
        found = read_publish(packet)
        if found is None or not found[0].endswith(b"/reading"):
            return b""
        topic, payload = found
        mine = self._captured.setdefault(topic, Captured(topic))
        mine.readings.append(payload)
        if not self._to_forge:
            return b""
        kind = self._to_forge.popleft()
        if kind == "forged":
            lie = forged(payload)
        elif kind == "replayed":
            lie = mine.readings[0]
        else:
            others = [other for other in self._captured if other != topic]
            if not others:
                self._to_forge.append(kind)
                return b""
            topic, lie = self._random.choice(others), payload
        self.counts[kind] += 1
        return publish_packet(topic, lie)


def read_publish(packet: bytes) -> tuple[bytes, bytes] | None:
    """(topic, payload) of a PUBLISH, None for anything else."""
    if packet[0] & 0xF0 != PUBLISH:
        return None
    start = 1
    while packet[start] & 0x80:
        start += 1
    start += 1
    end = start + 2 + int.from_bytes(packet[start : start + 2], "big")
    payload = end + (2 if packet[0] & 0x06 else 0)
    return packet[start + 2 : end], packet[payload:]


def publish_packet(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH of QoS 0, which needs no packet id of the connection it is slipped into."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    length, coded = len(body), b""
    while True:
        length, byte = length >> 7, length & 0x7F
        coded += bytes((byte | 0x80 if length else byte,))
        if not length:
            return bytes((PUBLISH,)) + coded + body


def forged(payload: bytes) -> bytes:
    """The reading with a kWh more of export under the seal of the true one: what one who lacks the key can do."""
    reading = json.loads(payload)
    reading["export_wh"] += 1000
    return json.dumps(reading, separators=(",", ":")).encode()
