"""What somebody would send who means harm: each of these once broke a page or could shut others out."""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cbor2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dashboard.access import csrf_token
from dashboard.accounts import entry, passwords
from dashboard.changes import Changes
from dashboard.security import HEADERS
from dashboard.site import STREAMS_EACH
from market.statements.table import _text
from tests.dashboard.signed import Browser, People
from tests.dashboard.street import Street

HOME = "/household/h001"


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"{HOME}/bills/{month}{kind}"
            for month in ("9999-12", "0000-01", "1969-12")
            for kind in ("", ".csv", ".pdf")
        ),
        *(f"{HOME}/{room}/{month}" for room in ("proof", "verify") for month in ("9999-12", "1900-01", "0000-01")),
        f"{HOME}/disputes/new?month=0000-01",
        f"{HOME}/interval/{2**40 - 1}",
        f"/operator/corrections?start={2**40 - 1}",
        f"/operator/intervals/{2**40 - 1}",
        f"/operator/network?start={2**40 - 1}",
        "/operator/rules?month=20१६-07",
    ],
)
def test_moments_that_no_calendar_has_are_bad_values(settled_people: People, path: str) -> None:
    answer = settled_people.operator("h001").get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["problem"]) == (422, "bad-value")


def test_what_goes_wrong_unforeseen_is_as_locked_up_as_everything_else(
    street: Street, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("/secret/path")

    app = make_app(street)
    monkeypatch.setattr(street, "last_interval", broken)
    answer = TestClient(app, raise_server_exceptions=False).get("/health")
    assert (answer.status_code, answer.json()["problem"]) == (500, "failed")
    assert "secret" not in answer.text
    assert HEADERS.items() <= {name: answer.headers.get(name) for name in HEADERS}.items()


@pytest.mark.parametrize("host", ["localhost#x", "localhost/.x", "x@localhost", "localhost:8000:1", "[::1]x", "[::1"])
def test_a_host_is_a_name_and_a_port(street: Street, make_app: Callable[..., FastAPI], host: str) -> None:
    browser = Browser(make_app(street, allowed_hosts=["localhost"]), base_url="http://localhost:8000")
    assert browser.get("/health").status_code == 200
    answer = browser.get("/health", headers={"Host": host})
    assert (answer.status_code, answer.json()["problem"]) == (400, "bad-host")


def test_a_passkey_of_another_shape_is_refused_by_name(street: Street, make_app: Callable[..., FastAPI]) -> None:
    people = People(make_app(street))
    made = people.household("h001")
    browser = Browser(people.app, made.session_token, base_url="http://localhost")
    begun = browser.submit_json("/account/passkeys/options", None).json()
    seen = {"type": "webauthn.create", "challenge": begun["options"]["challenge"], "origin": "http://localhost"}
    key = cbor2.dumps([1])
    said = hashlib.sha256(b"localhost").digest() + bytes([0x45, 0, 0, 0, 1]) + bytes(16) + b"\0\x10" + b"c" * 16 + key
    attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": said})
    credential = {
        "id": _text64(b"c" * 16),
        "rawId": _text64(b"c" * 16),
        "type": "public-key",
        "response": {"clientDataJSON": _text64(json.dumps(seen).encode()), "attestationObject": _text64(attested)},
    }
    answer = browser.post(
        "/account/passkeys",
        json={"number": begun["number"], "credential": credential},
        headers={"X-CSRF": browser.csrf, "Accept": "application/json"},
    )
    assert (answer.status_code, answer.json()["problem"]) == (422, "passkey-refused")


def _text64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("name", ['=HYPERLINK("http://evil.example")', "+1", "-2+3", "@SUM(1)"])
def test_a_spreadsheet_takes_no_name_for_a_formula(name: str) -> None:
    assert _text(name) == f"'{name}"
    assert _text(f"Neighbour {name}") == f"Neighbour {name}"


def test_one_accounts_streams_shut_nobody_out(street: Street, make_app: Callable[..., FastAPI]) -> None:
    people = People(make_app(street))
    greedy, other = people.household("h001"), people.household("h002")
    changes: Changes = people.site.changes
    account = people.site.accounts.of_household("h001")[0].account
    changes.streams_of[account] = STREAMS_EACH
    answer = greedy.get("/household/h001/events", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["problem"]) == (503, "too-many-streams")
    # What is over ends at once: so the other's stream can be read to its end here.
    changes._over = True
    assert other.get("/household/h002/events").status_code == 200
    assert list(changes.streams_of) == [account], "what ended is not counted"


def test_many_sign_ins_leave_threads_for_pages(
    street: Street, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = People(make_app(street))
    waiting, ended = threading.Semaphore(0), threading.Event()

    def slow(_kept: str | None, _password: str) -> bool:
        waiting.release()
        ended.wait(20)
        return False

    monkeypatch.setattr(passwords, "right", slow)

    def sign_in(number: int) -> int:
        browser = people.anonymous()
        browser.get("/sign-in")
        site = people.site
        browser.csrf = csrf_token(site.accounts, browser.cookies["visit"])
        return browser.submit("/sign-in", {"name": f"n{number}", "password": "x"}).status_code

    with ThreadPoolExecutor(entry.AT_ONCE) as pool:
        held = [pool.submit(sign_in, number) for number in range(entry.AT_ONCE)]
        assert all(waiting.acquire(timeout=20) for _ in held)
        assert sign_in(99) == 429
        ended.set()
        assert {one.result() for one in held} == {403}
    assert sign_in(100) == 403, "the places are given back"
