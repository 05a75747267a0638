"""What the pages' views say of a real record, figure by figure, against the record itself."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from market.record import Record
from market.record.rows import MONTH
from tests.dashboard.household.beside import Market
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY, SINCE, ZONE
from tests.market.settled import FIRST_STEP, LATE_STEP

HOUSEHOLD = "/api/1/household"
PLAIN = str.maketrans({"\u00a0": " ", "\u2212": "-", "\u2013": "-", "\u00d7": "x"})


def text(html: str, element: str | None = None) -> str:
    """Visible words of a page, or of the element with an id up to its closing tag of the same kind."""
    if element is not None:
        found = re.search(rf'<(\w+) id="{element}".*?</\1>', html, re.DOTALL)
        assert found is not None, element
        html = found.group()
    html = re.sub(r"<(script|style|title).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).translate(PLAIN).split())


@pytest.fixture(scope="module")
def results(settled_store: Path) -> list[dict[str, Any]]:
    """The newest result of each interval."""
    record = Record(settled_store, read_only=True)
    found = {gate.start: json.loads(record.result(gate.number)) for gate in record.gates()}
    record.close()
    return [found[start] for start in sorted(found)]


def position(result: dict[str, Any], household: str) -> dict[str, Any]:
    return next(row for row in result["households"] if row["household"] == household)


def test_now_is_the_last_interval(settled_people: People, results: list[dict[str, Any]]) -> None:
    last = results[-1]
    seller, buyer = (last["matches"][0][side] for side in ("seller", "buyer"))
    sold = position(last, seller)
    view = settled_people.household(seller).get(f"{HOUSEHOLD}/{seller}").json()
    latest = view["live"]["latest"]
    assert (latest["start"], latest["end"]) == (last["start"], last["start"] + 900)
    assert latest["flow"]["sold_w"] == sold["sold_wh"] * 4
    assert latest["flow"]["to_grid_w"] == (sold["export_wh"] - sold["sold_wh"]) * 4
    assert latest["buyers"] == sum(match["seller"] == seller for match in last["matches"])
    assert (latest["price_ticks"], latest["fees_included"]) == (19_000, False)
    assert view["live"]["meter_heard_to"] == last["start"] + 900
    bought = position(last, buyer)
    view = settled_people.household(buyer).get(f"{HOUSEHOLD}/{buyer}").json()
    paid = -bought["trade_money"] / bought["bought_wh"]
    assert abs(view["live"]["latest"]["price_ticks"] - paid) <= 0.5
    assert view["live"]["today_worth"]["saved_money"] == sum(
        p["trade_money"] + p["residual_money"] - p["alone_money"] for r in results for p in [position(r, buyer)]
    )


def test_now_says_it_in_plain_words(settled_people: People, results: list[dict[str, Any]]) -> None:
    last = results[-1]
    seller = last["matches"][0]["seller"]
    count = sum(match["seller"] == seller for match in last["matches"])
    watts = position(last, seller)["sold_wh"] * 4
    power = f"{watts} W" if watts < 1000 else f"{watts / 1000:.1f} kW"
    page = settled_people.household(seller).get(f"/household/{seller}").text
    whom = "one neighbour" if count == 1 else f"{count} neighbours"
    assert f"You are selling {power} to {whom} for 19.0 ct per kWh." in text(page, "sentence")
    assert "just now" in text(page, "sentence")


def test_the_live_fragment_is_parts_of_the_page(settled_people: People) -> None:
    client = settled_people.household("h001")
    page, live = client.get("/household/h001").text, client.get("/household/h001/live").text
    found = re.search(r'hx-get="/household/h001/live"[^>]* hx-select-oob="([^"]*)"', page)
    assert found is not None
    for element in found[1].split(","):
        assert page.count(f'id="{element[1:]}"') == live.count(f'id="{element[1:]}"') == 1
        assert text(live, element[1:]) == text(page, element[1:])
    assert "<html" not in live and len(live) < len(page) / 2
    assert client.get(f"{HOUSEHOLD}/h001/live").json() == client.get(f"{HOUSEHOLD}/h001").json()["live"]


@pytest.mark.parametrize("page", ["day", "week", "month", "year", "neighbours"])
def test_a_page_that_follows_names_parts_of_itself(settled_people: People, page: str) -> None:
    html = settled_people.household("h001").get(f"/household/h001/{page}").text
    found = re.search(r'hx-get="(/household/h001/[^"]*)"[^>]* hx-select-oob="([^"]*)"', html)
    assert found is not None and found[1].startswith(f"/household/h001/{page}")
    assert [html.count(f'id="{element[1:]}"') for element in found[2].split(",")] == [1] * len(found[2].split(","))
    over = {"day": "2016-07-10", "week": "2016-07-03", "month": "2016-06", "year": "2015"}.get(page, "2016-07-03")
    assert "hx-get" not in settled_people.household("h001").get(f"/household/h001/{page}?on={over}").text


def test_the_coming_prices_are_one_step_under_a_flat_tariff(settled_people: People) -> None:
    view = settled_people.household("h001").get(f"{HOUSEHOLD}/h001").json()
    (step,) = view["coming"]
    assert step["end"] - step["start"] == 24 * 3600
    assert (step["price_ticks"], step["grid_price_ticks"], step["grid_pays_ticks"]) == (19_000, 30_000, 8_000)
    assert step["would_buy"] and step["would_sell"]


@pytest.mark.parametrize("kind", ["day", "week", "month", "year"])
def test_a_span_adds_up_its_intervals(settled_people: People, results: list[dict[str, Any]], kind: str) -> None:
    view = settled_people.household("h001").get(f"{HOUSEHOLD}/h001/{kind}").json()
    rows = [position(result, "h001") for result in results]
    energy = view["energy"]
    for name, columns in {
        "generation_wh": ("generation_wh",),
        "use_wh": ("consumption_wh",),
        "sold_wh": ("sold_wh",),
        "bought_wh": ("bought_wh",),
        "from_grid_wh": ("import_wh", "bought_wh"),
        "to_grid_wh": ("export_wh", "sold_wh"),
    }.items():
        first, *less = columns
        assert energy[name] == sum(row[first] - sum(row[other] for other in less) for row in rows), name
        assert energy[name] == sum(part["energy"][name] for part in view["parts"]), name
    money = view["money"]
    assert money["basis"] == "intervals"
    assert money["with_money"] == sum(row["trade_money"] + row["residual_money"] for row in rows)
    assert money["alone_money"] == sum(row["alone_money"] for row in rows)
    assert money["saved_money"] == money["with_money"] - money["alone_money"]
    assert money["saved_money"] == sum(part["saved_money"] for part in view["parts"])
    assert (view["intervals"], view["heard"], view["over"], view["latest"]) == (6, 6, False, True)
    assert view["before"] is None, "nothing was settled before"


def test_a_days_money_can_be_retraced(settled_people: People, results: list[dict[str, Any]]) -> None:
    buyer = results[-1]["matches"][0]["buyer"]
    money = settled_people.household(buyer).get(f"{HOUSEHOLD}/{buyer}/day").json()["money"]
    rows = [(position(result, buyer), result["price_ticks"]) for result in results]
    assert money["bought_money"] == sum(row["bought_wh"] * price for row, price in rows) > 0
    assert money["sold_money"] - money["bought_money"] - money["fees_money"] == money["trade_money"]
    assert money["fees_money"] >= 0


def test_each_interval_of_the_day_leads_to_its_page(settled_people: People, results: list[dict[str, Any]]) -> None:
    page = settled_people.household("h001").get("/household/h001/day").text
    links = re.findall(r'href="/household/h001/interval/(\d+)"', page)
    assert [int(link) for link in links] == [result["start"] for result in results]
    for link in links:
        assert settled_people.household("h001").get(f"/household/h001/interval/{link}").status_code == 200


def test_an_interval_shows_everything_it_was_computed_from(
    settled_people: People, settled_store: Path, results: list[dict[str, Any]]
) -> None:
    """The first home's reading of one interval came late: two revisions, whose transfers add up."""
    result = results[LATE_STEP]
    start = result["start"]
    view = settled_people.household("h001").get(f"{HOUSEHOLD}/h001/interval/{start}").json()
    record = Record(settled_store, read_only=True)
    booked: dict[str, int] = {}
    for (account, reason), amount in record.booked(start, 900, 9).items():
        if account == "household:h001":
            booked[reason] = amount
    registers = record.registers(start, 900, record.horizon())
    record.close()
    row = position(result, "h001")
    assert [revision["state"] for revision in view["revisions"]] == ["provisional", "corrected"]
    assert (view["state"], view["final_at"]) == ("corrected", start + 900 + 120 * 86_400)
    page = settled_people.household("h001").get(f"/household/h001/interval/{start}").text
    assert "Late or corrected readings can change it until Tue 8 Nov 2016" in page
    (reading,) = view["readings"]
    assert reading["before"] == list(registers["m001", start - 900])
    assert reading["after"] == list(registers["m001", start])
    assert reading["flowed"] == [row["import_wh"], row["export_wh"], row["generation_wh"], row["consumption_wh"]]
    assert (reading["before_kind"], reading["after_kind"]) == ("heard", "heard")
    order = next(order for order in result["orders"] if order["order"] == "h001")
    assert view["order"] == {name: order[name] for name in view["order"]}
    assert sum(match["energy_wh"] for match in view["matches"]) == row["sold_wh"] + row["bought_wh"]
    assert view["certificate_gap"] == result["certificate"]["gap"] == 0
    sums: dict[str, int] = {}
    for transfer in view["transfers"]:
        sums[transfer["reason"]] = sums.get(transfer["reason"], 0) + transfer["money"]
    assert {reason: money for reason, money in sums.items() if money} == {r: m for r, m in booked.items() if m}
    assert sums["trade"] == row["trade_money"] == view["trade_money"]
    page = settled_people.household("h001").get(f"/household/h001/interval/{start}").text
    assert f"/household/h001/verify/{start}" in page and f"/household/h001/proof/{start}" in page


def test_the_certificates_sums_stay_with_operators(settled_people: People, results: list[dict[str, Any]]) -> None:
    """Where two homes traded they are those homes' energy times a price."""
    result = results[-1]
    primal = result["certificate"]["primal"]
    assert primal > 10_000
    path = f"/household/h001/interval/{result['start']}"
    client, operator = settled_people.household("h001"), settled_people.operator()
    assert str(primal) not in client.get(f"/api/1{path}").text
    assert f"{primal / 1e8:.8f}" not in client.get(path).text
    book = f"/operator/intervals/{result['start']}"
    assert operator.get(f"/api/1{book}").json()["primal"] == primal
    assert f"{primal / 1e8:.8f}" in operator.get(book).text


def test_the_first_interval_begins_with_the_meters_seed(settled_people: People, results: list[dict[str, Any]]) -> None:
    view = settled_people.household("h001").get(f"{HOUSEHOLD}/h001/interval/{results[0]['start']}").json()
    (reading,) = view["readings"]
    assert (reading["before"], reading["before_kind"]) == ([0, 0, 0, 0], "seed")
    assert (view["earlier"], view["later"]) == (None, results[1]["start"])


def test_an_interval_without_a_trade_says_so_in_sentences(fresh_people: People) -> None:
    market = Market(fresh_people.site.store)
    client = fresh_people.household("h001")
    change = {"min_sell_ticks": 29_000, "max_buy_ticks": None}
    change["version"] = client.get(f"{HOUSEHOLD}/h001/offer").json()["version"]
    assert client.submit_json(f"{HOUSEHOLD}/h001/offer", change, method="PUT").status_code == 200
    start = market.settle_next()["start"]
    market.close()
    page = client.get(f"/household/h001/interval/{start}").text
    found = re.search(r'<p class="sum-up">(.*?)</p>', page, re.DOTALL)
    assert found is not None
    assert text(found[1]) == "Nothing was traded with neighbours. €0.0000 against the grid only."


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The meter said: simulated, x-ray."), ("ko", "계량기의 알림: 모의 계량기, x-ray.")]
)
def test_what_a_meter_says_of_its_reading_is_told_in_words(fresh_people: People, language: str, said: str) -> None:
    """A newer meter may say more than the pages know."""
    market = Market(fresh_people.site.store, ["simulated", "x-ray"])
    start = market.settle_next()["start"]
    market.close()
    client = fresh_people.household("h001")
    fresh_people.site.accounts.db.write("UPDATE account SET language = ?", (language,))
    assert said in text(client.get(f"/household/h001/interval/{start}").text)


@pytest.mark.parametrize("start", [0, 1, 1_468_234_801, 2**32])
def test_an_interval_that_is_not_there_has_a_name(settled_people: People, start: int) -> None:
    answer = settled_people.household("h001").get(f"{HOUSEHOLD}/h001/interval/{start}")
    assert (answer.status_code, answer.json()["problem"]) == (404, "no-interval")


def test_neighbours_are_those_of_the_matches_under_other_names(
    settled_people: People, results: list[dict[str, Any]]
) -> None:
    matches = [match for result in results for match in result["matches"]]
    seller = matches[0]["seller"]
    view = settled_people.household(seller).get(f"{HOUSEHOLD}/{seller}/neighbours", params={"span": "day"}).json()
    sold: dict[str, int] = {}
    for match in matches:
        if match["seller"] == seller:
            sold[match["buyer"]] = sold.get(match["buyer"], 0) + match["energy_wh"]
    assert sorted(p["sold_wh"] for p in view["partners"] if p["sold_wh"]) == sorted(sold.values())
    assert view["sold_wh"] == sum(sold.values())
    assert sum(d["sold_wh"] for d in view["distances"]) == view["sold_wh"]
    assert all(p["neighbour"]["name"] is None for p in view["partners"])
    body = json.dumps(view)
    for partner in sold:
        assert partner not in body.replace(f'"{seller}"', ""), "an id would name the neighbour"
    aliases = [p["neighbour"]["alias"] for p in view["partners"]]
    assert len(set(aliases)) == len(aliases)


def test_both_must_want_to_be_named(settled_people: People, results: list[dict[str, Any]]) -> None:
    seller, buyer = (results[-1]["matches"][0][side] for side in ("seller", "buyer"))
    client, db = settled_people.household(seller), settled_people.site.accounts.db
    settled_people.household(buyer)

    def names() -> set[str | None]:
        view = client.get(f"{HOUSEHOLD}/{seller}/neighbours").json()
        return {partner["neighbour"]["name"] for partner in view["partners"]}

    try:
        db.write("UPDATE account SET shown = 1 WHERE household = ?", (buyer,))
        assert names() == {None}
        db.write("UPDATE account SET shown = 1 WHERE household = ?", (seller,))
        assert f"Home {int(buyer[1:])}" in names()
    finally:
        db.write("UPDATE account SET shown = 0")
    assert names() == {None}


def test_two_viewers_cannot_compare_notes(settled_people: People) -> None:
    pseudonym = settled_people.site.accounts.pseudonym
    assert pseudonym("h001", "h003") != pseudonym("h002", "h003")
    assert pseudonym("h001", "h003") == pseudonym("h001", "h003")


# -- a closed month and an open one under tariffs that value a kWh by the month ----------------


@pytest.fixture(scope="module")
def bills(billed_store: Path) -> dict[str, Any]:
    record = Record(billed_store, read_only=True)
    gate = next(record.gates(kind=MONTH))
    found = json.loads(record.result(gate.number))
    record.close()
    return {bill["household"]: bill for bill in found["bills"]}


@pytest.mark.parametrize("household", ["kim", "park"])
def test_a_closed_month_is_its_bill(billed_people: People, bills: dict[str, Any], household: str) -> None:
    client = billed_people.household(household)
    view = client.get(f"{HOUSEHOLD}/{household}/month", params={"on": str(MAY)}).json()
    bill, money = bills[household], view["money"]
    assert money["basis"] == "bill"
    assert (money["with_money"], money["alone_money"]) == (-bill["total"], -bill["alone"]["total"])
    assert money["saved_money"] == bill["gain"]
    assert money["trade_money"] + money["supplier_money"] + money["shared_money"] == money["with_money"]
    assert view["energy"]["sold_wh"] == bill["sold_wh"]
    page = client.get(f"/household/{household}/month?on={MAY}").text
    assert "As the month’s bill has it." in text(page, "money")
    assert f'href="/household/{household}/bills/2026-05"' in page


def test_an_open_month_is_the_bill_as_it_stands(billed_people: People, billed_store: Path) -> None:
    """Park's May left credits, which June's net metering uses."""
    from market.service import months

    record = Record(billed_store, read_only=True)
    _, body, _ = months.so_far(record, JUNE)
    record.close()
    for household in ("kim", "park"):
        view = billed_people.household(household).get(f"{HOUSEHOLD}/{household}/month").json()
        bill, money = next(b for b in body["bills"] if b["household"] == household), view["money"]
        assert money["basis"] == "so-far"
        assert money["supplier_money"] == -bill["own"]["total"]
        assert money["alone_money"] == -bill["alone"]["total"]
        assert money["trade_money"] == -bill["trades"]["due"] + bill["trades"]["rounding"]


def test_a_year_adds_months_up_each_by_its_own(billed_people: People, bills: dict[str, Any]) -> None:
    client = billed_people.household("kim")
    year = client.get(f"{HOUSEHOLD}/kim/year").json()
    june = client.get(f"{HOUSEHOLD}/kim/month").json()
    assert [part["basis"] for part in year["parts"] if part["intervals"]] == ["bill", "so-far"]
    assert year["money"]["basis"] == "months"
    assert year["money"]["saved_money"] == bills["kim"]["gain"] + june["money"]["saved_money"]
    assert len(year["parts"]) == 12


def test_a_day_of_such_a_tariff_says_at_least(billed_people: People) -> None:
    view = billed_people.household("kim").get(f"{HOUSEHOLD}/kim/day").json()
    assert view["money"]["basis"] == "at-least"
    page = billed_people.household("kim").get("/household/kim/day").text
    assert "at least" in text(page, "money")
    assert "₩" in text(page, "money")


def test_the_span_before_is_compared_as_far_as_this_one_is(billed_people: People) -> None:
    client = billed_people.household("kim")
    june = client.get(f"{HOUSEHOLD}/kim/month").json()
    assert june["over"] and june["before"]["name"] == "2026-05" and june["before"]["whole"]
    assert june["before"]["energy"]["use_wh"] == 31 * 6_000
    assert june["before"]["saved_money"] is None, "a bill and an open month are not alike"
    week = client.get(f"{HOUSEHOLD}/kim/week").json()
    # The last settled day is a Tuesday: two days are compared with two.
    assert not week["over"] and not week["before"]["whole"]
    assert week["before"]["energy"]["use_wh"] == week["energy"]["use_wh"] == 2 * 6_000
    may = client.get(f"{HOUSEHOLD}/kim/month", params={"on": str(MAY)}).json()
    assert may["before"] is None


def test_carbon_is_said_with_its_source(billed_people: People, settled_people: People) -> None:
    view = billed_people.household("kim").get(f"{HOUSEHOLD}/kim/month").json()
    energy, carbon = view["energy"], view["carbon"]
    assert carbon["from_grid_g"] == energy["from_grid_wh"] * 400 // 1000
    assert carbon["avoided_g"] == (energy["use_wh"] - energy["from_grid_wh"]) * 400 // 1000 > 0
    assert "a made up grid" in billed_people.household("kim").get("/household/kim/month").text
    assert settled_people.household("h001").get(f"{HOUSEHOLD}/h001/month").json()["carbon"] is None


@pytest.mark.parametrize(
    ("query", "links"),
    [
        ("", {"earlier": "2026-06-29"}),
        (f"?on={MAY.first}", {"later": "2026-05-02", "latest": None}),
        ("?on=2026-04-01", {"later": "2026-05-01", "latest": None}),
        ("?on=2027-01-01", {"earlier": "2026-06-30", "latest": None}),
        ("?on=2026-05-10", {"earlier": "2026-05-09", "later": "2026-05-11", "latest": None}),
    ],
)
def test_spans_lead_to_each_other(billed_people: People, query: str, links: dict[str, str | None]) -> None:
    page = billed_people.household("kim").get(f"/household/kim/day{query}").text
    found = {
        name: (re.search(r"on=([\d-]+)", href) or [None, None])[1]
        for name, href in re.findall(r'<a id="(\w+)" class="button"[^>]* href="([^"]*)"', page)
    }
    assert found == links


def test_the_ends_fit_the_record() -> None:
    assert MAY.start(ZONE) == SINCE
    assert FIRST_STEP > LATE_STEP
