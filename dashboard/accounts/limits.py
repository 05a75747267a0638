"""How often somebody may try: a bucket of tries for each key, filled again with time; memory is bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from math import ceil

KEYS_KEPT = 20_000
"""The key that was longest not seen is forgotten first."""


class Limits:
    """``tries`` says for each kind of key how many tries ``per_s`` seconds allow."""

    def __init__(self, tries: Mapping[str, int], per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._tries = tries
        self._per_s = per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_s(self, keys: Mapping[str, str]) -> int:
        """Take one try from the bucket of every key; 0, or how long to wait when one is empty (none is taken then)."""
        now = self._clock()
        with self._lock:
            left = {kind: self._filled(kind, key, now) for kind, key in keys.items()}
            short = max((1 - tries) / self._tries[kind] for kind, tries in left.items())
            if short > 0:
                return max(1, ceil(short * self._per_s))
            for kind, key in keys.items():
                self._left[kind, key] = (left[kind] - 1, now)
                self._left.move_to_end((kind, key))
            while len(self._left) > KEYS_KEPT:
                self._left.popitem(last=False)
        return 0

    def forget(self, keys: Mapping[str, str]) -> None:
        """Tries that ended well are not held against anybody."""
        with self._lock:
            for kind, key in keys.items():
                self._left.pop((kind, key), None)

    def _filled(self, kind: str, key: str, now: float) -> float:
        most = self._tries[kind]
        left, at = self._left.get((kind, key), (float(most), now))
        return min(float(most), left + (now - at) * most / self._per_s)
