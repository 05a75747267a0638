"""Coming in: invitations, passwords, sessions, sign-out; and what is said when it does not work."""

from __future__ import annotations

import itertools
import re

import pytest

from dashboard.access import csrf_token
from dashboard.accounts import people as rows
from dashboard.accounts.sessions import IDLE_S, LONGEST_S
from tests.dashboard.signed import Browser, People

WORDS = "three small green kettles"
NUMBERS = itertools.count(1)


def invite(people: People, role: rows.Role = "household", household: str | None = "h002") -> str:
    return people.site.accounts.invite(role, household, people.account("operator", None))


def visit(people: People, path: str) -> Browser:
    """A browser that has loaded a form and carries what it was given."""
    browser = people.anonymous()
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    found = answer.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert found
    browser.csrf = found
    return browser


@pytest.fixture
def name() -> str:
    """Nobody else's."""
    return f"Mina {next(NUMBERS)}"


def begin(people: People, name: str) -> Browser:
    """Somebody of h002 who took up an invitation with a password."""
    link = f"/invitation/{invite(people)}"
    browser = visit(people, link)
    answer = browser.submit(link, {"name": name, "password": WORDS, "again": WORDS})
    assert answer.status_code == 303, answer.text
    return browser


def test_an_invitation_makes_an_account_once(people: People, name: str) -> None:
    link = f"/invitation/{invite(people)}"
    browser, late = visit(people, link), visit(people, link)
    assert "Home 2" in browser.get(link).text
    answer = browser.submit(link, {"name": name, "password": WORDS, "again": WORDS})
    assert (answer.status_code, answer.headers["location"]) == (303, "/household/h002")
    assert browser.get("/account").status_code == 200
    assert late.submit(link, {"name": "Other", "password": WORDS, "again": WORDS}).status_code == 404
    assert people.anonymous().get(link).status_code == 404
    assert [account.name for account in people.site.accounts.of_household("h002")].count(name) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "x" * 257, "again": "x" * 257}, "longer than 256"),
        ({"password": "aaaaaaaaaaaa", "again": "aaaaaaaaaaaa"}, "too easy"),
        ({"name": "three small green", "password": "Three small green", "again": "Three small green"}, "too easy"),
        ({"again": "something else again"}, "differ"),
        ({"name": " "}, "1 to 64 visible"),
        ({"name": "a\u200bb"}, "1 to 64 visible"),
        ({"name": "x" * 65}, "1 to 64 visible"),
    ],
)
def test_what_an_account_cannot_be_is_said_and_the_invitation_stays(
    people: People, fields: dict[str, str], said: str, name: str
) -> None:
    link = f"/invitation/{invite(people)}"
    browser = visit(people, link)
    answer = browser.submit(link, {"name": name, "password": WORDS, "again": WORDS, **fields})
    assert answer.status_code == 422
    assert said in answer.text
    assert browser.get(link).status_code == 200


def test_names_that_read_the_same_are_one_name(people: People) -> None:
    begin(people, "Jürgen")
    link = f"/invitation/{invite(people)}"
    answer = visit(people, link).submit(link, {"name": "JU\u0308RGEN ", "password": WORDS, "again": WORDS})
    assert answer.status_code == 422
    assert "by this name already" in answer.text
    assert people.anonymous().get(link).status_code == 200, "the invitation is still good"


def test_signing_in_leads_home_or_where_one_wanted_to_go(people: People, name: str) -> None:
    begin(people, name)
    for place, leads in (
        ("", "/household/h002"),
        ("/household/h002?day=2016-07-10", "/household/h002?day=2016-07-10"),
        ("https://evil.example/", "/household/h002"),
        ("//evil.example", "/household/h002"),
        ("/\\evil.example", "/household/h002"),
        ("/\t/evil.example", "/household/h002"),
        ("javascript:alert(1)", "/household/h002"),
        ("/a\r\nSet-Cookie: x=y", "/household/h002"),
    ):
        browser = visit(people, "/sign-in")
        answer = browser.submit("/sign-in", {"name": name.lower(), "password": WORDS, "next": place})
        assert (answer.status_code, answer.headers["location"]) == (303, leads), place


def test_the_form_carries_only_a_safe_place(people: People) -> None:
    assert 'name="next" value="/household/h002"' in people.anonymous().get("/sign-in?next=/household/h002").text
    assert 'name="next" value=""' in people.anonymous().get("/sign-in?next=//evil.example").text


def test_who_is_signed_in_already_goes_on(people: People) -> None:
    browser = people.household("h002")
    assert browser.get("/sign-in").headers["location"] == "/household/h002"
    assert browser.get("/start").headers["location"] == "/household/h002"
    assert people.operator().get("/sign-in").headers["location"] == "/operator"
    assert people.anonymous().get("/start").headers["location"] == "/sign-in"


def test_a_wrong_password_and_an_unknown_name_are_one_answer(people: People, name: str) -> None:
    begin(people, name)
    answers = []
    for tried in (name, "Nobody"):
        answer = visit(people, "/sign-in").submit("/sign-in", {"name": tried, "password": "not the words at all"})
        answers.append((answer.status_code, re.sub(f'{tried}|"[0-9a-f]{{16}}\\.[0-9a-f]{{64}}"', "", answer.text)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 403
    assert "Name or password is wrong." in answers[0][1]


def test_both_cost_one_hash(people: People, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from dashboard.accounts import passwords

    begin(people, name)
    hashed: list[str] = []

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            hashed.append(kept)
            raise passwords.VerifyMismatchError

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    for tried in (name, "Nobody"):
        visit(people, "/sign-in").submit("/sign-in", {"name": tried, "password": "not the words at all"})
    assert len(hashed) == 2
    assert all(kept.startswith("$argon2id$") for kept in hashed)
    parameters = {kept.rsplit("$", 2)[0] for kept in hashed}
    assert len(parameters) == 1, "as slow for a name that nobody has"


def test_a_long_password_is_never_cut(people: People, name: str) -> None:
    long = "kettle " * 36
    link = f"/invitation/{invite(people)}"
    assert visit(people, link).submit(link, {"name": name, "password": long, "again": long}).status_code == 303
    for password, status in ((long[:-1], 403), (long[:72], 403), (long + "x" * 200, 403), (long, 303)):
        answer = visit(people, "/sign-in").submit("/sign-in", {"name": name, "password": password})
        assert answer.status_code == status


def test_too_many_tries_have_to_wait(people: People, name: str) -> None:
    begin(people, name)
    browser = visit(people, "/sign-in")
    wrong = {"name": name, "password": "not the words at all"}
    assert [browser.submit("/sign-in", wrong).status_code for _ in range(10)] == [403] * 10
    answer = browser.submit("/sign-in", {"name": name, "password": WORDS})
    assert answer.status_code == 429
    assert 60 < int(answer.headers["retry-after"]) <= 90
    assert "Too many tries" in answer.text
    named = browser.submit("/sign-in", wrong, headers={"Accept": "application/json"})
    assert named.json()["problem"] == "too-often"
    other = browser.submit("/sign-in", {"name": "Somebody", "password": "x"})
    assert other.status_code == 403, "another name is not held up"


def test_a_session_is_a_cookie_that_scripts_do_not_see_and_the_store_does_not_hold(people: People, name: str) -> None:
    begin(people, name)
    browser = visit(people, "/sign-in")
    answer = browser.submit("/sign-in", {"name": name, "password": WORDS})
    cookie = answer.headers["set-cookie"]
    token = cookie.partition("pumasi=")[2].partition(";")[0]
    assert len(token) >= 43, "256 bits"
    assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {"httponly", "path=/", "samesite=lax"}
    assert "secure" not in cookie.lower()
    path = people.site.accounts.db.path
    for kept in (path, path.with_name(f"{path.name}-wal")):
        assert token.encode() not in kept.read_bytes()
        assert kept.stat().st_mode & 0o077 == 0


def test_over_tls_the_cookie_is_bound_to_the_host(people: People, name: str) -> None:
    begin(people, name)
    browser = Browser(people.app, base_url="https://pumasi.example")
    browser.csrf = browser.get("/sign-in").text.partition('name="csrf" value="')[2].partition('"')[0]
    answer = browser.submit("/sign-in", {"name": name, "password": WORDS})
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-pumasi="))
    assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {"httponly", "path=/", "samesite=lax", "secure"}
    assert "domain" not in cookie.lower()
    # It would hold for the name on every port, and shut out what else the machine serves over http.
    assert "strict-transport-security" not in answer.headers
    assert browser.get("/account").status_code == 200


def test_each_sign_in_is_a_new_session_and_the_old_one_ends(people: People, name: str) -> None:
    browser = begin(people, name)
    first = browser.cookies["pumasi"]
    again = visit(people, "/sign-in")
    again.cookies.set("pumasi", first)
    again.csrf = csrf_token(people.site.accounts, first)
    again.submit("/sign-in", {"name": name, "password": WORDS})
    assert people.site.accounts.session(first) is None


def test_signing_out_ends_the_session_and_what_the_browser_kept(people: People) -> None:
    browser = people.household("h002")
    token = browser.session_token
    answer = browser.submit("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert '"storage"' in answer.headers["clear-site-data"]
    again = Browser(people.app, token)
    assert again.get("/household/h002").headers["location"].startswith("/sign-in")


def test_sessions_end_when_idle_and_in_the_end_anyway(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = people.site.accounts
    began = accounts.now()
    idle, busy = people.household("h002"), people.household("h003")
    times = [began]
    monkeypatch.setattr(accounts, "_now", lambda: times[0])
    assert idle.get("/account").status_code == 200
    days = 0
    while times[0] + IDLE_S // 2 < began + LONGEST_S:
        times[0] += IDLE_S // 2
        days += 1
        assert busy.get("/account").status_code == 200, "used all along"
    assert days > 3
    assert idle.get("/account").status_code == 303
    times[0] = began + LONGEST_S + 1
    assert busy.get("/account").status_code == 303


def test_the_demos_link_signs_in_as_often_as_it_is_opened(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard.accounts import invitations

    accounts = people.site.accounts
    visitor = people.account("operator", "h003")
    token = invitations.make(
        accounts.db, "operator", "h003", "demo", accounts.now(), account=visitor.account, lifetime_s=600
    )
    for _ in range(2):
        browser = people.anonymous()
        assert browser.get(f"/invitation/{token}").headers["location"] == "/household/h003"
        assert browser.get("/account").status_code == 200
    monkeypatch.setattr(accounts, "_now", lambda: 2**40)
    assert people.anonymous().get(f"/invitation/{token}").status_code == 404


@pytest.mark.parametrize(
    ("accepted", "cookie", "language"),
    [
        ("", None, "en"),
        ("ko", None, "ko"),
        ("de, ko;q=0.8, en;q=0.5", None, "ko"),
        ("en-GB,ko;q=0.9", None, "en"),
        ("ko;q=0", None, "en"),
        ("ko", "en", "en"),
        ("en", "ko", "ko"),
        ("ko;q=x, *", "tlh", "en"),
    ],
)
def test_the_language_is_the_readers(people: People, accepted: str, cookie: str | None, language: str) -> None:
    browser = people.anonymous()
    if cookie:
        browser.cookies.set("language", cookie)
    answer = browser.get("/sign-in", headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in answer.text
    assert answer.headers["content-language"] == language


def test_a_language_is_kept_with_the_account(people: People) -> None:
    browser = people.household("h002")
    answer = browser.get("/language?to=ko&next=/account")
    assert answer.headers["location"] == "/account"
    account = people.site.accounts.account(people.site.accounts.session(browser.session_token or "").account)  # type: ignore[union-attr]
    assert account is not None
    assert account.language == "ko"
    elsewhere = Browser(people.app, people.site.accounts.begin_session(account.account, "", ""))
    assert '<html lang="ko">' in elsewhere.get("/account").text
    assert browser.get("/language?to=tlh").status_code == 422
    assert browser.get("/language?to=en&next=//evil.example").headers["location"] == "/"


@pytest.mark.parametrize(
    ("base", "name", "said"),
    [
        ("http://192.168.1.20:8000", "pumasi.example", "over https only"),
        ("http://127.0.0.1:8000", "localhost", "with localhost instead"),
        ("https://other.example", "pumasi.example", "https://pumasi.example"),
        ("https://pumasi.example", "pumasi.example", None),
        ("http://localhost:8000", "localhost", None),
    ],
)
def test_the_page_says_why_passkeys_are_missing(people: People, base: str, name: str, said: str | None) -> None:
    before = people.site.settings
    object.__setattr__(people.site, "settings", type(before)(name=name))
    try:
        page = Browser(people.app, base_url=base).get("/sign-in").text
    finally:
        object.__setattr__(people.site, "settings", before)
    assert ("data-passkey=" in page) == (said is None)
    assert said is None or said in page
