"""Every rule tried against both brokers as they really run."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from broker.run import BrokerError, Kind, RunningBroker, raise_open_files, start_broker

COMMUNITY = "rural3"
ACCOUNTS = {"rural3/_market": "for-the-market", "rural3/m001": "for-the-first", "rural3/m002": "for-the-second"}
MARKET, METER, OTHER = ACCOUNTS
SETTLE_S = 0.2


def client(broker: RunningBroker, user: str, **more: object) -> aiomqtt.Client:
    settings = {"username": user, "password": ACCOUNTS[user], "identifier": user, "timeout": 5} | more
    return aiomqtt.Client("127.0.0.1", broker.port, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["mosquitto", "embedded"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    kind: Kind = request.param
    if kind == "mosquitto":
        request.getfixturevalue("mosquitto_path")
    with start_broker(tmp_path_factory.mktemp(kind), 0, ACCOUNTS, COMMUNITY, kind) as running:
        assert running.kind == kind
        yield running


@asynccontextmanager
async def listening(broker: RunningBroker, user: str, *topics: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """What the user receives; a refused subscription receives nothing, which is how Mosquitto refuses it."""
    received: list[tuple[str, bytes]] = []

    async def collect(listener: aiomqtt.Client) -> None:
        async for message in listener.messages:
            assert isinstance(message.payload, bytes)
            received.append((str(message.topic), message.payload))

    async with client(broker, user) as listener:
        for topic in topics:
            await listener.subscribe(topic, qos=1)
        task = asyncio.create_task(collect(listener))
        yield received
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(broker: RunningBroker, user: str, topic: str, payload: bytes, retain: bool = False) -> None:
    with contextlib.suppress(aiomqtt.MqttError):  # Mosquitto ends a connection that publishes where it may not
        async with client(broker, user) as writer:
            await writer.publish(topic, payload, qos=1, retain=retain)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("pumasi/1/rural3/m001/reading", True),
        ("pumasi/1/rural3/m001/status", True),
        ("pumasi/1/rural3/m002/reading", False),
        ("pumasi/1/rural3/m002/status", False),
    ],
)
def test_a_meter_writes_its_own_topics_only(broker: RunningBroker, topic: str, allowed: bool) -> None:
    async def run() -> None:
        async with listening(broker, MARKET, "pumasi/1/rural3/+/reading", "pumasi/1/rural3/+/status") as received:
            await publish(broker, METER, topic, b"tried")
            await asyncio.sleep(SETTLE_S)
            assert ((topic, b"tried") in received) is allowed

    asyncio.run(run())


@pytest.mark.parametrize("topic", ["pumasi/1/rural3/m001/ack", "pumasi/1/rural3/_price", "pumasi/1/rural3/m002/result"])
def test_a_meter_does_not_write_what_is_the_markets(broker: RunningBroker, topic: str) -> None:
    async def run() -> None:
        reader = OTHER if "m002" in topic else METER
        async with listening(broker, reader, topic) as received:
            await publish(broker, OTHER if reader == METER else METER, topic, b"forged")
            await asyncio.sleep(SETTLE_S)
            assert received == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("pumasi/1/rural3/m001/ack", True),
        ("pumasi/1/rural3/m001/config", True),
        ("pumasi/1/rural3/m001/result", True),
        ("pumasi/1/rural3/_price", True),
        ("pumasi/1/rural3/_chain", True),
        ("pumasi/1/rural3/_node/n5/price", True),
        ("pumasi/1/rural3/m002/ack", False),
        ("pumasi/1/rural3/m002/result", False),
    ],
)
def test_a_meter_reads_its_own_and_the_communitys_topics_only(broker: RunningBroker, topic: str, allowed: bool) -> None:
    async def run() -> None:
        async with listening_if_allowed(broker, METER, topic) as received:
            await publish(broker, MARKET, topic, b"said")
            await asyncio.sleep(SETTLE_S)
            assert ((topic, b"said") in received) is allowed

    asyncio.run(run())


@pytest.mark.parametrize("topic", ["#", "pumasi/#", "pumasi/1/rural3/+/reading", "pumasi/1/rural3/+/ack"])
def test_a_meter_hears_nobody_through_a_wildcard(broker: RunningBroker, topic: str) -> None:
    async def run() -> None:
        async with listening_if_allowed(broker, METER, topic) as received:
            await publish(broker, OTHER, "pumasi/1/rural3/m002/reading", b"private")
            await publish(broker, MARKET, "pumasi/1/rural3/m002/ack", b"private")
            await asyncio.sleep(SETTLE_S)
            assert b"private" not in [payload for _, payload in received]

    asyncio.run(run())


@asynccontextmanager
async def listening_if_allowed(broker: RunningBroker, user: str, topic: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    try:
        async with listening(broker, user, topic) as received:
            yield received
    except aiomqtt.MqttError:
        yield []


@pytest.mark.parametrize(
    ("user", "password", "identifier"),
    [
        (METER, "for-the-second", METER),
        (METER, "", METER),
        ("rural3/m003", "for-the-first", "rural3/m003"),
        (None, None, "rural3/m001"),
    ],
)
def test_a_wrong_password_or_no_account_is_refused(
    broker: RunningBroker, user: str | None, password: str | None, identifier: str
) -> None:
    async def run() -> None:
        stranger = aiomqtt.Client(
            "127.0.0.1", broker.port, username=user, password=password, identifier=identifier, timeout=5
        )
        with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed|user ?name or password"):
            async with stranger:
                pass

    asyncio.run(run())


def test_nobody_takes_over_anothers_client_id(broker: RunningBroker) -> None:
    async def run() -> None:
        async with client(broker, METER) as meter:
            try:
                async with client(broker, OTHER, identifier=METER):
                    pass
            except aiomqtt.MqttError:
                assert broker.kind == "embedded"  # it refuses; Mosquitto gives the client its own id instead
            await meter.publish("pumasi/1/rural3/m001/reading", b"still here", qos=1)

    asyncio.run(run())


async def lose_power(broker: RunningBroker, user: str, will: aiomqtt.Will, *statuses: bytes) -> None:
    """Connect, publish, and vanish without a word."""
    with contextlib.suppress(aiomqtt.MqttError):
        async with client(broker, user, will=will) as meter:
            for status in statuses:
                await meter.publish(will.topic, status, qos=1, retain=True)
            connection = meter._client.socket()
            assert connection is not None
            connection.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(SETTLE_S)


def test_what_is_retained_for_others_is_not_heard(broker: RunningBroker) -> None:
    async def run() -> None:
        topics = [f"pumasi/1/rural3/{name}/config" for name in ("m001", "m002")]
        for topic in topics:
            await publish(broker, MARKET, topic, topic.encode(), retain=True)
        async with listening(broker, OTHER, topics[1]) as others, listening(broker, METER, topics[0]) as received:
            await asyncio.sleep(SETTLE_S)
            assert others == [(topics[1], topics[1].encode())]
            assert received == [(topics[0], topics[0].encode())]
        for topic in topics:
            await publish(broker, MARKET, topic, b"", retain=True)

    asyncio.run(run())


def test_the_last_will_is_heard_and_kept(broker: RunningBroker) -> None:
    topic = "pumasi/1/rural3/m002/status"

    async def run() -> None:
        async with listening(broker, MARKET, topic) as received:
            await lose_power(broker, OTHER, aiomqtt.Will(topic, b"gone", qos=1, retain=True), b"here")
            await asyncio.sleep(SETTLE_S)
            assert received[-2:] == [(topic, b"here"), (topic, b"gone")]
        async with listening(broker, MARKET, topic) as kept:
            await asyncio.sleep(SETTLE_S)
            assert kept == [(topic, b"gone")]

    asyncio.run(run())


def test_a_last_will_on_anothers_topic_is_not_heard(broker: RunningBroker) -> None:
    async def run() -> None:
        async with listening(broker, MARKET, "pumasi/1/rural3/+/status") as received:
            await lose_power(broker, METER, aiomqtt.Will("pumasi/1/rural3/m002/status", b"forged", qos=1))
            await asyncio.sleep(SETTLE_S)
            assert b"forged" not in [payload for _, payload in received]

    asyncio.run(run())


def test_a_burst_arrives_complete_and_in_order(broker: RunningBroker) -> None:
    topic, count = "pumasi/1/rural3/m001/reading", 500

    async def run() -> None:
        async with listening(broker, MARKET, topic) as received, client(broker, METER) as meter:
            for number in range(count):
                await meter.publish(topic, str(number).encode(), qos=1)
            deadline = time.monotonic() + 10
            while len(received) < count and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert [int(payload) for _, payload in received] == list(range(count))

    asyncio.run(run())


def test_only_the_loopback_interface_listens(broker: RunningBroker) -> None:
    assert broker.process is not None
    listening_on = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{broker.process.pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.rsplit(":", 1)
            if state == "0A" and int(port, 16) == broker.port:
                listening_on.add(address)
    assert listening_on == {"0100007F"}


def test_secret_files_are_private(broker: RunningBroker) -> None:
    files = list(broker.log.parent.iterdir())
    assert {"passwords", "acl"} <= {file.name for file in files}
    for file in files:
        assert file.name == "broker.log" or stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(word in (broker.log.parent / "passwords").read_text() for word in ACCOUNTS.values())


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_broker_with_clients_stops_quickly_and_quietly(
    broker: RunningBroker, tmp_path: Path, signal_number: signal.Signals
) -> None:
    async def run(other: RunningBroker) -> float:
        took_s = float("inf")
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(other, METER) as meter, client(other, MARKET) as market:
                await market.subscribe("pumasi/1/rural3/+/reading", qos=1)
                await meter.publish("pumasi/1/rural3/m001/reading", b"1", qos=1)
                assert other.process is not None
                os.kill(other.process.pid, signal_number)
                began = time.monotonic()
                assert await asyncio.to_thread(other.process.wait, 5) == 0
                took_s = time.monotonic() - began
        return took_s

    with start_broker(tmp_path, 0, ACCOUNTS, COMMUNITY, broker.kind) as other:
        assert asyncio.run(run(other)) < 2
        log = other.log.read_text()
    assert "Traceback" not in log
    assert broker.kind == "mosquitto" or log == ""


def test_mosquitto_keeps_retained_messages_over_a_restart(mosquitto_path: Path, tmp_path: Path) -> None:
    topic = "pumasi/1/rural3/m001/ack"
    with start_broker(tmp_path / "broker", 0, ACCOUNTS, COMMUNITY, "mosquitto") as broker:
        asyncio.run(publish(broker, MARKET, topic, b"kept", retain=True))
        before = broker.process
        broker.restart()
        assert broker.process is not before

        async def read() -> None:
            async with listening(broker, METER, topic) as received:
                await asyncio.sleep(SETTLE_S)
                assert received == [(topic, b"kept")]

        asyncio.run(read())


def test_a_port_that_is_taken_is_named(broker: RunningBroker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"port {broker.port} on 127.0.0.1 is taken"):
        start_broker(tmp_path, broker.port, ACCOUNTS, COMMUNITY, broker.kind)


def test_a_broker_that_does_not_start_says_why(tmp_path: Path) -> None:
    running = start_broker(tmp_path, 0, ACCOUNTS, COMMUNITY, "embedded")
    running.stop()
    running.stop()
    (tmp_path / "acl").write_text("nonsense\n")
    with pytest.raises(BrokerError, match=r"^the embedded broker does not start: .+"):
        running.start()


def test_no_mosquitto_means_the_embedded_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("broker.mosquitto.find", lambda: None)
    with start_broker(tmp_path, 0, ACCOUNTS, COMMUNITY) as broker:
        assert broker.kind == "embedded"
    with pytest.raises(BrokerError, match="no Mosquitto"):
        start_broker(tmp_path, 0, ACCOUNTS, COMMUNITY, "mosquitto")


def test_an_account_of_another_community_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'other/m001' is not a user of the community 'rural3'"):
        start_broker(tmp_path, 0, {"other/m001": "x"}, COMMUNITY)


def test_the_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_open_files()
    now, same = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert same == hard
    assert now >= soft
    assert now >= min(65_536, hard)
