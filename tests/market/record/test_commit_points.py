"""A market killed at any point where its record is written ends, begun again, with the record it would have had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from market.record import Record
from market.record.schema import metadata
from market.service.replay import replay

COMMITS = 11
"""The record's creation, two changes of inputs, four batches, four closures."""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def killer() -> Iterator[Callable[[Path, int], str]]:
    """Runs a market in a store, killed at a point, and then to the end; its answer."""
    command = [sys.executable, "-m", "tests.market.record.killed"]
    # A process with one thread can be forked.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def kill(store: Path, point: int) -> str:
            process.stdin.write(f"{store} {point}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield kill
        process.stdin.close()
        assert process.wait(20) == 0


def rows(store: Path) -> dict[str, list[Any]]:
    """Every row of every table; a message that came again is counted, and its outbox used, again: no difference."""
    record = Record(store, read_only=True)
    found = {name: sorted(map(tuple, record._db.execute(f"SELECT * FROM {name}"))) for name in metadata.tables}
    found["outcome"] = [(name, count) for name, count in found["outcome"] if name in ("stored", "late")]
    found["outbox"] = [row[:3] for row in found["outbox"]]
    with record.snapshot():
        assert replay(record, lambda done, total: None).revisions == 1
    record.close()
    return found


def test_killed_at_every_point_it_ends_with_the_same_record(
    killer: Callable[[Path, int], str], new_store: Callable[[], Path]
) -> None:
    undisturbed = new_store()
    word, number = killer(undisturbed, 0).split()
    assert word == "points" and int(number) >= 2 * COMMITS
    expected = rows(undisturbed)
    assert len(expected["gate"]) == 4 and len(expected["reading"]) == 9 and len(expected["quarantine"]) == 1
    assert len(expected["input"]) == 6
    for point in range(1, int(number) + 1):
        store = new_store()
        assert killer(store, point) == f"killed {point}"
        assert rows(store) == expected, f"killed at point {point}"
