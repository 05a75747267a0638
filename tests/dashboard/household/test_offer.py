"""A household changes its own offer: from when, nobody else's, not over another's change, and with what effect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dashboard.household import offer as offers
from market.record import ChangedMeanwhileError, Record
from tests.dashboard.household.beside import Market
from tests.dashboard.household.test_views import HOUSEHOLD, text
from tests.dashboard.signed import People

PAGE = "/household/h001/offer"
TWIN = f"{HOUSEHOLD}/h001/offer"


def stored_offers(people: People) -> dict[str, Any]:
    record = Record(people.site.store, read_only=True)
    try:
        return {member["household"]: member.get("offer", {}) for member in record.document()["members"]}
    finally:
        record.close()


def version_of(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return found[1]


def test_the_page_says_what_stands_and_from_when_a_change_applies(settled_people: People) -> None:
    view = settled_people.household("h001").get(TWIN).json()
    assert (view["min_sell_ticks"], view["max_buy_ticks"]) == (None, None)
    assert view["next_start"] % 900 == 0
    assert view["next_start"] == int(settled_people.site.clock())
    page = settled_people.household("h001").get(PAGE).text
    assert "A change applies to intervals from Mon 11 Jul 2016, 13:00 on." in text(page)


def test_saving_changes_this_households_offer_and_no_other(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    before = stored_offers(fresh_people)
    version = version_of(client.get(PAGE).text)
    fields = {"version": version, "min_sell_on": "on", "min_sell": "21,5", "max_buy": "17"}
    answer = client.submit(PAGE, fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?saved=on")
    after = stored_offers(fresh_people)
    assert after.pop("h001") == {"min_sell_per_kwh": "0.215", "max_buy_per_kwh": None}
    before.pop("h001")
    assert after == before
    page = client.get(f"{PAGE}?saved=on").text
    assert "Saved. Your offer applies from Mon 11 Jul 2016, 13:00 on." in text(page)
    assert 'name="min_sell" value="21.5"' in page
    (entry,) = [e for e in fresh_people.site.accounts.log_entries() if e.action == "offer"]
    assert entry.detail == "min_sell_per_kwh=0.215 max_buy_per_kwh=tariff"
    record = Record(fresh_people.site.store, read_only=True)
    newest = record.input_history()[-1]
    record.close()
    assert newest.kind == "offers" and newest.author == entry.account


def test_saving_the_same_stores_nothing(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    view = client.get(TWIN).json()
    same = {name: view[name] for name in ("min_sell_ticks", "max_buy_ticks", "version")}
    answer = client.submit_json(TWIN, same, method="PUT")
    assert answer.status_code == 200
    assert answer.json()["version"] == view["version"]


def test_a_change_of_ones_own_in_between_is_not_overwritten(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    page = client.get(PAGE).text
    first = client.submit_json(
        TWIN, {"min_sell_ticks": 20_000, "max_buy_ticks": None, "version": int(version_of(page))}, method="PUT"
    )
    assert first.json()["min_sell_ticks"] == 20_000
    late = client.submit(PAGE, {"version": version_of(page), "min_sell_on": "on", "min_sell": "25"})
    assert late.status_code == 409
    assert "Your offer was changed meanwhile" in text(late.text)
    assert 'name="min_sell" value="20"' in late.text, "the page shows what stands now"
    twin = client.submit_json(
        TWIN, {"min_sell_ticks": 25_000, "max_buy_ticks": None, "version": int(version_of(page))}, method="PUT"
    )
    assert (twin.status_code, twin.json()["problem"]) == (409, "offer-changed")
    assert stored_offers(fresh_people)["h001"]["min_sell_per_kwh"] == "0.2"


def test_a_neighbours_change_in_between_does_no_harm(fresh_people: People) -> None:
    one, other = fresh_people.household("h001"), fresh_people.household("h002")
    version = one.get(TWIN).json()["version"]
    for client, household, most in ((other, "h002", 22_000), (one, "h001", 23_000)):
        change = {"min_sell_ticks": None, "max_buy_ticks": most, "version": version}
        assert client.submit_json(f"{HOUSEHOLD}/{household}/offer", change, method="PUT").status_code == 200
    offers = stored_offers(fresh_people)
    assert (offers["h001"]["max_buy_per_kwh"], offers["h002"]["max_buy_per_kwh"]) == ("0.23", "0.22")


def test_a_change_that_comes_between_reading_and_storing_is_kept(
    fresh_people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's offer is stored right after this one read the document."""
    client = fresh_people.household("h001")
    version = client.get(TWIN).json()["version"]
    plain = Record.document
    came: list[bool] = []

    def document(record: Record, at: int | None = None) -> dict[str, Any]:
        found = plain(record, at)
        if not came:
            came.append(True)
            theirs = Record(fresh_people.site.store)
            changed = plain(theirs)
            changed["members"][1]["offer"] = {"min_sell_per_kwh": None, "max_buy_per_kwh": "0.12"}
            theirs.store_document(changed, now=0)
            theirs.close()
        return found

    monkeypatch.setattr(Record, "document", document)
    change = {"min_sell_ticks": 24_000, "max_buy_ticks": None, "version": version}
    assert client.submit_json(TWIN, change, method="PUT").status_code == 200
    found = stored_offers(fresh_people)
    assert found["h001"]["min_sell_per_kwh"] == "0.24"
    assert found["h002"]["max_buy_per_kwh"] == "0.12"


def test_when_others_never_stop_it_gives_up_by_name(fresh_people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    client = fresh_people.household("h001")
    version = client.get(TWIN).json()["version"]

    def refuse(*_arguments: object, **_options: object) -> list[str]:
        raise ChangedMeanwhileError("somebody changed the community meanwhile")

    monkeypatch.setattr(Record, "store_document", refuse)
    change = {"min_sell_ticks": 24_000, "max_buy_ticks": None, "version": version}
    answer = client.submit_json(TWIN, change, method="PUT")
    assert (answer.status_code, answer.json()["problem"]) == (409, "busy")


@pytest.mark.parametrize("typed", ["", "x", "-3", "1e3", "21.123456", "99999999", "１９", "1.2.3", " "])
def test_what_is_no_price_stores_nothing(settled_people: People, typed: str) -> None:
    client = settled_people.household("h001")
    before = stored_offers(settled_people)
    version = version_of(client.get(PAGE).text)
    answer = client.submit(PAGE, {"version": version, "min_sell_on": "on", "min_sell": typed})
    assert answer.status_code == 422
    assert "A price is a number such as 21.5." in text(answer.text)
    assert stored_offers(settled_people) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"min_sell_ticks": -1, "max_buy_ticks": None, "version": 1},
        {"min_sell_ticks": 2**30, "max_buy_ticks": None, "version": 1},
        {"min_sell_ticks": "19000", "max_buy_ticks": None, "version": 1},
        {"min_sell_ticks": None, "max_buy_ticks": None, "version": 0},
        {"min_sell_ticks": None, "max_buy_ticks": None, "version": 1, "gift": True},
    ],
)
def test_a_body_that_is_no_offer_is_refused(settled_people: People, body: dict[str, Any]) -> None:
    answer = settled_people.household("h001").submit_json(TWIN, body, method="PUT")
    assert (answer.status_code, answer.json()["problem"]) == (422, "bad-value")


@pytest.mark.parametrize("version", [7, 2**31 - 1])
def test_a_version_that_never_was_is_a_conflict(settled_people: People, version: int) -> None:
    body = {"min_sell_ticks": None, "max_buy_ticks": None, "version": version}
    answer = settled_people.household("h001").submit_json(TWIN, body, method="PUT")
    assert (answer.status_code, answer.json()["problem"]) == (409, "offer-changed")


def test_only_its_own_people_change_an_offer(fresh_people: People) -> None:
    before = stored_offers(fresh_people)
    body = {"min_sell_ticks": 1, "max_buy_ticks": None, "version": 1}
    for client in (fresh_people.household("h002"), fresh_people.operator(), fresh_people.auditor()):
        assert client.submit_json(TWIN, body, method="PUT").status_code == 403
        assert client.submit(PAGE, {"version": 1}).status_code == 403
    assert fresh_people.anonymous().put(TWIN, json=body).status_code == 401
    assert fresh_people.token("household", "h001", ["household:read"]).put(TWIN, json=body).status_code == 403
    own = fresh_people.household("h001")
    assert own.post(PAGE, data={"version": 1}).status_code == 403, "without the form's token"
    assert stored_offers(fresh_people) == before
    assert "Only the people of this household" in text(fresh_people.operator().get(PAGE).text)


def test_the_preview_is_the_engines_and_stores_nothing(settled_people: People) -> None:
    client = settled_people.household("h001")
    as_it_was = client.get(f"{TWIN}/what-if").json()
    assert as_it_was["changed"] == 0 and as_it_was["was"] == as_it_was["would_be"]
    view = client.get(f"{TWIN}/what-if", params={"min_sell_ticks": 25_000}).json()
    assert view["intervals"] == 6 and view["changed"] > 0
    assert view["would_be"]["sold_wh"] == 0 < view["was"]["sold_wh"]
    assert sum(day["was"]["money"] for day in view["days"]) == view["was"]["money"]
    page = client.get(PAGE, params={"preview": "on", "min_sell_on": "on", "min_sell": "25"}).text
    less = (view["was"]["money"] - view["would_be"]["money"]) / 1e8
    assert f"€{less:.2f} less than it was" in text(page, "what-if")
    assert f"{view['changed']} of 6 intervals would have come out otherwise" in text(page, "what-if")
    assert client.get(TWIN).json()["min_sell_ticks"] is None


def test_a_preview_beyond_the_bound_is_refused_by_name(settled_people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market.service.what_if.ORDERS_BOUND", 10)
    client = settled_people.household("h001")
    answer = client.get(f"{TWIN}/what-if")
    assert (answer.status_code, answer.json()["problem"]) == (409, "too-many-orders")
    page = client.get(PAGE, params={"preview": "on"})
    assert page.status_code == 409
    assert "too large to work out a whole week" in text(page.text, "what-if")


def test_one_week_is_worked_out_at_a_time(settled_people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "WAIT_S", 0.01)
    client = settled_people.household("h001")
    with offers._asking:
        answer = client.get(f"{TWIN}/what-if")
    assert (answer.status_code, answer.json()["problem"]) == (503, "asked-by-others")
    assert client.get(f"{TWIN}/what-if").status_code == 200


@pytest.mark.parametrize(
    ("currency", "typed", "ticks"),
    [("EUR", "21.3", 21_300), ("EUR", "0,001", 1), ("KRW", "190", 19_000_000), ("KRW", "190.5", 19_050_000)],
)
def test_prices_are_typed_as_people_say_them(currency: str, typed: str, ticks: int) -> None:
    from dashboard.figures import currency as written

    assert offers.typed_price(typed, written(currency)) == ticks
    assert offers.typed_price(offers.price_text(ticks, written(currency)), written(currency)) == ticks


def test_a_saved_offer_holds_from_the_next_interval_of_the_running_market(fresh_people: People) -> None:
    """The market that runs beside the pages settles two more intervals; the change comes between them."""
    market = Market(fresh_people.site.store)
    client = fresh_people.household("h001")
    first = market.settle_next()
    version = client.get(TWIN).json()["version"]
    change = {"min_sell_ticks": 29_000, "max_buy_ticks": None, "version": version}
    answer = client.submit_json(TWIN, change, method="PUT").json()
    second = market.settle_next()
    market.close()
    assert answer["applies_from"] == second["start"] == first["start"] + 900
    before, after = (next(o for o in r["orders"] if o["order"] == "h001") for r in (first, second))
    assert before["limit_ticks"] == 8_000 and before["accepted_wh"] > 0
    assert after["limit_ticks"] == 29_000 and after["accepted_wh"] == 0
    others = [[o["limit_ticks"] for o in r["orders"] if o["order"] != "h001"] for r in (first, second)]
    assert others[0] == others[1]


def test_the_settled_record_was_not_touched(settled_store: Path) -> None:
    record = Record(settled_store, read_only=True)
    assert record.input_versions(2**62)["offers"] == 1
    record.close()
