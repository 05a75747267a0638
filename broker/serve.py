"""``pumasi broker run``: Mosquitto, or the embedded broker without it, with the hub beside it, until a signal.

Nothing is restarted: when one of the two ends by itself, so does the other, and the exit status says so. The files that
``pumasi meter`` and ``pumasi broker renew`` write are taken in while it runs.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from broker import access, dynamic_security, hub, identities, mosquitto, passwords, renewal, site
from broker.contract import market_user, reader_user
from broker.private_files import write_private
from broker.refusals import Refusals
from broker.run import HOST, ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S, accepts, raise_open_files
from broker.running import Kind, alone
from broker.site import Site, SiteError

LOOK_S = 0.25
RENEW_LOOK_S = 86_400.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

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
        refusals = Refusals(store)
        command = _mosquitto(store, place, program) if program else _embedded(store, place)
        places = [(HOST, place.loopback_port), *([(place.bind or HOST, place.port)] if program else [])]
        for host, port in places:
            if accepts(port, host):
                raise SiteError(f"port {port} on {host} is taken")
        try:
            with hub.listen(place.bind if program else HOST, place.hub_port) as listener:
                server = hub.server(store, hub.application(store, refusals.add, say))
                return asyncio.run(_run(store, kind, command, places, server, listener, refusals, ready, say))
        except (OSError, ssl.SSLError) as error:
            raise SiteError(f"{site.directory(store) / 'server.pem'}: {error}") from None
        finally:
            refusals.save(now=True)


def write_embedded_files(store: Path) -> tuple[Path, Path]:
    """Passwords and access list of the embedded broker, which reads them again when they change."""
    place, folder = site.load(store), site.directory(store)
    kept = site.accounts(store)
    accounts = {market_user(place.community): kept.market, reader_user(place.community): kept.reader}
    accounts |= {one.user: one.password for one in identities.every(store) if one.revoked_at is None}
    files = folder / "passwords", folder / "acl"
    write_private(files[0], passwords.password_file(accounts))
    write_private(files[1], access.access_list(place.community))
    return files


def _mosquitto(store: Path, place: Site, program: Path) -> list[str]:
    """The command that runs Mosquitto; its files are made anew from what is known. Raises SiteError."""
    write_mosquitto_files(store, place, program)
    return [str(program), "-c", str(site.directory(store) / "mosquitto.conf")]


def write_mosquitto_files(store: Path, place: Site, program: Path) -> None:
    """mosquitto.conf and dynamic-security.json. Raises SiteError when Mosquitto lacks the plugin."""
    plugin = mosquitto.find_plugin(program)
    if plugin is None:
        raise SiteError(f"{program}: its plugin {mosquitto.PLUGIN} is missing; it comes with Mosquitto 2.0 and newer")
    folder, accounts = site.directory(store), site.accounts(store)
    root = os.geteuid() == 0
    settings = mosquitto.secure_configuration(folder.resolve(), plugin, place, root=root)
    rules = dynamic_security.document(place.community, accounts, identities.every(store))
    write_private(folder / "mosquitto.conf", settings)
    write_private(folder / "dynamic-security.json", rules)


def _embedded(store: Path, place: Site) -> list[str]:
    password_file, acl_file = write_embedded_files(store)
    files = ["--passwords", str(password_file.resolve()), "--acl", str(acl_file.resolve())]
    return [sys.executable, "-P", "-m", "broker.embedded", "--port", str(place.loopback_port), *files]


async def _run(
    store: Path,
    kind: Kind,
    command: list[str],
    places: list[tuple[str, int]],
    server: hub.Server,
    listener: socket.socket,
    refusals: Refusals,
    ready: Callable[[], None],
    say: Say,
) -> int:
    place = site.load(store)
    stopping = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    tail: deque[str] = deque(maxlen=5)
    process = _start(command)
    reader = threading.Thread(target=_read_log, args=(process, refusals, say, tail), daemon=True)
    reader.start()
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await _until_accepting(process, places, tail, stopping)
        if stopping.is_set():
            return 0
        ready()
        say(_welcome(place, kind))
        return await _watch(store, kind, process, server, serving, refusals, stopping, tail, say)
    finally:
        server.should_exit = True
        await _stop(process)
        await asyncio.wait([serving], timeout=STOP_TIMEOUT_S)
        reader.join(1)
        assert process.stderr is not None
        process.stderr.close()


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


def _read_log(process: subprocess.Popen[bytes], refusals: Refusals, say: Say, tail: deque[str]) -> None:
    assert process.stderr is not None
    for raw in process.stderr:
        line = raw.decode(errors="replace").strip().partition(": ")[2] or raw.decode(errors="replace").strip()
        unusual = refusals.read_line(line)
        if unusual:
            tail.append(unusual)
            say(f"broker: {unusual}")


async def _until_accepting(
    process: subprocess.Popen[bytes], places: list[tuple[str, int]], tail: deque[str], stopping: asyncio.Event
) -> None:
    """Raises SiteError when the broker ends, or does not accept connections in time."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not all(accepts(port, host) for host, port in places):
        if stopping.is_set():
            return
        if process.poll() is not None or time.monotonic() > deadline_s:
            await asyncio.sleep(0.1)
            raise SiteError(f"the broker does not start: {_reason(tail)}")
        await asyncio.sleep(0.02)


async def _watch(
    store: Path,
    kind: Kind,
    process: subprocess.Popen[bytes],
    server: hub.Server,
    serving: asyncio.Task[None],
    refusals: Refusals,
    stopping: asyncio.Event,
    tail: deque[str],
    say: Say,
) -> int:
    """Until a signal (0), or until broker or hub end (1); takes in files that change."""
    seen = _stamps(store)
    renew_s = time.monotonic() + RENEW_LOOK_S
    while not stopping.is_set():
        if process.poll() is not None:
            say(f"the broker has ended, status {process.returncode}: {_reason(tail)}")
            return 1
        if serving.done():
            say(f"the hub has ended: {serving.exception() or 'it says nothing'}")
            return 1
        if time.monotonic() > renew_s:
            renew_s += RENEW_LOOK_S
            await asyncio.to_thread(renewal.renew_if_due, store, say)
        stamps = _stamps(store)
        if stamps != seen:
            seen = stamps
            server.load_certificate(store)
            if kind == "mosquitto":
                process.send_signal(signal.SIGHUP)
            say("certificate and revocation list are read again")
        await asyncio.to_thread(refusals.save)
        try:
            await asyncio.wait_for(stopping.wait(), LOOK_S)
        except TimeoutError:
            continue
    say("stopping")
    return 0


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


def _reason(tail: deque[str]) -> str:
    """The first of the last lines that calls itself an error; the last one where none does."""
    lines = list(tail) or ["it says nothing"]
    return next((line for line in lines if line.startswith("Error")), lines[-1])


def _welcome(place: Site, kind: Kind) -> str:
    if kind == "embedded":
        return f"the embedded broker accepts connections on {HOST}:{place.loopback_port}; Ctrl-C ends"
    return (
        f"Mosquitto accepts meters on {place.hosts[0]}:{place.port} (TLS), the market on {HOST}:{place.loopback_port};"
        f" the hub is https://{place.hosts[0]}:{place.hub_port}; Ctrl-C ends"
    )
