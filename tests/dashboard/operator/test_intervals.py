"""Intervals as they were settled, run again as they stand, and run under other mechanisms."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from market.record import Record
from market.series import EmbeddedSeries
from market.service.other_rules import NAMES
from market.service.projection import rebuild
from market.settlement.document import Deadlines
from tests.dashboard.operator.conftest import SINCE, people
from tests.dashboard.signed import People
from tests.market.settled import settle_street

LAST = SINCE + 5 * 900
LATE = SINCE + 2 * 900


def test_a_day_lists_its_intervals_by_their_newest_revision(day: People) -> None:
    view = day.operator().get("/api/1/operator/intervals").json()
    assert view["day"] == "2016-07-11"
    rows = view["intervals"]
    assert [row["start"] for row in rows] == [SINCE + step * 900 for step in reversed(range(6))]
    assert {row["start"]: (row["revision"], row["state"]) for row in rows if row["revision"]} == {
        LATE: (1, "corrected"),
        SINCE + 3 * 900: (1, "corrected"),
        SINCE + 4 * 900: (1, "corrected"),
    }
    assert view["revised"] == 3
    assert all(row["certificate_gap"] == 0 and row["energy_traded_wh"] > 0 for row in rows)
    page = day.operator().get("/operator/intervals").text
    assert "corrected · revision 1" in page


@pytest.mark.parametrize(("after_s", "state"), [(-1, "provisional"), (0, "final")])
def test_an_interval_is_final_once_its_deadline_has_passed(own_store: Path, after_s: int, state: str) -> None:
    """Nothing is closed by then: that what was settled once will not change any more is a matter of the clock."""
    final_at = SINCE + 900 + Deadlines().final_after_days * 86_400
    with contextmanager(people)(own_store, own_store, final_at + after_s) as they:
        ask = they.operator().get
        rows = {one["start"]: one["state"] for one in ask("/api/1/operator/intervals").json()["intervals"]}
        assert (rows[SINCE], rows[SINCE + 900]) == (state, "provisional")
        one = ask(f"/api/1/operator/intervals/{SINCE}").json()
        assert (one["state"], one["revisions"][0]["state"]) == (state, "provisional")
        assert ask(f"/api/1/operator/network?start={SINCE}").json()["state"] == state
        assert ask(f"/api/1/operator/intervals/{LATE}?revision=0").json()["state"] == "provisional"


def test_an_interval_tells_what_was_stored(day: People) -> None:
    record = day.app.state.site.record.read()
    gate = record.newest_gate(LATE, 900)
    result = msgspec.json.decode(record.result(gate.number))
    browser = day.operator()
    view = browser.get(f"/api/1/operator/intervals/{LATE}").json()
    assert (view["primal"], view["dual"], view["certificate_gap"]) == (
        result["certificate"]["primal"],
        result["certificate"]["dual"],
        0,
    )
    assert [one["revision"] for one in view["revisions"]] == [0, 1]
    assert [one["head"] for one in view["revisions"]] == [
        record.chain_row(g.number).head for g in record.gates_between(LATE, LATE + 1)
    ]
    assert (view["before"], view["after"]) == (LATE - 900, LATE + 900)
    table = view["table"]
    gains = [row[table["columns"].index("gain_money")] for row in table["rows"]]
    assert gains == sorted(gains, reverse=True)
    assert sum(gains) == view["gain_money"] > 0
    assert view["gained"] == sum(gain > 0 for gain in gains)
    lengths = {name: len(result[name]) for name in ("orders", "nodes", "matches")}
    lengths["transfers"] = len(record.transfers(gate.number))
    for name, length in lengths.items():
        shown = browser.get(f"/api/1/operator/intervals/{LATE}?shown={name}").json()["table"]
        assert (shown["total"], len(shown["rows"])) == (length, min(length, 100))
    before = browser.get(f"/api/1/operator/intervals/{LATE}?revision=0").json()
    assert (before["revision"], before["newest"], before["heard"], view["heard"]) == (0, 1, 11, 12)


def test_an_interval_is_verified_by_running_it_again(day: People) -> None:
    browser = day.auditor()
    page = browser.submit(f"/operator/intervals/{LAST}/verify")
    assert page.status_code == 200
    assert "Verified: run again, it comes out exactly as it is stored." in page.text
    twin = browser.submit_json(f"/api/1/operator/intervals/{LATE}/verify?revision=0", None).json()
    assert (twin["start"], twin["revision"], twin["same"], twin["difference"]) == (LATE, 0, True, None)
    entry = day.operator().get("/api/1/operator/log").json()["deeds"][0]
    assert (entry["action"], entry["role"], entry["detail"]) == ("verify", "auditor", "2016-07-11T12:00")


@pytest.fixture
def tampered(eventful_store: Path, tmp_path: Path) -> Path:
    store = tmp_path / "tampered"
    shutil.copytree(eventful_store, store)
    database = sqlite3.connect(store / "record.sqlite")
    database.execute("DROP TRIGGER result_UPDATE_refused")
    (gate,) = database.execute("SELECT number FROM gate WHERE start = ?", (LAST,)).fetchone()
    database.execute("UPDATE result SET body = replace(body, '\"welfare\":', '\"welfare\":1') WHERE gate = ?", (gate,))
    database.commit()
    database.close()
    return store


def test_what_was_changed_is_found_and_named(tampered: Path) -> None:
    for found in people(tampered, tampered):
        answer = found.operator().submit_json(f"/api/1/operator/intervals/{LAST}/verify", None).json()
        assert answer["same"] is False
        assert f"interval {LAST}, revision 0: the result comes out otherwise" in answer["difference"]
        page = found.operator().submit(f"/operator/intervals/{LAST}/verify").text
        assert "It does not come out as it is stored." in page


def test_its_own_mechanism_changes_nothing(day: People) -> None:
    view = day.operator().get(f"/api/1/operator/intervals/{LATE}/under?mechanism=mid-market").json()
    assert view["settled"] == view["other"]
    assert len(view["households"]) == 12
    assert {row["difference_money"] for row in view["households"]} == {0}


@pytest.mark.parametrize("mechanism", NAMES)
def test_every_mechanism_stands_beside_what_was_settled(day: People, mechanism: str) -> None:
    browser = day.operator()
    view = browser.get(f"/api/1/operator/intervals/{LAST}/under?mechanism={mechanism}").json()
    assert view["refused"] is None
    assert view["settled"]["energy_traded_wh"] == 273
    assert sum(row["other_bought_wh"] for row in view["households"]) == view["other"]["energy_traded_wh"] > 0
    differences = [row["difference_money"] for row in view["households"]]
    assert differences == sorted(differences, reverse=True)
    own = sum(row["other_gain_money"] for row in view["households"])
    assert own + view["other"]["kept_money"] == view["other"]["gain_money"]
    assert browser.get(f"/operator/intervals/{LAST}/under?mechanism={mechanism}").status_code == 200


def test_partners_and_gifts_are_told_apart_and_left_out_under_other_rules(day: People, tmp_path: Path) -> None:
    settle_street(tmp_path, steps=2, offers={"h001": {"give": ["h003"]}, "h002": {"prefer": ["h001"]}})
    record, series = Record(tmp_path), EmbeddedSeries(tmp_path / "series.sqlite")
    rebuild(record, tmp_path, series, "embedded", lambda done, total: None)
    series.close()
    record.close()
    others = "Preferred partners and gifts are left out under the other rules"
    paths = f"/operator/intervals/{SINCE + 900}/under?mechanism=nodal", "/operator/rules"
    for found in people(tmp_path, tmp_path):
        browser = found.operator()
        table = browser.get(f"/api/1/operator/intervals/{SINCE + 900}?shown=matches").json()["table"]
        assert table["columns"][-1] == "trade"
        kinds = [row[-1] for row in table["rows"]]
        assert kinds[0] == "gift" and table["rows"][0][:2] == ["h001", "h003"]
        assert kinds[1] == "partner" and table["rows"][1][:2] == ["h001", "h002"]
        assert set(kinds[2:]) == {"market"}
        page = browser.get(f"/operator/intervals/{SINCE + 900}?shown=matches").text
        assert "<td>gift</td>" in page and "<td>preferred partners</td>" in page
        assert [others in browser.get(path).text for path in paths] == [True, True]
    assert [others in day.operator().get(path).text for path in paths] == [False, False], "there are none"
