"""One table of behaviour, run on every implementation: SQLite, InfluxDB with password, InfluxDB with a token."""

from __future__ import annotations

import base64
import http.server
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest

from market.series import (
    CommunityPoint,
    EmbeddedSeries,
    FlowPoint,
    HealthPoint,
    HouseholdPoint,
    HouseholdTotals,
    PartnerPoint,
    PartnerTotal,
    Point,
    ReadingPoint,
    Series,
    SeriesError,
    series_from_environment,
)
from market.series.lines import select
from tests.servers import InfluxDatabase, InfluxServer

HOUSEHOLD = HouseholdPoint(
    start=1_468_180_800,
    length=900,
    household="h001",
    import_wh=120,
    export_wh=400,
    generation_wh=700,
    consumption_wh=420,
    bought_wh=100,
    sold_wh=300,
    heard=True,
    trade_money=3_800_000,
    residual_money=200_000,
    alone_money=-400_000,
    revision=0,
    received_wh=30,
    given_wh=40,
)
COMMUNITY = CommunityPoint(
    start=1_468_180_800,
    length=900,
    homes=12,
    heard=11,
    energy_traded_wh=300,
    import_wh=900,
    export_wh=800,
    generation_wh=2_000,
    consumption_wh=2_100,
    welfare=6_600_000,
    certificate_gap=0,
    price_ticks=19_000,
    retail_ticks=30_000,
    feed_in_ticks=8_000,
    fees=150_000,
    revision=0,
)


def later(point: HouseholdPoint, intervals: int, **changes: object) -> HouseholdPoint:
    return replace(point, start=point.start + 900 * intervals, **changes)  # type: ignore[arg-type]


def partner(name: str, bought_wh: int, sold_wh: int, *, intervals: int = 0, revision: int = 0) -> PartnerPoint:
    return PartnerPoint(HOUSEHOLD.start + 900 * intervals, 900, "h001", name, bought_wh, sold_wh, revision)


class TokenGate(http.server.BaseHTTPRequestHandler):
    """InfluxDB 2's door in front of a real 1.6: a token, `/api/v2/write`, and the bucket as database."""

    token = "a token"
    behind: InfluxDatabase

    def do_GET(self) -> None:
        self.forward(None)

    def do_POST(self) -> None:
        self.forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def forward(self, body: bytes | None) -> None:
        path, _, query = self.path.partition("?")
        arguments = dict(urllib.parse.parse_qsl(query))
        if self.headers["Authorization"] != f"Token {self.token}":
            self.answer(401, b'{"code":"unauthorized","message":"unauthorized access"}')
            return
        if path == "/api/v2/write":
            assert arguments["org"] == "pumasi"
            path, arguments = "/write", {"db": arguments["bucket"], "precision": arguments["precision"]}
        request = urllib.request.Request(f"{self.behind.url}{path}?{urllib.parse.urlencode(arguments)}", body)
        request.method = self.command
        credentials = base64.b64encode(f"{self.behind.user}:{self.behind.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                self.answer(refused.code, refused.read())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def token_url(influxdb: InfluxDatabase) -> Iterator[str]:
    gate = type("Gate", (TokenGate,), {"behind": influxdb})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), gate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def password_environment(database: InfluxDatabase) -> dict[str, str]:
    return {
        "PUMASI_INFLUX_URL": database.url,
        "PUMASI_INFLUX_USER": database.user,
        "PUMASI_INFLUX_PASSWORD": database.password,
        "PUMASI_INFLUX_DATABASE": database.database,
    }


def token_environment(url: str, bucket: str) -> dict[str, str]:
    return {
        "PUMASI_INFLUX_URL": url,
        "PUMASI_INFLUX_TOKEN": TokenGate.token,
        "PUMASI_INFLUX_ORG": "pumasi",
        "PUMASI_INFLUX_BUCKET": bucket,
    }


Open = Callable[[], Series]
IMPLEMENTATIONS = ["embedded", "influx-password", "influx-token"]


@pytest.fixture(params=IMPLEMENTATIONS)
def open_series(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store again and again."""
    environ: dict[str, str] = {}
    if request.param == "influx-password":
        environ = password_environment(request.getfixturevalue("influxdb"))
    elif request.param == "influx-token":
        bucket = request.getfixturevalue("influxdb").database
        environ = token_environment(request.getfixturevalue("token_url"), bucket)
    opened: list[Series] = []

    def open_again() -> Series:
        opened.append(series_from_environment(environ, tmp_path, community="rural3"))
        return opened[-1]

    yield open_again
    for series in opened:
        series.close()


@pytest.fixture
def series(open_series: Open) -> Series:
    return open_series()


def test_an_empty_series_answers_with_nothing(series: Series) -> None:
    assert series.household("h001", 0, 1 << 40) == []
    assert series.community(0, 1 << 40) == []
    assert series.partners("h001", 0, 1 << 40) == []
    assert series.totals("h001", 0, 1 << 40) == HouseholdTotals()
    assert series.sums("h001", [0, 900, 1 << 40]) == [HouseholdTotals(), HouseholdTotals()]
    series.write([])


def test_what_was_written_is_read_back_by_another_opening(open_series: Open) -> None:
    open_series().write([COMMUNITY, partner("h002", 100, 300), HOUSEHOLD])
    reader = open_series()
    assert reader.household("h001", HOUSEHOLD.start, HOUSEHOLD.start + 1) == [HOUSEHOLD]
    assert reader.community(COMMUNITY.start, COMMUNITY.start + 1) == [COMMUNITY]
    assert reader.partners("h001", COMMUNITY.start, COMMUNITY.start + 1) == [PartnerTotal("h002", 100, 300)]


def test_flows_registers_and_health_too(open_series: Open) -> None:
    start = HOUSEHOLD.start
    flows = [FlowPoint(start, 900, "n1", -250, 19_000, 0), FlowPoint(start + 900, 900, "n1", 0, None, 0)]
    readings = [ReadingPoint(start + 900 * i, 900, "m001", "h001", 2**40 + i, 2, 3, 4, 0) for i in range(2)]
    health = [HealthPoint(start + 900 * i, 900, 12, 11, 30, 4_711 + i, 0) for i in range(2)]
    others: list[Point] = [
        FlowPoint(start, 900, "n2", 1, 1, 0),
        ReadingPoint(start, 900, "m002", "h001", 1, 1, 1, 1, 0),
    ]
    open_series().write([*reversed(flows), *reversed(readings), *reversed(health), *others])
    reader = open_series()
    ever = (0, 1 << 40)
    assert (reader.flows("n1", *ever), reader.readings("m001", *ever), reader.health(*ever)) == (
        flows,
        readings,
        health,
    )
    first = (start, start + 900)
    assert reader.flows("n1", *first) == flows[:1]
    assert reader.readings("m001", *first) == readings[:1]
    assert reader.health(*first) == health[:1]
    reader.clear()
    assert [*reader.flows("n1", *ever), *reader.readings("m001", *ever), *reader.health(*ever)] == []


@pytest.mark.parametrize("prices", [(19_000, None), (None, 19_000), (None, None)])
def test_a_later_revisions_price_stands_bounded_or_not(series: Series, prices: tuple[int | None, int | None]) -> None:
    for revision, price_ticks in enumerate(prices):
        series.write([FlowPoint(HOUSEHOLD.start, 900, "n1", 5, price_ticks, revision)])
    assert series.flows("n1", 0, 1 << 40) == [FlowPoint(HOUSEHOLD.start, 900, "n1", 5, prices[-1], 1)]


def test_spans_are_half_open_and_answers_are_in_order(series: Series) -> None:
    series.write([later(HOUSEHOLD, i) for i in (2, 0, 3, 1)])
    series.write([replace(COMMUNITY, start=COMMUNITY.start + 900 * i) for i in (1, 0)])
    found = series.household("h001", HOUSEHOLD.start + 900, HOUSEHOLD.start + 3 * 900)
    assert [point.start - HOUSEHOLD.start for point in found] == [900, 1800]
    assert [point.start for point in series.community(0, 1 << 40)] == [COMMUNITY.start, COMMUNITY.start + 900]


def test_households_are_kept_apart(series: Series) -> None:
    series.write([HOUSEHOLD, replace(HOUSEHOLD, household="h002", import_wh=5)])
    assert [p.import_wh for p in series.household("h002", 0, 1 << 40)] == [5]
    assert series.totals("h003", 0, 1 << 40).intervals == 0


@pytest.mark.parametrize("household", ["it's", 'quo"te', "a,b=c d", "x' OR 'a'='a"])
def test_ids_are_never_read_as_language(series: Series, household: str) -> None:
    series.write([HOUSEHOLD, replace(HOUSEHOLD, household=household, import_wh=7)])
    assert [p.import_wh for p in series.household(household, 0, 1 << 40)] == [7]


@pytest.mark.parametrize("household", ["", "back\\slash", "two\nlines"])
def test_ids_that_line_protocol_cannot_write_are_refused(household: str) -> None:
    from market.series.lines import written

    with pytest.raises(SeriesError, match="cannot be an id"):
        written([replace(HOUSEHOLD, household=household)], "rural3")


def test_a_later_revision_replaces_the_earlier_one(series: Series) -> None:
    series.write([HOUSEHOLD, COMMUNITY])
    series.write([replace(HOUSEHOLD, heard=False, sold_wh=0, revision=1), replace(COMMUNITY, heard=12, revision=1)])
    (point,) = series.household("h001", 0, 1 << 40)
    assert (point.heard, point.sold_wh, point.revision) == (False, 0, 1)
    assert [(p.heard, p.revision) for p in series.community(0, 1 << 40)] == [(12, 1)]


def test_of_two_revisions_in_one_call_the_higher_stands(series: Series) -> None:
    newer = replace(HOUSEHOLD, import_wh=1, revision=2)
    series.write([newer, HOUSEHOLD, partner("h002", 1, 0), partner("h003", 2, 0, revision=2)])
    assert series.household("h001", 0, 1 << 40) == [newer]
    assert series.partners("h001", 0, 1 << 40) == [PartnerTotal("h003", 2, 0)]


def test_a_revision_drops_the_partners_it_no_longer_names(series: Series) -> None:
    series.write([HOUSEHOLD, partner("h002", 50, 0), partner("h003", 50, 0)])
    series.write([later(HOUSEHOLD, 1), partner("h002", 7, 0, intervals=1)])
    series.write([replace(HOUSEHOLD, revision=1), partner("h004", 80, 0, revision=1)])
    assert series.partners("h001", 0, 1 << 40) == [PartnerTotal("h004", 80, 0), PartnerTotal("h002", 7, 0)]
    series.write([replace(HOUSEHOLD, revision=2)])
    assert series.partners("h001", 0, 1 << 40) == [PartnerTotal("h002", 7, 0)]


def test_writing_twice_changes_nothing(series: Series) -> None:
    points: list[Point] = [HOUSEHOLD, COMMUNITY, partner("h002", 100, 300)]
    series.write(points)
    series.write(points)
    assert series.totals("h001", 0, 1 << 40).import_wh == 120
    assert series.partners("h001", 0, 1 << 40) == [PartnerTotal("h002", 100, 300)]


def test_partners_are_summed_with_the_largest_first_and_ties_by_id(series: Series) -> None:
    series.write(
        [
            HOUSEHOLD,
            partner("h005", 10, 0),
            partner("h003", 0, 30),
            partner("h004", 20, 10),
            later(HOUSEHOLD, 1),
            partner("h005", 1, 2, intervals=1),
            partner("h009", 0, 0, intervals=1),
        ]
    )
    assert series.partners("h001", 0, 1 << 40) == [
        PartnerTotal("h003", 0, 30),
        PartnerTotal("h004", 20, 10),
        PartnerTotal("h005", 11, 2),
    ]
    assert series.partners("h001", HOUSEHOLD.start, HOUSEHOLD.start + 900)[-1] == PartnerTotal("h005", 10, 0)


def test_totals_are_exact_beyond_64_bits(series: Series) -> None:
    most = (1 << 63) - 1
    extremes = {"trade_money": most, "residual_money": -most - 1, "alone_money": -most}
    series.write([later(HOUSEHOLD, i, heard=i != 1, **extremes) for i in range(3)])
    totals = series.totals("h001", 0, 1 << 40)
    assert totals.trade_money == 3 * most
    assert totals.residual_money == -3 * (most + 1)
    assert totals.alone_money == -3 * most
    assert totals.saved_money == 3 * most - 3
    assert (totals.intervals, totals.heard, totals.generation_wh) == (3, 2, 2_100)
    assert (totals.first, totals.last) == (HOUSEHOLD.start, HOUSEHOLD.start + 1800)


def test_sums_are_the_totals_of_each_span(series: Series) -> None:
    most = (1 << 63) - 1
    series.write([later(HOUSEHOLD, i, heard=i != 1, sold_wh=i, trade_money=most) for i in range(6)])
    series.write([replace(HOUSEHOLD, household="h002")])
    at = HOUSEHOLD.start
    bounds = [at - 900, at, at + 900, at + 3600, at + 7200, at + 9000]
    found = series.sums("h001", bounds)
    assert [total.intervals for total in found] == [0, 1, 3, 2, 0]
    assert [total.sold_wh for total in found] == [0, 0, 6, 9, 0]
    assert [total.heard for total in found] == [0, 1, 2, 2, 0]
    assert [total.received_wh for total in found] == [0, 30, 90, 60, 0]
    assert [total.given_wh for total in found] == [0, 40, 120, 80, 0]
    assert [total.trade_money for total in found] == [0, most, 3 * most, 2 * most, 0]
    assert [total.first for total in found] == [None, at, at + 900, at + 3600, None]
    assert found == [series.totals("h001", begin, end) for begin, end in pairwise(bounds)]


def test_lengths_are_part_of_the_key(series: Series) -> None:
    series.write([HOUSEHOLD, replace(HOUSEHOLD, length=300)])
    assert [p.length for p in series.household("h001", 0, 1 << 40)] == [300, 900]


def test_more_points_than_one_batch(series: Series) -> None:
    series.write([later(HOUSEHOLD, i) for i in range(6_000)])
    assert series.totals("h001", 0, 1 << 40).intervals == 6_000


def test_corrections_months_apart_read_their_days_only(
    influxdb: InfluxDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = series_from_environment(password_environment(influxdb), tmp_path, community="rural3")
    months = 90 * 96
    for i in (0, 1, months):
        series.write([later(HOUSEHOLD, i), partner("h002", 5, 0, intervals=i)])
    series.write([replace(partner("h001", 0, 5), household="h002")])
    asked: list[int] = []

    def seen(kind: type[Point], community: str, start: int, end: int, **tags: str) -> str:
        asked.append(end - start)
        return select(kind, community, start, end, **tags)

    monkeypatch.setattr("market.series.lines.select", seen)
    series.write([later(HOUSEHOLD, i, revision=1) for i in (0, 1, months)])
    monkeypatch.undo()
    assert len(asked) == 2
    assert max(asked) <= 86_400
    assert series.partners("h001", 0, 1 << 40) == []
    assert series.partners("h002", 0, 1 << 40) == [PartnerTotal("h001", 0, 5)]
    series.close()


def test_what_the_database_lets_go_is_no_failure(
    influxdb: InfluxDatabase, influxdb_server: InfluxServer, token_url: str, tmp_path: Path
) -> None:
    influxdb_server.query(f'ALTER RETENTION POLICY "autogen" ON "{influxdb.database}" DURATION 30d')
    today = int(time.time()) // 900 * 900
    environments = (password_environment(influxdb), token_environment(token_url, influxdb.database))
    for environ, household in zip(environments, ("h001", "h002"), strict=True):
        series = series_from_environment(environ, tmp_path, community="rural3")
        kept = replace(HOUSEHOLD, household=household, start=today)
        series.write([replace(HOUSEHOLD, household=household), kept])
        assert series.household(household, 0, 1 << 40) == [kept]
        series.close()


def test_clear_forgets_everything(series: Series) -> None:
    series.write([HOUSEHOLD, COMMUNITY, partner("h002", 1, 0)])
    series.clear()
    test_an_empty_series_answers_with_nothing(series)


def test_communities_share_a_database_without_seeing_each_other(influxdb: InfluxDatabase, tmp_path: Path) -> None:
    here, there = (
        series_from_environment(password_environment(influxdb), tmp_path, community=name) for name in ("a", "b")
    )
    here.write([HOUSEHOLD, COMMUNITY])
    there.write([replace(HOUSEHOLD, import_wh=1)])
    there.clear()
    assert here.household("h001", 0, 1 << 40) == [HOUSEHOLD]
    assert there.community(0, 1 << 40) == []
    here.close()
    there.close()


def test_saved_money_is_what_the_community_was_worth() -> None:
    assert HOUSEHOLD.saved_money == 3_800_000 + 200_000 + 400_000


def test_every_figure_is_a_field_of_the_database() -> None:
    from market.series.lines import field_names, tag_names, written

    for point in (HOUSEHOLD, COMMUNITY, partner("h002", 1, 2)):
        kind = type(point)
        assert {*field_names(kind), *tag_names(kind), "start"} == {f.name for f in fields(kind)}
        assert written([point], "rural3")[0].endswith(f" {point.start}")


def test_points_from_before_there_were_gifts_have_none() -> None:
    from market.series.lines import field_names, points

    names = field_names(HouseholdPoint)
    old = [None if name in ("received_wh", "given_wh") else getattr(HOUSEHOLD, name) for name in names]
    columns = ["time", *names, "household", "length"]
    (found,) = points(HouseholdPoint, columns, [[HOUSEHOLD.start, *old, "h001", "900"]])
    assert found == replace(HOUSEHOLD, received_wh=0, given_wh=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PUMASI_INFLUX_PASSWORD": "wrong"}, "refuses the credentials"),
        ({"PUMASI_INFLUX_DATABASE": "nowhere"}, "has no database 'nowhere'"),
        ({"PUMASI_INFLUX_URL": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    influxdb: InfluxDatabase, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    series = series_from_environment(password_environment(influxdb) | changes, tmp_path, community="rural3")
    for attempt in (lambda: series.write([COMMUNITY]), lambda: series.household("h001", 0, 1)):
        with pytest.raises(SeriesError, match=said) as raised:
            attempt()
        assert "\n" not in str(raised.value)
        assert influxdb.password not in str(raised.value)
    series.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PUMASI_INFLUX_TOKEN": "wrong"}, "refuses the credentials"),
        ({"PUMASI_INFLUX_BUCKET": "nowhere"}, "has no database 'nowhere'"),
        ({"PUMASI_INFLUX_URL": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_with_a_token_too(
    influxdb: InfluxDatabase, token_url: str, tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    environ = token_environment(token_url, influxdb.database) | changes
    series = series_from_environment(environ, tmp_path, community="rural3")
    for attempt in (lambda: series.write([COMMUNITY]), lambda: series.community(0, 1)):
        with pytest.raises(SeriesError, match=said) as raised:
            attempt()
        assert "\n" not in str(raised.value)
    series.close()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PUMASI_INFLUX_URL": "http://h"}, "set either PUMASI_INFLUX_TOKEN"),
        (
            {"PUMASI_INFLUX_URL": "http://h", "PUMASI_INFLUX_USER": "u"},
            "PUMASI_INFLUX_PASSWORD, PUMASI_INFLUX_DATABASE",
        ),
        ({"PUMASI_INFLUX_URL": "http://h", "PUMASI_INFLUX_TOKEN": "t"}, "PUMASI_INFLUX_ORG, PUMASI_INFLUX_BUCKET"),
        ({"PUMASI_INFLUX_URL": "localhost:8086"}, "not an http"),
        ({"PUMASI_INFLUX_URL": "http://u:p@h"}, "must not hold credentials"),
    ],
)
def test_half_a_configuration_is_refused(environ: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=said):
        series_from_environment(environ, tmp_path, community="rural3")


def test_a_reader_waits_for_the_writers_file(tmp_path: Path) -> None:
    path = tmp_path / "series.sqlite"
    reader = EmbeddedSeries(path, read_only=True)
    assert reader.household("h001", 0, 1 << 40) == []
    assert not path.exists()
    writer = EmbeddedSeries(path)
    writer.write([HOUSEHOLD])
    assert reader.household("h001", 0, 1 << 40) == [HOUSEHOLD]
    with pytest.raises(SeriesError, match="reading only"):
        reader.write([HOUSEHOLD])
    writer.close()
    assert reader.totals("h001", 0, 1 << 40).intervals == 1
    reader.close()
    after = EmbeddedSeries(path, read_only=True)
    assert after.totals("h001", 0, 1 << 40).intervals == 1
    after.close()


def test_readers_are_not_held_up_by_a_writer(tmp_path: Path) -> None:
    writer = EmbeddedSeries(tmp_path / "series.sqlite")
    reader = EmbeddedSeries(tmp_path / "series.sqlite", read_only=True)
    failures: list[Exception] = []

    def write() -> None:
        try:
            for i in range(200):
                writer.write([later(HOUSEHOLD, i), partner("h002", 1, 0, intervals=i)])
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while thread.is_alive():
        totals = reader.totals("h001", 0, 1 << 40)
        assert totals.intervals >= seen
        seen = totals.intervals
    thread.join()
    assert not failures
    assert reader.totals("h001", 0, 1 << 40).intervals == 200
    writer.close()
    reader.close()


def test_a_file_of_another_format_is_named(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "series.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SeriesError, match="format 99"):
        EmbeddedSeries(path)
