"""The bad network: what it loses, cuts and forges, between a client and a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from broker.keys import sign, verify
from broker.mqtt import Heard, LinkLostError, opened
from firmware.host.proxy import FORGERIES, Proxy, forged, publish_packet, read_publish
from firmware.host.stranger import refused
from tests.servers import MosquittoServer

KEY, OTHER = bytes(32), bytes(range(32))
TOPICS = ["pumasi/1/c/m001/reading", "pumasi/1/c/m002/reading"]


def reading(topic: str, seq: int) -> bytes:
    body = {"v": 1, "seq": seq, "export_wh": 5, "flags": []}
    return sign(KEY, topic, json.dumps(body, separators=(",", ":")).encode())


@pytest.fixture
def make_proxy(mosquitto: MosquittoServer) -> Iterator[Callable[[float], Proxy]]:
    made: list[Proxy] = []

    def make(loss: float) -> Proxy:
        made.append(Proxy(mosquitto.host, mosquitto.port, loss, seed=1))
        made[-1].start()
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()


async def publish(proxy: Proxy, broker: MosquittoServer, messages: list[tuple[str, bytes]]) -> list[Heard]:
    """What a listener at the broker hears of messages sent through the proxy."""
    heard: list[Heard] = []
    listener = await opened(broker.host, broker.port, heard.extend, timeout_s=5)
    await listener.connect("listener", None, keepalive_s=60, timeout_s=5)
    await listener.subscribe(["pumasi/#"], 5)
    sender = await opened("127.0.0.1", proxy.port, lambda _: None, timeout_s=5)
    await sender.connect("sender", None, keepalive_s=60, timeout_s=5)
    for message in messages:
        sender.publish([message])
    for _ in range(500):
        await asyncio.sleep(0.01)
        if sender.lost.is_set() or not sender.unanswered:
            break
    await asyncio.sleep(0.1)
    sender.leave()
    listener.leave()
    return heard


def test_without_loss_all_passes(make_proxy: Callable[[float], Proxy], mosquitto: MosquittoServer) -> None:
    messages = [(TOPICS[0], reading(TOPICS[0], seq)) for seq in range(50)]
    proxy = make_proxy(0.0)
    heard = asyncio.run(publish(proxy, mosquitto, messages))
    assert [(one.topic, one.payload) for one in heard] == messages
    assert proxy.counts["lost"] == 0 and proxy.counts["packets"] > 100


def test_a_lossy_network_loses_and_keeps_the_order(
    make_proxy: Callable[[float], Proxy], mosquitto: MosquittoServer
) -> None:
    messages = [(TOPICS[0], reading(TOPICS[0], seq)) for seq in range(150)]
    proxy = make_proxy(0.03)
    heard = asyncio.run(publish(proxy, mosquitto, messages))
    assert proxy.counts["lost"] > 0
    sent = [payload for _, payload in messages]
    places = [sent.index(one.payload) for one in heard]
    assert places == sorted(places)


def test_every_kind_of_forgery(make_proxy: Callable[[float], Proxy], mosquitto: MosquittoServer) -> None:
    proxy = make_proxy(0.0)
    messages = [(topic, reading(topic, seq)) for seq in range(6) for topic in TOPICS]
    asyncio.run(publish(proxy, mosquitto, messages[:4]))
    proxy.forge(list(FORGERIES))
    heard = asyncio.run(publish(proxy, mosquitto, messages[4:]))
    extra = [one for one in heard if one.packet_id == 0]
    assert {kind: proxy.counts[kind] for kind in FORGERIES} == dict.fromkeys(FORGERIES, 1)
    genuine = {payload for _, payload in messages}
    lies = [one for one in extra if one.payload not in genuine]
    replayed = [one for one in extra if (one.topic, one.payload) in messages]
    foreign = [one for one in extra if one.payload in genuine and (one.topic, one.payload) not in messages]
    assert (len(lies), len(replayed), len(foreign)) == (1, 1, 1)
    assert not verify(KEY, lies[0].topic, lies[0].payload)
    assert not verify(KEY, foreign[0].topic, foreign[0].payload)
    assert verify(KEY, replayed[0].topic, replayed[0].payload)


def test_away_and_back(make_proxy: Callable[[float], Proxy], mosquitto: MosquittoServer) -> None:
    proxy = make_proxy(0.0)

    async def run() -> None:
        first = await opened("127.0.0.1", proxy.port, lambda _: None, timeout_s=5)
        await first.connect("first", None, keepalive_s=60, timeout_s=5)
        await asyncio.to_thread(proxy.away, True)
        await asyncio.wait_for(first.lost.wait(), 5)
        second = await opened("127.0.0.1", proxy.port, lambda _: None, timeout_s=5)
        with pytest.raises(LinkLostError):
            await second.connect("second", None, keepalive_s=60, timeout_s=5)
        await asyncio.to_thread(proxy.away, False)
        third = await opened("127.0.0.1", proxy.port, lambda _: None, timeout_s=5)
        await third.connect("third", None, keepalive_s=60, timeout_s=5)
        third.leave()

    asyncio.run(run())


def test_a_packet_is_read_as_it_was_made() -> None:
    for payload in (b"", b"x" * 100, b"y" * 20_000):
        assert read_publish(publish_packet(b"a/reading", payload)) == (b"a/reading", payload)
    assert read_publish(b"\x40\x02\x00\x01") is None


def test_a_forged_reading_says_more_under_the_old_seal() -> None:
    true = json.loads(reading(TOPICS[0], 1))
    lie = json.loads(forged(reading(TOPICS[0], 1)))
    assert lie == true | {"export_wh": 1005}


def test_strangers(mosquitto: MosquittoServer) -> None:
    assert not refused(mosquitto.host, mosquitto.port)  # this one lets anybody in
    assert refused("127.0.0.1", 1)
