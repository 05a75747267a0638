"""One light meter's connection, which comes and goes, and what it sends over it: the firmware's rules of sending."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable

import msgspec

from broker.mqtt import Heard, LinkLostError, Session, Will, opened
from firmware.host.light_meter import OFFLINE, Meter

IN_FLIGHT = 16
RESEND_TICKS = 2
RESEND_S = 10.0
STATUS_S = 60.0
KEEPALIVE_S = 60
BACKOFF_LEAST_S = 0.5
BACKOFF_MOST_S = 30.0
GOOD_CONNECTION_S = 10.0
REPLY_TIMEOUT_S = 10.0


class Address(msgspec.Struct, frozen=True):
    """Where the broker is; `ca` is the path of the certificate to trust, "" without TLS."""

    host: str
    port: int
    ca: str = ""


class Connection:
    """`connected` is set at the first connection that listens for acks; `look` is to be called now and then."""

    def __init__(self, meter: Meter, broker: Address, gate: asyncio.Semaphore, save: Callable[[], None]) -> None:
        self.connected = asyncio.Event()
        self._meter, self._broker, self._gate, self._save = meter, broker, gate, save
        self._session: Session | None = None
        self._tls: ssl.SSLContext | None = None
        self._sent = 0
        self._silent_since_s = 0.0
        self._status_due_s = 0.0

    async def run(self) -> None:
        """Connect, send, and connect again, for ever."""
        backoff_s = BACKOFF_LEAST_S
        while True:
            began_s = time.monotonic()
            try:
                await self._connect_and_stay()
            except (OSError, TimeoutError) as error:
                logging.getLogger(__name__).info("%s: %r", self._meter.user, error)
            if time.monotonic() - began_s > GOOD_CONNECTION_S:
                backoff_s = BACKOFF_LEAST_S
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # a street must not return as one
            backoff_s = min(2 * backoff_s, BACKOFF_MOST_S)

    def cut_power(self) -> None:
        """The meter forgets, and its connection ends without a word."""
        self._meter.cut_power()
        if self._session is not None:
            self._session.abort()

    def send(self) -> None:
        """Send the readings that may be sent now, when there is a connection."""
        meter, session = self._meter, self._session
        if session is None:
            return
        silent_s = time.monotonic() - self._silent_since_s
        if self._sent > meter.acknowledged and (meter.silent_ticks >= RESEND_TICKS or silent_s >= RESEND_S):
            self._sent = meter.acknowledged
        self._sent = max(self._sent, meter.acknowledged, meter.first)
        until = min(meter.next_seq, meter.acknowledged + IN_FLIGHT)
        if self._sent >= until:
            return
        if self._sent == meter.acknowledged:
            self._restart_silence()
        session.publish([(meter.reading_topic, meter.reading(seq)) for seq in range(self._sent, until)])
        self._sent = until

    def look(self, now_s: float) -> None:
        """What time brings: a status that is due, a resend, a ping, and the end of a connection that fell silent."""
        session = self._session
        if session is None:
            return
        if now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_S
            session.publish([(self._meter.status_topic, self._meter.status())], retain=True)
        oldest_s = next(iter(session.unanswered.values()), now_s)
        quiet_s = now_s - session.last_heard_s
        if now_s - oldest_s > REPLY_TIMEOUT_S or quiet_s > KEEPALIVE_S * 1.5:
            session.abort()
            return
        if quiet_s > KEEPALIVE_S / 2:
            session.ping()
        if self._sent > self._meter.acknowledged:
            self.send()

    async def _connect_and_stay(self) -> None:
        meter, broker = self._meter, self._broker
        session = None
        try:
            async with self._gate:
                session = await opened(
                    broker.host, broker.port, self._hear, timeout_s=REPLY_TIMEOUT_S, tls=self._context()
                )
                await session.connect(
                    meter.user,
                    meter.password or None,
                    keepalive_s=KEEPALIVE_S,
                    timeout_s=REPLY_TIMEOUT_S,
                    will=Will(meter.status_topic, OFFLINE),
                )
                self._sent = meter.acknowledged
                await session.subscribe([meter.ack_topic, meter.config_topic], REPLY_TIMEOUT_S)
            self.connected.set()
            self._session, self._status_due_s = session, 0.0
            self.look(time.monotonic())
            self.send()
            await session.lost.wait()
            raise LinkLostError("the connection was closed")
        finally:
            self._session = None
            if session is not None:
                session.abort()

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None and self._broker.ca:
            self._tls = ssl.create_default_context(cafile=self._broker.ca)
            if self._meter.certificate:
                self._tls.load_cert_chain(self._meter.certificate)
        return self._tls

    def _hear(self, messages: list[Heard]) -> None:
        meter = self._meter
        for topic, payload, _ in messages:
            if topic == meter.config_topic:
                if meter.heard_config(payload):
                    self._save()  # before anything is said under a new key
                    self._sent, self._status_due_s = meter.acknowledged, 0.0
            elif topic == meter.ack_topic and meter.heard(payload):
                self._restart_silence()
        self.send()

    def _restart_silence(self) -> None:
        self._meter.silent_ticks = 0
        self._silent_since_s = time.monotonic()
