"""A queue between threads that hands over many things at once: one lock and one wake-up for a burst, not for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Holds ``bound`` things, and those of the last burst beyond: nothing is put in while it is full."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._things: deque[T] = deque()
        self._changed = threading.Condition()

    def put(self, things: Sequence[T], timeout_s: float) -> bool:
        """Whether they were put in, all of them in their order; False: it stayed full [s]."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._things) < self._bound, timeout_s):
                return False
            self._things.extend(things)
            self._changed.notify_all()
            return True

    def take(self, most: int, timeout_s: float) -> list[T]:
        """What has come, the oldest ``most`` of it; empty when nothing came in this time [s]."""
        with self._changed:
            self._changed.wait_for(lambda: self._things, timeout_s)
            taken = [self._things.popleft() for _ in range(min(most, len(self._things)))]
            self._changed.notify_all()
            return taken
