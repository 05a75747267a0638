"""The corrections' queue: what is missing or contradictory, and that a correction changes what its preview says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard.bills import disputes
from market.record import Record
from market.series import EmbeddedSeries
from market.service.gates import Gates
from market.service.projection import rebuild
from tests.dashboard.operator.conftest import SINCE, people
from tests.dashboard.signed import People

LAST = SINCE + 5 * 900


def form(record: Record, meter: str = "m001", start: int = LAST, **values: object) -> dict[str, object]:
    known = record.registers(start, 900, record.horizon(), record.last_correction())[meter, start]
    said = {"meter": meter, "start": start, "export_wh": None, "generation_wh": None, "consumption_wh": None}
    return {**said, "import_wh": known.import_wh + 1, "reason": "read from the display", **values}


def traded(row: dict[str, int]) -> int:
    return row["bought_wh"] + row["sold_wh"]


def test_the_queue_shows_what_a_person_has_to_judge(day: People) -> None:
    view = day.operator().get("/api/1/operator/corrections").json()
    (message,) = view["messages"]
    assert (message["outcome"], message["meter"], message["start"]) == ("conflicting", "m004", SINCE + 900)
    assert view["outcomes"]["stored"] == 71
    assert (view["corrected"], view["estimated"]) == (1, 0)
    assert view["corrections"]["rows"][0][1] == "m002"
    assert view["gaps"] == []
    page = day.operator().get("/operator/corrections").text
    use = f"?meter=m004&amp;start={SINCE + 900}&amp;import_wh={message['import_wh']}"
    assert use in page, "what it says can be made a correction"
    filled = day.operator().get(f"/operator/corrections?meter=m004&start={SINCE + 900}&import_wh=7").text
    assert 'value="2016-07-11T11:45"' in filled
    assert 'name="import_wh" value="7"' in filled
    assert 'name="reason"' not in day.auditor().get("/operator/corrections").text, "auditors change nothing"


def test_a_gap_is_the_intervals_in_which_nothing_is_known(own_store: Path) -> None:
    record = Record(own_store)
    gates = Gates(record, grace_s=0.0)
    for step in (6, 7):
        gates.tick(SINCE + (step + 1) * 900, 0.0)
        gates.close_next()
    record.close()
    record, series = Record(own_store), EmbeddedSeries(own_store / "series.sqlite")
    rebuild(record, own_store, series, "embedded", lambda done, total: None)
    series.close()
    record.close()
    for found in people(own_store, own_store):
        view = found.operator().get("/api/1/operator/corrections").json()
        assert len(view["gaps"]) == 12
        assert view["gaps"][0] == {
            "meter": "m001",
            "household": "h001",
            "start": LAST + 900,
            "end": LAST + 2700,
            "intervals": 2,
        }


def test_a_preview_is_what_the_market_then_settles(own_day: People, own_store: Path) -> None:
    browser = own_day.operator()
    record = Record(own_store)
    said = form(record, "m003")
    preview = browser.submit_json("/api/1/operator/corrections/preview", said).json()
    assert (preview["household"], preview["final"]) == ("h003", False)
    assert preview["changes"]
    assert record.last_correction() == 1, "a preview stores nothing"
    assert browser.submit_json("/api/1/operator/corrections", said).status_code == 204
    (_, correction) = record.corrections_to(2)
    assert (correction.meter, correction.reason, correction.author) == ("m003", "read from the display", "operator 1")
    before = msgspec.json.decode(record.result(record.newest_gate(LAST, 900).number))["households"]  # type: ignore[union-attr]
    gates = Gates(record, grace_s=0.0)
    gates.tick(LAST + 900, 0.0)
    (again,) = gates.run_again()
    after = msgspec.json.decode(record.result(again.gate.number))["households"]
    record.close()
    changed = {
        new["household"]: (
            old["import_wh"],
            new["import_wh"],
            traded(old),
            traded(new),
        )
        for old, new in zip(before, after, strict=True)
        if old != new
    }
    assert {
        one["household"]: (one["import_before_wh"], one["import_wh"], one["traded_before_wh"], one["traded_wh"])
        for one in preview["changes"]
    } == changed
    entry = browser.get("/api/1/operator/log").json()
    assert entry["deeds"][0]["action"] == "correction"
    assert entry["corrections"][0]["name"] == "operator 1"


def test_the_form_shows_the_preview_and_then_stores(own_day: People, own_store: Path) -> None:
    browser = own_day.operator()
    record = Record(own_store, read_only=True)
    fields = {"meter": "m001", "interval": "2016-07-11T12:45", "reason": "read from the display"}
    fields["import_wh"] = str(form(record)["import_wh"])
    shown = browser.submit("/operator/corrections", fields)
    assert shown.status_code == 200, shown.text
    assert "What this correction would change" in shown.text
    assert 'name="store" value="true"' in shown.text
    assert record.last_correction() == 1
    stored = browser.submit("/operator/corrections", {**fields, "store": "true"})
    assert stored.headers["location"] == "/operator/corrections#corrections"
    assert record.last_correction() == 2
    record.close()
    assert "read from the display" in browser.get("/operator/corrections").text


def test_the_preview_marks_what_is_hardly_possible(day: People) -> None:
    browser, record = day.operator(), day.app.state.site.record.read()
    fields = {"meter": "m003", "interval": "2016-07-11T12:45", "reason": "read from the display"}
    likely = int(str(form(record, "m003")["import_wh"]))
    for import_wh, marked in ((likely, False), (likely + 20_000, True)):
        said = form(record, "m003", import_wh=import_wh)
        (rise,) = browser.submit_json("/api/1/operator/corrections/preview", said).json()["rises"]
        assert (rise["register"], rise["start"], rise["end"]) == ("import_wh", LAST, LAST + 900)
        assert rise["after_w"] == rise["after_wh"] * 4
        assert rise["plausible"] is not marked
        page = browser.submit("/operator/corrections", {**fields, "import_wh": str(import_wh)}).text
        assert ("not likely" in page) is marked
        assert ("look at what is marked before you store it" in page) is marked


def test_the_preview_looks_at_a_bounded_number_of_readings(day: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval may be a second: sixty days of them are five million."""
    record, read = day.app.state.site.record.read(), []
    plain = Record.registers_of

    def registers_of(*arguments: Any, **options: Any) -> list[tuple[int, Any]]:
        found = plain(*arguments, **options)
        read.append(found)
        return found

    monkeypatch.setattr(Record, "registers_of", registers_of)
    monkeypatch.setattr("market.service.plausible.MOST_READINGS", 3)
    import_wh = int(str(form(record, "m003")["import_wh"])) + 20_000
    said = form(record, "m003", import_wh=import_wh)
    (rise,) = day.operator().submit_json("/api/1/operator/corrections/preview", said).json()["rises"]
    assert rise["plausible"] is False
    assert read == [plain(record, "m003", 0, LAST + 900)[-3:]]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"meter": "m099"}, "correction-meter"),
        ({"start": LAST + 60}, "correction-interval"),
        ({"start": LAST + 900}, "correction-not-settled"),
        ({"start": None}, "correction-interval"),
        ({"import_wh": None}, "correction-nothing"),
        ({"import_wh": 10**9}, "correction-impossible"),
        ({"reason": "  "}, "correction-reason"),
        ({"reason": "estimated"}, "correction-reason"),
        ({"import_wh": -1}, "bad-value"),
        ({"start": 2**60}, "bad-value"),
    ],
)
def test_what_cannot_be_is_named_and_not_stored(day: People, changes: dict[str, object], problem: str) -> None:
    record = day.app.state.site.record.read()
    said = {**form(record), **changes}
    for path in ("/api/1/operator/corrections/preview", "/api/1/operator/corrections"):
        answer = day.operator().submit_json(path, said)
        assert (answer.status_code, answer.json()["problem"]) == (422, problem), answer.text
    assert record.last_correction() == 1


def test_the_form_says_in_words_what_is_wrong(day: People) -> None:
    fields = {"meter": "m001", "interval": "2016-07-11T12:45", "reason": "why", "import_wh": "1000000000"}
    page = day.operator().submit("/operator/corrections", fields)
    assert page.status_code == 422
    assert "The register cannot have stood there" in page.text
    assert 'name="import_wh" value="1000000000"' in page.text, "what was typed is still there"
    assert "no connection carries what lies between 1000000000 and the 0 beside it (1 MW)." in page.text
    browser = day.operator()
    browser.get("/language?to=ko")
    fields |= {"meter": "m002", "interval": "2016-07-11T12:30", "import_wh": "1"}
    page = browser.submit("/operator/corrections", fields)
    assert re.search(r"수전 지시값 \(Wh\): 1은\(는\) 바로 앞의 값 \d+보다 작습니다.", page.text)
    assert "the register stood" not in page.text
    fields["import_wh"] = "999"
    assert "바로 뒤의 값" in browser.submit("/operator/corrections", fields).text
    assert day.operator().submit("/operator/corrections", {**fields, "interval": "noon"}).status_code == 422


def test_a_dispute_is_answered_here_and_read_by_its_household(own_day: People) -> None:
    home = own_day.household("h002")
    asked = {"kind": "interval", "start": str(LAST), "text": "I was not at home."}
    assert home.submit("/household/h002/disputes", asked).status_code == 303
    browser = own_day.operator()
    (dispute,) = browser.get("/api/1/operator/corrections").json()["disputes"]
    assert (dispute["household"], dispute["start"], dispute["text"]) == ("h002", LAST, "I was not at home.")
    kinds = [item["kind"] for item in browser.get("/api/1/operator").json()["items"]]
    assert "disputes" in kinds
    path = f"/operator/disputes/{dispute['number']}/answer"
    assert own_day.auditor().submit(path, {"text": "x"}).status_code == 403
    assert browser.submit(path, {"text": "Your heat pump was."}).status_code == 303
    found = disputes.find(own_day.site.accounts.db, dispute["number"])
    assert found is not None
    assert (found.state, found.answer) == ("answered", "Your heat pump was.")
    assert browser.submit_json("/api/1/operator/disputes/999/answer", {"text": "x"}).json()["problem"] == "no-dispute"
