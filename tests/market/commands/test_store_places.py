"""Where a store is, and who of the machine may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from market.commands.main import main, parser, told
from market.record import Record
from market.series.embedded import EmbeddedSeries


@pytest.mark.parametrize("line", ["broker run", "market run", "firmware key", "firmware offer 0.2.0"])
def test_the_environment_names_the_store(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUMASI_STORE", str(tmp_path / "street"))
    assert parser().parse_args(line.split()).store == tmp_path / "street"


@pytest.mark.parametrize("line", ["market run", "firmware key", "fleet --broker 127.0.0.1:1"])
def test_without_a_store_one_line_names_both_ways(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PUMASI_STORE", raising=False)
    assert main(line.split()) == 2
    assert capsys.readouterr().err == "pumasi: which store? give --store DIR or set PUMASI_STORE\n"


def test_a_new_store_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = tmp_path / "street"
        record = Record(store)
        series = EmbeddedSeries(store / "series.sqlite")
        series.community(0, 1)
        modes = {path.name: path.stat().st_mode & 0o777 for path in store.iterdir()}
        series.close()
        record.close()
    finally:
        os.umask(before)
    assert store.stat().st_mode & 0o777 == 0o700
    assert modes.keys() >= {"record.sqlite", "record.sqlite-wal", "series.sqlite", "series.sqlite-wal"}
    assert set(modes.values()) == {0o600}


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Record(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_errors_of_the_system_read_as_sentences() -> None:
    assert told(PermissionError(13, "Permission denied", "a/b")) == "a/b: Permission denied"
    assert told(OSError(98, "Address already in use")) == "Address already in use"
