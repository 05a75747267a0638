"""Real servers for the tests, each a child process on a free loopback port."""

import base64
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when `port` accepts. Raises RuntimeError with the log's end if the process ends or does not listen."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on {port}: {log.read_text(errors='replace')[-2000:]}")


def stop_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class MosquittoServer:
    """A broker that lets anybody in. `stop()` and `start()` make an outage; retained messages survive it."""

    program: Path
    folder: Path
    host: str = HOST
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self.process is None
        configuration = self.folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous true",
            "max_queued_messages 0",
            "max_inflight_messages 1000",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {self.folder}/",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else root's broker becomes a user who cannot write to the folder
        configuration.write_text("\n".join(lines) + "\n")
        log = self.folder / "mosquitto.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.program, "-c", configuration], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for_port(self.port, self.process, log)

    def stop(self) -> None:
        if self.process is not None:
            stop_process(self.process)
            self.process = None


@dataclass
class InfluxServer:
    """InfluxDB 1.x with authentication; the user is the server's administrator."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    user: str = "admin"
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        assert self.process is None
        configuration = self.folder / "influxdb.conf"
        configuration.write_text(
            f"""\
            reporting-disabled = true
            bind-address = "{HOST}:{free_port()}"
            [meta]
            dir = "{self.folder}/meta"
            [data]
            dir = "{self.folder}/data"
            wal-dir = "{self.folder}/wal"
            query-log-enabled = false
            [monitor]
            store-enabled = false
            [subscriber]
            enabled = false
            [logging]
            level = "warn"
            suppress-logo = true
            [http]
            bind-address = "{HOST}:{self.port}"
            auth-enabled = true
            log-enabled = false
            """
        )
        log = self.folder / "influxdb.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.program, "-config", configuration], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for_port(self.port, self.process, log)
        self.query(f"CREATE USER {self.user} WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES")

    def stop(self) -> None:
        if self.process is not None:
            stop_process(self.process)
            self.process = None

    def query(self, statement: str, **arguments: str) -> bytes:
        """The server's JSON answer to an InfluxQL statement that may change something."""
        form = urllib.parse.urlencode({"q": statement, **arguments}).encode()
        request = urllib.request.Request(f"{self.url}/query", data=form)
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    content: bytes = answer.read()
                    return content
            except urllib.error.HTTPError as refused:
                with refused:
                    raise RuntimeError(f"{statement!r}: {refused.read()!r}") from None
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@dataclass
class VictoriaServer:
    """Another maker's `/api/v2/write`; what it holds is read back as JSON lines."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        assert self.process is None
        log = self.folder / "victoria.log"
        arguments = [
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr={HOST}:{self.port}",
            "-retentionPeriod=100y",
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for_port(self.port, self.process, log)

    def stop(self) -> None:
        if self.process is not None:
            stop_process(self.process)
            self.process = None

    def export(self, match: str) -> bytes:
        """Every series whose name and labels match, as JSON lines."""
        urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=10).close()
        query = urllib.parse.urlencode({"match[]": match, "start": 0})
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{query}", timeout=10) as answer:
            content: bytes = answer.read()
            return content


@dataclass
class PostgresqlServer:
    """PostgreSQL on a socket that nobody else can reach; whoever reaches it is its administrator."""

    program: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pumasi-postgresql-")))
    durable: bool = False
    """Whether what is committed survives a power cut; tests do without."""
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self) -> None:
        """Raises RuntimeError with the log's end where it does not start."""
        assert self.process is None
        data, log = self.folder / "data", self.folder / "log"
        program = self.program
        if os.geteuid() == 0:
            # Neither initdb nor postgres runs as root.
            if not _reachable(program):
                shutil.copytree(program.parents[1], self.folder / "program", symlinks=True, dirs_exist_ok=True)
                program = self.folder / "program" / "bin" / program.name
            os.chown(self.folder, _nobody().pw_uid, _nobody().pw_gid)
        if not data.exists():
            initdb = program.with_name("initdb")
            if not initdb.exists():
                initdb = program.resolve().with_name("initdb")
            options = ["--username=pumasi", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
            done = subprocess.run([initdb, f"--pgdata={data}", *options], capture_output=True, **self._user())
            if done.returncode:
                raise RuntimeError(f"initdb: {done.stderr.decode(errors='replace')[-2000:]}")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0700",
            "fsync": "on" if self.durable else "off",
            "shared_buffers": "16MB",
            "timezone": "GMT",
            "log_timezone": "GMT",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [program, "-D", data, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **self._user()
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(
            host=str(self.folder), user="pumasi", dbname=database, autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        """The URL of an empty database of its own."""
        name = f"pumasi_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://pumasi@/{name}?host={urllib.parse.quote(str(self.folder), safe='')}"

    def stop(self) -> None:
        """Ends it, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)  # at once, with all of its children
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _user(self) -> dict[str, Any]:
        """For subprocess: who it runs as, and where, as nobody cannot stand where root stands."""
        environment = {**os.environ, "LC_ALL": "C", "TZ": "GMT"}
        if os.geteuid() != 0:
            return {"env": environment}
        user = _nobody()
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": self.folder, "env": environment}


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _reachable(path: Path) -> bool:
    """Whether any user can run what lies at `path`."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@dataclass(frozen=True)
class InfluxDatabase:
    """An empty database of its own on a running server."""

    url: str
    user: str
    password: str
    database: str
