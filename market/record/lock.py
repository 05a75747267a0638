"""One writer for each store: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from market.record.rows import RecordError


@contextmanager
def sole(path: Path, whose: str) -> Iterator[None]:
    """Hold the lock file ``path``. Raises RecordError, naming ``whose`` it is, when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(f"{path}: {whose} is running here already") from None
        yield
