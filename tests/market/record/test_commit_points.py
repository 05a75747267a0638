"""A market killed at any point where its record is written ends, begun again, with the record it would have had."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.private_files import write_private
from market.record import Record
from market.record.place import FILE_NAME
from market.record.schema import metadata
from market.service.audit import audit
from market.service.chain import HEADS_FILE
from market.service.market import MASTER_KEY_FILE
from market.service.replay import replay
from tests.market.record.killed import MASTER

COMMITS = 21
"""The record's creation, two changes of inputs, four batches, eight closures, three of a month, an estimate, a
correction, what a meter said of itself."""
REVISIONS = 7
"""Five of intervals, two of the month."""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def killer() -> Iterator[Callable[[Path, str, int], str]]:
    """Runs a market in a store, killed at a point, and then to the end; its answer."""
    command = [sys.executable, "-m", "tests.market.record.killed"]
    # A process with one thread can be forked.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def kill(store: Path, what: str, point: int) -> str:
            process.stdin.write(f"{store} {what} {point}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield kill
        process.stdin.close()
        assert process.wait(20) == 0


def rows(store: Path) -> dict[str, list[Any]]:
    """Every row of every table. That a message came again is counted, and its count chained: no difference."""
    record = Record(store, read_only=True)
    found = {name: sorted(map(tuple, record._db.execute(f"SELECT * FROM {name}"))) for name in metadata.tables}
    record.close()
    found["outcome"] = [(name, count) for name, count in found["outcome"] if name in ("stored", "late")]
    found["outbox"] = [row[:3] for row in found["outbox"]]
    heads = [json.loads(line) for line in (store / HEADS_FILE).read_bytes().splitlines()]
    assert [(head["number"], head["head"]) for head in heads] == [(row[0], row[3]) for row in found["chain"]]
    for place, (gate, entry, sealed, _, _) in enumerate(found["chain"]):
        entry, sealed = json.loads(entry), json.loads(sealed)
        del entry["sealed"], sealed["outcomes"]
        found["chain"][place] = (gate, entry, sealed)
    return found


def audited(store: Path, revisions: int) -> dict[str, list[Any]]:
    """The same, of a record that a replay and an audit find nothing wrong with."""
    record = Record(store, read_only=True)
    with record.snapshot():
        assert replay(record, lambda done, total: None).revisions == revisions
    found = rows(store)
    assert audit(record, store, lambda done, total: None).gates == len(found["gate"]) == len(found["chain"])
    record.close()
    return found


def test_killed_at_every_point_it_ends_with_the_same_record(
    killer: Callable[[Path, str, int], str], new_store: Callable[[], Path]
) -> None:
    undisturbed = new_store()
    word, number = killer(undisturbed, "market", 0).split()
    assert word == "points" and int(number) >= 2 * COMMITS
    expected = audited(undisturbed, REVISIONS)
    assert len(expected["gate"]) == 3 + 1 + REVISIONS and len(expected["reading"]) == 8
    assert len(expected["input"]) == 6 and len(expected["quarantine"]) == 1 and len(expected["status"]) == 1
    assert [row[-2] for row in expected["correction"]] == ["market", "killed"]
    for point in range(1, int(number) + 1):
        store = new_store()
        assert killer(store, "market", point) == f"killed {point}"
        assert rows(store) == expected, f"killed at point {point}"


def test_a_migration_killed_at_every_point_ends_with_the_same_record(
    killer: Callable[[Path, str, int], str], tmp_path: Path
) -> None:
    script = (Path(__file__).parent / "format_1.sql").read_text()

    def released(name: str) -> Path:
        store = tmp_path / name
        store.mkdir()
        db = sqlite3.connect(store / FILE_NAME)
        db.executescript(script)
        db.close()
        write_private(store / MASTER_KEY_FILE, f"{MASTER.hex()}\n")
        return store

    undisturbed = released("undisturbed")
    word, number = killer(undisturbed, "older", 0).split()
    assert word == "points" and int(number) >= 2 * 6 + 3
    expected = audited(undisturbed, 1)
    assert len(expected["chain"]) == 6
    for point in range(1, int(number) + 1):
        store = released(f"killed-{point}")
        assert killer(store, "older", point) == f"killed {point}"
        assert rows(store) == expected, f"killed at point {point}"
