"""Letting households and meters in and throwing them out, from the page as from the command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import enrolment, identities
from broker.initialise import initialise
from broker.site import Site, SiteError
from market.record import Record
from tests.dashboard.operator.conftest import SINCE, people
from tests.dashboard.signed import People

END = SINCE + 6 * 900
NEW = {"household": "h099", "meter": "m099", "node": "n36", "tariff": "standard", "name": "Kim", "generates": "true"}


@pytest.fixture
def hub(own_store: Path) -> Iterator[People]:
    """The same community with a broker in its store."""
    initialise(own_store, Site("c", 900, ["hub.example"]))
    yield from people(own_store, own_store)


def test_a_new_household_gets_its_meter_label_and_account(hub: People, own_store: Path) -> None:
    browser = hub.operator()
    form = browser.get("/operator/members").text
    assert 'value="h013"' in form
    assert 'value="m013"' in form
    answer = browser.submit("/operator/members", NEW)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    code = enrolment.qr_text(own_store, "x" * 26)
    assert code.split(":")[2] in answer.text
    assert "<svg" in answer.text
    record = Record(own_store, read_only=True)
    document, versions = record.document(), record.input_history()
    record.close()
    member = document["members"][-1]
    (meter,) = member["meters"]
    assert (member["household"], member["name"], member["node"], member["generates"]) == ("h099", "Kim", "n36", True)
    assert (meter["meter"], meter["since"]) == ("m099", END + 1800)
    assert {version.author for version in versions if version.version == 2} == {"operator 1"}
    issued = identities.load(own_store, "m099")
    assert issued.household == "h099"
    assert enrolment.open_until(own_store, int(time.time()))["m099"] > time.time()
    page = browser.get("/api/1/operator/meters/m099").json()
    assert page["identity"]["state"] == "may-enrol"
    entry = browser.get("/api/1/operator/log").json()
    assert (entry["deeds"][0]["action"], entry["deeds"][0]["about"], entry["deeds"][0]["detail"]) == (
        "meter-add",
        "h099",
        "m099",
    )
    assert entry["inputs"][0]["name"] == "operator 1"
    assert '<td class="said">version 2</td>' in browser.get("/operator/log").text


@pytest.mark.parametrize("name", ["Kim\u202emiK", "Kim\u2066", "Kim\x07"])
def test_a_name_that_does_not_read_as_it_stands_is_refused(hub: People, own_store: Path, name: str) -> None:
    answer = hub.operator().submit_json("/api/1/operator/members", {**NEW, "generates": True, "name": name})
    assert (answer.status_code, answer.json()["problem"]) == (422, "name-bad")
    with pytest.raises(SiteError):
        identities.load(own_store, "m099")


def test_another_meter_label_and_revocation(hub: People, own_store: Path) -> None:
    browser = hub.operator()
    added = browser.submit_json("/api/1/operator/members", {"household": "h001", "meter": "m050"})
    assert added.status_code == 201, added.text
    assert added.headers["cache-control"] == "no-store"
    first = added.json()
    assert first["code"].startswith("PUMASI:1:HUB.EXAMPLE:8443:")
    again = browser.submit_json("/api/1/operator/meters/m050/label", None).json()
    assert again["code"] != first["code"]
    assert again["label_password"] == first["label_password"]
    assert browser.submit("/operator/meters/m050/revoke").headers["location"] == "/operator/meters/m050"
    assert identities.load(own_store, "m050").revoked_at is not None
    assert browser.get("/api/1/operator/meters/m050").json()["identity"]["state"] == "revoked"
    assert "cannot send any more" in browser.get("/operator/meters/m050").text
    assert browser.submit_json("/api/1/operator/meters/m050/label", None).json()["problem"] == "revoked"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"meter": "m001"}, "m001: is a meter already"),
        ({"household": "h001"}, "is a member already"),
        ({"node": "n999"}, "its node n999 is unknown"),
        ({"tariff": "cheap"}, "its tariff cheap is unknown"),
        ({"node": "", "tariff": ""}, "no household of this community"),
        ({"node": ""}, "a new household needs a node and a tariff"),
    ],
)
def test_what_cannot_be_changes_nothing(hub: People, own_store: Path, changes: dict[str, str], says: str) -> None:
    answer = hub.operator().submit_json("/api/1/operator/members", {**NEW, "generates": True, **changes})
    assert (answer.status_code, answer.json()["problem"]) == (422, "members"), answer.text
    assert says in answer.json()["detail"]
    record = Record(own_store, read_only=True)
    assert record.input_history()[-1].version == 1
    record.close()
    assert not identities.exists(own_store, "m099")


def test_without_a_broker_it_says_so(day: People) -> None:
    browser = day.operator()
    assert "Meters are let in here only where the store has a broker" in browser.get("/operator/members").text
    answer = browser.submit_json("/api/1/operator/members", {"household": "h001", "meter": "m050"})
    assert (answer.status_code, answer.json()["problem"]) == (409, "no-broker")
    assert browser.submit("/operator/meters/m001/revoke").status_code == 409


def test_an_invitation_is_shown_once_and_can_be_withdrawn(own_day: People) -> None:
    browser = own_day.operator()
    answer = browser.submit("/operator/invitations", {"role": "household", "household": "h004"})
    assert answer.status_code == 200
    assert "http://testserver/invitation/" in answer.text
    assert "<svg" in answer.text
    view = browser.get("/api/1/operator/members").json()
    (waiting,) = view["invitations"]
    assert (waiting["role"], waiting["household"], waiting["made_by"]) == ("household", "h004", "operator 1")
    assert [row["household"] for row in view["members"] if row["invited"]] == ["h004"]
    assert "/invitation/" not in browser.get("/operator/members").text
    path = f"/operator/invitations/{waiting['invitation']}/withdraw"
    assert browser.submit(path).status_code == 303
    assert browser.get("/api/1/operator/members").json()["invitations"] == []
    assert browser.submit_json(f"/api/1{path}", None).json()["problem"] == "no-invitation"
    refused = {"household": "household-needed", "operator": None}
    for role, problem in refused.items():
        made = browser.submit_json("/api/1/operator/invitations", {"role": role})
        assert made.json().get("problem") == problem
    unknown = browser.submit_json("/api/1/operator/invitations", {"role": "household", "household": "h777"})
    assert unknown.json()["problem"] == "no-household"


def test_an_account_is_removed_but_not_ones_own(own_day: People) -> None:
    browser, home = own_day.operator(), own_day.household("h005")
    view = browser.get("/api/1/operator/members").json()
    (person,) = next(row["people"] for row in view["members"] if row["household"] == "h005")
    assert browser.submit(f"/operator/accounts/{person['account']}/remove").status_code == 303
    assert home.get("/api/1/household/h005").status_code == 401, "its session has ended"
    again = browser.submit_json(f"/api/1/operator/accounts/{person['account']}/remove", None)
    assert again.json()["problem"] == "no-account"
    (own,) = view["staff"]
    assert (
        browser.submit_json(f"/api/1/operator/accounts/{own['account']}/remove", None).json()["problem"]
        == "own-account"
    )


def test_auditors_change_nothing(day: People) -> None:
    auditor = day.auditor()
    for path in (
        "/operator/members",
        "/operator/invitations",
        "/operator/meters/m001/revoke",
        "/operator/meters/m001/label",
        f"/operator/accounts/{'0' * 32}/remove",
        "/operator/corrections",
    ):
        assert auditor.submit(path, {**NEW, "role": "auditor"}).status_code == 403, path
    page = auditor.get("/operator/members").text
    assert '<form method="post"' not in page
