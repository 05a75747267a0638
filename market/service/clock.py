"""What the market takes for time: the machine's clock, or a conductor's over standard input."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO


def system_clock(tick: Callable[[int], None], stopping: threading.Event) -> None:
    """Call ``tick`` with the epoch second, once a second, until ``stopping`` is set."""
    while not stopping.is_set():
        tick(int(time.time()))
        stopping.wait(1.0)


def conductor_clock(lines: TextIO, tick: Callable[[int], None], stop: Callable[[], None]) -> None:
    """Call ``tick`` for every line ``tick <epoch>``; ``stop`` at a line ``stop`` or at the end."""
    for line in lines:
        word, _, number = line.strip().partition(" ")
        if word == "tick" and number.isdecimal():
            tick(int(number))
        elif word == "stop":
            break
    stop()
