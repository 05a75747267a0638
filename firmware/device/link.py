"""Keeps the outbox flowing to the market over a connection that comes and goes."""

import asyncio
import gc
import os
import time

import messages
import mqtt
from clock import log
from configuration import Configuration
from outbox import Outbox

IN_FLIGHT = 16
RESEND_TICKS = 2
RESEND_MS = 10_000
BACKOFF_LEAST_MS = 500
BACKOFF_MOST_MS = 30_000
# a connection that lasted this long was a good one
_GOOD_MS = 10_000


class Link:
    """`on_ready()` is called once, after the first connection that listens for acks.

    `radio` is a Wifi or None; `clock` has `error_ms`.
    """

    def __init__(self, configuration: Configuration, outbox: Outbox, clock, radio, on_ready) -> None:
        self._configuration = configuration
        self._outbox = outbox
        self._clock = clock
        self._radio = radio
        self._on_ready = on_ready
        self._wake = asyncio.Event()
        self._ready = False
        # records below this were sent on the present connection
        self._sent = 0
        self._silent_ticks = 0
        self._silent_since_ms = 0
        self._refused = 0

    def tick(self) -> None:
        """The clock moved: one more tick without an ack, if one is due."""
        if self._sent > self._outbox.acknowledged:
            self._silent_ticks += 1
        self._wake.set()

    def wake(self) -> None:
        """There is something new to send."""
        self._wake.set()

    async def run(self) -> None:
        """Connects, sends, and connects again, for ever."""
        backoff_ms = BACKOFF_LEAST_MS
        while True:
            began_ms = time.ticks_ms()
            try:
                await self._session()
            except (OSError, EOFError, asyncio.TimeoutError, mqtt.ProtocolError) as error:
                log("link: " + repr(error))
            if time.ticks_diff(time.ticks_ms(), began_ms) > _GOOD_MS:
                backoff_ms = BACKOFF_LEAST_MS
            # Jitter, so that a street does not return as one after an outage. Every process draws its own.
            draw = os.urandom(2)
            await asyncio.sleep_ms(backoff_ms // 2 + backoff_ms * (draw[0] << 8 | draw[1]) // 131072)
            backoff_ms = min(2 * backoff_ms, BACKOFF_MOST_MS)

    async def _session(self) -> None:
        configuration = self._configuration
        if self._radio is not None:
            await self._radio.ensure()
        client = mqtt.Client(self._heard, self._wake.set)
        try:
            await client.connect(
                configuration.host,
                configuration.port,
                configuration.community + "/" + configuration.meter,
                configuration.user,
                configuration.password,
                (configuration.topic("status"), messages.OFFLINE),
            )
            self._sent = self._outbox.acknowledged
            await client.subscribe(configuration.topic("ack"))
            if not self._ready:
                self._ready = True
                self._on_ready()
            await self._send(client)
        finally:
            await client.close()

    async def _send(self, client: mqtt.Client) -> None:
        status_ms = None
        while True:
            client.check()
            self._wake.clear()
            now_ms = time.ticks_ms()
            if status_ms is None or time.ticks_diff(now_ms, status_ms) >= self._configuration.status_s * 1000:
                status_ms = now_ms
                await self._publish_status(client)
            await self._publish_readings(client)
            wait_ms = self._configuration.status_s * 1000 - time.ticks_diff(time.ticks_ms(), status_ms)
            if self._sent > self._outbox.acknowledged:
                silent_ms = time.ticks_diff(time.ticks_ms(), self._silent_since_ms)
                wait_ms = min(wait_ms, RESEND_MS - silent_ms)
            try:
                await asyncio.wait_for_ms(self._wake.wait(), max(wait_ms, 1))
            except asyncio.TimeoutError:
                # time to look again
                continue

    async def _publish_readings(self, client: mqtt.Client) -> None:
        outbox = self._outbox
        topic = self._configuration.topic("reading")
        self._rewind_if_silent()
        self._sent = max(self._sent, outbox.acknowledged)
        while self._sent < outbox.next_seq and self._sent - outbox.acknowledged < IN_FLIGHT:
            record = outbox.read(self._sent)
            if record is None:
                # Only when everything before it is acknowledged may `first` step over a spoiled record.
                if self._sent > outbox.acknowledged:
                    break
                log("link: record %d is spoiled" % self._sent)
                outbox.skip(self._sent)
                self._sent = outbox.acknowledged
                continue
            if self._sent == outbox.acknowledged:
                self._restart_silence()
            payload = messages.reading(self._configuration, outbox.id, outbox.first, record)
            self._sent += 1
            await client.publish(topic, payload)

    def _rewind_if_silent(self) -> None:
        if self._sent <= self._outbox.acknowledged:
            return
        silent_ms = time.ticks_diff(time.ticks_ms(), self._silent_since_ms)
        if self._silent_ticks >= RESEND_TICKS or silent_ms >= RESEND_MS:
            self._sent = self._outbox.acknowledged
            self._restart_silence()

    def _restart_silence(self) -> None:
        self._silent_ticks = 0
        self._silent_since_ms = time.ticks_ms()

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic != self._configuration.topic("ack"):
            return
        next_seq = messages.acknowledged(self._configuration, self._outbox.id, payload)
        before = self._outbox.acknowledged
        if next_seq is None or not self._outbox.acknowledge(next_seq):
            self._refused += 1
            # the first and then ever fewer: a flood of them must not become a flood of lines
            if self._refused & (self._refused - 1) == 0:
                log("link: an ack that is not ours, %d so far" % self._refused)
            return
        if self._outbox.acknowledged != before:
            self._restart_silence()
            self._sent = max(self._sent, self._outbox.acknowledged)
            if self._outbox.acknowledged < before:
                self._sent = self._outbox.acknowledged
            self._wake.set()

    async def _publish_status(self, client: mqtt.Client) -> None:
        gc.collect()
        rssi_dbm = None if self._radio is None else self._radio.rssi_dbm()
        outbox = self._outbox
        payload = messages.status(rssi_dbm, gc.mem_free(), len(outbox), outbox.dropped, self._clock.error_ms)
        await client.publish(self._configuration.topic("status"), payload, True)
