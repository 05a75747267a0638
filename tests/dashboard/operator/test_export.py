"""The record as files from the page: the bytes that the command writes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyarrow import parquet

from market.commands import main
from tests.dashboard.signed import People

SPAN = "first=2016-07-11&last=2016-07-11"


@pytest.mark.parametrize("what", ["transfers", "positions", "readings", "bills"])
def test_csv_is_what_the_command_writes(day: People, eventful_store: Path, tmp_path: Path, what: str) -> None:
    answer = day.operator().get(f"/operator/export/{what}.csv?{SPAN}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="{what}-2016-07-11-2016-07-11.csv"' in answer.headers["content-disposition"]
    command = ["export", "--store", str(eventful_store), "--what", what, "--out", str(tmp_path / "out.csv")]
    assert main([*command, "--from", "2016-07-11", "--to", "2016-07-11"]) == 0
    assert answer.content == (tmp_path / "out.csv").read_bytes()
    assert day.auditor().get(f"/api/1/operator/export/{what}.csv?{SPAN}").content == answer.content


def test_parquet_too(day: People) -> None:
    answer = day.operator().get(f"/operator/export/positions.parquet?{SPAN}")
    assert parquet.read_table(io.BytesIO(answer.content)).num_rows == 12 * 6


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("transfers.csv?first=2016-07-12&last=2016-07-11", 422, "bad-span"),
        ("transfers.csv?first=2010-07-12&last=2016-07-11", 422, "bad-span"),
        ("transfers.csv?first=2016-07-12", 422, "bad-value"),
        (f"secrets.csv?{SPAN}", 422, "bad-value"),
        (f"transfers.xlsx?{SPAN}", 422, "bad-value"),
    ],
)
def test_what_cannot_be_is_named(day: People, path: str, status: int, problem: str) -> None:
    answer = day.operator().get(f"/api/1/operator/export/{path}")
    assert (answer.status_code, answer.json()["problem"]) == (status, problem)


def test_nothing_is_left_behind_and_it_is_written_down(
    day: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    browser = day.operator()
    browser.get(f"/operator/export/transfers.csv?{SPAN}")
    assert list(tmp_path.iterdir()) == []
    entry = browser.get("/api/1/operator/log").json()["deeds"][0]
    assert (entry["action"], entry["detail"]) == ("export", "transfers 2016-07-11 2016-07-11")
