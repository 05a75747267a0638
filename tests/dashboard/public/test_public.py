"""The page for everybody and its data: the same sums everywhere, nothing of one home, cheap for who comes often."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from fastapi import FastAPI
from pyarrow import parquet

from dashboard.public import routes
from dashboard.public.chain import newest_head, published_heads
from market.proof.head import head_of, skip
from market.record import Record
from market.series import EmbeddedSeries
from market.service.chain import read_heads
from tests.dashboard.signed import Browser, People
from tests.dashboard.street import DAY, PRICE, START, Street


def of_street(series: EmbeddedSeries, start: int, end: int, name: str) -> int:
    return sum(getattr(point, name) for point in series.community(start, end))


@pytest.fixture
def anyone(street: Street, make_app: Callable[..., FastAPI]) -> Browser:
    """Not signed in, over a street that the test may settle further."""
    return Browser(make_app(street))


def test_what_was_shared_today_and_this_year(anyone: Browser, series: EmbeddedSeries) -> None:
    view = anyone.get("/api/1/").json()
    for span, start in (("today", START + DAY), ("year", START)):
        assert view[span]["shared_wh"] == of_street(series, start, START + 2 * DAY, "energy_traded_wh") > 0
        assert view[span]["consumption_wh"] == of_street(series, start, START + 2 * DAY, "consumption_wh")
    assert (view["today"]["intervals"], view["today"]["waiting"], view["year"]["intervals"]) == (57, 0, 153)
    used = view["year"]["consumption_wh"]
    grid = of_street(series, START, START + 2 * DAY, "import_wh") - view["year"]["shared_wh"]
    assert view["year"]["self_sufficiency_permille"] == (used - grid) * 1000 // used
    assert view["homes"] == 12
    assert view["price"]["price_ticks"] == PRICE
    page = anyone.get("/").text
    assert "Lindenweg" in page and "19.0\u00a0ct" in page and "Today neighbours here shared" in page
    assert 'href="/sign-in"' in page


def test_who_is_signed_in_finds_the_way_home(client_of: Callable[[str], Browser]) -> None:
    assert '<a class="button" href="/household/h003">' in client_of("h003").get("/").text


def test_a_home_that_was_not_heard_is_waited_for(
    street: Street, series: EmbeddedSeries, make_app: Callable[..., FastAPI]
) -> None:
    street.settle(series, 1, silent=[4])
    anyone = Browser(make_app(street))
    view = anyone.get("/api/1/").json()
    assert (view["today"]["intervals"], view["today"]["waiting"]) == (57, 1)
    assert "1 interval of today is not counted" in anyone.get("/").text


@pytest.mark.parametrize("homes", [4, 5])
def test_small_communities_say_little(homes: int, series: EmbeddedSeries, make_app: Callable[..., FastAPI]) -> None:
    """Of five homes of which fewer than five have a roof, only what all take is told; of four, nothing."""
    street = Street(homes)
    street.settle(series, 60)
    anyone = Browser(make_app(street))
    view = anyone.get("/api/1/").json()
    assert view["today"]["shared_wh"] is None and view["year"]["consumption_wh"] is None
    assert view["year"]["self_sufficiency_permille"] is None
    assert view["homes"] == (5 if homes == 5 else None)
    assert view["price"]["price_ticks"] == PRICE, "a price is nobody's figure"
    rows = anyone.get("/open/community.json").json()["intervals"]
    assert len(rows) == (60 if homes == 5 else 0)
    for row in rows:
        assert row["import_wh"] is not None
        assert {row[f"{name}_wh"] for name in ("shared", "export", "generation", "consumption")} == {None}
    page = anyone.get("/").text
    assert page.count(">withheld<") == (3 if homes == 5 else 4)
    assert "nothing settled yet" not in page


def test_an_empty_community(series: EmbeddedSeries, make_app: Callable[..., FastAPI]) -> None:
    anyone = Browser(make_app(Street()))
    page = anyone.get("/").text
    assert "about to share" in page
    assert page.count("nothing settled yet") == 3
    assert ">withheld<" not in page, "nothing is kept back where nothing happened"
    assert anyone.get("/open/community.csv").text.count("\n") == 1


# open data


def test_three_forms_of_the_same_rows(anyone: Browser, series: EmbeddedSeries) -> None:
    span = {"first": "2016-07-10", "last": "2016-07-10"}
    body = anyone.get("/open/community.json", params=span).json()
    assert (body["licence"], body["currency"], body["first_day"]) == (None, "EUR", "2016-07-10")
    rows = body["intervals"]
    assert len(rows) == 96 and rows[0]["start"] == "2016-07-09T22:00:00Z"
    text = anyone.get("/open/community.csv", params=span)
    assert text.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(text.text)))
    read = parquet.read_table(io.BytesIO(anyone.get("/open/community.parquet", params=span).content)).to_pylist()
    for row, line, record in zip(rows, table, read, strict=True):
        assert line["start"] == row["start"] == record["start"].strftime("%Y-%m-%dT%H:%M:%SZ")
        for name in ("length_s", "homes", "shared_wh", "import_wh", "export_wh", "generation_wh", "consumption_wh"):
            assert int(line[name]) == row[name] == record[name]
        for name in ("price", "retail", "feed_in"):
            assert Decimal(line[f"{name}_per_kwh"]) * 100_000 == row[f"{name}_ticks"]
            assert record[f"{name}_per_kwh"] == Decimal(line[f"{name}_per_kwh"])
    first = series.community(START, START + 900)[0]
    assert (rows[0]["import_wh"], rows[0]["shared_wh"]) == (first.import_wh, first.energy_traded_wh)


def test_days_that_are_none_or_too_many(anonymous: Browser) -> None:
    for first, last, status, problem in (
        ("2016-07-11", "2016-07-10", 422, "bad-span"),
        ("2016-01-01", "2017-01-01", 422, "bad-span"),
        ("2016-02-30", "2016-03-01", 400, "bad-day"),
        ("yesterday", "2016-03-01", 422, "bad-value"),
    ):
        answer = anonymous.get("/open/community.json", params={"first": first, "last": last})
        assert (answer.status_code, answer.json()["problem"]) == (status, problem)
    assert anonymous.get("/open/community.csv?first=2016-01-01&last=2016-12-31").status_code == 200
    assert anonymous.get("/open/community.csv?first=9998-12-31").status_code == 200
    assert anonymous.get("/open/community.csv?last=1970-01-02").status_code == 200


def test_every_column_is_explained(anonymous: Browser) -> None:
    header = anonymous.get("/open/community.csv").text.splitlines()[0].split(",")
    page = anonymous.get("/open").text
    assert all(f"<code>{name}</code>" in page for name in header)
    assert "no licence" in page


# seldom asked, cheaply answered


@pytest.mark.parametrize("path", ["/", "/open", "/open/community.csv", "/open/heads.jsonl"])
def test_what_has_not_changed_is_not_sent_again(anonymous: Browser, path: str) -> None:
    first = anonymous.get(path)
    tag = first.headers["etag"]
    again = anonymous.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert anonymous.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_page_is_another_after_a_settlement_in_another_language_and_for_others(
    street: Street, series: EmbeddedSeries, make_app: Callable[..., FastAPI]
) -> None:
    people = People(make_app(street))
    anyone, home = people.anonymous(), people.household("h001")
    tags = [anyone.get("/").headers["etag"], anyone.get("/", headers={"Accept-Language": "ko"}).headers["etag"]]
    tags.append(home.get("/").headers["etag"])
    street.settle(series)
    tags.append(anyone.get("/").headers["etag"])
    assert len(set(tags)) == 4
    assert home.get("/").headers["cache-control"].startswith("private")


def test_files_may_be_kept_and_used_by_others(anonymous: Browser) -> None:
    for path in ("/open/community.csv", "/open/community.json", "/open/heads.jsonl"):
        headers = anonymous.get(path).headers
        assert headers["cache-control"] == "public, max-age=60"
        assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in anonymous.get("/").headers


def test_nobody_asks_too_often_without_an_account(
    street: Street, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "REQUESTS_A_MINUTE", 5)
    people = People(make_app(street))
    anyone, home = people.anonymous(), people.household("h001")
    assert [anyone.get("/open/heads.jsonl").status_code for _ in range(5)] == [200] * 5
    answer = anyone.get("/open/community.csv")
    assert (answer.status_code, answer.json()["problem"]) == (429, "too-often")
    assert int(answer.headers["retry-after"]) >= 1
    assert home.get("/").status_code == 200


# the chain


def test_the_newest_head_is_the_published_one(settled_people: People, settled_store: Path) -> None:
    anyone = settled_people.anonymous()
    head = anyone.get("/api/1/chain").json()
    published = list(read_heads(settled_store / "heads.jsonl"))
    assert {name: head[name] for name in ("number", "head", "key", "signature")} == {
        name: published[-1][name] for name in ("number", "head", "key", "signature")
    }
    page = anyone.get("/chain").text
    assert head["head"] in page and head["key"] in page and head["signature"] in page
    assert head["head"] in anyone.get("/").text
    lines = anyone.get("/open/heads.jsonl?after=2&most=3").text.splitlines()
    assert [json.loads(line) for line in lines] == published[-3:]
    assert anyone.get(f"/open/heads.jsonl?after={head['number']}").text == ""


def test_the_way_between_heads_can_be_computed_again(settled_people: People, settled_store: Path) -> None:
    anyone = settled_people.anonymous()
    newest = anyone.get("/api/1/chain").json()
    known = {row["number"]: row["head"] for row in read_heads(settled_store / "heads.jsonl")}
    for number in range(1, newest["number"] + 1):
        way = anyone.get("/api/1/chain/way", params={"newest": newest["number"], "number": number}).json()
        at, head = newest["number"], newest["head"]
        for link in way["links"]:
            parts = (bytes.fromhex(link[name]) for name in ("previous", "skip", "entry"))
            assert link["number"] == at and head_of(at, *parts).hex() == head
            at, head = (skip(at), link["skip"]) if skip(at) >= number else (at - 1, link["previous"])
        assert (at, head) == (number, known[number])


@pytest.mark.parametrize("query", ["newest=99&number=1", "newest=2&number=3", "newest=0&number=0", "newest=x&number=1"])
def test_heads_that_are_not_there(settled_people: People, query: str) -> None:
    assert settled_people.anonymous().get(f"/api/1/chain/way?{query}").status_code in (404, 422)


def test_heads_are_read_from_the_end_of_a_long_file(tmp_path: Path) -> None:
    lines = [json.dumps({"number": n, "head": "ab" * 32, "pad": "x" * (n % 300)}).encode() for n in range(1, 2001)]
    (tmp_path / "heads.jsonl").write_bytes(b"\n".join(lines) + b'\n{"number": 2001, "he')
    assert published_heads(tmp_path, 0, 10_000) == lines
    assert published_heads(tmp_path, 1990, 1000) == lines[1990:]
    assert published_heads(tmp_path, 0, 7) == lines[-7:]
    assert published_heads(tmp_path, 2000, 7) == []
    assert published_heads(tmp_path / "elsewhere", 0, 7) == []


def test_before_the_first_head(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert newest_head(record, tmp_path) is None
    record.close()
