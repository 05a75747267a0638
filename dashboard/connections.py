"""Connections that do not wait for ever: whoever begins a request finishes it soon, or is hung up on."""

from __future__ import annotations

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

OPEN_FILES = 65_536
"""A stream is an open file; many systems begin a process with 1,024."""


class Connection(H11Protocol):
    """uvicorn's own, which gives an idle connection up after an answer but never one before a whole request."""

    request_s = 30.0
    """From the connection, or the first byte of a further request, to the request's end [s]."""

    _hang_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_time()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._give_time()
        elif self._hang_up is None:
            # Not begun again with each byte: a request that drips is late too.
            self._hang_up = self.loop.call_later(self.request_s, self.transport.close)

    def _give_time(self) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None


def allow_open_files() -> None:
    """Raise the process's soft limit of open files as far as ``OPEN_FILES``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
