"""What the market may change on a meter by the `config` message."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.keys import rotate, sign

TOPIC = "pumasi/1/rural3/m001/config"
KEY = bytes(31) + b"\x01"
NONCE = "00112233445566778899aabbccddeeff"
OFFER = {"version": "0.2.0", "path": "/firmware/0.2.0", "size": 70_000, "sha256": "ab" * 32}
SENSORS = [{"role": "grid", "driver": "sdm", "address": 3}]


def message(version: int, kid: int = 1, key: bytes = KEY, topic: str = TOPIC, **members: object) -> str:
    body = json.dumps({"v": 1, "kid": kid, "version": version, **members}, separators=(",", ":")).encode()
    return sign(key, topic, body).decode()


Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(on_device: Callable[..., Any], tmp_path: Path) -> Run:
    def steps(*steps: str) -> list[dict[str, Any]]:
        (tmp_path / "steps.json").write_text(json.dumps(steps))
        found: list[dict[str, Any]] = on_device("configure.py", "steps.json")
        (tmp_path / "settings.a").unlink(missing_ok=True)
        (tmp_path / "settings.b").unlink(missing_ok=True)
        return found

    return steps


def test_a_higher_version_is_applied_kept_and_used_after_the_restart(run: Run) -> None:
    first, booted = run(message(5, interval_s=300, limits={"power_w": 24_000}, firmware=OFFER), "boot")
    assert (first["version"], first["restart"], first["offer"], first["changes"]) == (5, True, OFFER, 1)
    assert first["interval_s"] == 900, "in use until the restart"
    assert (booted["version"], booted["interval_s"], booted["limits"]) == (5, 300, {"power_w": 24_000})
    assert (booted["offer"], booted["restart"], booted["kid"], booted["key"]) == (OFFER, False, 1, KEY.hex())


def test_a_message_says_everything(run: Run) -> None:
    steps = (
        message(1, interval_s=300, sensors=SENSORS, home_assistant=True),
        "boot",
        message(2, sensors=SENSORS),
        "boot",
        message(3),
        "boot",
    )
    after = run(*steps)[1::2]
    assert [(one["interval_s"], one["home_assistant"]) for one in after] == [(300, True), (900, False), (900, False)]
    assert [one["sensors"][0]["driver"] for one in after] == ["sdm", "sdm", "simulated"]


def test_only_what_changes_the_meter_restarts_it(run: Run) -> None:
    steps = (message(1, firmware=OFFER), message(2), message(3, nonce=NONCE))
    assert [one["restart"] for one in run(*steps)] == [False] * 3
    assert run(message(1, limits={"power_w": 1}))[0]["restart"]


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        pytest.param(message(9)[:-3] + '0"}', "mac", id="another mac"),
        pytest.param(message(9, key=bytes(32)), "mac", id="another key"),
        pytest.param(message(9, kid=2), "mac", id="a key to come"),
        pytest.param(message(9, topic=TOPIC.replace("m001", "m002")), "mac", id="another meter's"),
        pytest.param(message(9).replace('"version":9', '"version":10'), "mac", id="changed on the way"),
        pytest.param('{"v":1,"kid":1,"version":9}', "mac", id="no mac"),
        pytest.param(message(3), "version", id="older"),
        pytest.param("", "config", id="nothing"),
        pytest.param("[]", "config", id="no object"),
        pytest.param(message(9)[:-1], "config", id="cut short"),
        pytest.param(message(9, limits={"power_w": 1}, spare="x" * 1024), "config", id="too long"),
        pytest.param(message(9).replace('"v":1', '"v":2'), "config", id="another format"),
        pytest.param(message(9).replace('"version":9', '"version":"9"'), "config", id="a version in words"),
        pytest.param(message(True), "config", id="a version that is true"),
        pytest.param(message(9, interval_s=700), "config", id="an interval that does not divide a day"),
        pytest.param(message(9, interval_s=900.0), "config", id="an interval that is no integer"),
        pytest.param(message(9, sensors=[]), "config", id="no sensors"),
        pytest.param(message(9, sensors=[{"role": "roof", "driver": "sdm"}]), "config", id="a role that is none"),
        pytest.param(message(9, limits={"power_w": -1}), "config", id="a negative limit"),
        pytest.param(message(9, home_assistant="yes"), "config", id="neither true nor false"),
        pytest.param(message(9, nonce=NONCE[:-1]), "config", id="half a nonce"),
        pytest.param(message(9, nonce=NONCE.upper()), "config", id="a nonce in capitals"),
        pytest.param(message(9, firmware={**OFFER, "size": "70000"}), "config", id="an offer of no size"),
        pytest.param(message(9, firmware={**OFFER, "path": "firmware"}), "config", id="an offer without a path"),
        pytest.param(message(9, firmware={**OFFER, "path": "/a b\r\n"}), "config", id="a path with a line's end"),
    ],
)
def test_what_is_not_applied_is_counted_by_name(run: Run, payload: str, name: str) -> None:
    before, refused, booted = run(message(5, interval_s=300), payload, "boot")
    assert refused["refused"] == {name: 1}
    assert {**refused, "refused": {}} == before
    assert (booted["version"], booted["interval_s"]) == (5, 300)


def test_the_retained_message_comes_again_with_each_connection(run: Run) -> None:
    again = run(message(5), message(5), "boot", message(5))
    assert [one["refused"] for one in again] == [{}] * 4
    assert again[-1]["changes"] == 1


def test_a_nonce_makes_the_next_key_and_it_is_kept(run: Run) -> None:
    second = rotate(KEY, "rural3", "m001", 2, NONCE)
    third = rotate(second, "rural3", "m001", 3, NONCE)
    steps = run(
        message(5, nonce=NONCE),
        # what led here is still retained, until the market has heard the new key
        message(5, nonce=NONCE),
        "boot",
        message(5, nonce=NONCE),
        # the old key is worth nothing any more
        message(6, nonce=NONCE),
        message(5, kid=2, key=second),
        message(6, kid=2, key=second, nonce=NONCE),
        "boot",
    )
    assert [(one["kid"], one["key"]) for one in steps] == [(2, second.hex())] * 6 + [(3, third.hex())] * 2
    assert [one["version"] for one in steps] == [5] * 6 + [6] * 2
    assert [one["refused"] for one in steps] == [{}] * 4 + [{"mac": 1}] * 3 + [{}]


def test_a_key_that_cannot_be_kept_is_not_used(run: Run) -> None:
    _, failed, booted = run("full", message(5, nonce=NONCE, interval_s=300), "boot")
    for state in (failed, booted):
        assert (state["kid"], state["key"], state["version"], state["restart"]) == (1, KEY.hex(), 0, False)
    assert failed["error"] == 28


def test_a_meter_provisioned_anew_forgets_what_the_old_one_was_told(run: Run) -> None:
    _, anew, _, booted = run(
        message(5, nonce=NONCE, interval_s=300),
        "provision",
        message(1, kid=7, key=b"\x77" * 32, interval_s=60),
        "boot",
    )
    assert (anew["kid"], anew["key"], anew["version"], anew["interval_s"]) == (7, "77" * 32, 0, 900)
    assert (booted["kid"], booted["version"], booted["interval_s"]) == (7, 1, 60)
