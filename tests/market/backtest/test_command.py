"""``pumasi backtest`` as a person meets it: table, JSON, files, and one line when the input cannot be used."""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import io
import json
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from market.backtest import files
from market.backtest.rules import RULES
from market.commands import backtest
from market.commands.main import main, parser

WEEK = ["--grid", "1-LV-rural3--2-sw", "--from", "2016-06-06", "--to", "2016-06-07"]
METERS = "time,household,node,load_wh,generation_wh\n" + "".join(
    f"2026-06-01T{hour:02d}:00+02:00,{home},{node},{load},{made if 8 <= hour < 18 else 0}\n"
    for hour in range(24)
    for home, node, load, made in (("h1", "n1", 300, 0), ("h2", "n1", 200, 900), ("h3", "n2", 500, 0))
)
NETWORK = "node,parent,limit_wh,fee_per_kwh\nroot,,,0\nn1,root,250,0.01\nn2,root,,0.01\n"


@pytest.fixture
def written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Path, str, str]]:
    """Two days of the built-in grid under all mechanisms: the folder, what was printed, and the progress."""
    assert main(["backtest", *WEEK, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    yield tmp_path / "out", said.out, said.err


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_everything_is_there_and_agrees(written: tuple[Path, str, str]) -> None:
    folder, out, progress = written
    summary = json.loads(out.splitlines()[-1])
    assert list(summary) == list(RULES)
    assert json.loads((folder / "summary.json").read_text()) == summary
    for name, row in summary.items():
        assert list(row) == [
            "self_sufficiency_alone", "self_sufficiency", "cost_alone", "cost", "energy_traded_wh", "seconds",
        ]  # fmt: skip
        assert re.search(rf"^{name} ", out, re.MULTILINE)
        assert re.search(rf"^{name} +█+ 100 %  192 of 192 intervals", progress, re.MULTILINE)
    households, intervals, community = (
        rows(folder / f"{name}.csv") for name in ("households", "intervals", "community")
    )
    assert (len(households), len(intervals), len(community)) == (118 * len(RULES), 192 * len(RULES), 192)
    assert intervals[0]["time"] == "2016-06-06T00:00:00+02:00"
    for name, row in summary.items():
        mine = [home for home in households if home["mechanism"] == name]
        here = [interval for interval in intervals if interval["mechanism"] == name]
        assert sum(int(home["sold_wh"]) for home in mine) == row["energy_traded_wh"]
        assert sum(int(interval["traded_wh"]) for interval in here) == row["energy_traded_wh"]
        kept = sum(Decimal(interval["rent"]) + Decimal(interval["pool"]) for interval in here)
        assert float(sum(Decimal(home["cost"]) for home in mine) - kept) == row["cost"]
        assert float(sum(Decimal(home["cost_alone"]) for home in mine)) == row["cost_alone"]
    assert summary["mid-market"]["energy_traded_wh"] == sum(
        min(int(interval["import_wh"]), int(interval["export_wh"])) for interval in community
    )


class Page(HTMLParser):
    """What a page fetches from elsewhere, its tags and its unbalanced ones."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page_that_fetches_nothing(written: tuple[Path, str, str]) -> None:
    text = (written[0] / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.fetched == []
    assert "script" not in page.seen
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan", "", text.lower())
    assert page.seen.count("details") >= 8  # a table beside every chart
    for name in RULES:
        assert f'<th scope="row">{name}' in text
    assert "Open Database License" in text


def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    meters = tmp_path / "<b>.csv"
    meters.write_text(METERS.replace("h1", "<script>alert(1)</script>"))
    assert main(["backtest", "--meters", str(meters), "--mechanism", "nodal", "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in text
    assert "<b>.csv" not in text


def test_mid_market_is_always_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["backtest", *WEEK, "--mechanism", "nodal", "--out", str(tmp_path), "--json", "--fees"]
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(summary) == ["mid-market", "nodal"]
    fees = sum(Decimal(row["fees"]) for row in rows(tmp_path / "intervals.csv") if row["mechanism"] == "nodal")
    assert fees > 0


def test_own_meters_on_an_own_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("meters.csv", METERS), ("network.csv", NETWORK)):
        (tmp_path / name).write_text(text)
    inputs = ["--meters", str(tmp_path / "meters.csv"), "--network", str(tmp_path / "network.csv")]
    command = ["backtest", *inputs, "--retail", "0.40", "--feed-in", "0.10", "--out", str(tmp_path / "out"), "--json"]
    assert main([*command, "--timezone", "Europe/Berlin"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out.splitlines()[-1])
    # Ten hours: 700 Wh of surplus, 300 to the neighbour at the node, 250 through the edge that takes no more.
    assert summary["mid-market"]["energy_traded_wh"] == 10 * (300 + 250)
    assert summary["mid-market"]["cost_alone"] == pytest.approx(0.4 * (24 * 0.8 + 14 * 0.2) - 0.1 * 10 * 0.7)
    saved = summary["mid-market"]["cost_alone"] - summary["mid-market"]["cost"]
    assert saved == pytest.approx(10 * (0.55 * 0.3 - 0.25 * 0.02))
    congested = [row["full_edges"] for row in rows(tmp_path / "out" / "intervals.csv") if row["mechanism"] == "nodal"]
    assert congested == ["0"] * 8 + ["1"] * 10 + ["0"] * 6
    # A sharing key cannot give way to a limit: those that would pass it are left out, and said so.
    assert "backtest: left out: proportional: interval 8: the keys pass the node's limit" in said.err
    assert "proportional" not in summary
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Congestion" in page
    assert "Left out: proportional" in page
    assert main([*command, "--mechanism", "proportional"]) == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--grid", "1-LV-rural3--2-sw", "--year", "--from", "2016-01-01"], "--year is everything there is"),
        (["--grid", "1-LV-rural3--2-sw", "--from", "2017-01-01"], "the data cover 2016-01-01 to 2016-12-31"),
        (["--grid", "nowhere"], "--grid: 'nowhere' is not the code of a low-voltage SimBench grid"),
        ([*WEEK, "--mechanism", "nodule"], "--mechanism: unknown 'nodule'; known are mid-market, nodal"),
        ([*WEEK, "--retail", "x"], "--retail: 'x' is not a"),
        ([*WEEK, "--retail", "0.05"], "--retail 0.05 is below --feed-in 0.08"),
        ([*WEEK, "--network", "n.csv"], "--network goes with --meters"),
        (["--meters", "m.csv", "--fees"], "--fees goes with --grid"),
        (["--meters", "m.csv"], "m.csv: No such file or directory"),
        (["--meters", "{good}", "--from", "2027-01-01"], "good.csv: the data cover 2026-05-31 to 2026-06-01"),
        (["--meters", "{bad}"], "bad.csv, row 4, column load_wh: 'NaN' is a gap"),
        (["--meters", "{good}", "--network", "{elsewhere}"], "good.csv, row 2, column node: 'n1' is not a node"),
        (["--meters", "{bare}", "--network", "{elsewhere}"], "bare.csv, row 1, column node: the column is missing"),
    ],
)
def test_bad_input_is_one_line_status_2_and_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    bare = "time,household,load_wh,generation_wh\n0,a,1,0\n900,a,1,0\n"
    texts = {
        "good": METERS,
        "bad": METERS.replace("h3,n2,500", "h3,n2,NaN"),
        "elsewhere": NETWORK.replace("n1", "n9"),
        "bare": bare,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
    places = {name: str(tmp_path / f"{name}.csv") for name in texts}
    out = tmp_path / "out"
    assert main(["backtest", *(part.format(**places) for part in arguments), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert line in said.err
    assert not out.exists()


def test_a_street_without_sun_has_a_report_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meters = tmp_path / "night.csv"
    meters.write_text("time,household,load_wh,generation_wh\n0,a,1,0\n900,a,0,0\n")
    assert main(["backtest", "--meters", str(meters), "--out", str(tmp_path / "out"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(row["energy_traded_wh"] == 0 and row["cost"] == row["cost_alone"] for row in summary.values())
    assert "had nothing to trade" in (tmp_path / "out" / "report.html").read_text()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    assert main(["backtest", *WEEK, "--mechanism", "nodal", "--out", str(tmp_path / "out")]) == 2
    assert "out: File exists" in capsys.readouterr().err


def test_the_bar_moves_on_a_terminal_and_stays_one_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    arguments = ["--grid", "1-LV-rural3--2-sw", "--mechanism", "nodal"]
    backtest.prepare(_parsed(arguments), screen)
    first, second, rest = screen.getvalue().split("\n")
    assert rest == ""
    steps = first.split("\r")
    assert len(steps) > 10
    assert "░   6 %  2,221 of 35,136 intervals" in steps[1]
    assert "█ 100 %  35,136 of 35,136 intervals" in steps[-1]
    assert second.startswith("\rnodal ")


def _parsed(arguments: list[str]) -> argparse.Namespace:
    return parser().parse_args(["backtest", *arguments])


def test_parquet_says_what_csv_says(tmp_path: Path) -> None:
    if not files.has_parquet():
        reason = "pyarrow is not installed: pip install '.[parquet]'"
        brought = any("pyarrow" in need and "test" in need for need in importlib.metadata.requires("pumasi") or ())
        if os.environ.get("CI") == "true" and brought:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    import pyarrow.parquet

    assert main(["backtest", *WEEK, "--mechanism", "nodal", "--out", str(tmp_path)]) == 0
    for name in ("households", "intervals", "community"):
        table = pyarrow.parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()
        for ours, theirs in zip(rows(tmp_path / f"{name}.csv"), table, strict=True):
            for column, text in ours.items():
                value = theirs[column]
                if isinstance(value, Decimal):
                    assert Decimal(text) == value
                else:
                    assert text == ("" if value is None else str(value))


def test_without_pyarrow_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "has_parquet", lambda: False)
    assert main(["backtest", *WEEK, "--mechanism", "nodal", "--out", str(tmp_path)]) == 0
    assert "no Parquet files, pyarrow is missing: the extra 'parquet' brings it" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.parquet"))


def test_the_help_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["backtest", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in RULES)
    assert "--grid CODE" in text
