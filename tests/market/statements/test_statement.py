"""What a household is handed: every figure of its bill, in both languages, the same bytes whenever it is made."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fpdf import FPDF

from market.billing.result import month_result
from market.record import Record
from market.service import months
from market.settlement.rules import Rules
from market.statements.billed import Billed
from market.statements.figures import amount, kwh, price, price_decimals, unit, with_currency
from market.statements.pdf import WIDTH_MM, pdf, widths_mm
from market.statements.statement import Bar, Statement, StatementError, statement
from market.statements.table import COLUMNS, csv_text
from market.statements.words import LANGUAGES, words
from market.tariffs.amounts import money, money_text
from tests.market.billed import JUNE, MAY, settle_months
from tests.market.billing import months as months_of
from tests.market.tariffs.documents import document, version

Closed = tuple[Rules, dict[str, Any]]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Closed:
    store = tmp_path_factory.mktemp("closed")
    settle_months(store)
    record = Record(store)
    months.close(record, MAY, 1_780_000_000)
    months.close(record, JUNE, 1_783_000_000)
    _, rules, result = months.month_body(record, JUNE)
    record.close()
    return rules, result


def made(closed: Closed, home: str, language: str = "en", revision: int | None = 0) -> Statement:
    return statement(*closed, home, language, revision=revision, closed_at=1_783_000_000)


def body(closed: Closed, home: str) -> dict[str, Any]:
    return next(bill for bill in closed[1]["bills"] if bill["household"] == home)


def rows(closed: Closed, home: str, language: str = "en") -> list[dict[str, str]]:
    text = csv_text(made(closed, home, language), body(closed, home))
    return list(csv.DictReader(io.StringIO(text)))


def test_every_text_is_there_in_every_language_with_the_same_placeholders() -> None:
    english, korean = (words(language) for language in LANGUAGES)
    assert set(english) == set(korean)
    for word, text in english.items():
        fields = [sorted(re.findall(r"\{(\w+)\}", one)) for one in (text, korean[word])]
        assert fields[0] == fields[1], word


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("home", ["kim", "park"])
def test_sections_add_up_to_what_is_due(closed: Closed, home: str, language: str) -> None:
    """In each section the last row is the sum of the others, and the total follows from the sections."""
    found: dict[str, list[Decimal]] = {}
    for row in rows(closed, home, language):
        if row["amount"]:
            found.setdefault(row["section"], []).append(Decimal(row["amount"]))
    for section in ("supplier", "trades", "alone"):
        assert sum(found[section][:-1]) == found[section][-1], section
    assert found["total"][:2] == [found["supplier"][-1], found["trades"][-1]]
    assert sum(found["total"][:-1]) == found["total"][-1] == Decimal(money_text(body(closed, home)["total"]))


def test_a_bill_in_figures(closed: Closed) -> None:
    """Kim uses 180 kWh in June, 72 of them Park's at 200 won: blocks of 100 and 300 won and a tenth on top."""
    bill = made(closed, "kim")
    assert bill.title == "Electricity bill, June 2026"
    assert ("Household", "김영희 (kim)") in bill.facts and ("Period", "1 June 2026 to 30 June 2026") in bill.facts
    supplier = {row.what: (row.how, money_text(row.money)) for row in bill.tables[0].rows}
    assert supplier["Energy, 0 to 100 kWh"] == ("100 kWh × ₩100.0", "10000")
    assert supplier["Energy, above 100 kWh"] == ("8 kWh × ₩300.0", "2400")
    assert supplier["Base charge"] == ("of the highest block that is reached", "500")
    assert supplier["vat"] == ("10 % of 12,900 rounded to 1", "1290")
    assert supplier["Supplier’s bill"] == ("", "14190")
    trades = {row.what: (row.how, money_text(row.money)) for row in bill.tables[1].rows}
    assert trades["Bought"] == ("72 kWh × ₩200.0", "14400")
    assert bill.headline == ("To pay", "₩28,590")
    assert bill.verdict == ("Without your neighbours: ₩37,950 to pay. The community is worth ₩9,360 to you this month.")
    assert bill.bars[0].parts == (("own roof", 0), ("neighbours", 72_000), ("supplier", 108_000))
    assert bill.grids[0].rows == (("박민준", "72", "0"),)


def test_korean_in_its_own_words(closed: Closed) -> None:
    bill = made(closed, "park", "ko")
    assert bill.title == "2026년 6월 전기요금 청구서"
    assert bill.headline == ("받으실 금액", "23,450원")
    assert ("기간", "2026년 6월 1일 ~ 2026년 6월 30일") in bill.facts
    credits = next(grid for grid in bill.grids if grid.key == "credits")
    assert credits.rows == (("실제", "0", "0", "0", "0"), ("공동체가 없었을 경우", "124", "0", "0", "244"))


def test_net_metering_says_how_it_comes_to_what_is_billed(closed: Closed) -> None:
    """Park takes 1 kWh a day and makes 5 more than that; June has 30 days, and 120 kWh were sold."""
    sold = body(closed, "park")["sold_wh"]
    own, _, _, alone = made(closed, "park").tables
    assert sold == 120_000
    assert "30 kWh supplied − 30 kWh fed in − 0 kWh of earlier credits = 0 kWh billed." in own.note
    assert "150 kWh fed in − 30 kWh supplied = 120 kWh of credits; no kWh is billed." in alone.note
    assert all("fed in" not in table.note for table in made(closed, "kim").tables)


def test_each_line_says_what_it_is_and_how_it_comes_about() -> None:
    """Windows without a title go by their names; charges on no energy say for what time they are."""
    windows = [
        {"name": "off-peak", "from": "22:00", "to": "06:00", "per_kwh": "0.2"},
        {"name": "peak", "from": "06:00", "to": "22:00", "per_kwh": "0.3", "title": {"en": "Peak"}},
    ]
    charges = [
        {"name": "standing", "per_day": "0.20", "rounding": {"to": "0.01"}},
        {"name": "meter", "per_month": "2"},
        {"name": "tax", "per_kwh": "0.01", "on": "import"},
    ]
    tariff = document(version(energy={"kind": "time-of-use", "windows": windows}, charges=charges))
    rules = months_of.community({"t": tariff}, {"a1": "t"})
    result = month_result(rules, months_of.closed(rules, [(1, {"a1": (4_000, 0)}), (12, {"a1": (7_000, 0)})]))
    for language, found in (
        ("en", [("Energy, off-peak", "4 kWh × 20.0 ct"), ("Energy, Peak", "7 kWh × 30.0 ct"),
                ("standing", "31 days × 0.20 rounded to 0.01"), ("meter", "each month"), ("tax", "11 kWh × 1.0 ct")]),
        ("ko", [("전력량 요금, off-peak", "4 kWh × 20.0 ct"), ("전력량 요금, Peak", "7 kWh × 30.0 ct"),
                ("standing", "31일 × 0.20, 0.01 단위 반올림"), ("meter", "매월"), ("tax", "11 kWh × 1.0 ct")]),
    ):  # fmt: skip
        lines = made((rules, result), "a1", language).tables[0].rows[:5]
        assert [(row.what, row.how.replace("\u00a0", " ")) for row in lines] == found
        assert [money_text(row.money) for row in lines] == ["0.8", "2.1", "6.2", "2", "0.11"]


def test_rounding_a_trade_has_its_parts_in_the_csv(gifts: Closed) -> None:
    rules, result = (
        gifts[0],
        month_result(gifts[0], months_of.closed(gifts[0], [(12, {"a1": (0, 333), "b1": (333, 0)})])),
    )
    (row,) = (one for one in rows((rules, result), "b1") if one["what"] == "Rounding" and one["section"] == "trades")
    assert Decimal(row["of"]) + Decimal(row["amount"]) == Decimal("0.07")


@pytest.mark.parametrize(
    ("losses", "paid", "said"),
    [
        (0, 0, "nobody would have lost"),
        (500, 500, "holds in full: members’ losses of ₩5 were made good out of gains of ₩9"),
        (1200, 900, "as far as the gains go: of losses of ₩12, ₩9 could be made good out of gains of ₩9"),
    ],
)
def test_the_bill_says_which_promise_holds(closed: Closed, losses: int, paid: int, said: str) -> None:
    rules, result = closed
    unit = money("0.01")
    promise = {"kind": "month", "gains": 900 * unit, "losses": losses * unit, "paid": paid * unit}
    bill = statement(rules, result | {"promise": promise}, "kim", "en", revision=0, closed_at=0)
    title, texts = bill.texts[0]
    assert title == "The promise" and said in texts[1]
    assert "as far as the month’s gains of all members can pay for it" in texts[0]


def test_a_month_so_far_is_not_called_a_bill_and_a_correction_is_numbered(closed: Closed) -> None:
    assert made(closed, "kim", revision=None).title == "Electricity so far, June 2026: not a bill"
    assert ("Bill number", "street/kim/2026-06, correction 2") in made(closed, "kim", revision=2).facts
    booked = "For this month the community’s ledger has booked exactly what you owe or receive to the account"
    for revision, said in ((0, True), (None, False)):
        texts = " ".join(dict(made(closed, "kim", revision=revision).texts)["Where the figures come from"])
        assert (f"{booked} household:kim." in texts) == said


def test_missing_and_estimated_intervals_are_said(closed: Closed) -> None:
    rules, result = closed
    changed = [bill | {"heard": bill["heard"] - 3, "estimated": 2} for bill in result["bills"]]
    bill = statement(rules, result | {"bills": changed}, "kim", "en", revision=0, closed_at=0)
    texts = " ".join(bill.texts[1][1])
    assert "3 intervals have no readings" in texts and "2 intervals are estimated" in texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_is_the_same_whenever_it_is_made(closed: Closed, language: str) -> None:
    first = pdf(made(closed, "park", language))
    assert first == pdf(made(closed, "park", language))
    assert first.startswith(b"%PDF-") and len(first) < 200_000
    assert b"PumasiBill" in first, "the font is in it"


def test_many_partners_and_signs_the_font_lacks_fit(closed: Closed) -> None:
    rules, result = closed
    partners = [{"household": f"h{i:03d}", "bought_wh": 1_000 - i, "sold_wh": 0} for i in range(60)]
    bills = [bill | {"partners": partners, "name": "똠방각하 \U0001f600"} for bill in result["bills"]]
    bill = statement(rules, result | {"bills": bills}, "kim", "en", revision=0, closed_at=0)
    assert len(bill.grids[0].rows) == 21 and bill.grids[0].rows[-1][0] == "40 others"
    assert pdf(bill).startswith(b"%PDF-")
    assert len([row for row in csv_text(bill, bills[0]).splitlines() if row.startswith("partner,")]) == 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_long_names_stay_in_their_places(closed: Closed, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """What is wider than its place goes on in the next line; a cell does not wrap, so that all of it must fit."""
    rules, result = closed
    members = tuple(replace(member, name="긴이름" * 21) for member in rules.members)
    bills = [bill | {"name": "W" * 64} for bill in result["bills"]]
    seen = []
    cell = FPDF.cell

    def fitting(page: FPDF, w: float | None = None, h: float | None = None, text: str = "", **options: Any) -> Any:
        seen.append(page.get_string_width(text) <= (w or 0))
        assert seen[-1], text
        return cell(page, w, h, text, **options)

    monkeypatch.setattr(FPDF, "cell", fitting)
    named = replace(rules, members=members), result | {"bills": bills}
    for home in ("kim", "park"):
        assert pdf(made(named, home, language)).startswith(b"%PDF-")
    assert len(seen) > 50


def test_a_name_is_not_taken_for_the_number_of_pages(closed: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, result = closed
    written: list[str] = []
    monkeypatch.setattr(
        FPDF,
        "normalize_text",
        lambda page, text: (written.append(text), text)[1],  # the end of the line of calls
    )
    pdf(statement(rules, result | {"bills": [b | {"name": "¤¤"} for b in result["bills"]]}, "kim", "en", revision=0,
                  closed_at=0))  # fmt: skip
    assert "□□ (kim)" in written and "page 1 of ¤" in written


def test_the_csv_has_the_same_columns_in_every_language(closed: Closed) -> None:
    english, korean = (rows(closed, "kim", language) for language in LANGUAGES)
    figures = [name for name in COLUMNS if name not in ("what", "how")]
    assert [[row[name] for name in figures] for row in english] == [[row[name] for name in figures] for row in korean]
    assert english[0] | {"section": "energy", "what": "consumption", "energy_kwh": "180"} == english[0]


@pytest.fixture(scope="module")
def gifts() -> Closed:
    """a1 sells 3 of 10 kWh to b1 and gives 7 to a2, at 0.19; a2 gets 1 kWh back in the evening."""
    flat = {"retail_per_kwh": "0.305", "feed_in_per_kwh": "0.0825"}
    offers = {"a1": {"give": ["a2"]}, "a2": {"give": ["a1"]}}
    rules = months_of.community({"t": flat}, {"a1": "t", "a2": "t", "b1": "t"}, offers=offers)
    noon, evening = {"a1": (0, 10_000), "a2": (7_000, 0), "b1": (5_000, 0)}, {"a1": (1_000, 0), "a2": (0, 1_000)}
    return rules, month_result(rules, months_of.closed(rules, [(12, noon), (20, evening)]))


def test_a_gift_stands_on_both_bills_with_what_it_is_worth(gifts: Closed) -> None:
    giver, receiver = (made(gifts, home) for home in ("a1", "a2"))
    assert [(row.what, row.how, money_text(row.money)) for row in giver.tables[1].rows] == [
        ("Bought", "1 kWh × 19.00\u00a0ct", "0.19"),
        ("Gifts from neighbours", "of it 1 kWh × 19.00\u00a0ct, for nothing", "-0.19"),
        ("Sold", "10 kWh × 19.00\u00a0ct", "-1.9"),
        ("Gifts to neighbours", "of it 7 kWh × 19.00\u00a0ct, for nothing", "1.33"),
        ("Trades", "", "-0.57"),
    ]
    assert giver.verdict.startswith("Without your neighbours: €0.52 to receive. The community is worth €0.05 to you")
    assert giver.verdict.endswith(
        "This counts gifts from neighbours, worth €0.19. This counts your gifts to neighbours, worth €1.33."
    )
    said = dict(giver.texts)["Gifts"]
    assert said[0].startswith("Given to you by neighbours: 1 kWh, worth €0.19")
    assert said[1].startswith("Given to neighbours: 7 kWh, worth €1.33")
    assert giver.grids[0].heads[1:] == ("bought kWh", "sold kWh", "received kWh", "given kWh")
    assert giver.grids[0].rows == (("a2", "1", "7", "1", "7"), ("b1", "0", "3", "0", "0"))
    assert ("Gifts from neighbours", "-1.33") in [(row.what, money_text(row.money)) for row in receiver.tables[1].rows]
    assert all("gift" not in text.casefold() for _, texts in made(gifts, "b1").texts for text in texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bill_with_gifts_adds_up_in_the_csv_and_has_a_pdf(gifts: Closed, language: str) -> None:
    found = rows(gifts, "a1", language)
    amounts = [Decimal(row["amount"]) for row in found if row["section"] == "trades"]
    assert sum(amounts[:-1]) == amounts[-1]
    energy = {row["what"]: row["energy_kwh"] for row in found if row["section"] == "energy"}
    assert (energy["sold"], energy["given"], energy["received"]) == ("10", "7", "1")
    given = [row for row in found if row["section"] == "partner" and row["how"] in ("given", "received")]
    assert [(row["what"], row["how"], row["energy_kwh"]) for row in given] == [
        ("a2", "received", "1"), ("a2", "given", "7"),
    ]  # fmt: skip
    assert pdf(made(gifts, "a1", language)).startswith(b"%PDF-")


def test_who_gave_more_than_it_gained_is_told_so(gifts: Closed) -> None:
    """Alone 0.825 from the supplier; sold for 1.90, of which 1.33 was given away."""
    rules = gifts[0]
    noon = {"a1": (0, 10_000), "a2": (7_000, 0), "b1": (5_000, 0)}
    only = rules, month_result(rules, months_of.closed(rules, [(12, noon)]))
    assert made(only, "a1").verdict == (
        "Without your neighbours: €0.82 to receive. Had every gift been paid for, the community would be worth €1.08 to"
        " you this month. This counts your gifts to neighbours, worth €1.33."
    )
    result = only[1] | {"promise": only[1]["promise"] | {"losses": 2, "paid": 1}}
    bill = statement(rules, result, "a1", "en", revision=0, closed_at=0)
    assert "€0.00 of it is yours" in dict(bill.texts)["The promise"][1], "a gift is no loss"


GIVER, RECEIVER = "This counts your gifts to neighbours", "This counts gifts from neighbours"


@pytest.mark.parametrize(
    ("retail", "feed_in", "fee", "giver", "receiver"),
    [
        ("0.30", "-0.30", "0.01", f"{GIVER}, worth €0.00.", f"{RECEIVER}, worth €0.00."),
        (
            "0.10",
            "-0.50",
            "0.125",
            f"{GIVER}; had they been paid for, you would have paid €1.40.",
            f"{RECEIVER}; had they been paid for, you would have been paid €1.40 to take them.",
        ),
    ],
)
def test_a_gift_at_a_posted_price_of_0_or_below(retail: str, feed_in: str, fee: str, giver: str, receiver: str) -> None:
    """The last pays 1.75 of fees for energy of 0.70, and would have been paid 1.40 to take it."""
    flat = {"retail_per_kwh": retail, "feed_in_per_kwh": feed_in}
    homes = {"a1": "t", "b1": "t", "b2": "t"}
    rules = months_of.community({"t": flat}, homes, fee=fee, offers={"a1": {"give": ["b1"]}}, reference=flat)
    noon = {"a1": (0, 10_000), "b1": (7_000, 0), "b2": (5_000, 0)}
    result = month_result(rules, months_of.closed(rules, [(12, noon)]))
    bills = {bill["household"]: bill for bill in result["bills"]}
    worth = 7_000 * (money(retail) + money(feed_in)) // 2 // 1_000
    assert (bills["a1"]["trades"]["given"], bills["a1"]["trades"]["gifts"]) == (worth, worth)
    assert (bills["b1"]["trades"]["received"], bills["b1"]["trades"]["gifts"]) == (worth, -worth)
    assert not {"given", "received", "gifts"} & (set(bills["b2"]["trades"]) | set(bills["a1"]) - {"given_wh"})
    if worth < 0:
        assert bills["b1"]["gain"] == money("-1.05") and bills["b1"]["gain"] - worth > 0
    # A month that was stored before had no worth of 0 on it.
    bare = [
        bill | {"trades": {name: value for name, value in bill["trades"].items() if value}} for bill in bills.values()
    ]
    needed = {"bought": 0, "sold": 0, "fees": 0, "rounding": 0, "due": 0}
    stored = result | {"bills": [bill | {"trades": needed | bill["trades"]} for bill in bare]}
    for home, said in (("a1", giver), ("b1", receiver)):
        for one in (result, stored):
            bill = made((rules, one), home)
            assert bill.verdict.endswith(said)
            assert "−" not in " ".join(dict(bill.texts)["Gifts"])
        for language in LANGUAGES:
            assert pdf(made((rules, result), home, language)).startswith(b"%PDF-")
        amounts = [Decimal(row["amount"]) for row in rows((rules, result), home) if row["section"] == "trades"]
        assert sum(amounts[:-1]) == amounts[-1]
    assert "Had every gift been paid for" not in made((rules, result), "a1").verdict
    assert ("Had every gift been paid for" in made((rules, result), "b1").verdict) == (worth < 0)


def test_the_gain_as_if_gifts_had_been_paid_is_the_true_ups() -> None:
    """A statement reads it from the bill, in coins as the month did."""
    flat = {"retail_per_kwh": "0.30567", "feed_in_per_kwh": "0.08123"}
    offers = {"a1": {"give": ["a2"]}}
    rules = months_of.community({"t": flat}, {"a1": "t", "a2": "t", "b1": "t"}, offers=offers)
    closed = months_of.closed(rules, [(12, {"a1": (0, 9_991), "a2": (6_513, 0), "b1": (5_003, 0)})])
    result = month_result(rules, closed)
    for home, body in zip(closed.households, result["bills"], strict=True):
        assert Billed(rules, result, body, "en").gain_if_paid == home.gain_if_paid
    assert any(home.gain != home.gain_if_paid for home in closed.households)


def test_who_was_no_member_has_no_bill(closed: Closed) -> None:
    with pytest.raises(StatementError, match="household nobody is not in the community street"):
        made(closed, "nobody")
    rules, result = closed
    others = [bill for bill in result["bills"] if bill["household"] != "kim"]
    with pytest.raises(StatementError, match="household kim was no member in 2026-06"):
        statement(rules, result | {"bills": others}, "kim", "en", revision=0, closed_at=0)


def test_figures_as_people_read_them() -> None:
    assert amount(money("1234567.5"), "EUR") == "1,234,567.50" and amount(money("-4697.5"), "KRW") == "−4,697.5"
    assert amount(money("0.063275"), "EUR") == "0.063275"
    assert kwh(1_234_500) == "1,234.5" and kwh(-20) == "−0.02"


@pytest.mark.parametrize(
    ("code", "language", "written", "unit_written", "a_price", "several"),
    [
        ("EUR", "en", "−€1,203.00", "€", "19.0 ct", ["19.00 ct", "8.25 ct", "−0.40 ct"]),
        ("CHF", "en", "−CHF 1,203.00", "CHF", "19.0 Rp.", ["19.00 Rp.", "8.25 Rp.", "−0.40 Rp."]),
        ("KRW", "en", "−₩1,203", "₩", "₩0.19", ["₩0.1900", "₩0.0825", "−₩0.0040"]),
        ("KRW", "ko", "−1,203원", "원", "0.19원", ["0.1900원", "0.0825원", "−0.0040원"]),
        ("SEK", "ko", "−SEK 1,203.00", "SEK", "SEK 0.19", ["SEK 0.1900", "SEK 0.0825", "−SEK 0.0040"]),
    ],
)
def test_money_and_prices_as_on_every_page(
    code: str, language: str, written: str, unit_written: str, a_price: str, several: list[str]
) -> None:
    """All prices of a page have as many decimals as the finest of them needs."""
    assert with_currency(money("-1203"), code, language).replace("\u00a0", " ") == written
    assert unit(code, language) == unit_written
    for prices, said in (([19_000], [a_price]), ([19_000, 8_250, -400], several)):
        decimals = price_decimals(prices, code)
        assert [price(one, code, language, decimals).replace("\u00a0", " ") for one in prices] == said


def test_the_fonts_are_free_and_small() -> None:
    folder = Path(__file__).parents[3] / "market" / "statements" / "fonts"
    assert "SIL OPEN FONT LICENSE" in (folder / "OFL.txt").read_text()
    assert sum(path.stat().st_size for path in folder.glob("*.woff")) < 2**20


@pytest.mark.parametrize(
    ("parts", "shares"), [((10, 20, 10), (0.25, 0.5, 0.25)), ((0, 80, -50), (0, 1, 0)), ((0, 0, 0), (0, 0, 0))]
)
def test_a_bar_is_never_wider_than_the_page(parts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    """What was bought and then not used leaves less than nothing for the supplier."""
    bar = Bar("used", tuple((str(place), energy_wh) for place, energy_wh in enumerate(parts)))
    assert widths_mm(bar) == [WIDTH_MM * part for part in shares]
