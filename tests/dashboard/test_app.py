"""What all pages have in common: what is refused and how it is said, files, names, health."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI

from dashboard.security import LARGEST_BODY
from market.series import EmbeddedSeries, Series, SeriesError
from tests.dashboard.signed import Browser, People
from tests.dashboard.street import START, Street

EVIL = "<script>alert('x')</script> & \"Söhne\""


@pytest.mark.parametrize(
    ("path", "status", "problem", "said"),
    [
        ("/nowhere", 404, "not-found", "no such page"),
        ("/household/%3Cscript%3E", 422, "bad-value", "cannot be"),
        ("/household/h002", 403, "not-yours", "not for your account"),
        ("/household/h999", 403, "not-yours", "not for your account"),
        ("/operator", 403, "not-yours", "not for your account"),
        ("/static/../app.py", 404, "not-found", "no such page"),
        ("/static/nothing.css", 404, "not-found", "no such page"),
        ("/docs", 404, "not-found", "no such page"),
        ("/invitation/" + "x" * 43, 404, "invitation-ended", "too old"),
    ],
)
def test_what_is_not_there_is_said_plainly(
    client_of: Callable[[str], Browser], path: str, status: int, problem: str, said: str
) -> None:
    browser = client_of("h001")
    page = browser.get(path, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert said in page.text
    named = browser.get(path, headers={"Accept": "application/json"})
    assert (named.status_code, named.json()["problem"]) == (status, problem)
    korean = browser.get(path, headers={"Accept": "text/html", "Accept-Language": "ko"})
    assert said in korean.text, "the account's own language goes before the browser's"


def test_problems_are_said_in_the_readers_language(anonymous: Browser) -> None:
    page = anonymous.get("/nowhere", headers={"Accept-Language": "ko"})
    assert '<html lang="ko">' in page.text
    assert "그런 페이지가 없습니다." in page.text


def test_other_methods_are_refused(client_of: Callable[[str], Browser]) -> None:
    answer = client_of("h001").delete("/account", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["problem"], answer.headers["allow"]) == (405, "not-allowed", "GET")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_much_is_refused(anonymous: Browser, chunked: bool) -> None:
    body = b"x" * (LARGEST_BODY + 1)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    content = iter([body[:1000], body[1000:]]) if chunked else body
    answer = anonymous.post("/sign-in/passkey", content=content, headers=headers)
    assert (answer.status_code, answer.json()["problem"]) == (413, "too-large")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"%%%=%ff&name=\xff"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("multipart/form-data", b"no boundary"),
        ("text/plain", b"name=x"),
        ("", b"\x00"),
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/passkey", "/account/shown"])
def test_what_cannot_be_read_is_no_fault_of_ours(
    client_of: Callable[[str], Browser], path: str, kind: str, body: bytes
) -> None:
    browser = client_of("h001")
    headers = {"Content-Type": kind, "Accept": "application/json", "X-CSRF": browser.csrf}
    answer = browser.post(path, content=body, headers=headers)
    assert answer.status_code in (303, 400, 403, 409, 422), answer.text
    assert answer.status_code == 303 or answer.json()["problem"]


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/nowhere", "/static/pumasi.css", "/static/site.js"])
def test_every_answer_keeps_to_itself(client_of: Callable[[str], Browser], path: str) -> None:
    headers = client_of("h001").get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_vendored_files_are_kept_and_ours_are_asked_for(client_of: Callable[[str], Browser]) -> None:
    browser = client_of("h001")
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', browser.get("/account").text)
    assert len(assets) >= 4
    for path in [*assets, "/static/vendor/htmx-2.0.11.min.js", "/sw.js"]:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert ("immutable" in answer.headers["cache-control"]) == ("/vendor/" in path)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/household/h001"])
def test_the_first_visit_is_light(settled_people: People, path: str) -> None:
    browser = settled_people.anonymous() if path == "/sign-in" else settled_people.household("h001")
    page = browser.get(path)
    assert page.status_code == 200
    paths = {
        path,
        *re.findall(r'(?:src|href)="(/(?:static/|manifest)[^"#]+)', unescape(page.text)),
        "/static/icons.svg",
    }
    weights: dict[str, int] = {}
    for part in paths:
        with browser.stream("GET", part, headers={"Accept-Encoding": "gzip"}) as answer:
            weights[part] = sum(len(chunk) for chunk in answer.iter_raw())
    assert sum(weights.values()) < 150_000, weights


def test_names_are_text_never_markup(series: EmbeddedSeries, make_app: Callable[..., FastAPI]) -> None:
    street = Street(names={1: EVIL, 2: EVIL})
    street.info = type(street.info)(EVIL, "EUR", "Europe/Berlin", 900)
    people = People(make_app(street))
    token = people.site.accounts.invite("household", "h001", people.account("operator", None))
    for page in (people.anonymous().get(f"/invitation/{token}").text, people.anonymous().get("/sign-in").text):
        assert "<script>alert" not in page
    assert EVIL in unescape(people.anonymous().get(f"/invitation/{token}").text)


def test_other_names_are_refused_when_names_are_given(street: Street, make_app: Callable[..., FastAPI]) -> None:
    app = make_app(street, allowed_hosts=["localhost", "pumasi.example"])
    for base, status in (
        ("http://localhost:8000", 200),
        ("https://pumasi.example", 200),
        ("http://192.168.1.5:8000", 200),
        ("http://[::1]:8000", 200),
        ("http://elsewhere.example", 400),
        ("http://pumasi.example.evil.example", 400),
        ("http://127.0.0.1.evil.example", 400),
    ):
        assert Browser(app, base_url=base).get("/health").status_code == status, base


def test_open_streams_are_bounded(street: Street, make_app: Callable[..., FastAPI]) -> None:
    browser = People(make_app(street, max_streams=0)).household("h001")
    answer = browser.get("/household/h001/events", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["problem"]) == (503, "too-many-streams")


def test_health_says_how_long_nothing_changed(street: Street, make_app: Callable[..., FastAPI]) -> None:
    now = [1000.0]
    app = make_app(street, clock=lambda: START, wall=lambda: now[0], poll_s=0.01)
    with Browser(app) as client:
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
    def community(self, start: int, end: int) -> list[object]:  # type: ignore[override]
        raise SeriesError("InfluxDB at http://db cannot be reached (<refused>)")


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[Series]:
    series = UnreachableSeries(tmp_path / "other.sqlite")
    yield series
    series.close()


def test_a_series_that_does_not_answer_is_one_clear_problem(
    street: Street, unreachable: Series, make_app: Callable[..., FastAPI], caplog: pytest.LogCaptureFixture
) -> None:
    answer = People(make_app(street, series=unreachable)).anonymous().get("/health")
    assert (answer.status_code, answer.json()["problem"]) == (503, "no-series")
    assert "refused" not in answer.text, "what the database says may name its place"
    assert "<refused>" in caplog.text


def test_a_record_that_cannot_be_read_is_one_clear_problem(client_of: Callable[[str], Browser]) -> None:
    page = client_of("h001").get("/household/h001")
    assert page.status_code == 503
    assert "The record cannot be read right now." in page.text


def test_the_manifest_speaks_the_readers_language(anonymous: Browser) -> None:
    assert (
        'href="/manifest.webmanifest?language=ko"' in anonymous.get("/sign-in", headers={"Accept-Language": "ko"}).text
    )
    for language, name in (("en", "Pumasi · Lindenweg"), ("ko", "품앗이 · Lindenweg")):
        manifest = anonymous.get(f"/manifest.webmanifest?language={language}").json()
        assert (manifest["name"], manifest["lang"]) == (name, language)
        for icon in manifest["icons"]:
            answer = anonymous.get(icon["src"])
            assert answer.headers["content-type"] == "image/png"
            width = int.from_bytes(answer.content[16:20])
            assert icon["sizes"] == f"{width}x{width}"
    assert anonymous.get("/manifest.webmanifest?language=xx").status_code == 422
