"""A country's rules on a grid: what is shared in its period, the part of the fee that is due, and what is refused."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from market.backtest.law import COUNTRIES, columns, grid_of, says
from market.backtest.meters import Meters, summed
from market.backtest.rules import RULES
from market.clearing.problem import Network
from market.commands.main import main
from market.mechanisms import PRESETS
from market.mechanisms.presets import PERIOD_S

DAYS = ["--grid", "1-LV-rural3--2-sw", "--from", "2016-06-06", "--to", "2016-06-07"]
# Two quarter-hours with sun, two without; the consumer uses 100 Wh in each, and the roof's own home nothing.
QUARTERS = "time,household,load_wh,generation_wh\n" + "".join(
    f"2026-06-01T12:{15 * at:02d}:00Z,h1,100,0\n2026-06-01T12:{15 * at:02d}:00Z,h2,0,{made}\n"
    for at, made in enumerate((150, 0, 210, 0))
)
NETWORK = "node,parent,limit_wh,fee_per_kwh\nroot,,,0\nn1,root,80,0\nn2,root,,0\n"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["backtest", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_every_rule_of_a_preset_is_a_mechanism_of_the_backtest() -> None:
    assert set(PRESETS) - set(COUNTRIES) == {"korea-2016"}
    for country in COUNTRIES:
        for column, rule in columns(country).items():
            assert column == f"{country} {rule}"
            assert says(column) == f"{RULES[rule].says}; each {PRESETS[country].period}"
    assert says("nodal") == RULES["nodal"].says


def test_each_country_shares_in_its_period(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meters = tmp_path / "meters.csv"
    meters.write_text(QUARTERS)
    out = tmp_path / "out"
    told = summary(capsys, "--meters", str(meters), "--preset", "germany", "france", "--preset", "spain",
                   "--out", str(out))  # fmt: skip
    assert {name: row["energy_traded_wh"] for name, row in told.items()} == {
        "mid-market": 100 + 100,
        # Half of the surplus each, the roof's own half stays: 75 and, of 105, what is used.
        "germany static": 75 + 100,
        "germany proportional": 100 + 100,
        # 150 of 200 and 200 of 210 Wh in each half-hour.
        "france proportional": 150 + 200,
        "france static": 75 + 105,
        "france per-pair": 150 + 200,
        # 360 Wh for a use of 400 in the hour, all of it the consumer's.
        "spain ex-ante": 360,
        "spain static": 180,
    }
    assert {row["cost_alone"] for row in told.values()} == {(400 * 30_000 - 360 * 8_000) / 1e8}
    assert told["spain ex-ante"]["cost"] == (40 * 30_000) / 1e8
    times = [row["time"][11:16] for row in rows(out / "intervals.csv") if row["mechanism"] == "france proportional"]
    assert times == ["12:00", "12:30"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">spain ex-ante' in page
    assert "each half-hour" in page


def test_the_grid_under_a_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = summary(capsys, *DAYS, "--mechanism", "static", "--preset", "austria", "--out", str(tmp_path))
    assert list(told) == ["mid-market", "static", "austria proportional", "austria static"]
    for row in told.values():
        del row["seconds"]
    # Austria's fixed shares by the quarter-hour are the mechanism's.
    assert told["austria static"] == told["static"]
    assert told["austria proportional"] == told["mid-market"]


def test_a_part_of_the_fee_is_due(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["backtest", *DAYS, "--fees", "--preset", "germany", "switzerland", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "0.01 above a substation; switzerland: 60 % of them." in capsys.readouterr().out
    fees = {
        name: sum(Decimal(row["fees"]) for row in rows(tmp_path / "intervals.csv") if row["mechanism"] == name)
        for name in ("germany proportional", "switzerland proportional")
    }
    # All homes are behind one transformer: -40 % in a Swiss local electricity community, full fees in Germany.
    assert fees["switzerland proportional"] == fees["germany proportional"] * 6 / 10 > 0


def test_limits_and_fees_of_a_longer_period() -> None:
    network = Network([-1, 0, 0], [-1, 50, -1], [0, 1001, 7], limit_down_wh=[-1, -1, 0], fee_down_ticks=[0, 500, 0])
    swiss = grid_of(PRESETS["switzerland"], network, 4, 0)
    assert (swiss.limit_wh.tolist(), swiss.limit_down_wh.tolist()) == ([-1, 200, -1], [-1, -1, 0])
    assert (swiss.fee_ticks.tolist(), swiss.fee_down_ticks.tolist()) == ([0, 600, 4], [0, 300, 0])
    assert grid_of(PRESETS["switzerland"], network, 1, 1).fee_ticks.tolist() == [0, 800, 5]
    assert grid_of(PRESETS["switzerland"], network, 1, None).fee_ticks.tolist() == [0, 1001, 7]


def test_sums_change_no_energy() -> None:
    random = np.random.default_rng(5)
    taken, given, made, used = (random.integers(0, 900, (8, 3)) for _ in range(4))
    of = Meters(("a", "b", "c"), ("",) * 3, 7200, 900, taken, given, made, used)
    assert summed(of, 900) is of
    hourly = summed(of, 3600)
    assert (hourly.starts, hourly.intervals) == (range(7200, 14_400, 3600), 2)
    for name in ("import_wh", "export_wh", "generation_wh", "consumption_wh"):
        assert getattr(hourly, name).tolist() == [getattr(of, name)[at : at + 4].sum(axis=0).tolist() for at in (0, 4)]
    for start, many in ((900, 4), (0, 3)):
        late = Meters(of.households, of.nodes, start, 900, *(part[:many] for part in (taken, given, made, used)))
        with pytest.raises(ValueError, match="do not begin and end with whole intervals of 3600 s"):
            summed(late, 3600)


def test_a_limit_holds_for_the_whole_period(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, *body = QUARTERS.splitlines()
    lines = [f"{head},node", *(f"{line},{'n1' if ',h2,' in line else 'n2'}" for line in body)]
    for name, text in (("meters.csv", "\n".join(lines) + "\n"), ("network.csv", NETWORK)):
        (tmp_path / name).write_text(text)
    inputs = ["--meters", str(tmp_path / "meters.csv"), "--network", str(tmp_path / "network.csv")]
    told = summary(capsys, *inputs, "--preset", "spain", "--out", str(tmp_path / "out"))
    # 80 Wh a quarter-hour are 320 an hour: the static half of 360 fits, all of it does not.
    assert (told["mid-market"]["energy_traded_wh"], told["spain static"]["energy_traded_wh"]) == (160, 180)
    assert "spain ex-ante" not in told


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--preset", "atlantis"], "--preset: unknown 'atlantis'; known are austria, france, spain, switzerland,"),
        (["--preset", "korea-2016"], "--preset: korea-2016 nets kWh by the month under a progressive tariff, and"),
        (["--preset", "austria"], "hours.csv: --preset austria shares each quarter-hour: intervals of 3600 s do not"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    meters = tmp_path / "hours.csv"
    meters.write_text("time,household,load_wh,generation_wh\n0,a,1,0\n3600,a,1,0\n")
    assert main(["backtest", "--meters", str(meters), *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert line in said.err
    assert not (tmp_path / "out").exists()


def test_the_report_of_many_rules_says_what_it_does_not_draw(tmp_path: Path) -> None:
    assert main(["backtest", *DAYS, "--preset", *COUNTRIES, "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 more in the table" in page


def test_the_help_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["backtest", "--help"])
    text = capsys.readouterr().out
    assert all(country in text for country in COUNTRIES)
    assert all(period in text for period in PERIOD_S)
