"""The market's connection to the broker.

paho-mqtt acknowledges to the broker only when told (``manual_ack``), which is after the commit.
The session is persistent: what meters publish while the market restarts waits in the broker, and
what it has no room for the meters send again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from broker.contract import market_user
from market.service.ingest import Message

KEEPALIVE_S = 30
RECONNECT_LEAST_S, RECONNECT_MOST_S = 1, 10


@dataclass(frozen=True)
class Received:
    """A message, and what is needed to acknowledge it on the connection that it came by."""

    message: Message
    mid: int
    connection: int


class Link:
    """A connection that comes back by itself; what it receives goes to ``deliver``, which may block."""

    def __init__(
        self,
        community: str,
        host: str,
        port: int,
        password: str | None,
        deliver: Callable[[Received], None],
        connected: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:
        self._community = community
        self._deliver = deliver
        self._connected = connected
        self._notice = notice
        self._connection = 0
        self._refusal: str | None = None
        self._away = False
        self._stopping = threading.Event()
        user = market_user(community)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, clean_session=False, manual_ack=True)
        self._client.username_pw_set(user, password)
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(RECONNECT_LEAST_S, RECONNECT_MOST_S)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, keepalive=KEEPALIVE_S)

    def start(self) -> None:
        self._client.loop_start()

    def stop(self) -> None:
        self._stopping.set()
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Message, *, retain: bool) -> None:
        """Hand a message to the broker; while it is away, nothing is kept: acks come again on connection."""
        if self._client.is_connected():
            self._client.publish(message.topic, message.payload, qos=1, retain=retain)

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
        self._refusal, self._away = None, False
        self._connection += 1
        client.subscribe([(f"pumasi/1/{self._community}/+/reading", 1), (f"pumasi/1/{self._community}/+/status", 1)])
        self._connected()

    def _on_connect_fail(self, client: mqtt.Client, userdata: Any) -> None:
        if not self._away:
            self._away = True
            self._notice("no broker answers; tried again until one does")

    def _on_disconnect(
        self, client: mqtt.Client, userdata: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if not self._stopping.is_set() and self._refusal is None:
            self._away = True
            self._notice("the broker is away; readings wait in the meters")

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        received = Received(Message(message.topic, bytes(message.payload)), message.mid, self._connection)
        if message.qos == 0:
            received = Received(received.message, 0, -1)
        self._deliver(received)
