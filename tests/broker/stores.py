"""A community's store with a broker in it, its broker as it really runs, and clients that try what they may."""

from __future__ import annotations

import contextlib
import io
import queue
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from broker import certificates, enrolment, identities, site
from broker.identities import Identity
from broker.initialise import initialise
from broker.keys import derive_key
from broker.site import Site
from market.commands.main import main

HOST = "127.0.0.1"
COMMUNITY = "rural3"
START_TIMEOUT_S, WAIT_S = 20.0, 10.0
MASTER = bytes(range(32))


def document(meters: int = 3, interval_s: int = 900) -> dict[str, Any]:
    """A community of households h001, h002, … with meters m001, m002, …"""
    members = [
        {
            "household": f"h{number:03}",
            "node": "root",
            "tariff": "standard",
            "meters": [{"meter": f"m{number:03}", "kid": 1, "since": 0}],
        }
        for number in range(1, meters + 1)
    ]
    prices = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
    return {
        "community": COMMUNITY,
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "interval_s": interval_s,
        "mechanism": "mid-market",
        "reference": prices,
        "tariffs": {"standard": prices},
        "network": [{"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"}],
        "members": members,
    }


def make_site(store: Path, **changes: Any) -> Site:
    """Initialise a broker on free loopback ports."""
    names = ("port", "loopback_port", "hub_port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = {"community": COMMUNITY, "interval_s": 900, "hosts": ["localhost", HOST], "bind": HOST} | ports | changes
    place = Site(**settings)
    initialise(store, place)
    return place


def issue(store: Path, *meters: str, **more: Any) -> list[Identity]:
    """Identities whose keys come from MASTER."""
    return [
        identities.issue(store, meter, f"h{meter[1:]}", 1, derive_key(MASTER, COMMUNITY, meter, 1), **more)
        for meter in meters
    ]


def new_token(store: Path, meter: str, now: int) -> str:
    return enrolment.new_tokens(store, [meter], now)[meter]


def free_ports(count: int) -> list[int]:
    """Below those that the system gives to outgoing connections, so that they are still free when a broker starts."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(16_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            found.append(port)
    return found


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    errors: str


def pumasi(*words: object) -> Done:
    """Run the command line."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
        status = main([str(word) for word in words])
    return Done(status, out.getvalue(), errors.getvalue())


WHOLE_COMMAND = ("-m", "market.commands")
QUICK = """
import sys
from pathlib import Path
from broker.serve import serve
sys.exit(serve(Path(sys.argv[-1]), lambda text: print(text, file=sys.stderr, flush=True)))
"""
"""What `pumasi broker run` does, without loading the other commands first."""


@dataclass
class BrokerProcess:
    """`pumasi broker run` on a store; a context manager. `said` are the lines of its standard error so far."""

    store: Path
    said: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    program: tuple[str, ...] = ("-c", QUICK)

    def __enter__(self) -> BrokerProcess:
        self.process = subprocess.Popen(
            [sys.executable, *self.program, "broker", "run", "--store", str(self.store)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("Ctrl-C ends", START_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        self.said.extend(line.rstrip("\n") for line in self.process.stderr)

    def wait_for(self, text: str, timeout_s: float = WAIT_S, times: int = 1) -> None:
        """Until so many lines hold the text. AssertionError with all that was said, otherwise."""
        deadline = time.monotonic() + timeout_s
        while sum(text in line for line in list(self.said)) < times:
            assert self.process is not None
            assert time.monotonic() < deadline and self._reader.is_alive(), f"{text!r} is not in {self.said}"
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns the exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            status = process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        self._reader.join(WAIT_S)
        assert process.stderr is not None
        process.stderr.close()
        return status

    def child(self) -> int:
        """The process id of Mosquitto, or of the embedded broker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert len(children) == 1
        return int(children[0])


def context(store: Path, certificate: bytes | None = None, key: bytes | None = None, tmp: Path | None = None) -> Any:
    """A TLS context that trusts the store's authority, and shows a certificate (PEM) when one is given."""
    made = ssl.create_default_context(cafile=str(site.directory(store) / "ca.pem"))
    if certificate is not None and key is not None:
        assert tmp is not None
        path = tmp / f"client-{time.monotonic_ns()}.pem"
        path.write_bytes(certificate + key)
        made.load_cert_chain(path)
    return made


def meter_context(store: Path, identity: Identity, tmp: Path) -> ssl.SSLContext:
    made: ssl.SSLContext = context(store, identity.certificate.encode(), identity.private_key.encode(), tmp)
    return made


def forged_context(store: Path, user: str, tmp: Path, **more: Any) -> ssl.SSLContext:
    """A certificate that the store's authority really signed, for any user and lifetime."""
    key = certificates.new_key()
    signed = certificates.client_certificate(site.authority(store), user, key, more.pop("now", site.now()), **more)
    made: ssl.SSLContext = context(store, certificates.pem(signed), certificates.key_pem(key), tmp)
    return made


class RefusedError(Exception):
    """The broker did not let the client in."""


class Client:
    """A client that waits for the answer to everything it does; a context manager. Raises RefusedError."""

    def __init__(
        self,
        port: int,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        clean: bool = True,
        identifier: str | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.gone = threading.Event()
        self._answers: queue.Queue[Any] = queue.Queue()
        self._port = port
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identifier or user or "anybody",
            clean_session=clean,
            reconnect_on_failure=False,
        )
        if user is not None:
            self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._client.on_connect = lambda *arguments: self._answers.put(arguments[3])
        self._client.on_subscribe = lambda *arguments: self._answers.put(arguments[3])
        self._client.on_unsubscribe = lambda *arguments: self._answers.put("unsubscribed")
        self._client.on_publish = lambda *arguments: self._answers.put("acknowledged")
        self._client.on_message = lambda _, __, message: self.received.put((message.topic, bytes(message.payload)))
        self._client.on_disconnect = self._lost

    def _lost(self, *_: object) -> None:
        self.gone.set()
        self._answers.put(None)

    def __enter__(self) -> Client:
        try:
            self._client.connect(HOST, self._port)
        except OSError as error:
            raise RefusedError(str(error)) from None
        self._client.loop_start()
        reason = self._answers.get(timeout=WAIT_S)
        if reason is None or reason.is_failure:
            self.__exit__()
            raise RefusedError(str(reason))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> bool:
        """Whether the broker grants it."""
        self._client.subscribe(topic, qos=1)
        (code,) = self._answers.get(timeout=WAIT_S)
        return not code.is_failure

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> bool:
        """Whether the broker lets it pass; if not, Mosquitto acknowledges it and ends the connection."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        if self._answers.get(timeout=WAIT_S) is None:
            return False
        self._client.unsubscribe("nothing")
        return self._answers.get(timeout=WAIT_S) is not None

    def vanish(self) -> None:
        """Without a goodbye."""
        connection = self._client.socket()
        assert connection is not None
        connection.shutdown(socket.SHUT_RDWR)
        self.gone.wait(WAIT_S)

    def until(self, topic: str) -> list[tuple[str, bytes]]:
        """All that came before a message on this topic."""
        before = []
        while (message := self.received.get(timeout=WAIT_S))[0] != topic:
            before.append(message)
        return before


def retained(client: Client, topic: str) -> bytes:
    """The first message on the topic."""
    client.subscribe(topic)
    return client.received.get(timeout=WAIT_S)[1]
