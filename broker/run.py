"""A community's broker as a child process on the loopback interface: Mosquitto, or the embedded one without it."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from broker import access, mosquitto, passwords

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
"""From where `broker.embedded` can be imported."""
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
OPEN_FILES = 65_536
"""One connection needs one file; thousands of meters need more than the usual 1024."""
LOG_TAIL_BYTES = 1000

Kind = Literal["mosquitto", "embedded"]


class BrokerError(Exception):
    """The broker cannot be started; the message is one line that says why."""


@dataclass
class RunningBroker:
    """A broker that accepts connections on 127.0.0.1; also a context manager that stops it."""

    kind: Kind
    port: int
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process and return when it accepts connections. Raises BrokerError."""
        if self.process is not None and self.process.poll() is None:
            return
        if accepts(self.port):
            raise BrokerError(f"port {self.port} on {HOST} is taken")
        raise_open_files()
        with self.log.open("ab") as output:
            # A group of its own: Ctrl-C goes to whoever started the broker, who stops it last.
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not accepts(self.port):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise BrokerError(f"the {self.kind} broker does not start: {_last_line(self.log)}")
                time.sleep(0.02)
        except BaseException:
            # Ctrl-C at this moment too must leave nothing behind.
            self.stop()
            raise

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the process; kill it if that takes longer than `timeout_s` [s]. Does nothing if it has ended."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same files. Raises BrokerError."""
        self.stop()
        self.start()

    def __enter__(self) -> RunningBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_broker(
    directory: Path,
    port: int,
    accounts: Mapping[str, str],
    community: str,
    kind: Literal["auto", "mosquitto", "embedded"] = "auto",
) -> RunningBroker:
    """Start a broker for `community` whose files lie in `directory`; port 0 takes a free one.

    accounts: user -> password; users are `<community>/<meter>` and `<community>/_market`. Nobody else is let in.
    Raises BrokerError if it cannot be started, ValueError for an account that is not of the community.
    """
    access.check_users(accounts, community)
    program = None if kind == "embedded" else mosquitto.find()
    if kind == "mosquitto" and program is None:
        raise BrokerError("there is no Mosquitto on this machine")
    directory = directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    password_file, acl_file = directory / "passwords", directory / "acl"
    _write_private(password_file, passwords.password_file(accounts))
    _write_private(acl_file, access.access_list(community))
    port = port or _free_port()
    log = directory / "broker.log"
    if program is None:
        files = ["--passwords", str(password_file), "--acl", str(acl_file)]
        command = [sys.executable, "-m", "broker.embedded", "--port", str(port), *files]
        broker = RunningBroker("embedded", port, command, log)
    else:
        settings = directory / "mosquitto.conf"
        root = os.geteuid() == 0
        _write_private(settings, mosquitto.configuration(directory, HOST, port, password_file, acl_file, root=root))
        broker = RunningBroker("mosquitto", port, [str(program), "-c", str(settings)], log)
    broker.start()
    return broker


def raise_open_files(wanted: int = OPEN_FILES) -> None:
    """Raise this process's limit of open files, which children inherit, towards `wanted`, as far as the system lets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS states no hard limit and still has one
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(10_240, allowed)), hard))


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int, host: str = HOST) -> bool:
    """Whether something accepts connections on the port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _last_line(log: Path) -> str:
    text = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
