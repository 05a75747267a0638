"""The network's page: measured flows against limits, what is overloaded, and how one walks down a large tree."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dashboard.operator.network import network_view
from market.record import Record
from tests.dashboard.operator.conftest import SINCE, people
from tests.dashboard.signed import People

LAST = SINCE + 5 * 900


def test_flows_prices_and_fees_are_the_records(day: People) -> None:
    site = day.app.state.site
    view = network_view(site, None, None)
    record = site.record.read()
    result = msgspec.json.decode(record.result(record.last_gate().number))
    stored = {row["node"]: row for row in result["nodes"]}
    assert view.start == LAST
    assert len(view.nodes) == 100
    for one in view.nodes:
        row = stored[one.node]
        assert (one.traded_wh, one.price_ticks) == (row["flow_wh"], row["price_ticks"])
    root = view.nodes[0]
    rows = result["households"]
    assert root.metered_wh == sum(row["export_wh"] - row["import_wh"] for row in rows)
    assert (root.homes, root.heard, root.load_permille, root.band) == (12, 12, None, "none")
    assert view.overloaded == 0


@pytest.fixture
def limited(own_store: Path) -> Path:
    """The same record, settled in one more interval by a network with a narrow edge."""
    record = Record(own_store)
    document = record.document()
    last = record.last_gate()
    assert last is not None
    result = msgspec.json.decode(record.result(last.number))
    flows = network_view_flows(own_store)
    narrow = next(node for node, flow in flows.items() if abs(flow) > 20 and node != "substation")
    for node in document["network"]:
        node["limit_wh"] = abs(flows[narrow]) - 10 if node["node"] == narrow else 10_000_000
    record.store_document(document, LAST)
    with record.transaction():
        start = LAST + 900
        gate = record.close_gate(start, 900, now=start, versions={}, horizon=0, inputs=record.input_versions(start))
        record.add_result(gate, msgspec.json.encode({**result, "start": start}).decode())
    record.close()
    (own_store / "narrow").write_text(narrow)
    return own_store


def network_view_flows(store: Path) -> dict[str, int]:
    found = next(made := people(store, store / "accounts"))
    view = found.operator().get("/api/1/operator/network?page=1").json()
    view["nodes"] += found.operator().get("/api/1/operator/network?page=2").json()["nodes"]
    made.close()
    return {one["node"]: one["metered_wh"] for one in view["nodes"]}


def test_an_overloaded_edge_is_an_alarm(limited: Path) -> None:
    narrow = (limited / "narrow").read_text()
    for found in people(limited, limited):
        view = found.operator().get("/api/1/operator/network").json()
        assert (view["overloaded"], [one["node"] for one in view["over"]]) == (1, [narrow])
        over = view["over"][0]
        assert over["load_permille"] == abs(over["metered_wh"]) * 1000 // over["limit_wh"] > 1000
        page = found.operator().get("/operator/network").text
        assert "One edge carries more than its limit" in page
        assert re.search(r'class="node over"', page)
        assert "over the limit" in page, "in words, not by colour alone"
        today = found.operator().get("/api/1/operator").json()["items"]
        assert ("overload", 1, "now") in [(item["kind"], item["n"], item["weight"]) for item in today]


def test_one_walks_down_the_tree_by_links(day: People) -> None:
    browser = day.operator()
    view = browser.get("/api/1/operator/network").json()
    inner = next(one for one in view["nodes"] if one["children"] > 1 and one["parent"])
    below = browser.get("/api/1/operator/network", params={"at": inner["node"]}).json()
    assert below["path"][0] == "substation"
    assert below["path"][-1] == inner["node"] == below["nodes"][0]["node"]
    assert len(below["nodes"]) < 100
    page = browser.get("/operator/network", params={"start": SINCE, "at": inner["node"]}).text
    assert f'href="?start={SINCE}&amp;at=substation"' in page, "back up, in the same interval"
    assert "data-follow" not in page, "a chosen interval does not move on"
    assert "data-follow" in browser.get("/operator/network").text


def test_what_is_cut_off_can_be_reached(day: People) -> None:
    browser = day.operator()
    view = browser.get("/api/1/operator/network").json()
    assert view["drawing"]["width"] > 1000, "wider than any page"
    page = browser.get("/operator/network").text
    assert re.search(r'<p [^>]*id="sideways">[^<]*scroll it sideways', page)
    assert re.search(r'class="scroll tree" tabindex="0"[^>]*aria-describedby="sideways"', page)
    leaf = next(one["node"] for one in view["nodes"] if not one["children"])
    assert "sideways" not in browser.get("/operator/network", params={"at": leaf}).text, "one box fits"


def test_pages_lead_from_interval_to_interval(day: People) -> None:
    browser = day.operator()
    first = browser.get("/api/1/operator/network", params={"start": SINCE}).json()
    assert (first["before"], first["after"]) == (None, SINCE + 900)
    assert browser.get("/api/1/operator/network").json()["after"] is None
