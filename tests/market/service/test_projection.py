"""The series is a projection of the record: it can be made again, and nothing waits for it."""

from __future__ import annotations

import json
import re
import resource
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from market.commands import main
from market.record import Record
from market.series import EmbeddedSeries, FlowPoint, Point, Series, series_from_environment
from market.series.position import POSITION_FILE, read_position, series_name, write_position
from market.service.projection import Projection, points_of, rebuild
from tests.market.series.test_series import password_environment
from tests.market.settled import settle_street
from tests.servers import InfluxDatabase, InfluxServer, wait_for_port

WAIT_S = 60
EVER = (0, 1 << 40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projected")
    settle_street(folder)
    return folder


@pytest.fixture(params=["embedded", "influx"])
def environ(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = password_environment(request.getfixturevalue("influxdb")) if request.param == "influx" else {}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def whole(store: Path, series: Series) -> list[Point]:
    """Every point that the series holds of the record's households, nodes and meters."""
    record = Record(store, read_only=True)
    rules = record.rules(record.input_versions(2**62))
    record.close()
    found: list[Point] = [*series.community(*EVER), *series.health(*EVER)]
    for member in rules.members:
        found.extend(series.household(member.household, *EVER))
        found.extend(point for meter in member.meters for point in series.readings(meter.meter, *EVER))
    for node in rules.nodes:
        found.extend(series.flows(node, *EVER))
    return found


def due(store: Path) -> list[Point]:
    """What it should hold: the points of each interval's last revision."""
    record = Record(store, read_only=True)
    newest = {}
    for gate in record.gates():
        newest[gate.start] = gate
    found = [point for gate in newest.values() for point in points_of(record, gate)]
    record.close()
    return found


def text(points: list[Point]) -> list[str]:
    return sorted(repr(point) for point in points if "Partner" not in type(point).__name__)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_rebuilt_it_is_equal_point_by_point(
    store: Path, environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = series_from_environment(environ, store, community="c")
    projection = Projection(store, series, "first", lambda text: None)
    projection.start()
    projection.wake()
    until(lambda: read_position(store, "first") > 0)
    projection.stop(10)
    before = whole(store, series)
    assert text(before) == text(due(store))
    partners = [series.partners(f"h{i:03}", *EVER) for i in range(1, 13)]
    assert any(partners)
    assert main(["influx", "rebuild", "--store", str(store)]) == 0
    assert re.search(r"\d+ points of 7 gate closures", capsys.readouterr().out)
    assert text(whole(store, series)) == text(before)
    assert [series.partners(f"h{i:03}", *EVER) for i in range(1, 13)] == partners
    assert main(["influx", "status", "--store", str(store)]) == 0
    assert "7 of 7 gate closures, 0 behind" in capsys.readouterr().out
    series.close()


def test_what_an_interrupted_rebuild_left_out_the_market_fills(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle_street(tmp_path)
    series = series_from_environment(environ, tmp_path, community="c")
    name = series_name(environ)
    projection = Projection(tmp_path, series, name, lambda text: None)
    projection.start()
    until(lambda: read_position(tmp_path, name) == 7)
    record = Record(tmp_path, read_only=True)
    monkeypatch.setattr("market.service.projection.POINTS_PER_WRITE", 100)

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        rebuild(record, tmp_path, series, name, interrupt)
    record.close()
    assert main(["influx", "status", "--store", str(tmp_path)]) == 0
    assert "3 of 7 gate closures, 4 behind" in capsys.readouterr().out
    assert text(whole(tmp_path, series)) != text(due(tmp_path))
    projection.wake()
    until(lambda: read_position(tmp_path, name) == 7)
    projection.stop(10)
    assert text(whole(tmp_path, series)) == text(due(tmp_path))
    series.close()


def test_a_market_that_writes_while_a_rebuild_clears_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_street(tmp_path)
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    project(tmp_path, series, "c")
    monkeypatch.setattr("market.service.projection.POINTS_PER_WRITE", 100)
    record = Record(tmp_path, read_only=True)

    def clear() -> None:
        assert read_position(tmp_path, "c") == 0
        write_position(tmp_path, "c", 5)  # the market's

    def interrupt(done: int, total: int) -> None:
        raise InterruptedError

    monkeypatch.setattr(series, "clear", clear)
    with pytest.raises(InterruptedError):
        rebuild(record, tmp_path, series, "c", interrupt)
    assert read_position(tmp_path, "c") == 1
    record.close()
    series.close()


def test_hourly_sums_are_made_again_too(
    influxdb: InfluxDatabase,
    influxdb_server: InfluxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle_street(tmp_path)
    for name, value in password_environment(influxdb).items():
        monkeypatch.setenv(name, value)
    assert main(["influx", "init"]) == 0
    assert main(["influx", "rebuild", "--store", str(tmp_path)]) == 0
    assert "with hourly sums" in capsys.readouterr().out

    def export_wh(place: str) -> list[list[int]]:
        found = influxdb_server.query(f"SELECT sum(export_wh) FROM {place}", db=influxdb.database)
        return json.loads(found)["results"][0]["series"][0]["values"]  # type: ignore[no-any-return]

    assert export_wh('"hours"."pumasi_household_hours"') == export_wh('"pumasi_household"')
    assert export_wh('"hours"."pumasi_community_hours"') == export_wh('"pumasi_community"')


def project(store: Path, series: Series, name: str) -> None:
    """As a market does that is started, and stopped when the series has come to the record's end."""
    said: list[str] = []
    projection = Projection(store, series, name, said.append)
    projection.start()
    until(lambda: read_position(store, name) == 7 or bool(said))
    projection.stop(10)
    assert said == []


def test_a_database_that_lets_go_of_old_points_is_not_filled_again(
    influxdb: InfluxDatabase, influxdb_server: InfluxServer, tmp_path: Path
) -> None:
    settle_street(tmp_path)
    series = series_from_environment(password_environment(influxdb), tmp_path, community="c")
    project(tmp_path, series, "kept")
    first = series.community(*EVER)[0].start
    influxdb_server.query(f"DELETE FROM /.*/ WHERE time = {first}s", db=influxdb.database)
    kept = FlowPoint(first + 10 * 900, 900, "n1", 1, 1, 0)
    series.write([kept])
    project(tmp_path, series, "kept")
    assert kept in series.flows("n1", *EVER)
    # Another database of that name holds nothing of the record.
    influxdb_server.query(f'DROP DATABASE "{influxdb.database}"')
    influxdb_server.query(f'CREATE DATABASE "{influxdb.database}"')
    project(tmp_path, series, "kept")
    assert text(whole(tmp_path, series)) == text(due(tmp_path))
    series.close()


def test_what_a_power_cut_or_a_restored_record_leaves_is_put_right(tmp_path: Path) -> None:
    settle_street(tmp_path)
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    project(tmp_path, series, "c")
    last = series.community(*EVER)[-1].start
    lost = sqlite3.connect(tmp_path / "series.sqlite")
    lost.execute("DELETE FROM household WHERE start = ?", (last,))
    lost.commit()
    lost.close()
    project(tmp_path, series, "c")
    assert text(whole(tmp_path, series)) == text(due(tmp_path))
    # A record out of a backup is behind its series.
    series.write([FlowPoint(last + 900, 900, "n1", 1, 1, 0)])
    write_position(tmp_path, "c", 8)
    project(tmp_path, series, "c")
    assert text(whole(tmp_path, series)) == text(due(tmp_path))
    series.close()


def test_a_record_older_than_what_is_kept_does_not_hold_it_up(
    influxdb: InfluxDatabase, influxdb_server: InfluxServer, tmp_path: Path
) -> None:
    settle_street(tmp_path)
    influxdb_server.query(f'ALTER RETENTION POLICY "autogen" ON "{influxdb.database}" DURATION 30d')
    series = series_from_environment(password_environment(influxdb), tmp_path, community="c")
    project(tmp_path, series, "old")
    assert series.community(*EVER) == []
    series.close()


def test_a_rebuild_that_cannot_reach_its_database_says_so(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"URL": "http://127.0.0.1:9", "USER": "u", "PASSWORD": "p", "DATABASE": "d"}.items():
        monkeypatch.setenv(f"PUMASI_INFLUX_{name}", value)
    assert main(["influx", "rebuild", "--store", str(store)]) == 2
    assert "cannot be reached" in capsys.readouterr().err


class SlowDoor:
    """A TCP door to a server through which each answer takes ``delay_s``."""

    def __init__(self, port: int, delay_s: float) -> None:
        self._behind, self._delay_s = port, delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._behind))
            threading.Thread(target=self._pass, args=(here, there, 0.0), daemon=True).start()
            threading.Thread(target=self._pass, args=(there, here, self._delay_s), daemon=True).start()

    @staticmethod
    def _pass(here: socket.socket, there: socket.socket, delay_s: float) -> None:
        with here, there:
            try:
                while data := here.recv(1 << 16):
                    time.sleep(delay_s)
                    there.sendall(data)
            except OSError:
                pass


def test_nothing_waits_for_a_slow_database(tmp_path: Path, influxdb: InfluxDatabase) -> None:
    door = SlowDoor(int(influxdb.url.rpartition(":")[2]), delay_s=0.5)
    environ = {**password_environment(influxdb), "PUMASI_INFLUX_URL": f"http://127.0.0.1:{door.port}"}
    settle_street(tmp_path)
    series = series_from_environment(environ, tmp_path, community="slow")
    projection = Projection(tmp_path, series, "slow", lambda text: None)
    projection.start()
    projection.wake()
    settled_while_writing = Record(tmp_path)  # what the market does meanwhile takes no lock of the series
    with settled_while_writing.transaction():
        settled_while_writing.count({"stored": 1})
    assert read_position(tmp_path, "slow") < settled_while_writing.last_gate_number()
    until(lambda: read_position(tmp_path, "slow") == settled_while_writing.last_gate_number())
    settled_while_writing.close()
    projection.stop(10)
    series.close()
    door.close()
    series = series_from_environment(password_environment(influxdb), tmp_path, community="slow")
    assert text(whole(tmp_path, series)) == text(due(tmp_path))
    series.close()


@pytest.fixture
def own_server(request: pytest.FixtureRequest, influxdb_server: InfluxServer, tmp_path: Path) -> Iterator[InfluxServer]:
    """An InfluxDB of this test's own, to be killed."""
    server = InfluxServer(influxdb_server.program, tmp_path)
    server.start()
    server.query('CREATE DATABASE "pumasi"')
    yield server
    server.stop()


def own_environment(server: InfluxServer) -> dict[str, str]:
    return password_environment(InfluxDatabase(server.url, server.user, server.password, "pumasi"))


def kill(server: InfluxServer) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.process = None


def start_again(server: InfluxServer, limit_bytes: int) -> None:
    """Start the server where no file may grow past ``limit_bytes``: to it, its disk is full."""
    log = server.folder / "influxdb.log"
    with log.open("ab") as output:
        server.process = subprocess.Popen(
            [server.program, "-config", server.folder / "influxdb.conf"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
        )
    wait_for_port(server.port, server.process, log)


def test_killed_and_back_the_gap_fills_by_itself(
    own_server: InfluxServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market.service.projection.RETRY_S", 0.1)
    store = tmp_path_factory.mktemp("killed")
    said: list[str] = []
    series = series_from_environment(own_environment(own_server), store, community="c")
    kill(own_server)
    settle_street(store)
    projection = Projection(store, series, "killed", said.append)
    projection.start()
    projection.wake()
    until(lambda: projection.trouble is not None)
    own_server.start()
    until(lambda: read_position(store, "killed") == 7)
    until(lambda: len(said) > 1)
    projection.stop(10)
    assert any("the market goes on" in line for line in said)
    assert "the gap is filled" in said[-1]
    assert text(whole(store, series)) == text(due(store))
    series.close()


def test_an_earlier_records_points_go_also_when_it_was_away_at_first(
    own_server: InfluxServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market.service.projection.RETRY_S", 0.1)
    store = tmp_path_factory.mktemp("away")
    settle_street(store)
    series = series_from_environment(own_environment(own_server), store, community="c")
    series.write([FlowPoint(0, 900, "n1", 1, 1, 0)])
    kill(own_server)
    said: list[str] = []
    projection = Projection(store, series, "away", said.append)
    projection.start()
    until(lambda: bool(said))
    own_server.start()
    until(lambda: read_position(store, "away") == 7)
    projection.stop(10)
    assert text(whole(store, series)) == text(due(store))
    assert len(said) == 2
    series.close()


def test_with_a_full_disk_it_is_behind_and_then_complete(
    own_server: InfluxServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market.service.projection.RETRY_S", 0.1)
    store = tmp_path_factory.mktemp("full")
    settle_street(store)
    said: list[str] = []
    series = series_from_environment(own_environment(own_server), store, community="c")
    kill(own_server)
    start_again(own_server, 2_000)
    projection = Projection(store, series, "full", said.append)
    projection.start()
    projection.wake()
    until(lambda: bool(said))
    assert read_position(store, "full") == 0
    kill(own_server)
    own_server.start()
    until(lambda: read_position(store, "full") == 7)
    projection.stop(10)
    assert text(whole(store, series)) == text(due(store))
    series.close()


def test_a_lost_position_file_means_from_the_beginning(store: Path, tmp_path: Path) -> None:
    (tmp_path / POSITION_FILE).write_text("{damaged")
    assert read_position(tmp_path, "embedded") == 0
