"""A street on the community's own broker: firmware and light meters over TLS, the market with the store's password.

One run, told in order: it begins, a meter's key is rotated, its settings change, another meter is thrown out, and the
broker is replaced. All that was said meanwhile is held against ``broker/asyncapi.yaml``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker import identities, site
from broker.contract import Reading
from broker.dynamic_security import READ, WRITE, Control
from firmware.host.community import community_document
from firmware.host.conductor import Child, Children, Conductor
from firmware.host.fleet import Identity, light_command, light_fleet_file, make_flash, meter_command, unix_port
from firmware.host.street import Street, load_street, with_homes
from market.commands.street import PUMASI
from market.record import Record
from tests.broker.asyncapi import Contract
from tests.broker.stores import COMMUNITY, BrokerProcess, Client, free_ports, pumasi
from tests.conftest import missing

STEP_S = 60.0


@dataclass
class Listener:
    """Hears everything on the broker, whoever says it."""

    client: Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self) -> list[tuple[str, bytes]]:
        while not self.client.received.empty():
            self.heard.append(self.client.received.get())
        return self.heard

    def wait_for(self, topic: str, **members: Any) -> dict[str, Any]:
        """The first message on the topic with these members."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for name, payload in self.take():
                if name == topic and payload:
                    body: dict[str, Any] = json.loads(payload)
                    if all(body.get(member) == value for member, value in members.items()):
                        return body
            time.sleep(0.05)
        raise AssertionError(f"{members} never came on {topic}")


def everything(store: Path) -> Client:
    """A client that may hear all. For this test alone: no role of a real broker may."""
    acls = [{"acltype": kind, "topic": "#", "priority": 0, "allow": True} for kind in READ + WRITE]
    place = site.load(store)
    client = {"username": "listener", "password": "listening", "roles": [{"rolename": "all"}]}
    with Control(COMMUNITY, place.loopback_port, site.accounts(store).admin) as control:
        control.run([{"command": "deleteClient", "username": "listener"}, {"command": "deleteRole", "rolename": "all"}])
        control.run([{"command": "createRole", "rolename": "all", "acls": acls}, {"command": "createClient", **client}])
    return Client(place.loopback_port, "listener", "listening")


def fleet_identity(store: Path, meter: str) -> Identity:
    issued = identities.load(store, meter)
    files = {f"{name}.der": content for name, content in identities.credentials(store, issued).items()}
    certificate = issued.certificate + issued.private_key
    return Identity(COMMUNITY, meter, issued.kid, bytes.fromhex(issued.key), issued.password, files, certificate)


@pytest.fixture
def street() -> Street:
    return with_homes(load_street(), 4)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    (tmp_path / "logs").mkdir()
    children = Children(tmp_path / "logs")
    yield children
    children.end(5)
    for child in children._all:
        assert child._process is not None and child._process.stdin is not None and child._process.stdout is not None
        child._process.stdin.close()
        child._process.stdout.close()


def newest_kid(store: Path, meter: str) -> int:
    record = Record(store, read_only=True)
    try:
        newest, _ = record.neighbours(meter, 2**62, 0)
        payload = None if newest is None else record.reading_at(meter, newest[0], 900)
    finally:
        record.close()
    return 0 if payload is None else msgspec.json.decode(payload, type=Reading).kid


def start_fleet(store: Path, street: Street, children: Children, tmp_path: Path) -> list[Child]:
    """m001 and m002 run the firmware, m003 and m004 are light ones; all by certificate."""
    micropython = unix_port() or missing("the MicroPython unix port is not here")
    port = site.load(store).port
    started = []
    for home in street.homes[:2]:
        flash = tmp_path / home.meter
        make_flash(flash, fleet_identity(store, home.meter), home, street, "localhost", port)
        config = json.loads((flash / "config.json").read_text()) | {
            "status_s": 1,
            "home_assistant": home.meter == "m002",
        }
        (flash / "config.json").write_text(json.dumps(config))
        started.append(children.start(home.meter, meter_command(micropython), directory=flash))
    pairs = [(fleet_identity(store, home.meter), home) for home in street.homes[2:]]
    fleet = tmp_path / "fleet.json"
    light_fleet_file(fleet, pairs, street, "localhost", port, ca=site.directory(store) / "ca.pem")
    return [*started, children.start("light", light_command(fleet))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_street_on_its_own_broker(mosquitto_path: Path, tmp_path: Path, street: Street, children: Children) -> None:
    store = tmp_path / "store"
    (tmp_path / "community.json").write_text(json.dumps(community_document(street, COMMUNITY)))
    port, loopback, hub = free_ports(3)
    ports = ("--port", port, "--loopback-port", loopback, "--hub-port", hub, "--bind", "127.0.0.1")
    community = ("--community", tmp_path / "community.json")
    assert pumasi("broker", "init", "--store", store, "--host", "localhost", *ports, *community).status == 0
    assert pumasi("meter", "add", "--all", "--store", store).status == 0
    said = tmp_path / "settings.json"
    said.write_text('{"home_assistant": true}')
    assert pumasi("meter", "configure", "m002", "--settings", said, "--store", store).status == 0

    with BrokerProcess(store), everything(store) as client:
        listener = Listener(client)
        assert client.subscribe("#")
        environment = {name: value for name, value in os.environ.items() if name != "PUMASI_BROKER_PASSWORD"}
        run = ("market", "run", "--store", str(store), "--grace", "2", "--clock", "conductor")
        market = children.start("market", [*PUMASI, *run], environment=environment)
        conductor = Conductor(market, start_fleet(store, street, children, tmp_path), (), children.said)
        clock = Clock(conductor, street.start)
        conductor.begin(street.start, STEP_S)
        clock.steps(3)
        assert readings(store) == 4 * 3

        # The next key: the market says how, the meter answers with it, and then only it is good.
        assert "go on to key 2" in pumasi("meter", "rotate", "m001", "--store", store).out
        clock.steps(1)
        asked = listener.wait_for(f"pumasi/1/{COMMUNITY}/m001/config", kid=1)
        assert "nonce" in asked
        listener.wait_for(f"pumasi/1/{COMMUNITY}/m001/status", kid=2)
        clock.steps(1)
        assert newest_kid(store, "m001") == 2
        after = listener.wait_for(f"pumasi/1/{COMMUNITY}/m001/config", kid=2)
        assert (after["version"], "nonce" in after) == (asked["version"], False)

        # Settings for all of them; the light fleet, too, says which version it has applied.
        said.write_text('{"limits": {"power_w": 90000}}')
        configured = pumasi("meter", "configure", "--all", "--settings", said, "--store", store)
        assert configured.out == f"version {asked['version'] + 1}: the market tells 4 meters\n"
        clock.steps(1)
        for meter in ("m001", "m002", "m003", "m004"):
            listener.wait_for(f"pumasi/1/{COMMUNITY}/{meter}/config", version=asked["version"] + 1)

        # Thrown out: offline for everybody at once, and nothing of it is heard or stored any more.
        pumasi("meter", "revoke", "m002", "--store", store)
        listener.wait_for(f"pumasi/1/{COMMUNITY}/m002/status", online=False)
        before = readings(store)
        clock.steps(2)
        assert readings(store) == before + 3 * 2
        listener.take()

    contract = Contract.read()
    seen: set[str] = set()
    for topic, payload in listener.heard:
        if not topic.startswith("fence"):
            seen.add(contract.check(topic, payload))
    assert seen == set(contract.channels)
    senders = {topic.split("/")[3] for topic, _ in listener.heard if topic.endswith(("/reading", "/status"))}
    assert senders == {"m001", "m002", "m003", "m004"}


def test_what_is_retained_is_said_again_to_a_broker_that_has_forgotten_it(
    mosquitto_path: Path, tmp_path: Path, street: Street, children: Children
) -> None:
    store = tmp_path / "store"
    (tmp_path / "community.json").write_text(json.dumps(community_document(street, COMMUNITY)))
    port, loopback, hub = free_ports(3)
    ports = ("--port", port, "--loopback-port", loopback, "--hub-port", hub, "--bind", "127.0.0.1")
    community = ("--community", tmp_path / "community.json")
    pumasi("broker", "init", "--store", store, "--host", "localhost", *ports, *community)
    pumasi("meter", "add", "--all", "--store", store)
    said = tmp_path / "settings.json"
    said.write_text('{"limits": {"power_w": 90000}}')
    pumasi("meter", "configure", "m003", "--settings", said, "--store", store)
    topics = {f"pumasi/1/{COMMUNITY}/m003/{what}" for what in ("ack", "config")}
    topics |= {f"pumasi/1/{COMMUNITY}/{what}" for what in ("_price", "_chain")}
    with BrokerProcess(store):
        run = ("market", "run", "--store", str(store), "--grace", "2", "--clock", "conductor")
        market = children.start("market", [*PUMASI, *run])
        conductor = Conductor(market, start_fleet(store, street, children, tmp_path), (), children.said)
        conductor.begin(street.start, STEP_S)
        Clock(conductor, street.start).steps(1)
        assert retained_topics(store) >= topics
    (site.directory(store) / "mosquitto.db").unlink()
    with BrokerProcess(store):
        deadline = time.monotonic() + 30
        while not retained_topics(store) >= topics:
            assert time.monotonic() < deadline, topics - retained_topics(store)
            time.sleep(0.3)


def retained_topics(store: Path) -> set[str]:
    with everything(store) as client:
        client.subscribe("#")
        client.publish("fence")
        return {topic for topic, _ in client.until("fence")}


@dataclass
class Clock:
    """Moves the conductor's clock, interval by interval."""

    conductor: Conductor
    now: int

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.now += 900
            list(self.conductor.step(self.now, STEP_S))


def readings(store: Path) -> int:
    record = Record(store, read_only=True)
    try:
        return record.reading_count()
    finally:
        record.close()
