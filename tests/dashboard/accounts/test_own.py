"""One's own account: passwords, sessions, tokens, names to neighbours, who looked, and the end of it."""

from __future__ import annotations

import itertools
import re

import pytest

from dashboard.accounts import passwords
from dashboard.accounts import people as rows
from dashboard.accounts.own import device
from dashboard.accounts.people import Account
from tests.dashboard.signed import Browser, People

WORDS, OTHERS = "three small green kettles", "nine tall yellow ladders"
HOUSEHOLDS = itertools.count(100)


def with_password(people: People, password: str = WORDS) -> tuple[Account, Browser]:
    account = people.account("household", f"h{next(HOUSEHOLDS)}")
    rows.set_password(people.site.accounts.db, account.account, passwords.hashed(password))
    return account, again(people, account)


def again(people: People, account: Account) -> Browser:
    """The same person in another browser."""
    return Browser(people.app, people.site.accounts.begin_session(account.account, "", ""))


def signs_in(people: People, account: Account, password: str) -> bool:
    browser = people.anonymous()
    browser.csrf = browser.get("/sign-in").text.partition('name="csrf" value="')[2].partition('"')[0]
    return browser.submit("/sign-in", {"name": account.name, "password": password}).status_code == 303


def change(browser: Browser, current: str, new: str, repeated: str | None = None) -> tuple[int, str]:
    fields = {"current": current, "password": new, "again": repeated or new}
    answer = browser.submit("/account/password", fields)
    said = re.search(r'role="alert">([^<]*)', answer.text)
    return answer.status_code, said[1] if said else ""


def test_a_new_password_ends_the_other_sessions(people: People) -> None:
    account, browser = with_password(people)
    other = again(people, account)
    assert change(browser, WORDS, OTHERS) == (303, "")
    assert browser.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert signs_in(people, account, OTHERS)
    assert not signs_in(people, account, WORDS)


def test_a_password_is_changed_by_who_knows_it(people: People) -> None:
    account, browser = with_password(people)
    assert change(browser, OTHERS, OTHERS) == (422, "The present password is wrong.")
    assert change(browser, WORDS, "short") == (422, "This password is too short.")
    assert change(browser, WORDS, OTHERS, WORDS) == (422, "The two passwords differ.")
    assert change(browser, WORDS, "lindenweg") == (422, "This password is too short.")
    assert signs_in(people, account, WORDS)


def test_guessing_the_present_password_has_to_wait(people: People) -> None:
    _, browser = with_password(people)
    assert [change(browser, OTHERS, OTHERS)[0] for _ in range(10)] == [422] * 10
    answer = browser.submit("/account/password", {"current": WORDS, "password": OTHERS, "again": OTHERS})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_without_a_password_one_is_set(people: People) -> None:
    account = people.account("household", "h005")
    browser = again(people, account)
    assert 'id="current"' not in browser.get("/account").text
    assert change(browser, "", WORDS) == (303, "")
    assert signs_in(people, account, WORDS)
    assert 'id="current"' in browser.get("/account").text


def test_sessions_are_listed_and_ended_one_by_one_or_all(people: People) -> None:
    account, browser = with_password(people)
    phone, tablet = again(people, account), again(people, account)
    listed = browser.get("/api/1/account").json()["sessions"]
    assert len(listed) == 3
    (mine,) = [session for session in listed if session["current"]]
    of_phone = people.site.accounts.session(phone.session_token or "")
    assert of_phone is not None
    assert browser.submit(f"/account/sessions/{of_phone.session}/end").status_code == 303
    assert phone.get("/account").status_code == 303
    assert tablet.get("/account").status_code == 200
    stranger = people.household("h002")
    assert stranger.submit(f"/account/sessions/{mine['session']}/end").status_code == 404
    assert browser.get("/account").status_code == 200
    answer = browser.submit("/account/sign-out-everywhere")
    assert answer.headers["location"] == "/sign-in"
    assert browser.get("/account").status_code == 303
    assert tablet.get("/account").status_code == 303


def make_token(browser: Browser, *scopes: str, name: str = "Home Assistant") -> str:
    answer = browser.submit("/account/tokens", {"name": name, "scopes": list(scopes)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r'id="token">([^<]+)<', answer.text)
    assert found is not None
    return found[1]


def test_a_token_is_shown_once_and_works_until_it_is_ended(people: People) -> None:
    account, browser = with_password(people)
    secret = make_token(browser, "household:read")
    assert secret not in browser.get("/account").text
    script = people.anonymous()
    script.headers["Authorization"] = f"Bearer {secret}"
    before = browser.get("/api/1/account").json()["tokens"][0]
    assert (before["name"], before["scopes"], before["used_at"]) == ("Home Assistant", ["household:read"], None)
    assert script.get("/api/1/account").json() == {
        "name": "Home Assistant",
        "scopes": ["household:read"],
        "household": account.household,
        "language": "en",
    }, "what it is itself: no sessions, no other tokens, nobody who looked"
    assert browser.get("/api/1/account").json()["tokens"][0]["used_at"] is not None
    assert secret.encode() not in people.site.accounts.db.path.read_bytes()
    stranger = people.household("h002")
    assert stranger.submit(f"/account/tokens/{before['token']}/end").status_code == 404
    assert script.get("/api/1/account").status_code == 200
    assert browser.submit(f"/account/tokens/{before['token']}/end").status_code == 303
    assert script.get("/api/1/account").status_code == 401


@pytest.mark.parametrize(
    ("name", "scopes", "status"),
    [
        ("x", ["operator:write"], 422),
        ("x", ["nothing"], 422),
        ("x", [], 422),
        (" ", ["household:read"], 422),
        ("x" * 65, ["household:read"], 422),
        ("x", ["household:read"] * 11, 422),
    ],
)
def test_a_token_gets_no_more_than_its_owner_has(people: People, name: str, scopes: list[str], status: int) -> None:
    _, browser = with_password(people)
    answer = browser.submit("/account/tokens", {"name": name, "scopes": scopes})
    assert answer.status_code == status
    assert browser.get("/api/1/account").json()["tokens"] == []


def test_tokens_are_bounded(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.accounts.tokens.MOST_PER_ACCOUNT", 2)
    _, browser = with_password(people)
    for _ in range(2):
        make_token(browser, "household:read")
    answer = browser.submit("/account/tokens", {"name": "x", "scopes": ["household:read"]})
    assert answer.status_code == 422
    assert "end one first" in answer.text


def test_a_name_is_shown_when_everybody_of_the_household_agrees(fresh_people: People) -> None:
    household = "h003"
    accounts = fresh_people.site.accounts
    assert not accounts.shows_name(household), "nobody was asked"
    one, two = fresh_people.household(household), fresh_people.household(household)
    for browser, shown, together in ((one, "yes", False), (two, "yes", True), (one, "no", False)):
        assert browser.submit("/account/shown", {"shown": shown}).status_code == 303
        assert accounts.shows_name(household) is together
    assert one.submit("/account/shown", {"shown": "maybe"}).status_code == 422


def test_a_pseudonym_is_one_viewers_own(people: People) -> None:
    accounts = people.site.accounts
    assert accounts.pseudonym("h001", "h002") == accounts.pseudonym("h001", "h002")
    assert len({accounts.pseudonym(a, b) for a in ("h001", "h002", "h003") for b in ("h004", "h005")}) == 6


def test_a_household_sees_who_looked(people: People) -> None:
    household = people.household("h007")
    operator, auditor = people.operator(), people.auditor()
    for _ in range(3):
        operator.get("/household/h007")
    auditor.get("/household/h007")
    household.get("/household/h007")
    looks = household.get("/api/1/account").json()["looks"]
    assert [(look["role"], look["action"]) for look in looks] == [("auditor", "look"), ("operator", "look")]
    assert "looked at the figures" in household.get("/account").text
    assert people.household("h008").get("/api/1/account").json()["looks"] == []


def test_what_was_changed_is_told_in_words(people: People) -> None:
    household = people.household("h009")
    (visitor,) = [account for account in people.site.accounts.people() if account.household == "h009"]
    people.site.accounts.log(visitor, "offer", "min_sell_per_kwh=0.25 max_buy_per_kwh=tariff", "h009")
    page = household.get("/account").text
    assert "changed an offer" in page
    assert "min_sell_per_kwh" not in page


def test_an_account_can_be_erased_by_who_means_it(people: People) -> None:
    account, browser = with_password(people)
    accounts = people.site.accounts
    secret = make_token(browser, "household:read")
    for fields in (
        {"name": "x", "password": WORDS},
        {"name": account.name, "password": OTHERS},
        {"name": account.name},
    ):
        assert browser.submit("/account/erase", fields).status_code == 422
    assert accounts.account(account.account) is not None
    answer = browser.submit("/account/erase", {"name": account.name, "password": WORDS})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert '"storage"' in answer.headers["clear-site-data"]
    assert accounts.account(account.account) is None
    assert browser.get("/account").status_code == 303
    script = people.anonymous()
    assert script.get("/api/1/account", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert account.name not in [entry.name for entry in accounts.log_entries()]
    for table in ("session", "token", "passkey"):
        assert accounts.db.rows(f"SELECT 1 FROM {table} WHERE account = ?", (account.account,)) == []


def test_the_name_of_an_erased_account_stands_nowhere(fresh_people: People) -> None:
    """Questions and answers keep their words."""
    accounts, household = fresh_people.site.accounts, fresh_people.household("h002")
    asked = {"about": "month", "month": "2016-07", "text": "Why?"}
    assert household.submit("/household/h002/disputes", asked).status_code == 303
    operator = fresh_people.operator()
    assert operator.submit("/operator/disputes/1/answer", {"text": "So."}).status_code == 303
    assert operator.submit("/operator/invitations", {"role": "auditor"}).status_code == 200
    asker, answerer = sorted(account.name for account in accounts.people())
    page = operator.get("/household/h002/disputes/1").text
    assert f"{asker} asked" in page and f"{answerer} answered" in page
    for account in accounts.people():
        accounts.remove(account.account)
        for table in ("account", "dispute", "invitation", "log"):
            assert account.name not in str(accounts.db.rows(f"SELECT * FROM {table}")), table
    reader = fresh_people.operator()
    page = reader.get("/household/h002/disputes/1").text
    assert "A former member asked" in page and "A former member answered" in page
    assert "Why?" in page and "So." in page
    assert "A former member" in reader.get("/operator/members").text
    reader.get("/language?to=ko")
    assert "탈퇴한 구성원 님의 질문" in reader.get("/household/h002/disputes/1").text


def test_nobody_begins_so_many_passkeys_that_others_are_forgotten(people: People) -> None:
    _, browser = with_password(people)
    answers = [browser.submit_json("http://localhost/account/passkeys/options", {}).status_code for _ in range(101)]
    assert answers == [200] * 100 + [429]


def test_the_last_operator_stays(fresh_people: People) -> None:
    browser = fresh_people.operator()
    (account,) = fresh_people.site.accounts.people()
    assert browser.submit("/account/erase", {"name": account.name}).status_code == 422
    fresh_people.operator()
    assert browser.submit("/account/erase", {"name": account.name}).status_code == 303


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/140 Safari/537.36 Edg/140", "Edge, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("curl/8", ""),
    ],
)
def test_devices_are_named_as_people_call_them(agent: str, shown: str) -> None:
    assert device(agent) == shown
