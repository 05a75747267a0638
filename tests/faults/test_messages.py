"""Bad messages over a real broker: each is counted by its name, and the market goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.record import Record
from market.service.market import MASTER_KEY_FILE
from tests.servers import MosquittoServer

STREET = with_homes(load_street(), 2)
START = STREET.start
METERS = [home.meter for home in STREET.homes]


class Market:
    """``pumasi market run`` under a clock that the test moves."""

    def __init__(self, store: Path, broker: MosquittoServer, grace_s: float) -> None:
        self.store = store
        self.command = [sys.executable, "-m", "market.commands", "market", "run", "--store", str(store)]
        self.command += ["--community", str(store / "community.json"), "--broker", f"{broker.host}:{broker.port}"]
        self.command += ["--clock", "conductor", "--grace", str(grace_s)]
        store.mkdir()
        (store / "community.json").write_text(json.dumps(community_document(STREET, "c")))
        self.master = master_key(store / MASTER_KEY_FILE)
        self.events: list[dict[str, Any]] = []
        self.start()

    def start(self, now: int = START) -> None:
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        connected = threading.Event()
        self.listener = threading.Thread(target=self._listen, args=(self.process, connected), daemon=True)
        self.listener.start()
        self.tick(now)
        assert connected.wait(20)

    def _listen(self, process: subprocess.Popen[str], connected: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                event = json.loads(line)
                self.events.append(event)
                if event["event"] == "connected":
                    connected.set()

    def tick(self, now: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"tick {now}\n")
        self.process.stdin.flush()

    def gate(self, start: int, revision: int = 0) -> dict[str, Any]:
        """The event of this gate's closure, once it has come."""
        deadline_s = time.monotonic() + 15
        while time.monotonic() < deadline_s:
            for event in self.events:
                if event["event"] == "gate" and (event["start"], event["revision"]) == (start, revision):
                    return event
            time.sleep(0.02)
        raise AssertionError(self.events[-5:])

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.listener.join(10)


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


def reading(market: Market, meter: str, step: int, *, key: bytes | None = None, **members: Any) -> tuple[str, bytes]:
    body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": START + 900 * step}
    body |= {"length": 900, "import_wh": 100 * (step + 1), "export_wh": 0, "generation_wh": 0}
    body |= {"consumption_wh": 100 * (step + 1), "flags": []} | members
    name = topic("c", meter, "reading")
    key = key or derive_key(market.master, "c", meter, 1)
    return name, sign(key, name, json.dumps(body, separators=(",", ":")).encode())


def publish(client: mqtt.Client, message: tuple[str, bytes], qos: int = 1) -> None:
    client.publish(*message, qos=qos).wait_for_publish(10)


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
    deadline_s = time.monotonic() + 20
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
    deadline_s = time.monotonic() + 20
    while sum(event["event"] == "connected" for event in market.events) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    for meter in METERS:
        publish(client, reading(market, meter, 1))
    # One revision, or two when the readings come far apart.
    assert market.gate(START + 900, revision=1)["heard"] == 2 or market.gate(START + 900, revision=2)["heard"] == 2
