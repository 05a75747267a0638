"""Routes, what pages say, what they escape, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from market.series import EmbeddedSeries, HouseholdPoint, HouseholdTotals, Series, SeriesError
from tests.dashboard.street import START, Street

PLAIN = str.maketrans({"\u00a0": " ", "\u2212": "-", "\u2013": "-", "\u00d7": "x"})
EVIL = "<script>alert('x')</script> & \"Söhne\""


def text(html: str, element: str | None = None) -> str:
    """Visible words of a page, or of the element with an id up to its closing tag of the same kind."""
    if element is not None:
        found = re.search(rf'<(\w+) id="{element}".*?</\1>', html, re.DOTALL)
        assert found is not None, element
        html = found.group()
    html = re.sub(r"<(script|style|title).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).translate(PLAIN).split())


def test_the_front_page_leads_to_the_first_home_with_a_roof(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/household/h001")


def test_without_roofs_it_is_the_first_home(series: EmbeddedSeries) -> None:
    street = Street(homes=12)
    street.members = [m for m in street.members if not m.has_generation]
    with TestClient(create_app(street, series)) as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "/household/h002"


def test_a_community_without_members_says_so(series: EmbeddedSeries) -> None:
    with TestClient(create_app(Street(homes=0), series)) as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert "no members yet" in answer.text


def test_choosing_works_without_javascript(client: TestClient) -> None:
    answer = client.get("/household?household=h004&day=2016-07-10", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/household/h004?day=2016-07-10")
    page = client.get("/household/h004").text
    assert re.search(r'<form class="chooser" action="/household" method="get">', page)
    assert re.search(r'<option value="h004" selected>Home 4</option>', page)
    assert page.count("<option") == 12


def test_the_page_says_what_flows_now(client: TestClient, street: Street, series: EmbeddedSeries) -> None:
    now = START + (street.settled - 1) * 900
    (point,) = series.household("h003", now, now + 900)
    partners = series.partners("h003", now, now + 900)
    page = client.get("/household/h003").text
    assert point.sold_wh and len(partners) == 1, "the street is made so that this home sells to one neighbour then"
    assert f"Selling {point.sold_wh * 4} W to one neighbour for 19.0 ct per kWh." in text(page, "sentence")
    assert "Mean of 14:00-14:15, Mon 11 Jul" in text(page, "flow")
    assert f"{point.sold_wh * 4} W" in text(page, "flow")


def test_money_is_shown_with_its_steps(client: TestClient, series: EmbeddedSeries) -> None:
    day = series.totals("h003", START + 86_400, START + 2 * 86_400)
    page = client.get("/household/h003").text
    lines = text(page, "money-lines")
    assert f"{day.sold_wh / 1000:.3f} kWh x 19.0 ct +€{day.sold_wh * 19_000 / 1e8:.4f}" in lines
    assert f"Network fees of these trades -€{day.bought_wh * 500 / 1e8:.4f}" in lines
    assert f"Better by +€{day.saved_money / 1e8:.4f}" in lines
    assert f"+€{day.saved_money / 1e8:.2f}" in text(page, "money")


def test_the_table_has_every_settled_interval(client: TestClient) -> None:
    today = client.get("/household/h003").text
    yesterday = client.get("/household/h003?day=2016-07-10").text
    assert len(re.findall(r"\d\d:\d\d-\d\d:\d\d ", text(today, "day-table"))) == 57
    assert len(re.findall(r"\d\d:\d\d-\d\d:\d\d ", text(yesterday, "day-table"))) == 96
    assert "Sunday, 10 July 2016" in yesterday


@pytest.mark.parametrize(
    ("day", "links"),
    [
        ("", {"previous-day": "2016-07-10"}),
        ("?day=2016-07-11", {"previous-day": "2016-07-10", "latest-day": None}),
        ("?day=2016-07-10", {"next-day": "2016-07-11", "latest-day": None}),
        ("?day=2016-07-01", {"next-day": "2016-07-10", "latest-day": None}),
        ("?day=2020-01-01", {"previous-day": "2016-07-11", "latest-day": None}),
    ],
)
def test_days_lead_to_their_neighbours(client: TestClient, day: str, links: dict[str, str | None]) -> None:
    page = client.get(f"/household/h001{day}").text
    found = {
        name: (re.search(r"day=([\d-]+)", href) or [None, None])[1]
        for name, href in re.findall(r'<a id="(\w+-day)" class="button"[^>]* href="([^"]*)"', page)
    }
    assert found == links


def test_the_chart_has_its_columns(client: TestClient, series: EmbeddedSeries) -> None:
    answer = client.get("/household/h003/day.json?day=2016-07-11").json()
    first = series.household("h003", START + 86_400, START + 2 * 86_400)
    assert answer["use_w"][:57] == [p.consumption_wh * 4 for p in first]
    assert answer["use_w"][57:] == [None] * 40
    assert answer["tick_labels"] == ["00:00", "06:00", "12:00", "18:00", "24:00"]
    assert len({len(answer[name]) for name in ("times", "labels", "use_w", "generation_w", "sold_w", "bought_w")}) == 1


def test_the_live_fragment_names_elements_of_the_page(client: TestClient) -> None:
    page, live = client.get("/household/h003").text, client.get("/household/h003/live").text
    ids = re.findall(r'<\w+ id="([\w-]+)"[^>]* hx-swap-oob="true"', live)
    assert len(ids) == live.count("hx-swap-oob") == 10
    for element in ids:
        assert page.count(f'id="{element}"') == 1
        assert text(live, element) == text(page, element)
    assert "<html" not in live
    assert "hx-swap-oob" not in page


def test_a_silent_meter_is_said_and_traded_nothing(client: TestClient, street: Street, series: EmbeddedSeries) -> None:
    street.settle(series, silent=[3])
    page = client.get("/household/h003").text
    assert "The meter was not heard." in text(page, "sentence")
    assert "not heard yet" in text(page, "day-table")


def test_figures_that_are_not_written_yet_are_not_called_silence(street: Street, series: EmbeddedSeries) -> None:
    street.settled += 1
    with TestClient(create_app(street, series)) as client:
        page = client.get("/household/h003").text
    assert "The figures are on their way." in text(page, "sentence")
    assert "not heard" not in text(page)


def test_before_the_first_interval_the_page_waits(series: EmbeddedSeries) -> None:
    with TestClient(create_app(Street(), series, clock=lambda: START)) as client:
        page = client.get("/household/h001").text
        chart = client.get("/household/h001/day.json").json()
    assert "Waiting for the first interval." in page
    assert "Sunday, 10 July 2016" in page
    assert set(chart["use_w"]) == {None}


@pytest.mark.parametrize("path", ["/household/h003", "/household/h001", "/household/h001/live"])
def test_names_are_text_never_markup(series: EmbeddedSeries, path: str) -> None:
    street = Street(names={1: EVIL, 2: EVIL})
    street.info = type(street.info)(EVIL, "EUR", "Europe/Berlin", 900)
    street.settle(series, 60)
    with TestClient(create_app(street, series)) as client:
        page = client.get(path).text
    assert "alert(" in page
    assert "<script>alert" not in page
    assert EVIL in unescape(page)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/household/h999", 404, "no such home"),
        ("/household/h999/live", 404, "no such home"),
        ("/household/h999/events", 404, "no such home"),
        ("/household/h999/day.json", 404, "no-household"),
        ("/household?household=../../etc", 404, "no such home"),
        ("/household/%3Cscript%3E", 404, "no such home"),
        ("/nowhere", 404, "no such page"),
        ("/static/../app.py", 404, "no such page"),
        ("/static/nothing.css", 404, "no such page"),
        ("/household/h001?day=11.7.2016", 400, "YYYY-MM-DD"),
        ("/household/h001/live?day=2016-02-30", 400, "YYYY-MM-DD"),
        ("/household/h001/day.json?day=x", 400, "YYYY-MM-DD"),
        ("/household?household=h001&day=x", 400, "YYYY-MM-DD"),
        ("/docs", 404, "no such page"),
    ],
)
def test_what_is_not_there_is_said_plainly(client: TestClient, path: str, status: int, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert said in answer.text


def test_open_streams_are_bounded(street: Street, series: EmbeddedSeries) -> None:
    with TestClient(create_app(street, series, max_streams=0)) as client:
        answer = client.get("/household/h001/events")
    assert answer.status_code == 503
    assert "too many pages" in answer.text


def test_other_methods_are_refused(client: TestClient) -> None:
    assert client.post("/household/h001").status_code == 405


@pytest.mark.parametrize("path", ["/", "/household/h001", "/household/h001/day.json", "/nowhere", "/static/pumasi.js"])
def test_every_answer_keeps_to_itself(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/household/h003", "/household/h003/live", "/nowhere"])
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(client: TestClient, path: str) -> None:
    page = client.get(path).text
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_vendored_files_are_kept_and_ours_are_asked_for(client: TestClient) -> None:
    page = client.get("/household/h001").text
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(assets) >= 5
    for path in assets:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert ("immutable" in answer.headers["cache-control"]) == ("/vendor/" in path)


def test_the_first_visit_is_light(client: TestClient) -> None:
    page = client.get("/household/h003")
    paths = {"/household/h003", "/household/h003/day.json", *re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)}
    weights: dict[str, int] = {}
    for path in paths:
        with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            weights[path] = sum(len(chunk) for chunk in answer.iter_raw())
    assert sum(weights.values()) < 70_000, weights


def test_other_names_are_refused_when_names_are_given(street: Street, series: EmbeddedSeries) -> None:
    app = create_app(street, series, allowed_hosts=["localhost"])
    with TestClient(app, base_url="http://localhost:8000") as client:
        assert client.get("/household/h001").status_code == 200
    with TestClient(app, base_url="http://elsewhere.example") as client:
        assert client.get("/household/h001").status_code == 400


def test_health_says_how_long_nothing_changed(street: Street, series: EmbeddedSeries) -> None:
    now = [1000.0]
    with TestClient(create_app(street, series, clock=lambda: now[0], poll_s=0.01)) as client:
        while client.get("/health").json()["unchanged_s"] is None:
            pass
        now[0] += 42
        answer = client.get("/health").json()
    assert answer == {
        "status": "ok",
        "last_interval": "2016-07-11T12:00:00+00:00",
        "change_counter": 1,
        "unchanged_s": 42.0,
        "streams": 0,
    }


class UnreachableSeries(EmbeddedSeries):
    def totals(self, household: str, start: int, end: int) -> HouseholdTotals:
        raise SeriesError("InfluxDB at http://db cannot be reached (<refused>)")

    def household(self, household: str, start: int, end: int) -> list[HouseholdPoint]:
        raise SeriesError("InfluxDB at http://db cannot be reached (<refused>)")


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[Series]:
    series = UnreachableSeries(tmp_path / "other.sqlite")
    yield series
    series.close()


def test_a_series_that_does_not_answer_is_one_clear_page(street: Street, unreachable: Series) -> None:
    with TestClient(create_app(street, unreachable)) as client:
        page = client.get("/household/h001")
        data = client.get("/household/h001/day.json")
    assert (page.status_code, data.status_code) == (503, 503)
    assert "Nothing is lost" in page.text
    assert "&lt;refused&gt;" in page.text
    assert data.json()["error"] == "no-series"
