"""Work that takes longer than a page may: one thread, one thing at a time, with its progress and its last result.

Results lie in STORE/dashboard/operator/, one file for each kind of work, so that they outlive the process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from broker.private_files import make_private_folder, write_private
from dashboard.settings import folder

FOLDER = "operator"
log = logging.getLogger(__name__)

Work = Callable[[Callable[[int, int], None]], Any]
"""Is given what to call with how much is done, of how much; returns what is kept, as JSON can hold it."""


class StoppedError(Exception):
    """The dashboard ends."""


class BusyError(Exception):
    """Something else is being worked on; the message is its kind."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being worked on: ``done`` of ``total`` steps in ``seconds``; ``left_s`` at this pace, None at first."""

    kind: str
    done: int
    total: int
    seconds: int
    left_s: int | None


class Background:
    """The operator's long work on one store."""

    def __init__(self, store: Path) -> None:
        self._folder = folder(store) / FOLDER
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._kind, self._done, self._total, self._began = "", 0, 0, 0.0
        self._failures: dict[str, str] = {}

    def start(self, kind: str, work: Work) -> None:
        """Begin in a thread; what it returns, or the reason why it failed, is kept. Raises BusyError."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise BusyError(self._kind)
            self._kind, self._done, self._total, self._began = kind, 0, 0, time.monotonic()
            self._thread = threading.Thread(target=self._run, args=(kind, work), name=f"operator: {kind}", daemon=True)
            self._thread.start()

    def progress(self) -> Progress | None:
        """None while nothing is worked on."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return None
            seconds = time.monotonic() - self._began
            left = seconds * (self._total - self._done) / self._done if self._done else None
            return Progress(self._kind, self._done, self._total, round(seconds), None if left is None else round(left))

    def last(self, kind: str) -> Any:
        """What work of that kind led to last; None when there was none."""
        try:
            return msgspec.json.decode((self._folder / f"{kind}.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def failure(self, kind: str) -> str | None:
        """Why work of that kind came to nothing when it was tried last; None when it did not."""
        return self._failures.get(kind)

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing is worked on any more."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ask for the end at the next step."""
        self._stopping.set()
        self.wait(timeout_s)

    def _run(self, kind: str, work: Work) -> None:
        self._failures.pop(kind, None)
        try:
            kept = work(self._note)
            make_private_folder(self._folder)
            write_private(self._folder / f"{kind}.json", msgspec.json.encode(kept))
        except StoppedError:
            return
        except Exception as error:
            self._failures[kind] = str(error) or type(error).__name__
            log.exception("the operator's %s failed", kind)

    def _note(self, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise StoppedError
        with self._lock:
            self._done, self._total = done, total
