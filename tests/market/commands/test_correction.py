"""``pumasi correction add`` shows what it would change first, and asks before it stores what is hardly possible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from market.commands.main import main
from market.record import Record
from market.record.rows import Gate
from tests.market.settled import settle_street


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("corrected")
    settle_street(store)
    return store


@pytest.fixture
def record(settled: Path) -> Iterator[Record]:
    record = Record(settled, read_only=True)
    yield record
    record.close()


def last_gate(record: Record) -> Gate:
    gate = record.last_gate()
    assert gate is not None
    return gate


def imported(record: Record, start: int) -> int:
    return record.registers(start, 900, record.horizon(), record.last_correction())["m002", start].import_wh


def add(store: Path, at: str, import_wh: int, *more: str) -> int:
    said = ("m002", at, "--import-wh", str(import_wh), "--reason", "read from the display")
    return main(["correction", "add", *said, "--store", str(store), *more])


def test_what_is_hardly_possible_is_shown_and_not_stored_without_yes(
    settled: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    last = last_gate(record)
    stood, before = imported(record, last.start), imported(record, last.start - 900)
    wrong = stood + 10_000
    assert add(settled, "2016-07-11T12:45", wrong) == 2
    said = capsys.readouterr()
    assert f"m002  import register {stood} -> {wrong} Wh" in said.out
    power = (wrong - before) * 4 / 1000
    line = f"2016-07-11 12:45-13:00  import {stood - before} -> {wrong - before} Wh  NOT LIKELY: that is {power:.1f} kW"
    assert line in said.out
    assert "h002: import " in said.out and "bought " in said.out and "gain " in said.out
    assert said.err.count("\n") == 1 and "add --yes" in said.err
    assert record.last_correction() == 0, "nothing is stored"
    assert add(settled, "2016-07-11T12:45", wrong, "--yes") == 0
    assert "stored;" in capsys.readouterr().out
    assert record.last_correction() == 1


def test_both_sides_of_the_register_are_shown(
    settled: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    at = last_gate(record).start - 1800
    before, stood, after = (imported(record, start) for start in (at - 900, at, at + 900))
    assert add(settled, "2016-07-11T12:15", stood - 1) == 0, "what is likely needs no --yes"
    said = capsys.readouterr().out
    assert f"2016-07-11 12:15-12:30  import {stood - before} -> {stood - before - 1} Wh\n" in said
    assert f"2016-07-11 12:30-12:45  import {after - stood} -> {after - stood + 1} Wh\n" in said
    assert "NOT LIKELY" not in said


def test_the_most_a_meter_showed_leaves_out_what_was_corrected(
    settled: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a wrong reading would make the next wrong one likely."""
    last = last_gate(record)
    stood = imported(record, last.start - 900)
    assert add(settled, "2016-07-11T12:45", stood + 30_000, "--yes") == 0
    capsys.readouterr()
    assert add(settled, "2016-07-11T12:45", stood + 20_000) == 2
    assert "the most it showed within thirty days is 0." in capsys.readouterr().out
