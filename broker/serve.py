"""``pumasi broker run``: Mosquitto, or the embedded broker without it, with the hub beside it, until a signal.

Nothing is restarted: when one of the two ends by itself, so does the other, and the exit status says so. The files that
``pumasi meter`` and ``pumasi broker renew`` write are taken in while it runs.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from broker import hub, mosquitto, prepared, renewal, site
from broker.refusals import Refusals
from broker.run import HOST, ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S, accepts, raise_open_files
from broker.running import Kind, alone
from broker.site import Site, SiteError

LOOK_S = 0.25
RENEW_LOOK_S = 86_400.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
TAIL_LINES = 5

Say = Callable[[str], None]


def serve(store: Path, say: Say) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP (returns 0), or until broker or hub end by themselves (returns 1).

    Raises SiteError when it cannot start.
    """
    place = site.load(store)
    program = mosquitto.find()
    kind: Kind = "embedded" if program is None else "mosquitto"
    if program is None:
        say(
            f"there is no Mosquitto on this machine ({mosquitto.HOW_TO_INSTALL}): the embedded broker serves, on"
            " loopback only, without TLS, for a demo's number of meters"
        )
    with alone(store, kind) as ready:
        renewal.renew_if_due(store, say)
        site.revocation_list(store)  # Mosquitto would open its ports before it finds that it cannot read it
        command = _mosquitto(store, place, program) if program else _embedded(store, place)
        places = [(HOST, place.loopback_port), *([(place.bind or HOST, place.port)] if program else [])]
        for host, port in places:
            if accepts(port, host):
                raise SiteError(f"port {port} on {host} is taken")
        refusals = Refusals(store)
        try:
            with hub.listen(place.bind if program else HOST, place.hub_port) as listener:
                server = hub.server(store, hub.application(store, refusals.add, say))
                serving = _Serving(store, place, kind, places, server, refusals, say)
                return asyncio.run(serving.run(command, listener, ready))
        finally:
            refusals.save(now=True)


def _mosquitto(store: Path, place: Site, program: Path) -> list[str]:
    """The command that runs Mosquitto; its files are made anew from what is known. Raises SiteError."""
    prepared.mosquitto_files(store, place, program)
    return [str(program), "-c", str(site.directory(store) / "mosquitto.conf")]


def _embedded(store: Path, place: Site) -> list[str]:
    password_file, acl_file = prepared.embedded_files(store)
    files = ["--passwords", str(password_file.resolve()), "--acl", str(acl_file.resolve())]
    return [sys.executable, "-P", "-m", "broker.embedded", "--port", str(place.loopback_port), *files]


@dataclass
class _Serving:
    """The broker's process and the hub, side by side."""

    store: Path
    place: Site
    kind: Kind
    places: list[tuple[str, int]]
    server: hub.Server
    refusals: Refusals
    say: Say
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    async def run(self, command: list[str], listener: socket.socket, ready: Callable[[], None]) -> int:
        """Start both, tell ``ready`` and keep them until a signal (0), or until one ends (1). Raises SiteError."""
        stopping = asyncio.Event()
        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        process = _start(command)
        reader = threading.Thread(target=self._read_log, args=(process,), daemon=True)
        reader.start()
        hub_task = asyncio.create_task(self.server.serve([listener]))
        try:
            await self._until_accepting(process, stopping)
            if stopping.is_set():
                return 0
            ready()
            self.say(_welcome(self.place, self.kind))
            return await self._watch(process, hub_task, stopping)
        finally:
            self.server.should_exit = True
            await _stop(process)
            await asyncio.wait([hub_task], timeout=STOP_TIMEOUT_S)
            reader.join(1)
            assert process.stderr is not None
            process.stderr.close()

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        """Count what the broker says it refused, and tell what is unusual."""
        assert process.stderr is not None
        for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            unusual = self.refusals.read_line(re.sub(r"^\d+: ", "", line))
            if unusual:
                self.tail.append(unusual)
                self.say(f"broker: {unusual}")

    async def _until_accepting(self, process: subprocess.Popen[bytes], stopping: asyncio.Event) -> None:
        """Raises SiteError when the broker ends, or does not accept connections in time."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not all(accepts(port, host) for host, port in self.places):
            if stopping.is_set():
                return
            if process.poll() is not None or time.monotonic() > deadline_s:
                await asyncio.sleep(LOOK_S)  # until its last words are read
                raise SiteError(f"the broker does not start: {self._reason()}")
            await asyncio.sleep(0.02)

    async def _watch(
        self, process: subprocess.Popen[bytes], hub_task: asyncio.Task[None], stopping: asyncio.Event
    ) -> int:
        """Until a signal (0), or until broker or hub end (1); takes in files that change."""
        seen = _stamps(self.store)
        renew_s = time.monotonic() + RENEW_LOOK_S
        while not stopping.is_set():
            if process.poll() is not None:
                self.say(f"the broker has ended, status {process.returncode}: {self._reason()}")
                return 1
            if hub_task.done():
                self.say(f"the hub has ended: {hub_task.exception() or 'it says nothing'}")
                return 1
            if time.monotonic() > renew_s:
                renew_s += RENEW_LOOK_S
                await asyncio.to_thread(renewal.renew_if_due, self.store, self.say)
            stamps = _stamps(self.store)
            if stamps != seen:
                seen = stamps
                self._read_again(process)
            await asyncio.to_thread(self.refusals.save)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_S)
        self.say("stopping")
        return 0

    def _read_again(self, process: subprocess.Popen[bytes]) -> None:
        try:
            self.server.load_certificate(self.store)
        except OSError as error:
            self.say(f"{site.directory(self.store) / 'server.pem'}: not taken in: {error}")
            return
        if self.kind == "mosquitto":
            process.send_signal(signal.SIGHUP)
        self.say("certificate and revocation list are read again")

    def _reason(self) -> str:
        """The first of the broker's last lines that calls itself an error; the last one where none does."""
        lines = list(self.tail) or ["it says nothing"]
        return next((line for line in lines if line.startswith("Error")), lines[-1])


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    raise_open_files()
    # A group of its own: Ctrl-C goes to us, and we stop it. Its umask keeps what it saves private.
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
        umask=0o077,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    """Should we be killed, the broker ends too, instead of running on unseen."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stamps(store: Path) -> list[tuple[int, int]]:
    """What changes with the files that broker and hub have read."""
    states = [(site.directory(store) / name).stat() for name in ("server.pem", "crl.pem")]
    return [(state.st_ino, state.st_mtime_ns) for state in states]


async def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _welcome(place: Site, kind: Kind) -> str:
    if kind == "embedded":
        return f"the embedded broker accepts connections on {HOST}:{place.loopback_port}; Ctrl-C ends"
    return (
        f"Mosquitto accepts meters on {place.hosts[0]}:{place.port} (TLS), the market on {HOST}:{place.loopback_port};"
        f" the hub is https://{place.hosts[0]}:{place.hub_port}; Ctrl-C ends"
    )
