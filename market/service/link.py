"""The market's connection to the broker.

paho-mqtt acknowledges to the broker only when told (``manual_ack``), which is after the commit.
The session is persistent: what meters publish while the market restarts waits in the broker, and
what it has no room for the meters send again.

A thread of ours drives the client instead of its own: it reads all that has come before it waits again, and hands it
over in one burst, so that at ten thousand messages a second threads are not woken for each of them.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from broker.contract import market_user
from market.service.ingest import Message

KEEPALIVE_S = 30
MAX_QUEUED = 50_000
"""Messages that may be under way to a slow broker: the acks and settings of some 20,000 meters at a new connection."""
DROPPED = "$SYS/broker/publish/messages/dropped"
"""Mosquitto counts here what it had no room to queue; only the market may read it."""
REASON_TIMEOUT_S = 2.0
RECONNECT_LEAST_S, RECONNECT_MOST_S = 1.0, 10.0
WAIT_S, LEAVE_S = 1.0, 5.0
"""How often the client looks after its keepalive, and how long it has at the end for what is still to be sent."""
MOST_READ = 1000
"""Messages that are handed over at once, and read before anything is written."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message, and what is needed to acknowledge it on the connection that it came by."""

    message: Message
    mid: int
    connection: int


class Link:
    """A connection that comes back by itself; what it receives goes to ``deliver``, many at once, which may block."""

    def __init__(
        self,
        community: str,
        host: str,
        port: int,
        password: str | None,
        tls: ssl.SSLContext | None,
        deliver: Callable[[Sequence[Received]], None],
        connected: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:
        self._community = community
        self._deliver = deliver
        self._connected = connected
        self._notice = notice
        self._connection = 0
        self._refusal: str | None = None
        self._away = self._let_in = False
        self._address, self._tls = (host, port), tls
        self._dropped = 0
        self._dropped_by_broker: int | None = None
        self._burst: list[Received] = []
        self._heard = 0
        self._retry_s = RECONNECT_LEAST_S
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        user = market_user(community)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, clean_session=False, manual_ack=True)
        # With a certificate the broker takes the name from it.
        self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.max_inflight_messages_set(1000)
        self._client.max_queued_messages_set(MAX_QUEUED)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        # Where this is set, nobody but our thread writes; it is called for the first packet of many.
        self._client.on_socket_register_write = self._on_packets
        self._client.connect_async(host, port, keepalive=KEEPALIVE_S)

    def start(self) -> None:
        if self._thread is not None:
            return
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take leave of the broker when it has taken what is still to be sent; not for long."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._on_packets()
            thread.join()
            self._woken.close()
            self._wake.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._client.reconnect()
            except OSError:
                self._connect_failed()
            else:
                self._serve()
            wait_s, self._retry_s = self._retry_s, min(2 * self._retry_s, RECONNECT_MOST_S)
            self._stopping.wait(wait_s)

    def _serve(self) -> None:
        """Read and write until the connection ends."""
        client, end_s = self._client, math.inf
        while (connection := client.socket()) is not None:
            if self._stopping.is_set() and end_s == math.inf:
                end_s = time.monotonic() + LEAVE_S
                client.disconnect()
            # What TLS has deciphered already, nobody can wait for.
            deciphered = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
            writing = [connection] if client.want_write() else []
            ready, _, _ = select.select([connection, self._woken], writing, [], 0.0 if deciphered else WAIT_S)
            if self._woken in ready:
                self._woken.recv(4096)
            if client.want_write():
                client.loop_write()
            if deciphered or connection in ready:
                self._read()
            client.loop_misc()
            if time.monotonic() > end_s:
                connection.close()
                return

    def _read(self) -> None:
        """Read what has come, and hand it over."""
        for _ in range(MOST_READ):
            heard = self._heard
            self._client.loop_read()
            if self._heard == heard:
                break
        self._hand_over()

    def _hand_over(self) -> None:
        if self._burst:
            burst, self._burst = self._burst, []
            self._deliver(burst)

    def _on_packets(self, *_: Any) -> None:
        """Something is to be sent: wake the thread. A full pair of sockets has woken it."""
        with suppress(BlockingIOError):
            self._wake.send(b"\0")

    def publish(self, message: Message, *, retain: bool) -> None:
        """Hand a message to the broker; while it is away, nothing is kept: acks come again on connection.

        What a slow broker leaves no room for is dropped, counted and told.
        """
        if self._client.is_connected():
            sent = self._client.publish(message.topic, message.payload, qos=1, retain=retain)
            if sent.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
                self._dropped += 1
                if self._dropped & (self._dropped - 1) == 0:
                    self._notice(f"the broker takes too little: {self._dropped} messages to meters dropped so far")

    def acknowledge(self, received: Received) -> None:
        """Tell the broker that a message is durable. An older connection's is sent again by the broker."""
        if received.connection == self._connection:
            self._client.ack(received.mid, 1)

    def _on_connect(
        self, client: mqtt.Client, userdata: Any, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        refusal = str(reason) if reason.is_failure else None
        if refusal is not None:
            if refusal != self._refusal:
                self._notice(f"the broker refuses the market: {refusal}; tried again until it does not")
            self._refusal = refusal
            return
        self._refusal, self._away, self._let_in, self._retry_s = None, False, True, RECONNECT_LEAST_S
        self._connection += 1
        told = [(f"pumasi/1/{self._community}/+/reading", 1), (f"pumasi/1/{self._community}/+/status", 1)]
        client.subscribe([*told, (DROPPED, 0)])

    def _on_subscribe(self, *_: Any) -> None:
        """Not before this is the market connected: what is published earlier may pass it by, and come again late."""
        self._hand_over()
        self._connected()

    def _connect_failed(self) -> None:
        if not self._away:
            self._away = True
            self._notice(f"no broker answers at {self._where}: {self._reason()}; tried again until one does")

    def _on_disconnect(
        self, client: mqtt.Client, userdata: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if self._stopping.is_set() or self._refusal is not None:
            return
        if self._let_in:
            self._notice("the broker is away; readings wait in the meters")
        elif not self._away:
            why = "as it does when a certificate is missing, expired or revoked, or when it speaks TLS and we do not"
            self._notice(f"the broker at {self._where} hangs up before it lets the market in, {why}; tried again")
        self._away, self._let_in = True, False

    @property
    def _where(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def _reason(self) -> str:
        """Why no connection can be made; the client itself does not tell."""
        try:
            with socket.create_connection(self._address, timeout=REASON_TIMEOUT_S) as plain:
                if self._tls is not None:
                    self._tls.wrap_socket(plain, server_hostname=self._address[0]).close()
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not good: {error.verify_message}"
        except OSError as error:
            return error.strerror or str(error)
        return "it answers now"

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._heard += 1
        name, payload = message.topic, bytes(message.payload)
        if name == DROPPED:
            self._count_dropped(payload)
            return
        mid, connection = (message.mid, self._connection) if message.qos else (0, -1)
        self._burst.append(Received(Message(name, payload), mid, connection))
        if len(self._burst) >= MOST_READ:
            self._hand_over()

    def _count_dropped(self, payload: bytes) -> None:
        """Tell when the broker's count has risen since it was last heard; it begins at 0 with the broker."""
        if not payload.isdigit():
            return
        before, self._dropped_by_broker = self._dropped_by_broker, int(payload)
        if before is not None and self._dropped_by_broker > before:
            lost = self._dropped_by_broker - before
            self._notice(f"the broker's queue is full: {lost} messages dropped; the meters send them again")
