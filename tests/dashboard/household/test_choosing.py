"""Whom a household may prefer and give to: those it may know of, once each, never lost by saving, never a way to ask
who else there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from market.record import ChangedMeanwhileError, Record
from market.series import EmbeddedSeries
from tests.dashboard.household.beside import Market
from tests.dashboard.household.test_offer import PAGE, TWIN, stored_offers, version_of
from tests.dashboard.household.test_views import HOUSEHOLD, text
from tests.dashboard.signed import Browser, People

NONE = {"min_sell_ticks": None, "max_buy_ticks": None}


def names_shown(people: People, *households: str) -> None:
    """Everybody of these households, and nobody else, wants to be named; each has an account."""
    db = people.site.accounts.db
    db.write("UPDATE account SET shown = 0")
    for household in households:
        people.account("household", household)
        db.write("UPDATE account SET shown = 1 WHERE household = ?", (household,))


def options(page: str, name: str) -> list[list[tuple[str, str, bool]]]:
    """Of each field of a list: what it offers, as (household, what it is called, whether it is chosen)."""
    fields = re.findall(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    option = r'<option value="([^"]*)"( selected)?>([^<]*)</option>'
    return [[(value, called, bool(chosen)) for value, chosen, called in re.findall(option, field)] for field in fields]


def chosen(page: str, name: str) -> list[str]:
    return [value for field in options(page, name) for value, _, is_chosen in field if is_chosen and value]


def put(client: Browser, **changes: Any) -> Any:
    version = client.get(TWIN).json()["version"]
    return client.submit_json(TWIN, NONE | {"version": version} | changes, method="PUT")


# -- whom the lists offer ---------------------------------------------------------------------


def test_neighbours_are_offered_by_the_names_that_both_sides_show(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    names_shown(fresh_people, "h001", "h003", "h005")
    view = client.get(TWIN).json()
    assert [(one["household"], one["neighbour"]["name"]) for one in view["choices"]] == [
        ("h003", "Home 3"),
        ("h005", "Home 5"),
    ]
    page = client.get(PAGE).text
    for name in ("prefer", "give"):
        assert (
            options(page, name) == [[("", "nobody", False), ("h003", "Home 3", False), ("h005", "Home 5", False)]] * 2
        )
    assert "You can choose neighbours whose names you see." in text(page)
    names_shown(fresh_people, "h003", "h005")
    assert client.get(TWIN).json()["choices"] == []
    page = client.get(PAGE).text
    assert "<select" not in page.split("</main>")[0]
    assert "Your own home is not named, so you see none" in text(page)
    assert re.search(r'both have to turn it on in their accounts\..*<a href="/account">', page, re.DOTALL)


def test_what_was_chosen_stays_in_the_lists_when_its_name_is_gone(partnered_people: People) -> None:
    client = partnered_people.household("h001")
    names_shown(partnered_people, "h001", "h005")
    view = client.get(TWIN).json()
    assert view["choices"][0]["household"] == "h005"
    assert {one["household"] for one in view["choices"]} == {"h002", "h003", "h004", "h005"}
    assert {one["neighbour"]["name"] for one in view["choices"]} == {"Home 5", None}
    assert {one["household"]: (one["prefer"], one["give"]) for one in view["choices"]} == {
        "h002": (True, False), "h003": (False, True), "h004": (True, False), "h005": (True, True),
    }  # fmt: skip
    page = client.get(PAGE).text
    assert (chosen(page, "prefer"), chosen(page, "give")) == (["h002", "h004"], ["h003"])
    listed = [{value for value, _, _ in options(page, name)[0]} - {""} for name in ("prefer", "give")]
    assert listed == [{"h002", "h004", "h005"}, {"h003", "h005"}]
    assert "Home 2" not in page and "Home 3" not in page
    names_shown(partnered_people)


def test_a_fourth_is_never_lost(fresh_people: People) -> None:
    """Three fields are on the page; a document, or a script, may name up to eight."""
    client = fresh_people.household("h001")
    four = ["h003", "h002", "h005", "h004"]
    names_shown(fresh_people, "h001", *four, "h006", "h007")
    assert put(client, prefer=four).status_code == 200
    page = client.get(PAGE).text
    assert chosen(page, "prefer") == four
    assert len(options(page, "prefer")) == 5 and len(options(page, "give")) == 3
    fields = {"version": version_of(page), "prefer": [*chosen(page, "prefer"), ""], "give": ["", "h006", ""]}
    assert client.submit(PAGE, fields).status_code == 303
    assert stored_offers(fresh_people)["h001"]["prefer"] == four
    assert stored_offers(fresh_people)["h001"]["give"] == ["h006"]


# -- storing ----------------------------------------------------------------------------------


def test_saving_stores_both_lists_in_order_and_nobody_elses(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    names_shown(fresh_people, "h001", "h003", "h005")
    before = stored_offers(fresh_people)
    fields = {"version": version_of(client.get(PAGE).text), "prefer": ["h005", "h003"], "give": ["h003", ""]}
    assert client.submit(PAGE, fields).status_code == 303
    after = stored_offers(fresh_people)
    assert after.pop("h001") == {
        "min_sell_per_kwh": None, "max_buy_per_kwh": None, "prefer": ["h005", "h003"], "give": ["h003"],
    }  # fmt: skip
    before.pop("h001")
    assert after == before
    page = client.get(f"{PAGE}?saved=on").text
    assert (chosen(page, "prefer"), chosen(page, "give")) == (["h005", "h003"], ["h003"])
    (entry,) = [one for one in fresh_people.site.accounts.log_entries() if one.action == "offer"]
    assert entry.detail == "min_sell_per_kwh=tariff max_buy_per_kwh=tariff prefer=h005,h003 give=h003"
    view = client.get(TWIN).json()
    assert (view["prefer"], view["give"]) == (["h005", "h003"], ["h003"])


def test_empty_lists_are_left_out_of_what_is_stored(fresh_partnered: People) -> None:
    client = fresh_partnered.household("h001")
    assert put(client, prefer=[], give=[]).json()["prefer"] == []
    assert stored_offers(fresh_partnered)["h001"] == {"min_sell_per_kwh": None, "max_buy_per_kwh": None}


def test_a_script_that_sets_a_limit_only_keeps_both_lists(fresh_partnered: People) -> None:
    client = fresh_partnered.household("h001")
    assert put(client, min_sell_ticks=9_000).status_code == 200
    assert client.submit(PAGE, {"version": version_of(client.get(PAGE).text)}).status_code == 303
    stored = stored_offers(fresh_partnered)["h001"]
    assert (stored["prefer"], stored["give"]) == (["h002", "h004"], ["h003"])


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("own-home", {"prefer": ["h001"]}),
        ("own-home", {"give": ["h003", "h001"]}),
        ("named-twice", {"give": ["h003", "h003"]}),
        ("no-neighbour", {"prefer": ["h999"]}),
        ("no-neighbour", {"give": ["h003", "h006"]}),
        ("bad-value", {"prefer": [""]}),
        ("bad-value", {"prefer": ["H003"]}),
        ("bad-value", {"give": [f"h{i:03}" for i in range(2, 11)]}),
        ("bad-value", {"give": "h003"}),
    ],
)
def test_who_may_not_stand_in_an_offer_is_refused_by_name(
    settled_people: People, problem: str, changes: dict[str, Any]
) -> None:
    client = settled_people.household("h001")
    names_shown(settled_people, "h001", "h003")
    before = stored_offers(settled_people)
    answer = put(client, **changes)
    assert (answer.status_code, answer.json()["problem"]) == (422, problem)
    if problem != "bad-value":
        assert client.get(f"{TWIN}/what-if", params=changes).json() == answer.json()
        page = client.submit(PAGE, {"version": version_of(client.get(PAGE).text), **changes})
        assert page.status_code == 422
        assert "Nothing was saved." in text(page.text)
        assert client.get(PAGE, params={"preview": "on", **changes}).status_code == 422
    assert stored_offers(settled_people) == before
    names_shown(settled_people)


def test_what_is_refused_keeps_the_other_choices_of_the_form(settled_people: People) -> None:
    client = settled_people.household("h001")
    names_shown(settled_people, "h001", "h003", "h005")
    fields = {"version": version_of(client.get(PAGE).text), "prefer": ["h003", "h003"], "give": ["h005", ""]}
    page = client.submit(PAGE, fields).text
    assert "A neighbour stands twice in one list. Nothing was saved." in text(page)
    assert (chosen(page, "prefer"), chosen(page, "give")) == (["h003", "h003"], ["h005"])
    names_shown(settled_people)


@pytest.mark.parametrize("own", [True, False])
def test_a_refusal_does_not_tell_who_else_is_a_member(settled_people: People, own: bool) -> None:
    """Members one may not see, members without an account, and ids nobody has: the answers differ in the id only."""
    client = settled_people.household("h001")
    names_shown(settled_people, *(["h001"] if own else []), "h003")
    settled_people.account("household", "h006")
    told = set()
    for household in ("h006", "h007", "h999", "zzz", *([] if own else ["h003"])):
        for answer in (
            put(client, give=[household]),
            client.get(f"{TWIN}/what-if", params={"give": household}),
        ):
            assert answer.status_code == 422
            told.add(answer.text.replace(household, "X"))
        page = client.get(PAGE, params={"preview": "on", "give": household})
        assert page.status_code == 422
        assert household not in page.text.split("<footer")[0]
    (only,) = told
    assert json.loads(only)["problem"] == "no-neighbour"
    names_shown(settled_people)


def test_whose_name_is_gone_can_stay_and_leave_but_not_move_nor_come_back(fresh_partnered: People) -> None:
    """As where a document names a home, or somebody more lives there now who has not agreed yet."""
    client = fresh_partnered.household("h001")
    for moved in ({"give": ["h003", "h002"]}, {"prefer": ["h003"]}, {"prefer": [], "give": ["h004"]}):
        assert put(client, **moved).json()["problem"] == "no-neighbour", moved
        assert client.get(f"{TWIN}/what-if", params=moved).json()["problem"] == "no-neighbour", moved
        page = client.submit(PAGE, {"version": version_of(client.get(PAGE).text), **moved})
        assert page.status_code == 422
    assert put(client, prefer=["h004", "h002"]).status_code == 200
    assert put(client, prefer=["h004"], give=[]).status_code == 200
    assert put(client, prefer=["h004", "h002"]).json()["problem"] == "no-neighbour"


def test_who_withdraws_the_name_is_taken_out_of_everybodys_offers(fresh_partnered: People) -> None:
    people, client = fresh_partnered, fresh_partnered.household("h003")
    names_shown(people, "h001", "h003", "h004", "h006")
    record = Record(people.site.store)
    document = record.document()
    del document["members"][10]["offer"]
    document["members"][2]["offer"] = {"prefer": ["h001"]}
    record.store_document(document, now=0)
    record.close()
    before = stored_offers(people)
    assert client.submit("/account/shown", {"shown": "no"}).status_code == 303
    after = stored_offers(people)
    assert "give" not in after["h001"] and after["h001"]["prefer"] == ["h002", "h004"]
    assert after["h004"]["give"] == ["h002"]
    others = before.keys() - {"h001", "h004"}
    assert {one: before[one] for one in others} == {one: after[one] for one in others}
    record = Record(people.site.store, read_only=True)
    last = record.input_history()[-1]
    record.close()
    account = next(one for one in people.site.accounts.of_household("h003") if not one.shown)
    assert (last.kind, last.author, last.stored_at) == ("offers", account.account, int(people.site.clock()))
    entry = people.site.accounts.log_entries()[0]
    assert (entry.action, entry.household) == ("name-withdrawn", "h003")
    market = Market(people.site.store)
    result = market.settle_next()
    market.close()
    assert "h003" not in {row[side] for row in result.get("partners", ()) for side in ("seller", "buyer")}
    giver = people.household("h001")
    people.site.accounts.db.write("UPDATE account SET shown = 1 WHERE household = 'h001'")
    assert "h003" not in {one["household"] for one in giver.get(TWIN).json()["choices"]}
    assert put(giver, give=["h003"]).json()["problem"] == "no-neighbour"
    assert client.submit("/account/shown", {"shown": "yes"}).status_code == 303
    assert stored_offers(people) == after, "who agrees again is chosen again by those who want to"


def test_erasing_the_account_that_agreed_withdraws_the_name(fresh_partnered: People) -> None:
    people = fresh_partnered
    clients = [people.household("h003") for _ in range(2)]
    people.site.accounts.db.write("UPDATE account SET shown = 1")
    for client, named in zip(clients, (True, False), strict=True):
        name = client.get("/api/1/account").json()["name"]
        assert client.submit("/account/erase", {"name": name}).status_code == 303
        assert ("h003" in stored_offers(people)["h001"].get("give", ())) is named, "the other still agrees"


def test_a_name_that_cannot_be_taken_out_stays_shown(fresh_partnered: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its people see that it is, and try again."""
    client = fresh_partnered.household("h003")
    fresh_partnered.site.accounts.db.write("UPDATE account SET shown = 1")

    def refuse(*_arguments: object, **_options: object) -> list[str]:
        raise ChangedMeanwhileError("somebody changed the community meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr(Record, "store_document", refuse)
        assert client.submit("/account/shown", {"shown": "no"}).status_code == 409
    assert fresh_partnered.site.accounts.shows_name("h003")
    assert client.submit("/account/shown", {"shown": "no"}).status_code == 303
    assert not fresh_partnered.site.accounts.shows_name("h003")
    assert "give" not in stored_offers(fresh_partnered)["h001"]


@pytest.mark.parametrize("change", ["leaves", "monthly-netting"])
def test_what_others_change_in_between_is_named(
    fresh_people: People, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A named home leaves, or the mechanism changes, after the page was made and before the offer is stored."""
    client = fresh_people.household("h001")
    names_shown(fresh_people, "h001", "h003")
    version = client.get(TWIN).json()["version"]
    plain = Record.document
    came: list[bool] = []

    def document(record: Record, at: int | None = None) -> dict[str, Any]:
        if not came:
            came.append(True)
            theirs = Record(fresh_people.site.store)
            changed = plain(theirs)
            if change == "leaves":
                changed["members"] = [one for one in changed["members"] if one["household"] != "h003"]
            else:
                changed |= {"mechanism": "monthly-netting", "promise": "month"}
                for name in changed["tariffs"]:
                    changed["tariffs"][name] = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
            theirs.store_document(changed, now=0)
            theirs.close()
        return plain(record, at)

    monkeypatch.setattr(Record, "document", document)
    answer = client.submit_json(TWIN, NONE | {"version": version, "prefer": ["h003"]}, method="PUT")
    assert (answer.status_code, answer.json()["problem"]) == (409, "offer-changed"), answer.text
    assert came and stored_offers(fresh_people)["h001"].get("prefer") is None


def test_a_member_without_an_offer_can_make_one(fresh_people: People) -> None:
    record = Record(fresh_people.site.store)
    document = record.document()
    del document["members"][0]["offer"]
    record.store_document(document, now=0)
    record.close()
    client = fresh_people.household("h001")
    assert put(client, min_sell_ticks=9_000).status_code == 200
    assert stored_offers(fresh_people)["h001"]["min_sell_per_kwh"] == "0.09"


def test_where_months_are_netted_nobody_goes_first(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    record = Record(fresh_people.site.store)
    document = record.document()
    document |= {"mechanism": "monthly-netting", "promise": "month"}
    for name in document["tariffs"]:
        document["tariffs"][name] = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
    record.store_document(document, now=0)
    record.close()
    names_shown(fresh_people, "h001", "h003")
    answer = put(client, prefer=["h003"])
    assert (answer.status_code, answer.json()["problem"]) == (409, "no-partners")
    page = client.get(PAGE).text
    assert options(page, "prefer") == []
    assert "This community settles whole months" in text(page)
    assert client.submit(PAGE, {"version": version_of(page)}).status_code == 303


# -- what last week would have been -----------------------------------------------------------


def test_the_preview_knows_them(partnered_people: People) -> None:
    client = partnered_people.household("h001")
    as_it_was = client.get(f"{TWIN}/what-if").json()
    assert (as_it_was["changed"], as_it_was["give"]) == (0, ["h003"])
    none = client.get(f"{TWIN}/what-if", params={"prefer": "", "give": ""}).json()
    assert (none["prefer"], none["give"]) == ([], [])
    assert none["changed"] > 0 and none["was"] == as_it_was["was"]
    assert none["would_be"]["money"] > none["was"]["money"], "what was given would have been sold"
    page = client.get(PAGE, params={"preview": "on", "prefer": ["", "h004"], "give": [""]}).text
    assert (chosen(page, "prefer"), chosen(page, "give")) == (["h004"], [])
    more = (none["would_be"]["money"] - none["was"]["money"]) / 1e8
    assert f"€{more:.2f} more than it was" in text(page, "what-if")


def test_the_preview_does_not_measure_the_neighbours(partnered_people: People) -> None:
    """What would have been given to a home is what it used: nobody learns that who did not give."""
    client = partnered_people.household("h001")
    names_shown(partnered_people, "h001", "h002", "h005", "h008")
    as_it_was = client.get(f"{TWIN}/what-if", params={"give": "h003"}).json()
    assert as_it_was["changed"] == 0
    for household in ("h002", "h005", "h008"):
        for lists in ({"give": ["h003", household]}, {"prefer": [*dict.fromkeys(["h002", "h004", household])]}):
            view = client.get(f"{TWIN}/what-if", params=lists).json()
            assert (view["changed"], view["would_be"]) == (0, as_it_was["was"]), lists
    names_shown(partnered_people)
    page = client.get(PAGE, params={"preview": "on"}).text
    assert "count only where you had chosen them already" in text(page, "what-if")


def test_days_before_the_community_began_are_left_out(settled_people: People, settled_store: Path) -> None:
    view = settled_people.household("h001").get(f"{TWIN}/what-if").json()
    assert [day["day"] for day in view["days"]] == ["2016-07-11"]
    record = Record(settled_store, read_only=True)
    assert view["start"] == record.first_start()
    record.close()


# -- what comes of it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(partnered_store: Path) -> list[dict[str, Any]]:
    record = Record(partnered_store, read_only=True)
    found = {gate.start: json.loads(record.result(gate.number)) for gate in record.gates()}
    record.close()
    return [found[start] for start in sorted(found)]


@pytest.mark.parametrize("household", ["h001", "h002", "h003", "h004", "h006", "h007"])
def test_an_interval_shows_who_went_first_and_adds_up(
    partnered_people: People, results: list[dict[str, Any]], household: str
) -> None:
    client = partnered_people.household(household)
    some = 0
    for result in results:
        rows = [row for row in result["partners"] if household in (row["seller"], row["buyer"])]
        view = client.get(f"{HOUSEHOLD}/{household}/interval/{result['start']}").json()
        first = [one for one in view["matches"] if one["trade"] != "market"]
        assert view["matches"][: len(first)] == first
        assert sorted((one["trade"] == "gift", one["bought"], one["energy_wh"]) for one in first) == sorted(
            (row["gift"], row["buyer"] == household, row["energy_wh"]) for row in rows
        )
        price, energy = result["price_ticks"], view["energy"]
        assert {(one["trade"], one["price_ticks"]) for one in first} <= {("gift", 0), ("preferred", price)}
        given = sum(row["energy_wh"] for row in rows if row["gift"] and row["seller"] == household)
        received = sum(row["energy_wh"] for row in rows if row["gift"] and row["buyer"] == household)
        assert (energy["given_wh"], energy["received_wh"]) == (given, received)
        paid_wh = energy["sold_wh"] - given - energy["bought_wh"] + received
        assert paid_wh * price - view["fees_money"] == view["trade_money"]
        fees = sum(one["energy_wh"] * one["way"]["fee_ticks"] for one in view["matches"] if one["bought"])
        assert view["fees_money"] == fees, "each match pays its own way"
        assert sum(one["energy_wh"] for one in view["matches"]) == energy["sold_wh"] + energy["bought_wh"]
        some += len(rows)
    assert some


def test_the_interval_page_says_it(partnered_people: People, results: list[dict[str, Any]]) -> None:
    gift = next(row for row in results[0]["partners"] if row["gift"] and row["seller"] == "h001")
    start, energy_wh = results[0]["start"], gift["energy_wh"]
    page = text(partnered_people.household("h001").get(f"/household/h001/interval/{start}").text)
    assert re.search(r"kWh given to neighbours for nothing\. ", page)
    assert f"Given to neighbours {energy_wh / 1000:.3f} 0.0 ct" in page
    assert f"Given to neighbours {energy_wh / 1000:.3f} kWh x 0.0 ct €0.000000" in page
    assert "Gifts and what preferred partners traded went first and are not counted here." in page
    strangers = {f"h{i:03}" for i in range(1, 13)} - {
        row[side] for row in results[0]["partners"] for side in ("seller", "buyer")
    }
    page = text(partnered_people.household(min(strangers)).get(f"/household/{min(strangers)}/interval/{start}").text)
    assert "preferred partner" not in page and "ifts" not in page, "who is in none does not hear of others'"
    page = text(partnered_people.household("h003").get(f"/household/h003/interval/{start}").text)
    assert re.search(r"kWh received as a gift, for network fees only\. ", page)
    preferred = next(r for r in results if any(not row["gift"] for row in r["partners"]))
    page = text(partnered_people.household("h007").get(f"/household/h007/interval/{preferred['start']}").text)
    assert "Bought from neighbours preferred partner" in page


def test_gifts_are_no_fees_on_the_day_nor_in_the_month(partnered_people: People, results: list[dict[str, Any]]) -> None:
    for household in ("h001", "h003"):
        client = partnered_people.household(household)
        money = client.get(f"{HOUSEHOLD}/{household}/day").json()["money"]
        signs = {"seller": 1, "buyer": -1}
        gifts = sum(
            sign * row["energy_wh"] * result["price_ticks"]
            for result in results
            for row in result["partners"]
            for side, sign in signs.items()
            if row["gift"] and row[side] == household
        )
        assert money["gifts_money"] == gifts != 0
        assert money["fees_money"] >= 0
        sold, bought = money["sold_money"], money["bought_money"]
        assert sold - bought - gifts - money["fees_money"] == money["trade_money"]
        page = client.get(f"/household/{household}/day").text
        assert "Gifts, which nobody pays" in text(page, "money")
    live = partnered_people.household("h003").get(f"{HOUSEHOLD}/h003").json()["live"]["latest"]
    assert live["flow"]["received_w"] == live["flow"]["bought_w"] > 0 and live["fees_included"]
    page = text(partnered_people.household("h003").get("/household/h003").text, "sentence")
    assert "giving you" in page and "You pay the network fees only." in page


def test_neighbours_are_marked(partnered_people: People, partnered_store: Path) -> None:
    client = partnered_people.household("h001")
    view = client.get(f"{HOUSEHOLD}/h001/neighbours").json()
    series = EmbeddedSeries(partnered_store / "series.sqlite", read_only=True)
    traded = {total.partner for total in series.partners("h001", 0, 2**40)}
    series.close()
    assert sum(one["given"] for one in view["partners"]) == len({"h003"} & traded) == 1
    assert sum(one["preferred"] for one in view["partners"]) == len({"h002", "h004"} & traded)
    assert "gets gifts" in text(client.get("/household/h001/neighbours").text, "partners")
    assert "gets gifts" not in text(partnered_people.household("h003").get("/household/h003/neighbours").text)


def test_a_gift_holds_from_the_next_interval_of_the_running_market(fresh_people: People) -> None:
    client = fresh_people.household("h001")
    names_shown(fresh_people, "h001", "h004")
    market = Market(fresh_people.site.store)
    assert put(client, give=["h004"]).status_code == 200
    result = market.settle_next()
    market.close()
    (gift,) = result["partners"]
    assert gift == {"seller": "h001", "buyer": "h004", "energy_wh": 200, "gift": True}
    view = client.get(f"{HOUSEHOLD}/h001/interval/{result['start']}").json()
    assert view["matches"][0]["neighbour"]["name"] == "Home 4"
    assert (view["matches"][0]["trade"], view["energy"]["given_wh"]) == ("gift", 200)


def test_a_network_with_a_trading_limit_says_that_nobody_goes_first(fresh_partnered: People) -> None:
    client = fresh_partnered.household("h001")
    assert not client.get(TWIN).json()["limited"]
    assert "trading limit" not in client.get(PAGE).text
    record = Record(fresh_partnered.site.store)
    document = record.document()
    next(node for node in document["network"] if node["parent"])["limit_wh"] = 5_000
    record.store_document(document, now=0)
    record.close()
    assert client.get(TWIN).json()["limited"]
    assert "what you choose here has no effect" in text(client.get(PAGE).text)


def test_the_documents_example_changes_an_offer(fresh_people: People) -> None:
    page = (Path(__file__).parents[3] / "docs/dashboard.md").read_text(encoding="utf-8")
    found = re.search(r"curl -X PUT .*? -d '(\{.*?\})'.*?(/api/1/\S+)", page, re.DOTALL)
    assert found is not None
    names_shown(fresh_people, "h001", "h003")
    script = fresh_people.token("household", "h001", ["household:read", "household:write"])
    fresh_people.site.accounts.db.write("UPDATE account SET shown = 1")
    body = json.loads(found[1]) | {"version": script.get(TWIN).json()["version"]}
    answer = script.put(found[2], json=body)
    assert answer.status_code == 200
    assert (answer.json()["prefer"], answer.json()["min_sell_ticks"]) == (["h003"], 12_000)
