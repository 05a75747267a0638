"""The record under a running market: two markets, inputs from another process, a full disk, a database that is gone."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from market.record import Record
from tests.faults.running import METERS, START, Market, publish, reading
from tests.servers import MosquittoServer, PostgresqlServer

NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def market(store: Path, mosquitto: MosquittoServer) -> Iterator[Market]:
    market = Market(store, mosquitto, grace_s=60.0)
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


def pumasi(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "market.commands", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline_s = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return found


def settle(market: Market, client: mqtt.Client, step: int) -> dict[str, Any]:
    for meter in METERS:
        publish(client, reading(market, meter, step))
    market.tick(START + 900 * (step + 1))
    return market.gate(START + 900 * step)


def test_a_second_market_is_refused_by_name_and_the_first_goes_on(market: Market, client: mqtt.Client) -> None:
    second = pumasi(*market.command[3:])
    assert second.returncode == 2
    assert "another market is running here already" in second.stderr and second.stderr.count("\n") == 1
    assert settle(market, client, 0)["heard"] == 2


def test_a_change_stored_by_another_process_applies_from_the_next_interval(
    market: Market, client: mqtt.Client, tmp_path: Path
) -> None:
    """The market's clock stands at the end of interval 0; what is stored then applies to interval 1."""
    settle(market, client, 0)
    document = json.loads(pumasi("community", "show", "--store", str(market.store)).stdout)
    gone = document["members"].pop()
    document["tariffs"]["standard"]["retail_per_kwh"] = "0.35"
    (tmp_path / "c.json").write_text(json.dumps(document))
    arguments = ("community", "apply", str(tmp_path / "c.json"), "--store", str(market.store), "--simulated")
    refused = pumasi(*arguments, "--author", "anna")
    assert refused.returncode == 2
    assert "--remove-meters" in refused.stderr, "a meter goes only when that is said"
    applied = pumasi(*arguments, "--author", "anna", "--remove-meters")
    assert applied.returncode == 0, applied.stderr
    assert "tariffs standard retail_per_kwh: 0.30 -> 0.35\n" in applied.stdout
    assert f"members {gone['household']}: gone\n" in applied.stdout
    assert "stored; applies to intervals from " in applied.stdout
    publish(client, reading(market, METERS[0], 1))
    market.tick(START + 1800)
    event = market.gate(START + 900)
    assert (event["heard"], event["homes"]) == (1, 1), "it waits for nobody who has gone"
    assert any(event["event"] == "notice" and "inputs have changed" in event["text"] for event in market.events)
    record = Record(market.store, read_only=True)
    first, second = record.gates()
    assert (first.inputs["tariffs"], second.inputs["tariffs"]) == (1, 2)
    record.close()
    history = pumasi("community", "history", "--store", str(market.store)).stdout
    assert history.count("stored by anna") == 3 and history.count("from the beginning") == 5
    assert pumasi("replay", "--store", str(market.store)).returncode == 0


@pytest.mark.parametrize("new_store", ["sqlite"], indirect=True)
def test_a_market_without_room_waits_and_goes_on_when_there_is_some(market: Market, client: mqtt.Client) -> None:
    settle(market, client, 0)
    resource.prlimit(market.process.pid, resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
    for meter in METERS:
        publish(client, reading(market, meter, 1))
    market.tick(START + 1800)
    notice = wait_for(lambda: [e for e in market.events if "no room to write" in e.get("text", "")])[0]
    assert "nothing is acknowledged, and it is tried again" in notice["text"]
    record = Record(market.store, read_only=True)
    assert (record.reading_count(), record.last_gate_number()) == (2, 1), "nothing half kept"
    record.close()
    resource.prlimit(market.process.pid, resource.RLIMIT_FSIZE, NO_LIMIT)
    assert market.gate(START + 900)["heard"] == 2
    assert any("can be written again" in event.get("text", "") for event in market.events)
    assert pumasi("replay", "--store", str(market.store)).returncode == 0


@pytest.mark.parametrize("new_store", ["postgresql"], indirect=True)
def test_a_market_whose_database_is_gone_ends_by_name_and_begins_again(
    market: Market, client: mqtt.Client, postgresql_server: PostgresqlServer
) -> None:
    settle(market, client, 0)
    postgresql_server.stop()
    try:
        publish(client, reading(market, METERS[0], 1))
        assert market.process.wait(20) == 2
    finally:
        postgresql_server.start()
    market.end()
    market.start(START + 900)
    publish(client, reading(market, METERS[1], 1))
    market.tick(START + 1800)
    assert market.gate(START + 900)["heard"] == 2, "what was not acknowledged came again"
    assert pumasi("replay", "--store", str(market.store)).returncode == 0
