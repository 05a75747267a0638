"""Every page of the operator's rooms and its twin: who may read them, in both languages, and what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.record import Record
from market.service.gates import Gates
from tests.dashboard.operator.conftest import SINCE, people
from tests.dashboard.signed import People

LAST = SINCE + 5 * 900
PLACES = [
    "",
    "/network",
    f"/network?start={SINCE}&at=substation",
    "/meters",
    "/meters?show=attention&query=m0&page=3",
    "/meters/m004",
    "/intervals",
    "/intervals?day=2016-07-11",
    f"/intervals/{LAST}",
    f"/intervals/{SINCE + 1800}?revision=0",
    *(f"/intervals/{LAST}?shown={name}" for name in ("orders", "nodes", "matches", "transfers")),
    f"/intervals/{LAST}/under?mechanism=nodal",
    "/rules",
    "/rules?month=2016-07",
    "/members",
    "/corrections",
    "/audit",
    "/log",
]


@pytest.mark.parametrize("place", PLACES)
def test_operators_and_auditors_read_it_as_page_and_as_json(day: People, place: str) -> None:
    for browser in (day.operator(), day.auditor()):
        page = browser.get(f"/operator{place}")
        assert page.status_code == 200, page.text
        assert "<h1>" in page.text
        assert "style=" not in page.text
        twin = browser.get(f"/api/1/operator{place}")
        assert twin.status_code == 200, twin.text
        assert isinstance(twin.json(), dict)


@pytest.mark.parametrize("place", PLACES)
def test_it_is_in_korean_too(day: People, place: str) -> None:
    browser = day.operator()
    browser.get("/language?to=ko")
    page = browser.get(f"/operator{place}")
    assert page.status_code == 200
    assert 'lang="ko"' in page.text
    assert re.search(r"<h1>[^<]*[가-힣]", page.text), "the heading"


@pytest.mark.parametrize("place", PLACES)
def test_nobody_else_reads_it(day: People, place: str) -> None:
    assert day.household("h001").get(f"/api/1/operator{place}").json()["problem"] == "not-yours"
    assert day.anonymous().get(f"/api/1/operator{place}").status_code == 401
    assert day.anonymous().get(f"/operator{place}").headers["location"].startswith("/sign-in?")
    limited = day.token("operator", None, ["household:read"])
    assert limited.get(f"/api/1/operator{place}").json()["problem"] == "scope"


@pytest.mark.parametrize(
    ("place", "status", "problem"),
    [
        ("/network?at=nowhere", 404, "no-node"),
        ("/network?start=7", 404, "no-interval"),
        ("/meters/m999", 404, "no-meter"),
        ("/intervals/900", 404, "no-interval"),
        (f"/intervals/{LAST}?revision=7", 404, "no-interval"),
        (f"/intervals/{LAST}?shown=secrets", 422, "bad-value"),
        ("/intervals/99999999999999999999", 422, "bad-value"),
        (f"/intervals/{LAST}/under?mechanism=fair", 404, "no-mechanism"),
        ("/intervals?day=yesterday", 422, "bad-value"),
        ("/rules?month=2016-13", 422, "bad-value"),
    ],
)
def test_what_is_not_there_is_named(day: People, place: str, status: int, problem: str) -> None:
    answer = day.operator().get(f"/api/1/operator{place}")
    assert (answer.status_code, answer.json()["problem"]) == (status, problem)


def test_today_says_what_needs_somebody(day: People) -> None:
    view = day.operator().get("/api/1/operator").json()
    assert {item["kind"]: (item["n"], item["weight"]) for item in view["items"]} == {
        "offline": (1, "soon"),
        "conflicting": (1, "soon"),
        "never-audited": (9, "soon"),
    }
    assert (view["homes"], view["heard"], view["meters"], view["online"]) == (12, 12, 12, 8)
    assert view["start"] == LAST
    page = day.operator().get("/operator").text
    assert '<a href="/operator/meters?show=offline">1 meter says it is offline</a>' in page


def test_a_market_that_stands_still_comes_first(day: People) -> None:
    site = day.app.state.site
    at = {"now": LAST + 900.0}
    object.__setattr__(site, "clock", lambda: at["now"])
    try:
        browser = day.operator()
        at["now"] += 900 + 299
        assert not [item for item in _items(browser) if item["kind"] in ("unsettled", "market-still")]
        at["now"] += 1
        assert ("unsettled", 1) in [(item["kind"], item["n"]) for item in _items(browser)]
        at["now"] += 900
        first = _items(browser)[0]
        assert (first["kind"], first["weight"], first["n"]) == ("market-still", "now", 2)
    finally:
        object.__setattr__(site, "clock", lambda: LAST + 900)


def test_what_is_stored_and_not_settled_yet_is_counted(own_day: People, own_store: Path) -> None:
    """Where no further interval comes nobody else says so."""
    browser = own_day.operator()
    record = Record(own_store)
    known = record.registers(LAST, 900, record.horizon(), record.last_correction())["m003", LAST]
    said = {"meter": "m003", "start": LAST, "export_wh": None, "generation_wh": None, "consumption_wh": None}
    said |= {"import_wh": known.import_wh + 1, "reason": "read from the display"}
    assert browser.submit_json("/api/1/operator/corrections", said).status_code == 204
    document = record.document()
    for member in document["members"][:2]:
        member["offer"] = {"min_sell_per_kwh": "0.15", "max_buy_per_kwh": "0.20"}
    record.store_document(document, LAST + 900)
    found = {item["kind"]: (item["n"], item["weight"], item["at"]) for item in _items(browser)}
    assert found["corrections-waiting"] == (1, "soon", None)
    assert found["offers-waiting"] == (2, "note", LAST + 900)
    assert "1 correction is not settled yet" in browser.get("/operator").text
    gates = Gates(record, grace_s=0.0)
    gates.tick(LAST + 900, 0.0)
    assert len(list(gates.run_again())) == 1
    kinds = {item["kind"] for item in _items(browser)}
    assert "corrections-waiting" not in kinds and "offers-waiting" in kinds
    gates.tick(LAST + 1800, 0.0)
    gates.close_next()
    record.close()
    assert "offers-waiting" not in {item["kind"] for item in _items(browser)}


def _items(browser: object) -> list[dict[str, object]]:
    return list(browser.get("/api/1/operator").json()["items"])  # type: ignore[attr-defined]


def test_the_log_speaks_the_readers_language(own_day: People) -> None:
    browser, home = own_day.operator(), own_day.household("h001")
    assert browser.submit("/operator/invitations", {"role": "auditor"}).status_code == 200
    (visitor,) = [account for account in own_day.site.accounts.people() if account.household == "h001"]
    own_day.site.accounts.log(visitor, "offer", "min_sell_per_kwh=0.15 max_buy_per_kwh=tariff give=h002,h003", "h001")
    own_day.site.accounts.log(visitor, "sign-in", "passkey")
    assert home.get("/household/h001").status_code == 200
    page = browser.get("/operator/log").text
    said = "Least to sell for, per kWh: 0.15 · Most to buy for, per kWh: as the tariff · gives to h002, h003"
    assert said in page
    browser.get("/language?to=ko")
    page = browser.get("/operator/log").text
    assert "최소 판매 가격(kWh당) 0.15 · 최대 구매 가격(kWh당) 요금제대로 · 선물받는 집 h002, h003" in page
    assert '<td class="said">감사인</td>' in page and '<td class="said">패스키로</td>' in page
    for english in ("auditor", "tariff", "offer", "invite", "passkey"):
        assert english not in page.partition("<main")[2], english


def test_a_problem_is_told_in_its_own_rooms_words(day: People) -> None:
    """Several rooms have one of the same name."""
    browser = day.operator()
    page = browser.get("/operator/intervals/900").text
    assert "No such interval has been settled." in page and "your home" not in page
    browser.get("/language?to=ko")
    page = browser.get("/operator/intervals/900").text
    assert "정산된 구간이 아닙니다." in page
    assert "no such interval" not in page, "the reason for programs is in English"
    page = browser.get(f"/operator/intervals/{LAST}?shown=transfers").text
    assert "공동체 기금" in page and ">pool<" not in page and "household:" not in page
    assert "입력 버전: 공동체 1" in page


@pytest.mark.parametrize(
    ("place", "lit"),
    [
        ("", ""),
        ("/log", ""),
        ("/meters/m004", "/meters"),
        (f"/intervals/{LAST}", "/intervals"),
        (f"/intervals/{LAST}/under?mechanism=nodal", "/intervals"),
        ("/corrections", "/corrections"),
    ],
)
def test_the_navigation_shows_where_one_is(day: People, place: str, lit: str) -> None:
    page = day.operator().get(f"/operator{place}").text
    assert re.findall(r'<a href="([^"]+)" aria-current="page"', page) == [f"/operator{lit}"]


def test_the_stream_is_for_operators(day: People) -> None:
    assert day.anonymous().get("/operator/events").status_code == 401
    assert day.household("h001").get("/operator/events").status_code == 403


def test_a_community_that_has_not_begun(tmp_path: Path) -> None:
    """Its pages open, or say that nothing has been settled yet."""
    record = Record(tmp_path)
    street = with_homes(load_street(), 3)
    record.store_document(community_document(street, "c"), 0)
    record.close()
    for found in people(tmp_path, tmp_path):
        browser = found.operator()
        for place in (
            "",
            "/network",
            "/meters",
            "/meters/m001",
            "/intervals",
            "/members",
            "/corrections",
            "/audit",
            "/log",
        ):
            assert browser.get(f"/operator{place}").status_code == 200, place
        page = browser.get("/operator/network").text
        assert "<h1>Network</h1>" in page
        assert "No interval has been settled yet." in page
        assert 'href="/operator/meters"' in page, "there is a way on"
        assert browser.get("/api/1/operator/network").json()["problem"] == "nothing-settled"
        for place, heading in (("/rules", "A month under other rules"), ("/export", "Export")):
            page = browser.get(f"/operator{place}")
            assert page.status_code == 200, place
            assert f"<h1>{heading}</h1>" in page.text
            assert "No interval has been settled yet." in page.text
            assert "<form" not in page.text.partition("<main")[2], "there is nothing to ask for"
        first_end = street.start + 900
        for now, kind, weight, at in (
            (first_end + 299, "first-interval", "note", first_end),
            (first_end + 300, "nothing-settled", "now", None),
        ):
            object.__setattr__(found.app.state.site, "clock", lambda now=now: now)
            (item,) = browser.get("/api/1/operator").json()["items"]
            assert (item["kind"], item["weight"], item["at"]) == (kind, weight, at)
            assert "pumasi market run" in browser.get("/operator").text
