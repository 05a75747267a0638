"""Which broker runs on a store: a lock file that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from broker import site
from broker.site import SiteError

FILE_NAME = "broker.lock"
START_TIMEOUT_S = 20.0
PROBE_S = 0.5
"""Somebody who looks whether a broker runs holds the lock for a moment, too."""
Kind = Literal["mosquitto", "embedded"]


class Running(msgspec.Struct, frozen=True):
    pid: int
    kind: Kind


def running(store: Path) -> Running | None:
    """The broker that ``pumasi broker run`` runs on this store now; None when none does. Waits for one that starts."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            file = os.open(site.directory(store) / FILE_NAME, os.O_RDWR)
        except FileNotFoundError:
            return None
        with os.fdopen(file, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            except BlockingIOError:
                if content := lock.read():
                    return msgspec.json.decode(content, type=Running)
        time.sleep(0.05)
    raise SiteError(f"{store}: a broker is starting here and does not get ready")


@contextmanager
def alone(store: Path, kind: Kind) -> Iterator[Callable[[], None]]:
    """Be the one broker of this store; the function given says that it is ready. Raises SiteError when another runs."""
    path = site.directory(store) / FILE_NAME
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as lock:
        deadline_s = time.monotonic() + PROBE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise SiteError(f"{store}: a broker runs here already") from None
            time.sleep(0.05)
        lock.truncate()

        def ready() -> None:
            lock.write(msgspec.json.encode(Running(os.getpid(), kind)))
            lock.flush()

        yield ready
        lock.truncate(0)
