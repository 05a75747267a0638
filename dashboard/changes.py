"""Telling open pages that something changed: one poll of the record, any number of streams."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

POLL_S = 0.1
HEARTBEAT_S = 15.0

log = logging.getLogger(__name__)


class Changes:
    """The record's change counter, polled once for everybody.

    `stopping` is set by whoever runs the server: streams must end before the server waits for its
    connections, and it waits for them before anything else here would be told.
    """

    def __init__(
        self,
        counter: Callable[[], int],
        stopping: threading.Event,
        *,
        poll_s: float = POLL_S,
        heartbeat_s: float = HEARTBEAT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read = counter
        self._stopping = stopping
        self._poll_s = poll_s
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._woken = asyncio.Event()
        self._over = False
        self.counter: int | None = None
        self.changed_at: float | None = None
        self.streams = 0
        self.streams_of: Counter[str] = Counter()

    async def poll(self) -> None:
        """Run until `stopping`; a record that cannot be read is asked again, and said once."""
        failed = False
        try:
            while not self._stopping.is_set():
                try:
                    counter = await asyncio.to_thread(self._read)
                    failed = False
                except Exception as error:
                    if not failed:
                        log.warning("the record cannot be read: %s", error)
                    failed = True
                else:
                    if counter != self.counter:
                        self.counter, self.changed_at = counter, self._clock()
                        self._wake()
                await asyncio.sleep(self._poll_s)
        finally:
            self._over = True
            self._wake()

    async def stream(self, reader: str = "") -> AsyncIterator[str]:
        """Server-sent events: the counter now, the counter after every change, a comment as heartbeat.

        A slow reader gets the newest counter, not a queue of old ones. ``reader``: whose it is, for the count.
        """
        self.streams += 1
        self.streams_of[reader] += 1
        sent: int | None = None
        try:
            yield "retry: 1000\n\n"
            while not self._over:
                woken = self._woken
                if self.counter is not None and self.counter != sent:
                    sent = self.counter
                    yield f"event: change\nid: {sent}\ndata: {sent}\n\n"
                    continue
                try:
                    await asyncio.wait_for(woken.wait(), self._heartbeat_s)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.streams -= 1
            self.streams_of[reader] -= 1
            if not self.streams_of[reader]:
                del self.streams_of[reader]

    @property
    def unchanged_s(self) -> float | None:
        """How long nothing has changed; None before the first look."""
        return None if self.changed_at is None else round(self._clock() - self.changed_at, 1)

    def _wake(self) -> None:
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()
