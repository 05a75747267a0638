"""The newest chain head as the broker has it: the retained message of the community's topic ``_chain``."""

from __future__ import annotations

import queue
import secrets
import ssl
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from broker.contract import community_topic
from market.service.chain import published

WAIT_S = 10.0


class PublishedError(RuntimeError):
    """No head can be had from the broker; the message says why."""


def published_head(
    community: str, host: str, port: int, user: str, password: str | None, tls: ssl.SSLContext | None
) -> dict[str, Any]:
    """The head that the community published last. Raises PublishedError."""
    heard: queue.Queue[bytes | str] = queue.Queue()
    topic = community_topic(community, "chain")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"audit-{secrets.token_hex(8)}")
    client.username_pw_set(user, password)
    if tls is not None:
        client.tls_set_context(tls)

    def connected(client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            heard.put(f"it refuses {user}: {reason}")
        else:
            client.subscribe(topic, 1)

    client.on_connect = connected
    client.on_message = lambda client, userdata, message: heard.put(bytes(message.payload))
    try:
        client.connect(host, port)
    except OSError as error:
        raise PublishedError(f"broker {host}:{port}: {error}") from None
    client.loop_start()
    try:
        said = heard.get(timeout=WAIT_S)
    except queue.Empty:
        said = f"nothing is retained on {topic}, or {user} may not read it"
    finally:
        client.disconnect()
        client.loop_stop()
    if isinstance(said, str):
        raise PublishedError(f"broker {host}:{port}: {said}")
    try:
        return published(said)
    except ValueError:
        raise PublishedError(f"broker {host}:{port}: what is retained on {topic} is not a head") from None
