"""The light fleet: its outboxes as plain objects, and the whole process against the real broker."""

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker import contract, keys
from broker.run import RunningBroker, start_broker
from firmware.host.light_link import IN_FLIGHT
from firmware.host.light_meter import CAPACITY, Memory, Meter, MeterSettings
from firmware.host.profile import Profile

REPOSITORY = Path(__file__).parents[3]
COMMUNITY, START = "rural3", 1_468_188_000
MASTER = bytes(range(32))
LOAD_W, GENERATION_W = [400, 800, 0, 1200], [0, 1000, 4000, 0]
NAMES = ["m001", "m002", "m003"]


def settings(name: str) -> MeterSettings:
    key = keys.derive_key(MASTER, COMMUNITY, name, 1).hex()
    user = contract.user(COMMUNITY, name)
    return MeterSettings(COMMUNITY, name, 1, key, user, f"password of {name}", LOAD_W, GENERATION_W)


def make_meter(memory: Memory | None = None) -> Meter:
    return Meter(settings("m001"), Profile(START, 900, LOAD_W, GENERATION_W), 900, memory)


def ack(meter: Meter, next_seq: int, *, kid: int = 1, outbox: str = "", key: bytes | None = None) -> bytes:
    body = contract.Ack(1, kid, outbox or meter.outbox, next_seq)
    key = keys.derive_key(MASTER, COMMUNITY, "m001", 1) if key is None else key
    return keys.sign(key, contract.topic(COMMUNITY, "m001", "ack"), msgspec.json.encode(body))


def read(payload: bytes) -> contract.Reading:
    return msgspec.json.decode(payload, type=contract.Reading)


def running_meter(intervals: int) -> Meter:
    meter = make_meter()
    meter.begin(START)
    assert list(meter.close_until(START + 900 * intervals)) == [START + 900 * n for n in range(intervals)]
    return meter


def test_the_first_tick_only_sets_the_clock() -> None:
    meter = make_meter()
    meter.begin(START + 100)
    assert list(meter.close_until(START + 100)) == []
    assert list(meter.close_until(START + 899)) == []
    assert list(meter.close_until(START + 2000)) == [START, START + 900]
    first, second = (read(meter.reading(seq)) for seq in (0, 1))
    assert (first.seq, first.start, first.length, first.flags) == (0, START, 900, ["simulated"])
    assert (first.import_wh, first.consumption_wh) == (88, 88)  # 400 W for 800 s
    assert (second.seq, second.start, second.export_wh, second.generation_wh) == (1, START + 900, 50, 250)


def test_a_reading_is_sealed_and_within_the_bound() -> None:
    meter = running_meter(2)
    payload = meter.reading(1)
    assert keys.verify(keys.derive_key(MASTER, COMMUNITY, "m001", 1), "pumasi/1/rural3/m001/reading", payload)
    assert len(payload) < contract.MAX_PAYLOAD_BYTES
    assert list(json.loads(payload)) == [field.encode_name for field in msgspec.structs.fields(contract.Reading)]


def test_an_ack_erases_what_lies_below_it() -> None:
    meter = running_meter(5)
    assert meter.heard(ack(meter, 3))
    assert (meter.acknowledged, meter.first, meter.next_seq) == (3, 3, 5)
    assert read(meter.reading(3)).first == 3
    assert not meter.heard(ack(meter, 3))  # a repeated one moves nothing
    assert meter.heard(ack(meter, 5))
    assert (meter.acknowledged, meter.first, meter.refused_acks) == (5, 5, 0)


@pytest.mark.parametrize(
    "forge",
    [
        lambda meter: ack(meter, 2, key=bytes(32)),
        lambda meter: ack(meter, 2, kid=2),
        lambda meter: ack(meter, 2, outbox="0" * 16),
        lambda meter: ack(meter, -1),
        lambda meter: ack(meter, 6),
        lambda meter: b"{}",
        lambda meter: b"",
    ],
)
def test_an_ack_that_is_not_ours_is_counted(forge: Callable[[Meter], bytes]) -> None:
    meter = running_meter(5)
    assert not meter.heard(forge(meter))
    assert (meter.acknowledged, meter.refused_acks) == (0, 1)


def test_a_full_outbox_drops_its_oldest() -> None:
    meter = running_meter(1)
    list(meter.close_until(START + 900 * (CAPACITY + 10)))
    assert (meter.first, meter.next_seq, meter.acknowledged) == (10, CAPACITY + 10, 10)
    assert read(meter.reading(10)).first == 10
    assert read(meter.reading(CAPACITY + 9)).start == START + 900 * (CAPACITY + 9)


def test_a_restarted_meter_goes_on_where_it_was() -> None:
    before = running_meter(40)
    assert before.origin is not None
    after = make_meter(Memory(before.outbox, before.origin))
    assert after.heard(ack(before, 30))  # the retained ack, before the first tick
    assert list(after.close_until(START + 900 * 40)) == [START + 900 * n for n in range(30, 40)]
    assert (after.first, after.acknowledged, after.next_seq) == (30, 30, 40)
    before.heard(ack(before, 30))
    assert [after.reading(seq) for seq in range(30, 40)] == [before.reading(seq) for seq in range(30, 40)]


class Market:
    """Stores each reading once and acks it, unless it is told to be silent."""

    def __init__(self, broker: RunningBroker, password: str) -> None:
        self.silent = False
        self.heard: list[contract.Reading] = []
        self.stored: dict[str, list[contract.Reading]] = {name: [] for name in NAMES}
        self.statuses: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        user = contract.market_user(COMMUNITY)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, clean_session=False)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.username_pw_set(user, password)
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(f"pumasi/1/{COMMUNITY}/+/{what}", 1) for what in ("reading", "status")])

    def _message(self, client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        parsed = contract.parse_topic(message.topic)
        assert parsed is not None
        name, payload = parsed[1], bytes(message.payload)
        if parsed[2] == "status":
            self.statuses[name].append(json.loads(payload))
            return
        key = keys.derive_key(MASTER, COMMUNITY, name, 1)
        assert keys.verify(key, message.topic, payload)
        reading = read(payload)
        self.heard.append(reading)
        if self.silent:
            return
        if reading.seq == len(self.stored[name]):
            self.stored[name].append(reading)
        topic = contract.topic(COMMUNITY, name, "ack")
        said = msgspec.json.encode(contract.Ack(1, 1, reading.outbox, len(self.stored[name])))
        client.publish(topic, keys.sign(key, topic, said), qos=1, retain=True)


class FleetProcess:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "firmware.host.light", str(self.file)]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def event(self) -> dict[str, Any]:
        return self.events.get(timeout=15)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def tick(self, interval: int) -> None:
        self.tell(f"tick {START + 900 * interval}")

    def end(self) -> int:
        status = self.process.wait(10)
        self._listener.join(10)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return status

    def kill(self) -> None:
        self.process.kill()
        self.end()


def wait_until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


@pytest.fixture
def broker(mosquitto_path: Path, tmp_path: Path) -> Iterator[RunningBroker]:
    accounts = {contract.user(COMMUNITY, name): settings(name).password for name in NAMES}
    accounts[contract.market_user(COMMUNITY)] = "password of the market"
    with start_broker(tmp_path / "broker", 0, accounts, COMMUNITY, "mosquitto") as running:
        yield running


@pytest.fixture
def market(broker: RunningBroker) -> Iterator[Market]:
    running = Market(broker, "password of the market")
    yield running
    running.close()


@pytest.fixture
def fleet(broker: RunningBroker, market: Market, tmp_path: Path) -> Iterator[FleetProcess]:
    document = {
        "broker": {"host": "127.0.0.1", "port": broker.port},
        "interval_s": 900,
        "profile_start": START,
        "step_s": 900,
        "meters": [msgspec.to_builtins(settings(name)) for name in NAMES],
    }
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(document))
    running = FleetProcess(file)
    assert running.event() == {"event": "ready"}
    yield running
    if running.process.poll() is None:
        running.kill()


def complete(market: Market, intervals: int) -> Callable[[], bool]:
    return lambda: all(len(stored) == intervals for stored in market.stored.values())


def check_consecutive(market: Market) -> None:
    for stored in market.stored.values():
        assert [reading.seq for reading in stored] == list(range(len(stored)))
        assert [reading.start for reading in stored] == [START + 900 * n for n in range(len(stored))]
        assert len({reading.outbox for reading in stored}) == 1


def test_every_meter_sends_every_interval_once(fleet: FleetProcess, market: Market) -> None:
    for interval in range(6):
        fleet.tick(interval)
        wait_until(complete(market, interval))
    check_consecutive(market)
    closed = [fleet.event() for _ in range(5 * len(NAMES))]
    assert {(event["event"], event["meter"], event["start"]) for event in closed} == {
        ("closed", name, START + 900 * n) for name in NAMES for n in range(5)
    }
    assert len(market.heard) == 5 * len(NAMES)
    for stored in market.stored.values():
        assert [reading.import_wh for reading in stored] == [100, 100, 100, 400, 500]
        assert [reading.export_wh for reading in stored] == [0, 50, 1050, 1050, 1050]
        assert [reading.generation_wh for reading in stored] == [0, 250, 1250, 1250, 1250]
        assert [reading.consumption_wh for reading in stored] == [100, 300, 300, 600, 700]
    fleet.tell("stop")
    assert fleet.end() == 0
    wait_until(lambda: all(said[-1] == {"v": 1, "online": False} for said in market.statuses.values()))
    assert all(said[0]["online"] is True for said in market.statuses.values())


def test_silence_is_answered_by_sending_again(fleet: FleetProcess, market: Market) -> None:
    market.silent = True
    fleet.tick(0)
    fleet.tick(20)
    wait_until(lambda: len(market.heard) == IN_FLIGHT * len(NAMES))  # and not one more
    fleet.tick(21)
    time.sleep(0.3)
    assert len(market.heard) == IN_FLIGHT * len(NAMES)
    market.silent = False
    fleet.tick(22)  # the second silent tick
    wait_until(complete(market, 22), 8)  # sooner than the 10 s after which it sends again without a tick
    check_consecutive(market)


def test_a_broker_outage_is_survived(fleet: FleetProcess, market: Market, broker: RunningBroker) -> None:
    fleet.tick(0)
    fleet.tick(1)
    wait_until(complete(market, 1))
    broker.stop()
    for interval in range(2, 30):
        fleet.tick(interval)
    time.sleep(0.5)
    broker.start()
    wait_until(complete(market, 29), 30)
    check_consecutive(market)


def test_a_killed_fleet_goes_on_where_it_was(fleet: FleetProcess, market: Market) -> None:
    fleet.tick(0)
    fleet.tick(3)
    wait_until(complete(market, 3))
    market.silent = True
    fleet.tick(5)
    wait_until(lambda: any(reading.seq == 4 for reading in market.heard))
    fleet.kill()
    while not fleet.events.empty():
        fleet.events.get()
    market.silent = False
    fleet.start()
    assert fleet.event() == {"event": "ready"}
    fleet.tick(5)
    wait_until(complete(market, 5))
    fleet.tick(6)
    wait_until(complete(market, 6))
    check_consecutive(market)


def test_what_is_no_tick_is_named_and_passed_over(fleet: FleetProcess, market: Market) -> None:
    fleet.tick(0)
    fleet.tell("tock 5")
    fleet.tell("tick soon")
    fleet.tell(f"tick {START - 900}")
    fleet.tick(1)
    wait_until(complete(market, 1))
    assert fleet.process.stdin is not None
    fleet.process.stdin.close()  # the end of input is a stop
    assert fleet.end() == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"meters": 7}, r"Expected `array`, got `int` - at `\$.meters`"),
        ({"interval_s": 0}, "the interval is not positive"),
        ({"step_s": 0}, "the step is not positive"),
        ({"broker": {"host": "127.0.0.1"}}, "missing required field `port`"),
    ],
)
def test_a_file_that_is_no_fleet_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    document = {
        "broker": {"host": "127.0.0.1", "port": 1},
        "interval_s": 900,
        "profile_start": START,
        "step_s": 900,
        "meters": [msgspec.to_builtins(settings("m001"))],
    }
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(document | change))
    command = [sys.executable, "-m", "firmware.host.light", str(file)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert re.search(reason, done.stderr)
