"""One-time tokens, the code that carries one, and the hub's bounds."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import segno
from starlette.testclient import TestClient

from broker import enrolment, hub, identities, refusals, site
from broker.enrolment import LIFETIME_S, RefusedError
from broker.refusals import Refusals
from tests.broker.stores import issue, make_site, new_token

NOW = 1_800_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_site(tmp_path)
    issue(tmp_path, "m001", "m002")
    return tmp_path


def refusal(store: Path, token: str, now: int = NOW) -> str:
    with pytest.raises(RefusedError) as refused:
        enrolment.redeem(store, token, now)
    return str(refused.value)


def test_a_token_works_once(store: Path) -> None:
    token = new_token(store, "m001", NOW)
    assert re.fullmatch(r"[A-Z2-7]{26}", token)
    assert enrolment.redeem(store, token.lower(), NOW) == "m001"
    assert refusal(store, token) == "token-used"


def test_a_token_expires(store: Path) -> None:
    token = new_token(store, "m001", NOW)
    assert enrolment.open_until(store, NOW + LIFETIME_S - 1) == {"m001": NOW + LIFETIME_S}
    assert refusal(store, token, NOW + LIFETIME_S) == "token-expired"
    assert enrolment.open_until(store, NOW + LIFETIME_S) == {}
    enrolment.sweep(store, NOW + 2 * LIFETIME_S)
    assert refusal(store, token, NOW) == "token-unknown"


def test_a_newer_token_ends_the_older_of_the_same_meter(store: Path) -> None:
    first, other = new_token(store, "m001", NOW), new_token(store, "m002", NOW)
    second = new_token(store, "m001", NOW)
    assert refusal(store, first) == "token-unknown"
    assert enrolment.redeem(store, second, NOW) == "m001"
    assert enrolment.redeem(store, other, NOW) == "m002"


@pytest.mark.parametrize("token", ["", "A" * 26, "../../ca", "\0"])
def test_what_is_no_token_is_unknown(store: Path, token: str) -> None:
    new_token(store, "m001", NOW)
    assert refusal(store, token) == "token-unknown"


def test_no_file_holds_a_token(store: Path) -> None:
    token = new_token(store, "m001", NOW)
    kept = [path for path in store.rglob("*") if path.is_file()]
    assert kept and not any(token.encode() in path.read_bytes() for path in kept)


def test_the_code_is_short_text_without_keys(store: Path) -> None:
    token = new_token(store, "m001", NOW)
    text = enrolment.qr_text(store, token)
    assert re.fullmatch(rf"PUMASI:1:LOCALHOST:\d+:{token}:[0-9A-F]{{64}}", text)
    code = segno.make(text, error="m", boost_error=False)
    assert code.mode == "alphanumeric"
    assert int(code.version) <= 8
    assert identities.load(store, "m001").key.upper() not in text


# the hub


@pytest.fixture
def client(store: Path) -> TestClient:
    return TestClient(hub.application(store, Refusals(store).add, lambda text: None))


def problem(client: TestClient, content: bytes) -> tuple[int, str]:
    answer = client.post("/enrol", content=content)
    return answer.status_code, answer.json()["problem"]


def test_refusals_have_names_and_are_counted(store: Path) -> None:
    counts = Refusals(store)
    client = TestClient(hub.application(store, counts.add, lambda text: None))
    now = int(time.time())
    expired = new_token(store, "m002", now - LIFETIME_S)
    assert problem(client, b"") == (400, "malformed")
    assert problem(client, b'{"token":1}') == (400, "malformed")
    assert problem(client, b'{"token":"x","more":1}') == (400, "malformed")
    assert problem(client, b"\xff") == (400, "malformed")
    assert problem(client, b'{"token":"' + b"A" * 1100 + b'"}') == (413, "too-long")
    assert problem(client, b'{"token":"AAAA"}') == (403, "token-unknown")
    assert problem(client, json.dumps({"token": expired}).encode()) == (403, "token-expired")
    counts.save(now=True)
    kept = {name: refusal.count for name, refusal in refusals.read(store).items()}
    assert kept == {"malformed": 4, "too-long": 1, "token-unknown": 1, "token-expired": 1}


def test_a_revoked_meter_does_not_enrol(store: Path, client: TestClient) -> None:
    token = new_token(store, "m001", int(time.time()))
    identities.revoke(store, identities.load(store, "m001"))
    assert problem(client, json.dumps({"token": token}).encode()) == (403, "meter-revoked")


def test_a_meter_enrols_even_where_the_authoritys_key_is_away(store: Path) -> None:
    identities.with_new_certificate(store, identities.load(store, "m001"))
    token = new_token(store, "m001", int(time.time()))
    (site.directory(store) / "ca.key").unlink()
    told: list[str] = []
    client = TestClient(hub.application(store, lambda name, who: None, told.append))
    assert client.post("/enrol", content=json.dumps({"token": token}).encode()).status_code == 200
    assert "its older certificate stays good until 'pumasi broker renew'" in told[0]


def test_an_address_that_tries_too_often_waits(store: Path) -> None:
    now_s = 0.0
    limiter = hub.Limiter(lambda: now_s)
    client = TestClient(hub.application(store, lambda name, who: None, lambda text: None, limiter))
    seen = [problem(client, b"x")[1] for _ in range(hub.ATTEMPTS_A_MINUTE + 2)]
    assert seen == ["malformed"] * hub.ATTEMPTS_A_MINUTE + ["too-many"] * 2
    assert limiter.allows("another address")
    now_s = 6.0
    assert [problem(client, b"x")[1] for _ in range(2)] == ["malformed", "too-many"]


def test_the_memory_of_addresses_is_bounded() -> None:
    limiter = hub.Limiter(lambda: 0.0)
    for number in range(hub.MAX_ADDRESSES + 50):
        limiter.allows(str(number))
    assert len(limiter._buckets) == hub.MAX_ADDRESSES


def test_a_body_that_does_not_come_is_given_up(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(hub, "BODY_TIMEOUT_S", 0.05)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(3600)
        raise AssertionError

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/enrol", "raw_path": b"/enrol", "query_string": b"", "headers": [],
        "client": ("192.0.2.1", 1), "server": ("localhost", 1), "scheme": "https", "http_version": "1.1",
        "root_path": "",
    }  # fmt: skip
    application = hub.application(store, lambda name, who: None, lambda text: None)
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 413
