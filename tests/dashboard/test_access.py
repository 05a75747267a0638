"""Who may do what: every route of the OpenAPI document, by everybody there is."""

from __future__ import annotations

import re

import pytest

from dashboard.access import ALL_SCOPES, SCOPES
from tests.dashboard.contract import Operation, operations
from tests.dashboard.signed import Browser, People

JSON = {"Accept": "application/json"}
OTHERS = re.compile(r"\bh0(?:0[2-9]|1[0-2])\b|\bHome (?:[2-9]|1[0-2])\b")
"""Ids and names of the other homes of the street."""
PUBLIC = re.compile(
    r"/(|health|sign-in(/passkey(/options)?)?|invitation/\{token\}(/passkey(/options)?)?|language|start|offline|sw\.js"
    r"|manifest\.webmanifest|verifier\.(html|js)|api/1/|(api/1/)?(open|public|chain)(/.*)?)"
)
"""What anybody may open, signed in or not. A new path here is a decision."""
COMPUTES = re.compile(r"(/api/1)?/operator/(rules|audit|intervals/\{start\}/verify)")
"""What takes long is begun by POST, but it changes nothing: auditors may."""
BY_PERSONS = re.compile(r"/(account(/.*)?|sign-out)")
"""For people in a browser, not for tokens."""


@pytest.fixture(scope="module")
def everything(settled_people: People) -> list[Operation]:
    return list(operations(settled_people.app))


def ask(browser: Browser, operation: Operation, household: str = "h001", csrf: bool = True) -> tuple[int, str]:
    """Status and name of the problem, if any."""
    headers = {**JSON, "X-CSRF": browser.csrf} if csrf else JSON
    answer = browser.request(operation.method, operation.url(household), headers=headers)
    json = answer.headers.get("content-type", "").startswith("application/json")
    problem = answer.json() if json and answer.status_code >= 400 else {}
    assert answer.status_code < 500 or answer.status_code == 503, f"{operation}: {answer.status_code}: {answer.text}"
    if answer.status_code >= 400 and not operation.path.startswith("/static"):
        assert set(problem) == {"problem", "detail"}, f"{operation}: {answer.text[:200]}"
    return answer.status_code, problem.get("problem", "")


def test_there_are_routes_of_every_room(everything: list[Operation]) -> None:
    paths = {operation.path for operation in everything}
    assert len(everything) > 40
    assert {"/account", "/household/{household}", "/operator", "/"} <= paths


def test_who_needs_no_account_is_written_down(everything: list[Operation]) -> None:
    open_paths = {operation.path for operation in everything if operation.scopes is None}
    assert {path for path in open_paths if not PUBLIC.fullmatch(path)} == set()
    needs = {operation.path for operation in everything if operation.scopes is not None}
    assert {path for path in needs if PUBLIC.fullmatch(path)} == set()


def test_every_household_path_needs_a_household_scope(everything: list[Operation]) -> None:
    for operation in everything:
        if "{household}" in operation.path and not operation.path.startswith(("/operator", "/api/1/operator")):
            wanted = "household:read" if operation.safe else "household:write"
            assert operation.scopes is not None and wanted in operation.scopes, operation
        if operation.path.startswith(("/operator", "/api/1/operator")):
            assert operation.scopes, operation
            changes = not operation.safe and not COMPUTES.fullmatch(operation.path)
            assert not changes or "operator:write" in operation.scopes, operation


def test_nobody_is_let_in_without_an_account(settled_people: People, everything: list[Operation]) -> None:
    browser = settled_people.anonymous()
    for operation in everything:
        if operation.scopes is not None:
            assert ask(browser, operation) == (401, "not-signed-in"), operation
            if operation.safe and not operation.path.startswith("/api/") and not operation.streams:
                answer = browser.get(operation.url("h001"), headers={"Accept": "text/html"})
                if answer.status_code == 303:
                    assert answer.headers["location"].startswith("/sign-in?next=%2F"), operation
                else:
                    assert answer.status_code == 401, operation


def test_a_household_sees_its_own_and_nobody_elses(settled_people: People, everything: list[Operation]) -> None:
    browser = settled_people.household("h001")
    seen = 0
    for operation in everything:
        if operation.scopes is None or "{household}" not in operation.path:
            continue
        for other in ("h002", "h999"):
            # The same answer whether the household exists or not.
            assert ask(browser, operation, other) == (403, "not-yours"), f"{operation} of {other}"
        if operation.safe and not operation.streams and operation.scopes <= set(SCOPES["household"]):
            status, problem = ask(browser, operation, "h001")
            assert status not in (401, 403), f"{operation}: {problem}"
            seen += 1
    assert seen > 10


def test_no_page_of_a_household_names_another(settled_people: People, everything: list[Operation]) -> None:
    browser = settled_people.household("h001")
    for operation in everything:
        allowed = operation.scopes is None or operation.scopes <= set(SCOPES["household"])
        if not operation.safe or operation.streams or not allowed:
            continue
        answer = browser.get(operation.url("h001"))
        found = (
            OTHERS.search(answer.text) if answer.headers.get("content-type", "").startswith(("text", "app")) else None
        )
        assert found is None, f"{operation}: …{answer.text[max(found.start() - 80, 0) : found.end() + 40]}…"  # type: ignore[union-attr]


def test_a_household_does_nothing_that_is_for_others(settled_people: People, everything: list[Operation]) -> None:
    browser = settled_people.household("h001")
    for operation in everything:
        if operation.scopes is not None and not operation.scopes <= set(SCOPES["household"]):
            assert ask(browser, operation) == (403, "not-yours"), operation


@pytest.mark.parametrize("role", ["operator", "auditor"])
def test_other_roles_read_but_do_not_act_for_a_household(
    settled_people: People, everything: list[Operation], role: str
) -> None:
    browser = settled_people.operator() if role == "operator" else settled_people.auditor()
    for operation in everything:
        if operation.scopes is None or operation.streams:
            continue
        if not operation.scopes <= set(SCOPES[role]):  # type: ignore[index]
            assert ask(browser, operation, "h002") == (403, "not-yours"), operation
        elif operation.safe:
            status, problem = ask(browser, operation, "h002")
            assert status not in (401, 403), f"{operation}: {problem}"
    looks = settled_people.site.accounts.looks_at("h002")
    assert [look.role for look in looks].count(role) == 1, "the household sees that somebody looked, once"


@pytest.mark.parametrize("scope", ALL_SCOPES)
def test_a_token_does_what_its_scope_says(settled_people: People, everything: list[Operation], scope: str) -> None:
    role = next(role for role, scopes in SCOPES.items() if scope in scopes)
    script = settled_people.token(role, "h001" if role == "household" else None, [scope])
    for operation in everything:
        if operation.scopes is None or operation.streams:
            continue
        if not operation.safe and operation.scopes <= {scope} and not BY_PERSONS.fullmatch(operation.path):
            continue  # it may, and would: test_schema does
        status, problem = ask(script, operation, csrf=False)
        if BY_PERSONS.fullmatch(operation.path):
            assert (status, problem) == (403, "not-by-token"), operation
        elif not operation.scopes <= {scope}:
            assert status == 403, operation
            assert problem in ("scope", "not-yours"), operation
        else:
            assert status not in (401, 403), f"{operation}: {problem}"


def test_a_token_of_more_than_its_owner_may_is_worth_no_more(settled_people: People) -> None:
    script = settled_people.token("household", "h001", ALL_SCOPES)
    assert script.get("/api/1/household/h001").status_code == 200
    assert script.get("/api/1/household/h002").status_code == 403
    assert script.get("/api/1/operator", headers=JSON).status_code == 403


@pytest.mark.parametrize("authorization", ["Bearer pumasi_nothing", "Bearer", "Basic aDAwMTp4", "bearer  ", "x" * 5000])
def test_a_token_that_is_not_known_is_refused_by_name(settled_people: People, authorization: str) -> None:
    browser = settled_people.household("h001")
    answer = browser.get("/api/1/account", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["problem"]) == (401, "token-unknown")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_form_needs_its_token(settled_people: People, everything: list[Operation]) -> None:
    unsafe = [operation for operation in everything if not operation.safe]
    assert len(unsafe) > 10
    people = {
        "household": settled_people.household("h001"),
        "operator": settled_people.operator("h001"),
        "anonymous": settled_people.anonymous(),
    }
    other = settled_people.household("h001").csrf
    for operation in unsafe:
        for who, browser in people.items():
            if who == "anonymous" and operation.scopes is not None:
                continue
            assert ask(browser, operation, csrf=False) == (403, "csrf"), f"{operation} by {who}"
            for wrong in ("", "x", other, "ключ".encode()):
                headers = {**JSON, "X-CSRF": wrong}
                answer = browser.request(operation.method, operation.url("h001"), headers=headers)
                assert (answer.status_code, answer.json()["problem"]) == (403, "csrf"), f"{operation} by {who}"


def test_every_answer_keeps_to_itself(settled_people: People, everything: list[Operation]) -> None:
    browser = settled_people.operator("h001")
    for operation in everything:
        if not operation.safe or operation.streams:
            continue
        headers = browser.get(operation.url("h001")).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert policy["frame-ancestors"] == "'none'", operation
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] in ("same-origin", "no-referrer")
        assert "cache-control" in headers
        assert "server" not in headers
        if operation.scopes is not None:
            assert "public" not in headers["cache-control"], f"{operation} is not for shared caches"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    settled_people: People, everything: list[Operation]
) -> None:
    browser = settled_people.operator("h001")
    for operation in everything:
        if not operation.safe or operation.streams:
            continue
        answer = browser.get(operation.url("h001"))
        kept = answer.headers.get("content-disposition", "").startswith("attachment")
        if kept or not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        found = re.search(
            r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:|(?:src|action)=\"(?:https?:)?//", answer.text
        )
        assert found is None, f"{operation}: {answer.text[found.start() - 60 : found.end() + 60]}"  # type: ignore[union-attr]
