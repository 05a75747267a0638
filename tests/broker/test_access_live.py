"""Every role against every topic, on Mosquitto with the configuration that `pumasi broker init` makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker import identities, site
from broker.dynamic_security import READ, WRITE, Control
from broker.site import Site
from tests.broker.stores import (
    COMMUNITY,
    BrokerProcess,
    Client,
    RefusedError,
    context,
    forged_context,
    issue,
    make_site,
    meter_context,
)

EVERYBODY = "tests/everything"
OWN = f"pumasi/1/{COMMUNITY}/m001"
OTHER = f"pumasi/1/{COMMUNITY}/m002"
THIRD = f"pumasi/1/{COMMUNITY}/m003"


@dataclass(frozen=True)
class Place:
    store: Path
    site: Site
    folder: Path

    def client(self, who: str) -> Client:
        """A connection of a meter (its certificate), the market (password) or one who may do all (for watching)."""
        if who == "market":
            return Client(self.site.loopback_port, f"{COMMUNITY}/_market", site.accounts(self.store).market)
        if who == "watcher":
            return Client(self.site.loopback_port, "watcher", "watching")
        if who == "home":
            certificate = identities.load(self.store, "m003").home_certificate.encode()
            key = (self.folder / "home.key").read_bytes()
            return Client(self.site.port, tls=context(self.store, certificate, key, self.folder))
        if who == "reader":
            return Client(self.site.loopback_port, f"{COMMUNITY}/_reader", site.accounts(self.store).reader)
        if who == "market-tls":
            folder = site.directory(self.store)
            pair = (folder / "market.pem").read_bytes(), (folder / "market.key").read_bytes()
            return Client(self.site.port, tls=context(self.store, *pair, self.folder))
        return Client(self.site.port, tls=meter_context(self.store, identities.load(self.store, who), self.folder))


@pytest.fixture(scope="module")
def place(mosquitto_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = tmp_path_factory.mktemp("access")
    made = make_site(store)
    issue(store, "m001", "m002")
    (third,) = issue(store, "m003", settings={"home_assistant": True})
    folder = tmp_path_factory.mktemp("clients")
    _, key = identities.issue_home(store, third)
    (folder / "home.key").write_bytes(key)
    with BrokerProcess(store) as running:
        assert "Mosquitto" in running.said[-1]
        acls = [{"acltype": kind, "topic": "#", "priority": 0, "allow": True} for kind in (*READ, *WRITE)]
        with Control(COMMUNITY, made.loopback_port, site.accounts(store).admin) as control:
            control.run(
                [
                    {"command": "createRole", "rolename": "all", "acls": acls},
                    {"command": "createClient", "username": "watcher", "password": "watching",
                     "roles": [{"rolename": "all"}]},
                ]
            )  # fmt: skip
        yield Place(store, made, folder)


WRITES = [
    ("m001", f"{OWN}/reading", True),
    ("m001", f"{OWN}/status", True),
    *[("m001", f"{OWN}/{what}", False) for what in ("ack", "config", "result", "reading/more", "other")],
    *[("m001", f"{OTHER}/{what}", False) for what in ("reading", "status", "ack", "config")],
    *[("m001", f"pumasi/1/{COMMUNITY}/{what}", False) for what in ("_price", "_chain", "_node/n5/price")],
    ("m001", "pumasi/1/other/m001/reading", False),
    ("m001", "elsewhere", False),
    ("m001", "$CONTROL/dynamic-security/v1", False),
    ("m001", f"homeassistant/sensor/{COMMUNITY}_m001/import/config", False),
    ("m003", f"homeassistant/sensor/{COMMUNITY}_m003/import/config", True),
    ("m003", f"homeassistant/sensor/{COMMUNITY}_m001/import/config", False),
    ("m003", f"homeassistant/switch/{COMMUNITY}_m003/import/config", False),
    *[("market", f"{OWN}/{what}", True) for what in ("ack", "config", "result")],
    *[("market", f"pumasi/1/{COMMUNITY}/{what}", True) for what in ("_price", "_chain", "_node/n5/price")],
    ("market", "pumasi/1/other/m001/ack", False),
    ("market", "pumasi/1/other/_price", False),
    ("market", "$CONTROL/dynamic-security/v1", False),
    ("market-tls", f"{OWN}/ack", True),
    ("market-tls", "pumasi/1/other/m001/ack", False),
    ("home", "homeassistant/status", True),
    ("home", f"{THIRD}/reading", False),
    ("home", f"{THIRD}/config", False),
    ("home", f"homeassistant/sensor/{COMMUNITY}_m003/import/config", False),
    *[("reader", topic, False) for topic in (f"{OWN}/reading", f"{OWN}/ack", f"pumasi/1/{COMMUNITY}/_chain")],
]
READS = [
    *[("m001", f"{OWN}/{what}", True) for what in ("ack", "config", "result")],
    *[("m001", f"pumasi/1/{COMMUNITY}/{what}", True) for what in ("_price", "_chain", "_node/n5/price")],
    *[("m001", f"{OWN}/{what}", False) for what in ("reading", "status")],
    *[("m001", f"{OTHER}/{what}", False) for what in ("reading", "status", "ack", "config", "result")],
    ("m001", "pumasi/1/other/_price", False),
    ("m001", "pumasi/1/other/m001/ack", False),
    *[("market", f"{meter}/{what}", True) for meter in (OWN, OTHER) for what in ("reading", "status")],
    ("market", "pumasi/1/other/m001/reading", False),
    ("market-tls", f"{OWN}/reading", True),
    ("market", f"pumasi/1/{COMMUNITY}/_chain", True),
    ("home", f"{THIRD}/status", True),
    ("home", f"homeassistant/sensor/{COMMUNITY}_m003/import/config", True),
    *[("home", topic, False) for topic in (f"{THIRD}/ack", f"{THIRD}/config", f"{OWN}/reading", f"{OWN}/status")],
    ("reader", f"pumasi/1/{COMMUNITY}/_chain", True),
    *[("reader", f"{OWN}/{what}", False) for what in ("reading", "status", "ack", "config", "result")],
]


@pytest.mark.parametrize(("who", "topic", "allowed"), WRITES)
def test_who_may_write(place: Place, who: str, topic: str, allowed: bool) -> None:
    fence = f"fence/{who}"
    with place.client("watcher") as watcher:
        assert watcher.subscribe("#")
        with place.client(who) as client:
            assert client.publish(topic, b"tried") is allowed
        # Whatever the broker did with it, it has done by now.
        assert watcher.publish(fence)
        heard = watcher.until(fence)
    assert ((topic, b"tried") in heard) is (allowed and not topic.startswith("$"))


@pytest.mark.parametrize(("who", "topic", "allowed"), READS)
def test_who_may_read(place: Place, who: str, topic: str, allowed: bool) -> None:
    fence = f"{OTHER}/reading" if who.startswith("market") and topic != f"{OTHER}/reading" else f"{OWN}/reading"
    fence = f"{OWN}/ack" if not who.startswith("market") and topic != f"{OWN}/ack" else fence
    fence = f"{THIRD}/reading" if who == "home" else fence
    fence = f"pumasi/1/{COMMUNITY}/_price" if topic == f"{OWN}/ack" or who == "reader" else fence
    with place.client(who) as client, place.client("watcher") as writer:
        assert client.subscribe(topic) is allowed
        assert client.subscribe(fence)
        assert writer.publish(topic, b"said")
        assert writer.publish(fence, b"fence")
        assert ((topic, b"said") in client.until(fence)) is allowed


@pytest.mark.parametrize(
    "topic", ["#", "pumasi/#", f"pumasi/1/{COMMUNITY}/+/reading", f"{OWN}/+", "$SYS/#", "+/+/+/+/ack"]
)
def test_a_meter_is_refused_every_wildcard_beyond_its_own(place: Place, topic: str) -> None:
    with place.client("m001") as client:
        assert not client.subscribe(topic)
        assert client.subscribe(f"pumasi/1/{COMMUNITY}/_node/#")


def test_home_assistant_asks_for_everything_and_is_told_of_its_own_meter(place: Place) -> None:
    topics = [f"homeassistant/sensor/{COMMUNITY}_{meter}/import_wh/config" for meter in ("m001", "m003")]
    with place.client("watcher") as writer:
        for topic in topics:
            assert writer.publish(topic, b"{}", retain=True)
        with place.client("home") as client:
            # What Home Assistant subscribes to, for every kind of thing that it knows.
            assert client.subscribe("homeassistant/sensor/+/+/config")
            assert client.subscribe(f"{THIRD}/reading")
            assert writer.publish(f"{THIRD}/reading")
            assert client.until(f"{THIRD}/reading") == [(topics[1], b"{}")]
        for topic in topics:
            assert writer.publish(topic, b"", retain=True)


def test_the_brokers_figures_are_for_the_market_alone(place: Place) -> None:
    topic = "$SYS/broker/publish/messages/dropped"
    with place.client("market") as market:
        assert market.subscribe(topic)
        assert market.received.get(timeout=15)[0] == topic
    for who in ("m001", "watcher"):
        with place.client(who) as client:
            client.subscribe(topic)
            assert client.received.empty()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (f"{COMMUNITY}/m001", None),
        (f"{COMMUNITY}/m001", ""),
        (f"{COMMUNITY}/m001", "wrong"),
        (f"{COMMUNITY}/_market", None),
        (f"{COMMUNITY}/_admin", "wrong"),
        ("nobody", "nothing"),
        (None, None),
    ],
)
def test_nobody_comes_in_over_loopback_without_the_right_password(
    place: Place, user: str | None, password: str | None
) -> None:
    with pytest.raises(RefusedError, match=r"[Nn]ot authori[sz]ed"), Client(place.site.loopback_port, user, password):
        pass


def test_a_meters_own_password_is_good_on_loopback(place: Place) -> None:
    identity = identities.load(place.store, "m002")
    with Client(place.site.loopback_port, identity.user, identity.password) as client:
        assert client.publish(f"{OTHER}/reading")
    with pytest.raises(RefusedError), Client(place.site.port, identity.user, identity.password):
        pass  # no password opens the TLS listener


def test_a_certificate_says_who_one_is_and_nothing_else_does(place: Place) -> None:
    tls = meter_context(place.store, identities.load(place.store, "m001"), place.folder)
    with place.client("m002") as other, Client(place.site.port, f"{COMMUNITY}/m002", "x", tls) as liar:
        assert not liar.publish(f"{OTHER}/reading")
        assert other.publish(f"{OTHER}/reading")  # its session was not taken over
        assert not other.gone.is_set()


def test_a_name_that_no_identity_has_gets_in_and_may_nothing(place: Place) -> None:
    # The authority never signs such a name; should it, the roles still decide.
    with Client(place.site.port, tls=forged_context(place.store, "other/m001", place.folder)) as client:
        assert not client.subscribe("pumasi/1/other/m001/ack")
        assert not client.publish("pumasi/1/other/m001/reading")


def test_a_last_will_on_anothers_topic_is_not_heard(place: Place) -> None:
    status = f"{OTHER}/status"
    with place.client("watcher") as watcher:
        assert watcher.subscribe("#")
        tls = meter_context(place.store, identities.load(place.store, "m001"), place.folder)
        with Client(place.site.port, tls=tls, will=(status, b"forged")) as client:
            client.vanish()
        with Client(place.site.port, tls=tls, will=(f"{OWN}/status", b"gone")) as client:
            client.vanish()
        assert watcher.until(f"{OWN}/status") == []


def test_a_large_message_of_a_meter_reaches_the_market(place: Place) -> None:
    with place.client("market") as market, place.client("m001") as meter:
        assert market.subscribe(f"pumasi/1/{COMMUNITY}/+/reading")
        assert meter.publish(f"{OWN}/reading", b"x" * 40_000)  # which counts it as oversized
        assert len(market.received.get(timeout=10)[1]) == 40_000
