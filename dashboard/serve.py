"""The dashboard as a process of its own: one port, clean signals, gone within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from dashboard.accounts import Accounts
from dashboard.app import create_app
from dashboard.connections import Connection, allow_open_files
from dashboard.record import CommunityRecord
from dashboard.settings import LOOPBACK, Settings
from market.series.points import Series

GRACEFUL_SHUTDOWN_S = 1
ANYWHERE = ("0.0.0.0", "::", "")
LOOPBACK_ADDRESSES = ["127.0.0.1", "::1"]


def serve(
    record: CommunityRecord,
    series: Series,
    accounts: Accounts,
    *,
    store: Path,
    settings: Settings | None = None,
    clock: Callable[[], float] = time.time,
    host: str = "127.0.0.1",
    port: int = 8000,
    certificate: tuple[Path, Path] | None = None,
    behind_proxy: bool = False,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the process's exit status.

    A port that is taken is one line on standard error and status 2. `port` 0 takes a free one;
    `ready` is called with the page's address once it can be opened. With a `certificate` and its key the
    pages are served over TLS. They answer to the name of the settings, to `localhost` and to addresses. Who asks,
    and whether over https, is what the connection says, unless they are `behind_proxy`: then X-Forwarded-For and
    X-Forwarded-Proto from this machine are believed. Must run in the main thread.
    """
    try:
        listener = _listen(host, port)
    except OverflowError:
        print(f"pumasi dashboard: {port} is no port", file=sys.stderr)
        return 2
    except OSError as error:
        reason = (
            "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        print(f"pumasi dashboard: {host} port {port} {reason}", file=sys.stderr)
        return 2
    settings = settings or Settings()
    stopping = threading.Event()
    app = create_app(
        record,
        series,
        accounts,
        store=store,
        settings=settings,
        clock=clock,
        stopping=stopping,
        allowed_hosts=(LOOPBACK, settings.name),
    )
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=behind_proxy,
        forwarded_allow_ips=LOOPBACK_ADDRESSES,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        lifespan="on",
    )
    if certificate is not None:
        config.ssl_certfile, config.ssl_keyfile = certificate
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            listener.close()
            print(f"pumasi dashboard: {certificate[0]}: {error.strerror or error}", file=sys.stderr)
            return 2
    allow_open_files()
    server = _Server(config, stopping)
    threading.Thread(target=app.state.site.compile_pages, name="compile pages", daemon=True).start()
    if ready is not None:
        shown = LOOPBACK if host in ("127.0.0.1", "::1", LOOPBACK) else host
        shown = settings.name if certificate is not None or host in ANYWHERE else shown
        ready(f"{'http' if certificate is None else 'https'}://{shown}:{listener.getsockname()[1]}")
    with listener:
        asyncio.run(server.serve(sockets=[listener]))
    return 0


class _Server(uvicorn.Server):
    """Tells open event streams about the end before the server begins to wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal again afterwards: asked to end, it ended well."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port in TIME_WAIT is free; one with a listener is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener
