"""Files of secrets: whole, for their owner, and nothing left of what had no room."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.private_files import write_private


@pytest.fixture
def little_room() -> Iterator[int]:
    """No file may grow beyond so many bytes: Python then gets the error that a full disk gives."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_it_is_there_whole_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for text in ("one", "another"):
        write_private(path, text)
        assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_without_room_the_old_one_stays_and_the_error_says_where(tmp_path: Path, little_room: int) -> None:
    path = tmp_path / "key"
    write_private(path, "one")
    with pytest.raises(OSError, match="File too large") as failed:
        write_private(path, b"x" * (little_room + 1))
    assert failed.value.filename == str(path)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]
