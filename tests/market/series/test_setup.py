"""``pumasi influx init`` against the real InfluxDB 1.x, and what versions 2 and 3 document of their HTTP API."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from market.commands import main
from market.series import SeriesError
from market.series.influx import InfluxSeries
from market.series.setup import prepare
from tests.market.series.test_series import COMMUNITY, HOUSEHOLD, later, password_environment
from tests.servers import InfluxDatabase, InfluxServer


def rows(server: InfluxServer, statement: str) -> list[list[Any]]:
    found = json.loads(server.query(statement))["results"][0].get("series", [])
    return [row for table in found for row in table["values"]]


@pytest.fixture
def environment(influxdb: InfluxDatabase, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environ = password_environment(influxdb)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.mark.parametrize(
    ("arguments", "duration"), [([], "0s"), (["--keep-days", "400"], "9600h0m0s"), (["--keep-days", "1"], "24h0m0s")]
)
def test_version_1_gets_database_retention_and_hourly_sums(
    environment: dict[str, str],
    influxdb: InfluxDatabase,
    influxdb_server: InfluxServer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    duration: str,
) -> None:
    influxdb_server.query(f'DROP DATABASE "{influxdb.database}"')
    for _ in range(2):  # doing it again is harmless
        assert main(["influx", "init", *arguments]) == 0
        said = capsys.readouterr().out
        assert "database" in said
        assert (f"{arguments[1]} days" if arguments else "for ever") in said
    policies = {row[0]: row[1] for row in rows(influxdb_server, f'SHOW RETENTION POLICIES ON "{influxdb.database}"')}
    assert policies == {"autogen": duration, "hours": "0s"}
    queries = json.loads(influxdb_server.query("SHOW CONTINUOUS QUERIES"))["results"][0]["series"]
    ours = next(table for table in queries if table["name"] == influxdb.database)
    assert {row[0] for row in ours["values"]} == {"pumasi_household_hours", "pumasi_community_hours"}
    assert all("RESAMPLE EVERY 1h FOR 1w" in row[1] for row in ours["values"])


def test_a_server_that_makes_no_policy_by_itself_gets_it_too(
    environment: dict[str, str], influxdb: InfluxDatabase, influxdb_server: InfluxServer
) -> None:
    influxdb_server.query(f'DROP RETENTION POLICY "autogen" ON "{influxdb.database}"')
    list(prepare(environment, 400))
    policies = rows(influxdb_server, f'SHOW RETENTION POLICIES ON "{influxdb.database}"')
    assert ["autogen", "9600h0m0s"] in [row[:2] for row in policies]


def test_hourly_sums_are_the_sums_of_the_points(
    environment: dict[str, str], influxdb: InfluxDatabase, influxdb_server: InfluxServer
) -> None:
    list(prepare(environment, None))
    series = InfluxSeries.with_password(influxdb.url, influxdb.user, influxdb.password, influxdb.database, "rural3")
    months = 90 * 96
    series.write([COMMUNITY, *(later(HOUSEHOLD, i, import_wh=10 * i) for i in (*range(8), months))])
    for _ in range(2):
        assert series.sum_hours(COMMUNITY.start, COMMUNITY.start + months * 900)
    series.close()
    found = rows(
        influxdb_server,
        f'SELECT import_wh, trade_money FROM "{influxdb.database}"."hours"."pumasi_household_hours"'
        " WHERE household='h001'",
    )
    assert [(row[1], row[2]) for row in found] == [(60, 15_200_000), (220, 15_200_000), (10 * months, 3_800_000)]


def test_hourly_sums_outlive_their_points(
    environment: dict[str, str], influxdb: InfluxDatabase, influxdb_server: InfluxServer
) -> None:
    """Those of hours whose points are gone stay, whatever is made again; so does that of an hour half gone."""
    list(prepare(environment, None))
    series = InfluxSeries.with_password(influxdb.url, influxdb.user, influxdb.password, influxdb.database, "rural3")
    first, last = HOUSEHOLD.start, HOUSEHOLD.start + 11 * 900
    points = [point for i in range(12) for point in (later(HOUSEHOLD, i), replace(COMMUNITY, start=first + 900 * i))]
    series.write(points)
    assert series.sum_hours(first, last)
    series.clear()
    series.write([point for point in points if point.start >= first + 6 * 900])
    series.write([later(HOUSEHOLD, 11, import_wh=0)])
    assert series.sum_hours(first, last)
    series.close()
    statement = f'SELECT import_wh FROM "{influxdb.database}"."hours"."pumasi_household_hours"'
    assert [row[1] for row in rows(influxdb_server, statement)] == [480, 480, 360]


def test_without_the_set_up_there_are_no_hourly_sums(influxdb: InfluxDatabase) -> None:
    series = InfluxSeries.with_password(influxdb.url, influxdb.user, influxdb.password, influxdb.database, "rural3")
    series.write([HOUSEHOLD, COMMUNITY])
    assert not series.sum_hours(HOUSEHOLD.start, HOUSEHOLD.start)
    series.close()


def test_a_user_who_may_not_is_told(environment: dict[str, str]) -> None:
    with pytest.raises(SeriesError, match=r"refuses 'CREATE DATABASE.*authorization failed|cannot"):
        list(prepare({**environment, "PUMASI_INFLUX_PASSWORD": "wrong"}, None))


def test_nobody_there_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"URL": "http://127.0.0.1:9", "USER": "u", "PASSWORD": "p", "DATABASE": "d"}.items():
        monkeypatch.setenv(f"PUMASI_INFLUX_{name}", value)
    assert main(["influx", "init"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_the_embedded_series_needs_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("PUMASI_INFLUX_URL", raising=False)
    assert main(["influx", "init"]) == 2
    assert "PUMASI_INFLUX_URL is not set" in capsys.readouterr().err


@dataclass
class Documented:
    """What was asked of a server that answers as the documentation of its version says."""

    version: str
    answers: dict[tuple[str, str], Any]
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def documented() -> Iterator[tuple[Documented, str]]:
    state = Documented("", {})

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            arguments = dict(urllib.parse.parse_qsl(query))
            if path != "/ping":
                assert self.headers["Authorization"] == "Token a token"
                state.asked.append((self.command, path, arguments, json.loads(raw) if raw else None))
            status, body = state.answers.get((self.command, path), (200, {}))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("X-Influxdb-Version", state.version)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def token_environment(url: str) -> dict[str, str]:
    names = {"URL": url, "TOKEN": "a token", "ORG": "street", "BUCKET": "pumasi"}
    return {f"PUMASI_INFLUX_{name}": value for name, value in names.items()}


def test_version_2_gets_a_bucket_and_its_mapping(documented: tuple[Documented, str]) -> None:
    state, url = documented
    state.version = "v2.7.12"
    state.answers = {
        ("GET", "/api/v2/orgs"): (200, {"orgs": [{"id": "o1"}]}),
        ("GET", "/api/v2/buckets"): (200, {"buckets": []}),
        ("POST", "/api/v2/buckets"): (201, {"id": "b1"}),
        ("GET", "/api/v2/dbrps"): (200, {"content": []}),
        ("POST", "/api/v2/dbrps"): (201, {"id": "m1"}),
    }
    said = list(prepare(token_environment(url), 30))
    made = {path: body for method, path, _, body in state.asked if method == "POST"}
    assert made["/api/v2/buckets"]["retentionRules"] == [{"type": "expire", "everySeconds": 30 * 86_400}]
    assert made["/api/v2/dbrps"] == {
        "orgID": "o1", "bucketID": "b1", "database": "pumasi", "retention_policy": "autogen", "default": True,
    }  # fmt: skip
    assert "Flux" in said[-1]


def test_version_2_that_has_them_only_gets_the_retention(documented: tuple[Documented, str]) -> None:
    state, url = documented
    state.version = "v2.7.12"
    state.answers = {
        ("GET", "/api/v2/orgs"): (200, {"orgs": [{"id": "o1"}]}),
        ("GET", "/api/v2/buckets"): (200, {"buckets": [{"id": "b1"}]}),
        ("GET", "/api/v2/dbrps"): (200, {"content": [{"database": "pumasi", "default": True}]}),
    }
    list(prepare(token_environment(url), None))
    changed = [(method, path, body) for method, path, _, body in state.asked if method != "GET"]
    assert changed == [("PATCH", "/api/v2/buckets/b1", {"retentionRules": []})]


@pytest.mark.parametrize("version", ["v2.7.12", "3.2.0"])
def test_versions_with_tokens_say_that_they_need_one(documented: tuple[Documented, str], version: str) -> None:
    state, url = documented
    state.version = version
    environ = {"PUMASI_INFLUX_URL": url, "PUMASI_INFLUX_USER": "u", "PUMASI_INFLUX_PASSWORD": "p"}
    with pytest.raises(SeriesError, match="is set up with PUMASI_INFLUX_TOKEN"):
        list(prepare(environ, None))


def test_with_both_it_is_the_bucket_that_is_written_to(documented: tuple[Documented, str]) -> None:
    state, url = documented
    state.version = "1.8.10"
    state.answers = {("POST", "/query"): (200, {"results": [{}]})}
    both = {"PUMASI_INFLUX_USER": "u", "PUMASI_INFLUX_PASSWORD": "p", "PUMASI_INFLUX_DATABASE": "elsewhere"}
    said = list(prepare({**token_environment(url), **both}, None))
    assert said[0] == "InfluxDB 1.8.10: database pumasi is there"
    assert not any("elsewhere" in arguments["q"] for _, _, arguments, _ in state.asked)


def test_version_2_without_the_organisation_is_told(documented: tuple[Documented, str]) -> None:
    state, url = documented
    state.version = "v2.7.12"
    with pytest.raises(SeriesError, match="no organisation 'street'"):
        list(prepare(token_environment(url), None))


@pytest.mark.parametrize("status", [200, 409])
def test_version_3_gets_a_database(documented: tuple[Documented, str], status: int) -> None:
    state, url = documented
    state.version = "3.2.0"
    state.answers = {("POST", "/api/v3/configure/database"): (status, {})}
    list(prepare(token_environment(url), 30))
    assert state.asked[-1][3] == {"db": "pumasi", "retention_period": "30d"}


def test_a_server_that_names_no_version_is_left_alone(documented: tuple[Documented, str]) -> None:
    state, url = documented
    assert list(prepare(token_environment(url), None)) == [
        f"{url} says it is version nothing: there is nothing to set up that we know of"
    ]
    assert state.asked == []
