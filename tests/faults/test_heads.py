"""The chain's heads as a market publishes them: retained at the broker, in a file, and complete after it was killed."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from market.commands import main
from market.service.chain import HEADS_FILE
from market.service.chain_keys import signed_by
from tests.faults.running import METERS, START, Market, publish, reading
from tests.servers import MosquittoServer

HEADS = "pumasi/1/c/_chain"


@pytest.fixture
def market(tmp_path: Path, mosquitto: MosquittoServer) -> Iterator[Market]:
    market = Market(tmp_path / "store", mosquitto, grace_s=0.0)
    yield market
    if market.process.poll() is None:
        market.end()


def told_to_a_newcomer(broker: MosquittoServer, head: bytes) -> None:
    """Who subscribes is told this head: it is retained, or comes at once."""
    heard: queue.Queue[bytes] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, userdata, message: heard.put(message.payload)
    client.on_connect = lambda client, userdata, flags, reason, properties: client.subscribe(HEADS, 1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        while heard.get(timeout=10) != head:
            pass
    finally:
        client.disconnect()
        client.loop_stop()


def step_on(market: Market, broker: MosquittoServer, step: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    for meter in METERS:
        publish(client, reading(market, meter, step))
    client.disconnect()
    client.loop_stop()
    market.tick(START + 900 * (step + 1))
    market.gate(START + 900 * step)


def test_every_head_is_published_and_kept_and_none_is_lost_to_a_kill(
    market: Market, mosquitto: MosquittoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = market.store / HEADS_FILE
    for step in range(2):
        step_on(market, mosquitto, step)
    told_to_a_newcomer(mosquitto, path.read_bytes().splitlines()[-1])
    market.kill()
    # As if it had been killed before the file was written, and within a line.
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:50])
    market.start(START + 1800)
    step_on(market, mosquitto, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[:2] == [first, second]
    told_to_a_newcomer(mosquitto, lines[-1].rstrip())
    heads = [json.loads(line) for line in lines]
    assert [head["number"] for head in heads] == list(range(1, len(heads) + 1))
    for head in heads:
        told = [str(head[name]) for name in ("community", "number", "kind", "start", "length", "revision", "head")]
        assert signed_by(head["key"], "\n".join(["pumasi/1 chain", *told]).encode(), head["signature"])
    market.end()
    assert main(["audit", "--store", str(market.store)]) == 0
    assert f"{len(heads)} published ones are among them" in capsys.readouterr().out
