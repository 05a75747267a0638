"""A small MQTT 3.1.1 client, for many messages a second: QoS 1 both ways, many messages in one write.

It exists for its cost, some 10 microseconds of a core for a message; general clients take 35 to 300, which would bound
the market's ingest, and would make a fleet of thousands of meters measure itself. It knows no files and does not
reconnect: whoever uses it keeps what must not be lost.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
PINGREQ, DISCONNECT = 0xC0, 0xE0
MAX_PACKET_BYTES = 262_144
ACCEPTED, REFUSED = 0, 0x80
REFUSALS = {
    1: "Unacceptable protocol version",
    2: "Identifier rejected",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}


class LinkLostError(ConnectionError):
    """The broker is gone, fell silent or said something that cannot be."""


class RefusedError(LinkLostError):
    """The broker does not let this client in; the text is its reason."""


@dataclass(frozen=True)
class Will:
    """What the broker says of a client that went without a word; retained."""

    topic: str
    payload: bytes


class Heard(NamedTuple):
    """A message; `packet_id` is 0 for one of QoS 0, which is not to be acknowledged."""

    topic: str
    payload: bytes
    packet_id: int


class Session(asyncio.Protocol):
    """One connection; `lost` is set when it is over.

    `hear` is given what has come, many at once. With `hold` they are acknowledged by `acknowledge` alone.
    """

    def __init__(self, hear: Callable[[list[Heard]], None], *, hold: bool = False) -> None:
        self.lost = asyncio.Event()
        self.last_heard_s = time.monotonic()
        self.unanswered: dict[int, float] = {}
        """Packet id -> when it was sent."""
        self._hear, self._hold = hear, hold
        self._buffer = bytearray()
        self._arrived: list[Heard] = []
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._packet_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkLostError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self.last_heard_s = time.monotonic()
        buffer = self._buffer
        buffer += data
        at = 0
        while (found := _packet(buffer, at)) is not None:
            start, end = found
            if end > len(buffer):
                break
            self._take(buffer[at], bytes(buffer[start:end]))
            at = end
        del buffer[:at]
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            if not self._hold:
                self.acknowledge(message.packet_id for message in arrived)
            self._hear(arrived)
        if len(buffer) > MAX_PACKET_BYTES:
            self.abort()

    def abort(self) -> None:
        """End it without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def connect(
        self,
        client: str,
        password: str | None,
        *,
        keepalive_s: int,
        timeout_s: float,
        will: Will | None = None,
        clean: bool = True,
    ) -> None:
        """Log in; `client` is both user and client id. Raises RefusedError, LinkLostError, TimeoutError.

        Without `clean` the broker keeps what comes while the client is away.
        """
        flags = 0x80 | (0x02 if clean else 0) | (0x40 if password is not None else 0)
        fields = [client.encode()]
        if will is not None:
            flags |= 0x04 | 0x08 | 0x20
            fields += [will.topic.encode(), will.payload]
        fields += [client.encode(), *([] if password is None else [password.encode()])]
        body = b"\x00\x04MQTT\x04" + bytes((flags,)) + keepalive_s.to_bytes(2, "big")
        body += b"".join(len(field).to_bytes(2, "big") + field for field in fields)
        code = await self._ask(_framed(CONNECT, body), timeout_s)
        if code != ACCEPTED:
            raise RefusedError(REFUSALS.get(code, f"code {code}"))

    async def subscribe(self, topics: list[str], timeout_s: float) -> None:
        """With QoS 1. Raises LinkLostError, TimeoutError."""
        body = self._next_id().to_bytes(2, "big")
        for topic in topics:
            body += len(topic.encode()).to_bytes(2, "big") + topic.encode() + b"\x01"
        if await self._ask(_framed(SUBSCRIBE, body), timeout_s) == REFUSED:
            raise LinkLostError("a subscription was refused")

    def publish(self, messages: list[tuple[str, bytes]], *, retain: bool = False) -> None:
        """Send messages in one write. Their answers are expected in `unanswered`."""
        if self._transport is None or self._transport.is_closing():
            return
        head = PUBLISH | 0x02 | (0x01 if retain else 0)
        now_s, packets = time.monotonic(), []
        for topic, payload in messages:
            name, packet_id = topic.encode(), self._next_id()
            self.unanswered[packet_id] = now_s
            body = b"".join((len(name).to_bytes(2, "big"), name, packet_id.to_bytes(2, "big"), payload))
            packets.append(_framed(head, body))
        self._transport.write(b"".join(packets))

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """PUBACK all of them, in one write; 0 is left out."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"".join(b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids if packet_id)
            )

    def ping(self) -> None:
        if self._transport is not None:
            self._transport.write(bytes((PINGREQ, 0)))

    def waiting_bytes(self) -> int:
        """What has been published and not yet taken by the network."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def leave(self) -> None:
        """Say goodbye: the last will is not published."""
        if self._transport is not None:
            self._transport.write(bytes((DISCONNECT, 0)))
            self._transport.close()

    async def _ask(self, packet: bytes, timeout_s: float) -> int:
        assert self._transport is not None
        if self.lost.is_set():
            raise LinkLostError("the connection was closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(packet)
        async with asyncio.timeout(timeout_s):
            return await self._answer

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self.unanswered:
                return self._packet_id

    def _take(self, head: int, body: bytes) -> None:
        kind = head & 0xF0
        if kind == PUBACK and len(body) >= 2:
            self.unanswered.pop(body[0] << 8 | body[1], None)
        elif kind == PUBLISH and len(body) >= 2:
            end = 2 + (body[0] << 8 | body[1])
            name = body[2:end].decode(errors="replace")
            if head & 0x06:
                self._arrived.append(Heard(name, body[end + 2 :], int.from_bytes(body[end : end + 2], "big")))
            else:
                self._arrived.append(Heard(name, body[end:], 0))
        elif kind in (CONNACK, SUBACK) and body and self._answer is not None and not self._answer.done():
            codes = body[1:2] if kind == CONNACK else body[2:]
            self._answer.set_result(max(codes, default=REFUSED))


async def opened(
    host: str,
    port: int,
    hear: Callable[[list[Heard]], None],
    *,
    timeout_s: float,
    tls: ssl.SSLContext | None = None,
    hold: bool = False,
) -> Session:
    """A connection on which nothing has been said yet. Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _, session = await loop.create_connection(lambda: Session(hear, hold=hold), host, port, ssl=tls)
    return session


def _packet(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None when not even its length has come."""
    length = 0
    for place in range(4):
        position = at + 1 + place
        if position >= len(buffer):
            return None
        byte = buffer[position]
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return position + 1, position + 1 + length
    return at + 5, at + 5 + 2**31  # never complete: the buffer's bound ends the connection


def _framed(head: int, body: bytes) -> bytes:
    length, coded = len(body), bytearray((head,))
    while True:
        length, byte = length >> 7, length & 0x7F
        coded.append(byte | 0x80 if length else byte)
        if not length:
            return bytes(coded) + body
