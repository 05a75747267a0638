"""The whole path as a user runs it: ``pumasi demo`` with the real firmware, broker, market and page."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from market.record import Record
from market.series.environment import series_from_environment
from tests.end_to_end.conftest import PUMASI, Running

STEPS_PER_DAY = 96


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PUMASI, *arguments], capture_output=True, text=True, timeout=240, env={**os.environ, **(environment or {})}
    )


def demo(store: Path, *arguments: str) -> list[str]:
    return ["demo", "--store", str(store), "--port", "0", "--exit", "--json", *arguments]


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def settled(store: Path) -> dict[tuple[int, str, str], int]:
    """Every account's net money per interval and reason."""
    record = Record(store, read_only=True)
    total: dict[tuple[int, str, str], int] = {}
    for gate in record.gates():
        for transfer in record.transfers(gate.number):
            for account, money in ((transfer.credit, transfer.amount), (transfer.debit, -transfer.amount)):
                key = (gate.start, account, transfer.reason)
                total[key] = total.get(key, 0) + money
    record.close()
    return {key: money for key, money in total.items() if money}


@pytest.fixture(scope="module")
def day(
    tmp_path_factory: pytest.TempPathFactory, needs_firmware: None, mosquitto_path: Path
) -> tuple[Path, dict[str, Any]]:
    """The store and summary of an undisturbed day of twelve firmware homes over Mosquitto."""
    store = tmp_path_factory.mktemp("day") / "store"
    return store, summary(run(*demo(store, "--days", "1", "--speed", "0", "--broker", "mosquitto")))


def test_a_day_trades_with_gap_zero_and_nothing_lost(day: tuple[Path, dict[str, Any]]) -> None:
    _, got = day
    assert set(got) == {
        "homes",
        "intervals",
        "readings",
        "energy_traded_wh",
        "welfare",
        "certificate_gap_max",
        "rejected",
        "page",
    }
    assert (got["homes"], got["intervals"], got["readings"]) == (12, STEPS_PER_DAY, 12 * STEPS_PER_DAY)
    assert got["energy_traded_wh"] > 10_000
    assert got["welfare"] > 0
    assert got["certificate_gap_max"] == 0
    assert got["rejected"] == {}
    assert re.fullmatch(r"http://localhost:\d+", got["page"])


def test_replay_and_audit_agree_with_the_store(day: tuple[Path, dict[str, Any]]) -> None:
    store, _ = day
    replayed = run("replay", "--store", str(store))
    assert replayed.returncode == 0 and "identical, byte for byte" in replayed.stdout, replayed.stdout
    audited = run("audit", "--store", str(store))
    assert audited.returncode == 0 and audited.stdout.endswith("audit: OK\n"), audited.stdout


def test_the_embedded_broker_and_the_light_fleet_give_the_same_transfers(
    day: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    store, whole = day
    got = summary(
        run(
            *demo(tmp_path / "s", "--days", "1", "--speed", "0", "--broker", "embedded"),
            *("--fleet", "light", "--firmware-homes", "3"),
        )
    )
    assert {**got, "page": whole["page"]} == whole
    digests = [run("replay", "--store", str(place)).stdout.splitlines()[-1] for place in (store, tmp_path / "s")]
    assert digests[0] == digests[1], "byte for byte, transfer for transfer"


def test_the_light_fleet_runs_hundreds_of_homes(tmp_path: Path, mosquitto_path: Path) -> None:
    got = summary(
        run(
            *demo(tmp_path / "s", "--days", "0.0625", "--speed", "0", "--homes", "300"),
            "--fleet",
            "light",
            "--firmware-homes",
            "0",
        )
    )
    assert (got["homes"], got["intervals"], got["readings"]) == (300, 6, 1800)
    assert got["certificate_gap_max"] == 0


GATE = r"heard 12/12"
LINK = r"open the pages"


def signed_in(line: str) -> tuple[str, str, str]:
    """The pages' address, the session's cookie and the visitor's home, from the link that the demo prints."""
    found = re.search(r"(http://localhost:\d+)(/invitation/\S+)", line)
    assert found is not None, line
    connection = http.client.HTTPConnection(found[1].removeprefix("http://"), timeout=10)
    connection.request("GET", found[2])
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return found[1], answer.headers["Set-Cookie"].partition(";")[0], answer.headers["Location"]


def test_ctrl_c_ends_every_child_within_three_seconds_with_a_page_open(
    start: Callable[..., Running], needs_firmware: None, tmp_path: Path
) -> None:
    demo = start("--speed", "0.1", "--days", "1")
    pages, cookie, _ = signed_in(demo.until(LINK))
    demo.until(GATE, times=3)
    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert len(children) >= 12 + 3
    connection = http.client.HTTPConnection(pages.removeprefix("http://"), timeout=10)
    connection.request("GET", "/household/h001/events", headers={"Cookie": cookie})
    stream = connection.getresponse()
    assert stream.status == 200 and stream.read(6)
    asked = time.monotonic()
    os.kill(demo.process.pid, signal.SIGINT)
    demo.process.wait(10)
    took_s = time.monotonic() - asked
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert took_s < 3.0
    connection.close()
    assert "Traceback" not in demo.rest()
    store = str(tmp_path / "store")
    assert run("replay", "--store", store).returncode == 0
    assert run("audit", "--store", store).returncode == 0


def test_the_page_follows_the_street(start: Callable[..., Running], needs_firmware: None) -> None:
    demo = start("--speed", "0.1", "--days", "1")
    address, cookie, home = signed_in(demo.until(LINK))
    demo.until(GATE, times=2)
    assert home.startswith("/household/")
    for path in (home, f"/api/1{home}"):
        wanted = urllib.request.Request(f"{address}{path}", headers={"Cookie": cookie})
        with urllib.request.urlopen(wanted, timeout=10) as page:
            text = page.read().decode()
    live = json.loads(text)["live"]
    assert live["today"] == "2016-07-11", "the street's day, not today's"
    assert live["latest"] is None or live["latest"]["start"] < live["clock"] < 2**31
    with urllib.request.urlopen(f"{address}/health", timeout=10) as health:
        before = json.load(health)["change_counter"]
    demo.until(GATE, times=3)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{address}/health", timeout=10) as health:
            if json.load(health)["change_counter"] > before:
                return
    raise AssertionError("the page does not follow")


def test_kills_and_outages_change_nothing_that_was_settled(
    start: Callable[..., Running], day: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    demo = start("--speed", "0.15", "--days", "1", "--exit", "--broker", "mosquitto")
    for kills in range(8):
        demo.until(GATE, times=6)
        demo.child(("market", "mosquitto", "m003", "market")[kills % 4]).kill()
    output = demo.rest()
    assert demo.process.returncode == 0, output
    store, whole = day
    assert settled(tmp_path / "store") == settled(store), "to the last unit"
    record = Record(tmp_path / "store", read_only=True)
    assert record.reading_count() == whole["readings"]
    record.close()
    assert run("replay", "--store", str(tmp_path / "store")).returncode == 0
    assert run("audit", "--store", str(tmp_path / "store")).returncode == 0


def test_a_correction_is_settled_after_the_days_are_over(start: Callable[..., Running], tmp_path: Path) -> None:
    demo = start("--speed", "0", "--days", "0.05", "--fleet", "light", "--firmware-homes", "0", "--broker", "embedded")
    demo.until("the days are over")
    store, record = str(tmp_path / "store"), Record(tmp_path / "store", read_only=True)
    last = record.last_gate()
    assert last is not None and last.revision == 0
    known = record.registers(last.start, last.length, record.horizon())["m001", last.start]
    record.close()
    at = datetime.fromtimestamp(last.start, UTC).isoformat()
    corrected = ("m001", at, "--import-wh", str(known.import_wh + 1), "--reason", "read from the display")
    added = run("correction", "add", *corrected, "--store", store)
    assert added.returncode == 0, added.stderr
    demo.until(r"revision 1 .* heard 12/12")
    os.kill(demo.process.pid, signal.SIGINT)
    assert "Traceback" not in demo.rest()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--homes", "0"], "--homes 0: "),
        (["--days", "8"], "--days 8.0: "),
        (["--days", "0"], "--days 0.0: "),
        (["--speed", "-1"], "--speed -1.0: "),
        (["--port", "70000"], "--port 70000: "),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(tmp_path: Path, arguments: list[str], reason: str) -> None:
    done = run("demo", "--store", str(tmp_path / "s"), *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pumasi: {reason}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_directory_that_is_no_demos_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    done = run("demo", "--store", str(tmp_path), "--port", "0")
    assert done.returncode == 2 and "not touched" in done.stderr
    assert (tmp_path / "diary.txt").read_text() == "dear diary"


def test_the_series_goes_to_influxdb_when_one_is_configured(
    day: tuple[Path, dict[str, Any]], tmp_path: Path, influxdb: Any
) -> None:
    environment = {
        "PUMASI_INFLUX_URL": influxdb.url,
        "PUMASI_INFLUX_USER": influxdb.user,
        "PUMASI_INFLUX_PASSWORD": influxdb.password,
        "PUMASI_INFLUX_DATABASE": influxdb.database,
    }
    store, _ = day
    got = summary(
        run(*demo(tmp_path / "s", "--days", "1", "--speed", "0", "--fleet", "light"), environment=environment)
    )
    assert not (tmp_path / "s" / "series.sqlite").exists()
    embedded = series_from_environment({}, store, community="rural3", read_only=True)
    influx = series_from_environment(environment, tmp_path / "s", community="rural3", read_only=True)
    span = (0, 2**33)
    assert influx.community(*span) == embedded.community(*span)
    assert len(influx.community(*span)) == got["intervals"]
    for household in ("h001", "h007"):
        assert influx.household(household, *span) == embedded.household(household, *span)
        assert set(influx.partners(household, *span)) == set(embedded.partners(household, *span))
        assert influx.totals(household, *span) == embedded.totals(household, *span)
    influx.close()
    embedded.close()
