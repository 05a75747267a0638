"""Meters: what they said of themselves, when they were heard, and which of them need a look."""

from __future__ import annotations

import json
from pathlib import Path

from dashboard.operator.meters import CLOSABLE_S
from market.record import Record
from market.record.rows import ESTIMATED
from market.settlement.rules import Registers
from tests.dashboard.operator.conftest import SINCE
from tests.dashboard.signed import People

LAST = SINCE + 5 * 900


def test_what_a_meter_says_decides_whether_it_needs_a_look(day: People) -> None:
    view = day.operator().get("/api/1/operator/meters").json()
    found = {one["meter"]: one for one in view["meters"]}
    assert {name: one["reasons"] for name, one in found.items() if one["reasons"]} == {
        "m002": ["firmware"],
        "m003": ["offline"],
        "m004": ["clock", "outbox"],
    }
    assert [one["meter"] for one in view["meters"][:3]] == ["m002", "m003", "m004"], "they come first"
    assert found["m001"]["state"] == "online"
    assert found["m010"]["state"] == "unknown", "it never said anything, and was heard all the same"
    assert found["m001"]["heard_start"] == LAST
    assert (found["m004"]["rssi"], found["m004"]["outbox"], found["m004"]["clock_error_ms"]) == (-61, 140, 4100)
    assert view["counts"] == {"all": 12, "attention": 3, "silent": 0, "offline": 1, "estimated": 0}


def test_meters_are_found_by_part_of_any_name(day: People) -> None:
    browser = day.operator()
    for query, show, meters in (("M004", "all", ["m004"]), ("home 1", "offline", []), ("h003", "offline", ["m003"])):
        view = browser.get("/api/1/operator/meters", params={"query": query, "show": show}).json()
        assert [one["meter"] for one in view["meters"]] == meters


def test_silent_and_estimated_meters_are_counted_by_interval(own_day: People, own_store: Path) -> None:
    record = Record(own_store)
    document = record.document()
    document["members"][0]["meters"].append({"meter": "new", "kid": 1, "since": LAST + 900})
    record.store_document(document, LAST)
    with record.transaction():
        for start in (SINCE, SINCE + 900):
            record.add_correction("m005", start, 900, Registers(0, 0, 0, 0), reason=ESTIMATED, author="market", now=0)
        for start in (LAST + 900, LAST + 1800):
            gate = record.close_gate(start, 900, now=start, versions={}, horizon=0, inputs=record.input_versions(start))
            record.add_result(gate, _empty(start))
    record.close()
    view = own_day.operator().get("/api/1/operator/meters").json()
    found = {one["meter"]: one for one in view["meters"]}
    assert (found["m001"]["missing"], found["new"]["missing"]) == (2, 2)
    assert (found["new"]["state"], found["m010"]["state"]) == ("new", "unknown")
    assert "silent" in found["new"]["reasons"]
    assert found["new"]["heard_start"] is None
    assert found["m005"]["estimated"] == 2
    assert view["counts"]["silent"] == 13
    page = own_day.operator().get("/operator/meters?show=estimated").text
    assert "m005" in page
    assert "m006" not in page


def test_a_meter_never_heard_needs_a_look_once_something_was_due(own_day: People, own_store: Path) -> None:
    record = Record(own_store)
    document = record.document()
    document["members"][0]["meters"].append({"meter": "new", "kid": 1, "since": LAST + 900})
    record.store_document(document, LAST)
    record.close()
    due = LAST + 1800 + CLOSABLE_S
    for now, reasons, looked_at in ((due - 1, [], 3), (due, ["new"], 4)):
        object.__setattr__(own_day.app.state.site, "clock", lambda now=now: now)
        view = own_day.operator().get("/api/1/operator/meters").json()
        (found,) = [one for one in view["meters"] if one["meter"] == "new"]
        assert (found["state"], found["reasons"], found["missing"]) == ("new", reasons, 0)
        assert view["counts"]["attention"] == looked_at
        assert "not heard yet" in own_day.operator().get("/operator/meters/new").text


def test_one_meter_tells_everything_it_said(day: People) -> None:
    view = day.operator().get("/api/1/operator/meters/m004").json()
    assert view["said"]["sensors"] == "grid: ok"
    assert view["said"]["firmware"] == "0.10.0"
    assert view["identity"]["state"] == "no-broker"
    page = day.operator().get("/operator/meters/m004").text
    assert "The demo&#39;s meters have no certificates" in page
    assert "Last status message" in page
    assert len(view["readings"]["rows"]) == 6
    assert view["readings"]["rows"][0][0] == LAST, "the newest first"
    corrected = day.operator().get("/api/1/operator/meters/m002").json()["corrections"]
    assert [row[corrected["columns"].index("reason")] for row in corrected["rows"]] == ["meter read wrongly"]


def _empty(start: int) -> str:
    return json.dumps({
        "start": start, "length": 900, "mechanism": "mid-market", "price_ticks": 19_000, "welfare": 0, "fees": 0,
        "rent": 0, "pool": 0, "certificate": {"primal": 0, "dual": 0, "gap": 0}, "nodes": [], "orders": [],
        "matches": [], "households": [],
    })  # fmt: skip
