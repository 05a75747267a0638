"""``pumasi market run`` under a clock that a test moves, and messages for it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
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
        store.mkdir(exist_ok=True)
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
        assert connected.wait(60)

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
        deadline_s = time.monotonic() + 60
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


def reading(market: Market, meter: str, step: int, *, key: bytes | None = None, **members: Any) -> tuple[str, bytes]:
    body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": START + 900 * step}
    body |= {"length": 900, "import_wh": 100 * (step + 1), "export_wh": 0, "generation_wh": 0}
    body |= {"consumption_wh": 100 * (step + 1), "flags": []} | members
    name = topic("c", meter, "reading")
    key = key or derive_key(market.master, "c", meter, 1)
    return name, sign(key, name, json.dumps(body, separators=(",", ":")).encode())


def publish(client: mqtt.Client, message: tuple[str, bytes], qos: int = 1) -> None:
    # A broker that is back is back for each of its clients at a moment of its own.
    deadline_s = time.monotonic() + 60
    while not client.is_connected():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    client.publish(*message, qos=qos).wait_for_publish(10)
