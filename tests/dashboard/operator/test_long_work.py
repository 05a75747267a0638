"""A month under other rules, and the audit: begun by a button, worked out in the background, kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.operator.background import Background, BusyError, StoppedError
from market.record import Record
from market.service.replay import replay
from tests.dashboard.operator.conftest import people
from tests.dashboard.operator.test_intervals import tampered
from tests.dashboard.signed import Browser, People

assert tampered


def wait(browser: Browser, path: str) -> dict[str, object]:
    for _ in range(300):
        view: dict[str, object] = browser.get(path).json()
        if view["progress"] is None:
            return view
        threading.Event().wait(0.05)
    raise AssertionError("it never ends")


def test_a_month_is_worked_out_when_somebody_asks(own_day: People) -> None:
    browser = own_day.operator()
    before = browser.get("/api/1/operator/rules").json()
    assert (before["month"], before["result"], before["intervals"]) == ("2016-07", None, 6)
    assert (
        browser.submit("/operator/rules", {"month": "2016-07"}).headers["location"] == "/operator/rules?month=2016-07"
    )
    view = wait(browser, "/api/1/operator/rules?month=2016-07")
    result = view["result"]
    assert isinstance(result, dict)
    rules = {row["mechanism"]: row for row in result["rules"]}
    assert (result["households"], result["intervals"], view["old"]) == (12, 6, False)
    own = rules["mid-market"]
    assert own["cost_money"] == -result["alone_money"] - own["gain_money"]
    assert own["self_sufficiency_permille"] > result["self_sufficiency_alone_permille"]
    assert (own["better"], own["worse"]) == (12, 0)
    assert rules["pay-as-bid"]["kept_money"] == rules["pay-as-bid"]["gain_money"] > 0
    page = browser.get("/operator/rules").text
    assert "Mid-market price" in page
    assert 'class="own"' in page
    assert own_day.auditor().get("/operator/rules").status_code == 200
    assert browser.submit("/operator/rules", {"month": "2016-06"}).status_code == 404


def test_the_whole_record_is_audited_from_the_page(own_day: People, own_store: Path) -> None:
    auditor = own_day.auditor()
    never = auditor.get("/api/1/operator/audit").json()
    assert (never["result"], never["gates"], never["unaudited"]) == (None, 9, 9)
    assert auditor.submit("/operator/audit").status_code == 303
    view = wait(auditor, "/api/1/operator/audit")
    result = view["result"]
    assert isinstance(result, dict)
    assert (result["difference"], result["gates"], result["readings"], result["revisions"]) == (None, 9, 72, 3)
    assert (result["seals_checked"], result["chained"], view["unaudited"]) == (True, 9, 0)
    record = Record(own_store, read_only=True)
    assert result["digest"] == replay(record, lambda done, total: None).digest
    newest = record.last_chain()
    record.close()
    assert newest is not None
    assert view["head"] == {"gate": 9, "head": newest.head, "signed": True}
    kinds = [item["kind"] for item in own_day.operator().get("/api/1/operator").json()["items"]]
    assert "never-audited" not in kinds
    for again in people(own_store, own_store):
        assert again.operator().get("/api/1/operator/audit").json()["result"] == result, "it outlives the process"


def test_an_audit_names_the_first_difference(tampered: Path) -> None:
    for found in people(tampered, tampered):
        browser = found.operator()
        browser.submit("/operator/audit")
        result = wait(browser, "/api/1/operator/audit")["result"]
        assert isinstance(result, dict)
        assert "the result comes out otherwise" in result["difference"]
        first = browser.get("/api/1/operator").json()["items"][0]
        assert (first["kind"], first["weight"]) == ("audit-differs", "now")
        assert "Something is not as it should be." in browser.get("/operator/audit").text


def test_one_thing_is_worked_on_at_a_time(tmp_path: Path) -> None:
    background = Background(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    def work(note: Callable[[int, int], None]) -> dict[str, int]:
        note(1, 4)
        begun.set()
        go_on.wait(10)
        note(2, 4)
        return {"answer": 42}

    background.start("first", work)
    assert begun.wait(10)
    progress = background.progress()
    assert progress is not None
    assert (progress.kind, progress.done, progress.total) == ("first", 1, 4)
    with pytest.raises(BusyError, match="first"):
        background.start("second", work)
    go_on.set()
    assert background.wait(10)
    assert background.progress() is None
    assert background.last("first") == {"answer": 42}
    assert background.last("second") is None


def test_what_fails_says_why_and_keeps_the_last_result(tmp_path: Path) -> None:
    background = Background(tmp_path)
    background.start("kind", lambda note: {"answer": 1})
    background.wait(10)

    def fails(note: Callable[[int, int], None]) -> None:
        raise OSError("the disk is gone")

    background.start("kind", fails)
    background.wait(10)
    assert background.failure("kind") == "the disk is gone"
    assert background.last("kind") == {"answer": 1}


def test_work_ends_with_the_dashboard(tmp_path: Path) -> None:
    background = Background(tmp_path)
    begun, ended = threading.Event(), threading.Event()

    def work(note: Callable[[int, int], None]) -> None:
        begun.set()
        try:
            while True:
                note(0, 1)
        except StoppedError:
            ended.set()
            raise

    background.start("endless", work)
    assert begun.wait(10)
    background.stop(10)
    assert ended.is_set()
    assert background.last("endless") is None
