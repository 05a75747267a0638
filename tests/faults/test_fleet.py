"""``pumasi fleet`` under every fault: nothing lost, nothing twice, the same energy on both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firmware.host.fleet import unix_port

FAULTS = ["--loss", "0.05", "--outage", "2", "--power-cuts", "10", "--clock-drift", "200", "--reversed-ct", "1"]
FAULTS += ["--forgers", "2", "--grace", "1.5"]


def fleet(store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "market.commands", "fleet", "--store", str(store), "--json", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def balanced(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr[-3000:]
    got = dict(json.loads(done.stdout.splitlines()[-1]))
    assert got["balanced"] and got["lost"] == got["twice"] == 0
    assert got["stored"] == got["expected"]
    assert got["at_meters_wh"] == got["in_record_wh"] and got["at_meters_wh"][3] > 0
    return got


def told_of_all(got: dict[str, Any]) -> None:
    """Every fault happened, and every attack has been counted by its name."""
    injected, outcomes = got["injected"], got["outcomes"]
    assert injected["power cuts"] == 10
    assert injected["meters with a reversed transformer"] == 1
    assert sum(count for name, count in injected.items() if name.startswith("outages")) == 2
    assert injected["packets lost"] > 0 and injected["clocks that drift"] > 0
    assert injected["strangers the broker refused"] > 0 and "STRANGERS LET IN" not in injected
    for kind in ("readings forged on the way", "readings replayed", "readings on another meter's topic"):
        assert injected[kind] > 0
    # What went with a connection that broke never reached the market; the broker takes no other meter's topic.
    assert 0 < outcomes["forged"] <= injected["readings forged on the way"]
    assert outcomes["duplicate"] > 0
    assert set(outcomes) <= {"stored", "late", "duplicate", "forged"}


def test_firmware_meters(tmp_path: Path, mosquitto_path: Path) -> None:
    """The big run in small: see benchmarks/soak.py."""
    if unix_port() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    got = balanced(fleet(tmp_path / "s", "--homes", "8", "--real", "--days", "0.125", *FAULTS))
    assert (got["meters"], got["expected"]) == (8, 8 * 12)
    told_of_all(got)


def test_light_meters(tmp_path: Path, mosquitto_path: Path) -> None:
    got = balanced(fleet(tmp_path / "s", "--homes", "40", "--days", "0.125", *FAULTS))
    assert (got["meters"], got["expected"]) == (40, 40 * 12)
    told_of_all(got)


def test_a_grid_and_a_file_of_meters(tmp_path: Path) -> None:
    got = balanced(fleet(tmp_path / "s", "--homes", "50", "--days", "0.05", "--grid", "1-LV-semiurb4--2-sw"))
    assert got["outcomes"] == {"stored": 50 * 5}
    rows = ["time,household,load_wh,generation_wh"]
    rows += [f"{1_468_188_000 + 1800 * at},home {home},{100 * home},0" for at in range(48) for home in (1, 2)]
    (tmp_path / "meters.csv").write_text("\n".join(rows) + "\n")
    got = balanced(fleet(tmp_path / "t", "--homes", "2", "--days", "0.125", "--csv", str(tmp_path / "meters.csv")))
    assert got["at_meters_wh"] == [6 * 300, 0, 0, 6 * 300]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--homes", "0"], "--homes 0: a street has 1 to"),
        (["--loss", "0.9"], "--loss 0.9: a probability"),
        (["--days", "0"], "--days 0.0: not a time"),
        (["--days", "30"], "the homes' data have 7"),
        (["--reversed-ct", "13"], "--reversed-ct 13: there are 12 homes"),
        (["--outage", "60"], "--outage 60: 96 intervals have no room"),
        (["--grid", "nowhere"], "--grid: 'nowhere' is not the code"),
        (["--csv", "absent.csv"], "absent.csv"),
        (["--from", "2016-07-11"], "--from goes with --grid or --csv"),
        (["--broker", "here"], "--broker here: not HOST:PORT"),
    ],
)
def test_what_cannot_be_done(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = fleet(tmp_path / "s", *arguments)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_a_store_that_is_no_fleets_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    done = fleet(tmp_path, "--homes", "2", "--days", "0.02")
    assert done.returncode == 2 and "not touched" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "dear"
