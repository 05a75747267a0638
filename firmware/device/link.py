"""Keeps the outbox flowing to the market over a connection that comes and goes."""

import asyncio
import gc
import os
import time

import messages
import mqtt
import trust
from clock import log
from configuration import Configuration
from dial import why
from outbox import Outbox

IN_FLIGHT = 16
RESEND_TICKS = 2
RESEND_MS = 10_000
BACKOFF_LEAST_MS = 500
BACKOFF_MOST_MS = 30_000
# a connection that lasted this long was a good one
_GOOD_MS = 10_000
# attempts in a row after which the radio itself is doubted and started anew
_DOUBT = 8
# how long TLS waits for the time before it looks after the radio again
_TIME_S = 60
# a record that begins so much later than now
ASTRAY_S = 86_400
# connections in a row that ended on a discovery message
_SUSPICIONS_MOST = 2


class Link:
    """`on_ready()` is called once, after the first connection that listens for acks.

    `radio` is a Wifi or None; `clock.synced` an asyncio.Event. `status()` gives the members of the status message;
    `hear(what, payload)` gets each message of the topics `config`, `result` and `price` (the community's `_price`), the
    last two only where there is a display.
    """

    def __init__(self, configuration: Configuration, outbox: Outbox, clock, radio, on_ready, status, hear) -> None:
        self._configuration = configuration
        self._outbox = outbox
        self._clock = clock
        self._radio = radio
        self._on_ready = on_ready
        self._status = status
        self._hear = hear
        self._wake = asyncio.Event()
        self._again = False
        # records below this were sent on the present connection
        self._sent = 0
        self._silent_ticks = 0
        self._silent_since_ms = 0
        self._failures = 0
        # what Home Assistant is told on this connection, one (topic, payload) after the other
        self._telling = None
        self._suspect = False
        self._suspicions = 0
        self.connected = False
        self.connections = 0
        # acks that are not ours
        self.refused = 0
        self.last_error = None  # type: str | None

    @property
    def connected_ever(self) -> bool:
        return self.connections > 0

    def reconnect(self) -> None:
        """Ends the present connection and makes another: the configuration has changed."""
        self._again = True
        self._wake.set()

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
                # asked for
                continue
            except (OSError, EOFError, ValueError, asyncio.TimeoutError, mqtt.ProtocolError) as error:
                self._failed(why(error))
            if time.ticks_diff(time.ticks_ms(), began_ms) > _GOOD_MS:
                backoff_ms = BACKOFF_LEAST_MS
            # Jitter, so that a street does not return as one after an outage. Every process draws its own.
            draw = os.urandom(2)
            await asyncio.sleep_ms(backoff_ms // 2 + backoff_ms * (draw[0] << 8 | draw[1]) // 131072)
            backoff_ms = min(2 * backoff_ms, BACKOFF_MOST_MS)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        # the first and then ever fewer: years without a broker must not become years of lines
        if reason != self.last_error or self._failures & (self._failures - 1) == 0:
            log("link: " + reason)
        self.last_error = reason

    async def _session(self) -> None:
        configuration = self._configuration
        self._again = False
        if self._radio is not None:
            await self._radio.ensure(self._failures % _DOUBT == _DOUBT - 1)
        client = mqtt.Client(self._heard, self._wake.set)
        try:
            await client.connect(
                configuration.host,
                configuration.port,
                configuration.community + "/" + configuration.meter,
                configuration.user,
                configuration.password,
                (configuration.topic("status"), messages.OFFLINE),
                await self._trust(),
            )
            self._sent = self._outbox.acknowledged
            await self._listen(client)
            self.connected = True
            self.connections += 1
            self._failures = 0
            if self.last_error is not None:
                log("link: connected again")
                self.last_error = None
            if self.connections == 1:
                self._on_ready()
            await self._send(client)
        finally:
            self.connected = False
            if self._suspect and not self._again:
                self._suspicions += 1
                self._suspect = False
                if self._suspicions == _SUSPICIONS_MOST:
                    log("link: Home Assistant is not told: connections end when it is tried")
            await client.close()

    async def _trust(self):
        """The TLS context, or None without TLS."""
        if not self._configuration.tls:
            return None
        if not self._clock.synced.is_set():
            try:
                await asyncio.wait_for(self._clock.synced.wait(), _TIME_S)
            except asyncio.TimeoutError:
                raise mqtt.ProtocolError("TLS waits for the time: certificates have dates, and no time server answers")
        # parsed certificates are for this connection only; what the last one left goes first
        gc.collect()
        return trust.context(client=True)

    async def _listen(self, client: mqtt.Client) -> None:
        configuration = self._configuration
        if not await client.subscribe(configuration.topic("ack")):
            raise mqtt.ProtocolError("the broker does not let us hear our acks")
        topics = [configuration.topic("config")]
        if configuration.display is not None:
            topics += [configuration.topic("result"), self._price_topic()]
        for topic in topics:
            if not await client.subscribe(topic):
                log("link: the broker does not let us hear " + topic)

    def _price_topic(self) -> str:
        return "pumasi/1/%s/_price" % self._configuration.community

    async def _send(self, client: mqtt.Client) -> None:
        status_ms = None
        self._start_telling()
        while not self._again:
            client.check()
            self._wake.clear()
            now_ms = time.ticks_ms()
            if status_ms is None or time.ticks_diff(now_ms, status_ms) >= self._configuration.status_s * 1000:
                status_ms = now_ms
                await self._publish_status(client)
            await self._publish_readings(client)
            await self._announce(client)
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
            if record is None or self._is_astray(record):
                # Only when everything before it is acknowledged may `first` step over a spoiled record.
                if self._sent > outbox.acknowledged:
                    break
                log("link: record %d is given up: %s" % (self._sent, "spoiled" if record is None else "a wrong time"))
                outbox.skip(self._sent)
                self._sent = outbox.acknowledged
                continue
            if self._sent == outbox.acknowledged:
                self._restart_silence()
            payload = messages.reading(self._configuration, outbox.id, outbox.first, record)
            self._sent += 1
            await client.publish(topic, payload)

    def _is_astray(self, record) -> bool:
        """Of a time that was wrong: the market would not take it for years, nor anything behind it."""
        now_ms = self._clock.now_ms()
        return now_ms is not None and record.start > now_ms // 1000 + ASTRAY_S

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

    async def _announce(self, client: mqtt.Client) -> None:
        """Tells Home Assistant of this meter, message by message.

        A broker that forbids it may hang up on a client of MQTT 3.1.1. That must not cost readings: they go first, each
        of these messages travels alone, and after two connections that ended on one there are no more of them.
        """
        if self._telling is None or client.unanswered():
            return
        for topic, payload in self._telling:
            self._suspect = True
            await client.publish(topic, payload, True)
            return
        self._telling = None
        self._suspect = False
        self._suspicions = 0

    def _start_telling(self) -> None:
        self._suspect = False
        self._telling = None
        if self._configuration.home_assistant and self._suspicions < _SUSPICIONS_MOST:
            import discovery

            self._telling = discovery.messages(self._configuration)

    def _heard(self, topic: str, payload: bytes) -> None:
        what = topic[topic.rfind("/") + 1 :]
        if what == "ack":
            self._acknowledged(payload)
        else:
            self._hear(what.lstrip("_"), payload)

    def _acknowledged(self, payload: bytes) -> None:
        next_seq = messages.acknowledged(self._configuration, self._outbox.id, payload)
        before = self._outbox.acknowledged
        if next_seq is None or not self._outbox.acknowledge(next_seq):
            self.refused += 1
            # the first and then ever fewer: a flood of them must not become a flood of lines
            if self.refused & (self.refused - 1) == 0:
                log("link: an ack that is not ours, %d so far" % self.refused)
            return
        if self._outbox.acknowledged != before:
            self._restart_silence()
            self._sent = max(self._sent, self._outbox.acknowledged)
            if self._outbox.acknowledged < before:
                self._sent = self._outbox.acknowledged
            self._wake.set()

    async def _publish_status(self, client: mqtt.Client) -> None:
        members = self._status()
        members["rssi"] = None if self._radio is None else self._radio.rssi_dbm()
        await client.publish(self._configuration.topic("status"), messages.status(members), True)
