"""Bad messages over a real broker: each is counted by its name, and the market goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker.contract import topic
from market.record import Record
from tests.faults.running import METERS, START, Market, publish, reading
from tests.servers import MosquittoServer


@pytest.fixture
def market(tmp_path: Path, mosquitto: MosquittoServer) -> Iterator[Market]:
    market = Market(tmp_path / "store", mosquitto, grace_s=1.0)
    yield market
    market.end()


@pytest.fixture
def client(mosquitto: MosquittoServer) -> Iterator[mqtt.Client]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="anybody")
    client.connect(mosquitto.host, mosquitto.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def test_every_fault_is_counted_by_name_and_the_street_goes_on(market: Market, client: mqtt.Client) -> None:
    first, second = METERS
    market.tick(START)
    good = reading(market, first, 0)
    publish(client, good)
    publish(client, good)
    publish(client, (good[0], b"not json"))
    publish(client, (good[0], b""))
    publish(client, (good[0], b" " * 200_000))
    publish(client, reading(market, first, 1, key=bytes(32)))
    publish(client, reading(market, "nobody", 0))
    publish(client, reading(market, first, 0, import_wh=101))
    publish(client, reading(market, first, 1, start=START - 10))
    publish(client, reading(market, first, 40))
    publish(client, (topic("c", first, "status"), b"\x00\xff"))
    publish(client, ("pumasi/1/c//reading", good[1]))
    publish(client, good, qos=0)
    market.tick(START + 900)
    provisional = market.gate(START)
    assert (provisional["heard"], provisional["homes"]) == (1, 2)
    assert provisional["outcomes"] == {
        "conflicting": 1,
        "duplicate": 2,
        "early": 1,
        "forged": 1,
        "malformed": 4,
        "misaligned": 1,
        "oversized": 1,
        "stored": 1,
        "unknown-meter": 1,
    }
    publish(client, reading(market, second, 0))
    corrected = market.gate(START, revision=1)
    assert corrected["heard"] == 2
    assert corrected["outcomes"]["late"] == 1


def test_a_market_killed_with_messages_in_its_hands_loses_none(market: Market, client: mqtt.Client) -> None:
    """Readings pour in while the market is killed again and again; every one that was acknowledged is stored."""
    acknowledged: dict[str, int] = {}
    client.on_message = lambda _client, _data, message: acknowledged.update(
        {message.topic: max(json.loads(message.payload)["next"], acknowledged.get(message.topic, 0))}
    )
    client.subscribe("pumasi/1/c/+/ack", qos=1)
    steps = 200
    market.tick(START + 900 * steps)
    # Only when a gate has closed has the market taken the tick; before that these readings would be early.
    market.gate(START)
    for step in range(steps):
        for meter in METERS:
            client.publish(*reading(market, meter, step), qos=1)
        if step % 40 == 20:
            time.sleep(0.15)
            market.kill()
            stored = stored_seqs(market.store)
            for name, following in list(acknowledged.items()):
                assert stored[name.split("/")[3]] >= set(range(following)), "acknowledged, then lost"
            market.start(START + 900 * steps)
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and set(acknowledged.values()) != {steps}:
        time.sleep(0.05)
    assert acknowledged == {topic("c", meter, "ack"): steps for meter in METERS}
    assert stored_seqs(market.store) == {meter: set(range(steps)) for meter in METERS}
    market.gate(START + 900 * (steps - 1))
    market.end()
    done = subprocess.run(
        [sys.executable, "-m", "market.commands", "replay", "--store", str(market.store)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout


def stored_seqs(store: Path) -> dict[str, set[int]]:
    record = Record(store, read_only=True)
    found: dict[str, set[int]] = {meter: set() for meter in METERS}
    for meter, columns, _ in record.payloads():
        found[meter].add(columns.seq)
    record.close()
    return found


def test_the_broker_comes_and_goes(market: Market, mosquitto: MosquittoServer, client: mqtt.Client) -> None:
    market.tick(START)
    for meter in METERS:
        publish(client, reading(market, meter, 0))
    market.tick(START + 900)
    market.gate(START)
    mosquitto.stop()
    market.tick(START + 1800)
    assert market.gate(START + 900)["heard"] == 0, "the grace ends without the broker"
    mosquitto.start()
    deadline_s = time.monotonic() + 60
    while sum(event["event"] == "connected" for event in market.events) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    for meter in METERS:
        publish(client, reading(market, meter, 1))
    # One revision, or two when the readings come far apart.
    assert market.gate(START + 900, revision=1)["heard"] == 2 or market.gate(START + 900, revision=2)["heard"] == 2
