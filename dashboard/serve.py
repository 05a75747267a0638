"""The dashboard as a process of its own: one port, clean signals, gone within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import uvicorn

from dashboard.app import create_app
from dashboard.record import CommunityRecord
from market.series.points import Series

GRACEFUL_SHUTDOWN_S = 1
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def serve(
    record: CommunityRecord,
    series: Series,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: Sequence[str] | None = None,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the process's exit status.

    A port that is taken is one line on standard error and status 2. `port` 0 takes a free one;
    `ready` is called with the page's address once it can be opened. On loopback the pages answer to
    loopback names only unless `allowed_hosts` says otherwise. Must run in the main thread.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        reason = (
            "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        print(f"pumasi dashboard: {host} port {port} {reason}", file=sys.stderr)
        return 2
    loopback = host in ("127.0.0.1", "::1", "localhost")
    stopping = threading.Event()
    app = create_app(
        record,
        series,
        stopping=stopping,
        allowed_hosts=allowed_hosts or (LOOPBACK_NAMES if loopback else ("*",)),
    )
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S, lifespan="on"
    )
    server = _Server(config, stopping)
    if ready is not None:
        shown = "localhost" if loopback else host
        ready(f"http://{shown}:{listener.getsockname()[1]}")
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
