"""A small MQTT 3.1.1 client for asyncio: QoS 1 out, QoS 0 and 1 in, last will, keepalive, optional TLS.

Sessions are clean. A PUBACK only says that the broker has a message; the outbox keeps it until the market's own ack,
and sends again after a reconnect. So nothing needs to survive in the broker's or in this client's session, the retained
ack and config come with the subscription, and no message is ever repeated within a session: the DUP flag sent is
always 0. One that comes with it set is delivered as any other, since what is said here may be heard twice.
"""

import asyncio
import struct
import time

from dial import close, dial, why

MESSAGE_BYTES = 2048
_PASSED_MOST_BYTES = 65_536
IN_FLIGHT = 40
# how often it is looked whether answers are overdue
WATCH_MS = 2000

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = (
    0x10, 0x20, 0x30, 0x40, 0x82, 0x90, 0xC0, 0xD0, 0xE0,
)  # fmt: skip
# of a CONNACK (MQTT 3.1.1, table 3.1)
_REFUSALS = {3: ": not ready", 4: ": wrong user or password", 5: ": not authorised"}


class ProtocolError(Exception):
    """The broker refused, fell silent or said something that cannot be."""


class Client:
    """One connection; after an error it is closed and a new one is made.

    `on_message(topic, payload)` is called for each message heard, `on_event()` when a PUBACK came or the connection
    failed (`error` then says why).
    """

    def __init__(self, on_message, on_event, keepalive_s: int = 30, reply_timeout_ms: int = 10_000) -> None:
        self._on_message = on_message
        self._on_event = on_event
        self._keepalive_s = keepalive_s
        self._reply_timeout_ms = reply_timeout_ms
        self._layers = ()
        self._reader = None  # type: asyncio.StreamReader | None
        self._writer = None  # type: asyncio.StreamWriter | None
        self._write_lock = asyncio.Lock()
        self._tasks = []
        self._packet_id = 0
        # packet id -> ticks_ms when it was sent
        self._unanswered = {}
        self._suback = asyncio.Event()
        self._suback_id = 0
        self._suback_code = 0x80
        self._heard_ms = 0
        self.error = None  # type: Exception | None
        self.oversized = 0

    async def connect(self, host, port, client_id, user=None, password=None, will=None, tls=None) -> None:
        """`will` is (topic, payload), retained; `tls` an ssl.SSLContext.

        Raises OSError, EOFError, TimeoutError or ProtocolError.
        """
        self._layers = await dial(host, port, tls, self._reply_timeout_ms)
        self._reader = stream = asyncio.StreamReader(self._layers[0])
        self._writer = asyncio.StreamWriter(self._layers[0], {})
        try:
            # with TLS the whole handshake happens in here
            await self._write(_connect_packet(client_id, user, password, will, self._keepalive_s))
            reply = await asyncio.wait_for_ms(stream.readexactly(4), self._reply_timeout_ms)
        except ValueError as error:
            raise ProtocolError("TLS: " + why(error))
        except (OSError, EOFError) as error:
            if tls is None:
                raise
            # A broker that does not accept our certificate hangs up, often before its reason arrives.
            raise ProtocolError("TLS: the broker hung up (%s): our certificate may be unknown or revoked" % why(error))
        if reply[0] != _CONNACK or reply[1] != 2:
            raise ProtocolError("no CONNACK")
        if reply[3] != 0:
            raise ProtocolError("connection refused, code %d%s" % (reply[3], _REFUSALS.get(reply[3], "")))
        if reply[2]:
            # a clean session was asked for: packet ids of another would be taken for ours
            raise ProtocolError("the broker goes on with a session that is not ours")
        self._heard_ms = time.ticks_ms()
        self._tasks = [asyncio.create_task(self._guard(self._read())), asyncio.create_task(self._guard(self._watch()))]

    async def subscribe(self, topic: str) -> bool:
        """QoS 1; returns when the broker has answered: False when it does not allow this topic."""
        self._suback.clear()
        packet_id = self._next_id()
        body = struct.pack(">H", packet_id) + _text(topic) + b"\x01"
        await self._write(bytes((_SUBSCRIBE,)) + _length(len(body)) + body)
        await asyncio.wait_for_ms(self._suback.wait(), self._reply_timeout_ms)
        self.check()
        if self._suback_id != packet_id:
            raise ProtocolError("an answer to another subscription")
        return self._suback_code <= 2

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """QoS 1; returns when written. A PUBACK that stays away is an error of the connection."""
        self.check()
        if len(self._unanswered) >= IN_FLIGHT:
            raise ProtocolError("too many messages without PUBACK")
        packet_id = self._next_id()
        name = _text(topic)
        head = bytes((_PUBLISH | 0x02 | (0x01 if retain else 0),)) + _length(len(name) + 2 + len(payload))
        self._unanswered[packet_id] = time.ticks_ms()
        # one write for the whole packet: small segments would wait for each other's TCP acknowledgement
        await self._write(head + name + struct.pack(">H", packet_id) + payload)

    def unanswered(self) -> int:
        """Messages without PUBACK."""
        return len(self._unanswered)

    def check(self) -> None:
        """Raises what ended the connection, if anything did."""
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Drops the connection; the broker then publishes the last will."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._reader = self._writer = None
        close(self._layers)
        self._layers = ()

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65535 + 1
            if self._packet_id not in self._unanswered:
                return self._packet_id

    async def _write(self, packet: bytes) -> None:
        async with self._write_lock:
            if self._writer is None:
                raise ProtocolError("not connected")
            self._writer.write(packet)
            await asyncio.wait_for_ms(self._writer.drain(), self._reply_timeout_ms)

    async def _guard(self, work) -> None:
        try:
            await work
        except (OSError, EOFError, asyncio.TimeoutError, ProtocolError) as error:
            self.error = error
            self._suback.set()
            self._on_event()

    async def _watch(self) -> None:
        """Pings when it is quiet and notices a broker that no longer answers."""
        while True:
            await asyncio.sleep_ms(WATCH_MS)
            now_ms = time.ticks_ms()
            for sent_ms in self._unanswered.values():
                if time.ticks_diff(now_ms, sent_ms) > self._reply_timeout_ms:
                    raise ProtocolError("no PUBACK")
            quiet_ms = time.ticks_diff(now_ms, self._heard_ms)
            if quiet_ms > self._keepalive_s * 1500:
                raise ProtocolError("the broker is silent")
            if quiet_ms > self._keepalive_s * 500:
                await self._write(bytes((_PINGREQ, 0)))

    async def _read(self) -> None:
        reader = self._reader
        assert reader is not None
        while True:
            kind = (await reader.readexactly(1))[0]
            length = await self._read_length()
            self._heard_ms = time.ticks_ms()
            if length > MESSAGE_BYTES:
                self.oversized += 1
                await self._pass_over(kind, length)
                continue
            body = await reader.readexactly(length) if length else b""
            await self._handle(kind, body)

    async def _read_length(self) -> int:
        reader = self._reader
        assert reader is not None
        length = 0
        for shift in (0, 7, 14, 21):
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return length
        raise ProtocolError("a length without end")

    async def _pass_over(self, kind: int, length: int) -> None:
        """Confirms it unread: a retained message comes with each connection, and must not end each of them."""
        reader = self._reader
        assert reader is not None
        packet_id = None
        if kind & 0x06:
            topic = await reader.readexactly(2)
            topic_bytes = topic[0] << 8 | topic[1]
            if kind & 0xF6 != _PUBLISH | 0x02 or length > _PASSED_MOST_BYTES or topic_bytes + 4 > length:
                raise ProtocolError("a message of %d bytes" % length)
            await self._skip(topic_bytes)
            packet_id = await reader.readexactly(2)
            length -= topic_bytes + 4
        await self._skip(length)
        if packet_id is not None:
            await self._write(bytes((_PUBACK, 2)) + packet_id)

    async def _skip(self, length: int) -> None:
        reader = self._reader
        assert reader is not None
        while length:
            step = min(length, 256)
            await reader.readexactly(step)
            length -= step

    async def _handle(self, kind: int, body: bytes) -> None:
        if kind & 0xF0 == _PUBLISH:
            await self._heard(kind, body)
        elif kind == _PUBACK and len(body) == 2:
            self._unanswered.pop(body[0] << 8 | body[1], None)
            self._on_event()
        elif kind == _SUBACK and len(body) == 3:
            self._suback_id = body[0] << 8 | body[1]
            self._suback_code = body[2]
            self._suback.set()
        elif kind != _PINGRESP:
            raise ProtocolError("packet %02x of %d bytes" % (kind, len(body)))

    async def _heard(self, kind: int, body: bytes) -> None:
        qos = kind >> 1 & 3
        end = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 2
        payload = end + (2 if qos else 0)
        if qos > 1 or payload > len(body):
            raise ProtocolError("a malformed message")
        try:
            topic = str(body[2:end], "utf-8")
        except UnicodeError:
            raise ProtocolError("a topic that is not UTF-8")
        self._on_message(topic, body[payload:])
        if qos:
            await self._write(bytes((_PUBACK, 2, body[end], body[end + 1])))


def _connect_packet(client_id, user, password, will, keepalive_s: int) -> bytes:
    flags = 0x02
    body = _text(client_id)
    if will is not None:
        # will, QoS 1, retained
        flags |= 0x04 | 0x08 | 0x20
        body += _text(will[0]) + struct.pack(">H", len(will[1])) + will[1]
    if user is not None:
        flags |= 0x80
        body += _text(user)
        if password is not None:
            flags |= 0x40
            body += _text(password)
    body = _text("MQTT") + struct.pack(">BBH", 4, flags, keepalive_s) + body
    return bytes((_CONNECT,)) + _length(len(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _length(length: int) -> bytes:
    encoded = b""
    while True:
        length, byte = length >> 7, length & 0x7F
        encoded += bytes((byte | 0x80 if length else byte,))
        if not length:
            return encoded
