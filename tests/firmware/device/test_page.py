"""The meter's own page in the household's network, served by the whole firmware."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.firmware.device.test_meter import START, WATTS, registers_wh
from tests.servers import free_port


def ask(port: int, path: str, host: str | None = None, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    fields = {"Host": host or f"127.0.0.1:{port}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    connection.request(method, path, headers=fields)
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], answer.read().decode()
    connection.close()
    return found


@pytest.fixture
def meter(make_meter: Callable[..., Any], broker: Any, market: Any, wait: Callable[..., None]) -> Any:
    made = make_meter(broker.port, WATTS, page=free_port())
    made.start()
    made.wait_ready()
    made.tick(0)
    made.page = json.loads((made.flash / "config.json").read_text())["page"]
    return made


def test_a_household_finds_the_readings_that_were_sent(meter: Any, market: Any, wait: Callable[..., None]) -> None:
    for now in (60, 130):
        meter.tick(now)
        wait(lambda now=now: len(market.first_heard) == now, what="readings")
    status, kind, body = ask(meter.page, "/readings.json")
    assert (status, kind) == (200, "application/json")
    shown = json.loads(body)
    assert {name: shown[name] for name in ("v", "community", "meter")} == {
        "v": 1,
        "community": "rural3",
        "meter": "m001",
    }
    assert shown["outbox"] == next(iter(market.next))
    # acknowledged long ago, and still there to compare with: the last day
    assert [reading["seq"] for reading in shown["readings"]] == list(range(130 - 96, 130))
    for reading in shown["readings"]:
        sent = market.first_heard[reading["seq"]]
        assert reading == {name: sent[name] for name in reading}
        assert set(sent) - set(reading) == {"v", "kid", "outbox", "first", "mac"}
    page = ask(meter.page, "/?lang=en")[2]
    assert page.count("<tr><td>") == 96
    last = registers_wh(129)
    row = "2016-07-12 04:15</td><td>" + "</td><td>".join(str(last[name]) for name in last)
    assert START + 900 * 129 == 1468296900 and row in page


def test_it_holds_no_secret_and_can_only_be_read(meter: Any) -> None:
    config = json.loads((meter.flash / "config.json").read_text())
    pages = [ask(meter.page, path) for path in ("/", "/readings.json", "/self-test", "/self-test.json")]
    assert [status for status, _, _ in pages] == [200] * 4
    assert not any(config["key"] in body for _, _, body in pages)
    assert ask(meter.page, "/", method="POST")[0] == 405
    for path in ("/config.json", "/outbox/identity.a", "/../config.json", "//config.json"):
        assert ask(meter.page, path)[0] == 404


def test_a_website_cannot_look_in_through_the_households_browser(meter: Any) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:80", "pumasi.org"):
        assert ask(meter.page, "/readings.json", host)[0] == 403
    for host in ("pumasi-m001.local", "pumasi-m001", "192.168.1.20", f"127.0.0.1:{meter.page}"):
        assert ask(meter.page, "/readings.json", host)[0] == 200


def test_the_self_test_of_a_running_meter(meter: Any, wait: Callable[..., None]) -> None:
    meter.tick(1)
    meter.wait_closed(0)
    report = json.loads(ask(meter.page, "/self-test.json")[2])
    assert (report["v"], report["meter"]) == (1, "m001")
    levels = {row["check"]: row["level"] for row in report["checks"]}
    assert levels == {
        "sensor grid": "ok", "transformer grid": levels["transformer grid"], "clock": "ok", "wifi": "skip",
        "broker": "ok", "certificate": "skip", "memory": "ok", "flash": "ok", "outbox": "ok",
    }  # fmt: skip
    assert "<td>broker</td>" in ask(meter.page, "/self-test")[2]
    korean = ask(meter.page, "/self-test", Accept_Language="ko-KR,ko;q=0.9")[2]
    assert "자가 진단" in korean and "정상" in korean
    assert ask(meter.page, "/self-test?lang=en", Accept_Language="ko")[2].count("자가 진단") == 0


def test_nothing_from_elsewhere(meter: Any) -> None:
    for path in ("/", "/self-test"):
        page = ask(meter.page, path)[2]
        assert "<script" not in page and "url(" not in page
        assert not re.findall(r"(?:src|href)=.(?!/)", page)


def test_looking_often_costs_no_memory(meter: Any, market: Any, wait: Callable[..., None]) -> None:
    meter.tick(40)
    wait(lambda: len(market.first_heard) == 40, what="readings")
    free: list[int] = []
    for _ in range(3):
        for _ in range(8):
            assert ask(meter.page, "/self-test.json")[0] == 200 and ask(meter.page, "/readings.json")[0] == 200
        rows = {row["check"]: row["says"] for row in json.loads(ask(meter.page, "/self-test.json")[2])["checks"]}
        free.append(int(rows["memory"].split()[0]))
    assert min(free) > 40_000 and free[2] > free[0] - 4096, free


def test_there_is_no_page_where_none_is_wanted(make_meter: Callable[..., Any], broker: Any, market: Any) -> None:
    meter = make_meter(broker.port, WATTS, page=False)
    meter.start()
    meter.wait_ready()
    assert "page" not in meter.diagnostics()
