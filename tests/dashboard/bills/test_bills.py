"""Bills on pages, as PDF and as CSV: the same figures everywhere, corrections with their difference."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from market.record import Record
from market.service import months
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY

PARK = "/household/park/bills"


def stored(store: Path) -> dict[str, int]:
    """Park's bill for May as the record holds it."""
    record = Record(store, read_only=True)
    _, _, result = months.month_body(record, MAY)
    record.close()
    found: dict[str, int] = next(bill for bill in result["bills"] if bill["household"] == "park")
    return found


def test_the_list_has_closed_months_and_the_one_so_far(billed: People, billed_store: Path) -> None:
    bill = stored(billed_store)
    rows = billed.household("park").get(f"/api/1{PARK}").json()["months"]
    assert [row["month"] for row in rows] == [str(JUNE), str(MAY)], "the newest first"
    assert rows[0] == {
        "month": "2026-06", "revision": None, "closed_at": None,
        "total_money": None, "alone_money": None, "gain_money": None, "gifts_money": None,
    }  # fmt: skip
    assert rows[1]["revision"] == 1
    assert (rows[1]["total_money"], rows[1]["gain_money"]) == (bill["total"], bill["gain"])
    page = billed.household("park").get(PARK).text
    assert "June 2026" in page and "May 2026" in page and "correction 1" in page
    assert page.index("June 2026") < page.index("May 2026")


def test_a_bill_says_each_line_how_it_is_computed_and_the_promise(billed: People, billed_store: Path) -> None:
    bill = stored(billed_store)
    view = billed.household("park").get(f"/api/1{PARK}/2026-05").json()
    assert (view["total_money"], view["gain_money"]) == (bill["total"], bill["gain"])
    total = {table["key"]: table for table in view["tables"]}["total"]
    assert total["lines"][-1]["money"] == abs(bill["total"])
    supplier = {table["key"]: table for table in view["tables"]}["supplier"]
    assert sum(line["money"] for line in supplier["lines"][:-1]) == supplier["lines"][-1]["money"]
    page = billed.household("park").get(f"{PARK}/2026-05").text
    for text in ("The promise", "kWh ×", "Without your neighbours", "Net metering credits", view["due_amount"]):
        assert text in page, text


def test_corrections_stand_beside_what_they_corrected(billed: People) -> None:
    client = billed.household("park")
    first, second = (client.get(f"/api/1{PARK}/2026-05", params={"revision": n}).json() for n in (0, 1))
    assert [row["revision"] for row in second["revisions"]] == [0, 1]
    difference = second["total_money"] - first["total_money"]
    assert difference != 0
    assert [row["difference_money"] for row in second["revisions"]] == [None, difference]
    assert (first["newest"], second["newest"]) == (False, True)
    assert "This version was corrected later." in client.get(f"{PARK}/2026-05?revision=0").text
    assert client.get(f"{PARK}/2026-05.pdf?revision=0").content != client.get(f"{PARK}/2026-05.pdf").content


def test_the_month_so_far_is_no_bill(billed: People) -> None:
    client = billed.household("park")
    view = client.get(f"/api/1{PARK}/2026-06").json()
    assert view["revision"] is None and view["revisions"] == []
    page = client.get(f"{PARK}/2026-06").text
    assert "This is not a bill" in page
    assert "verify/2026-06" not in page, "nothing is booked: nothing can be proven"
    assert client.get(f"{PARK}/2026-06.pdf").headers["content-disposition"].endswith('"so-far-park-2026-06.pdf"')


@pytest.mark.parametrize("language", ["en", "ko"])
def test_pdf_and_csv_are_those_of_the_statements(billed: People, language: str, billed_store: Path) -> None:
    client = billed.household("park")
    pdf = client.get(f"{PARK}/2026-05.pdf", params={"lang": language})
    assert pdf.headers["content-type"] == "application/pdf" and pdf.content.startswith(b"%PDF")
    assert pdf.content == client.get(f"{PARK}/2026-05.pdf", params={"lang": language}).content
    answer = client.get(f"{PARK}/2026-05.csv", params={"lang": language})
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    total = next(row for row in rows if row["section"] == "total" and rows.index(row) == max(
        i for i, other in enumerate(rows) if other["section"] == "total"
    ))  # fmt: skip
    assert total["amount"] == str(stored(billed_store)["total"] // 10**8) and total["amount"].startswith("-")


def test_neighbours_have_the_names_that_this_household_may_see(billed: People) -> None:
    """Nobody agreed to be named: neither names nor ids of others stand on a bill."""
    client = billed.household("kim")
    texts = [
        client.get("/household/kim/bills/2026-05").text,
        client.get("/household/kim/bills/2026-05.csv").content.decode("utf-8-sig"),
        client.get("/api/1/household/kim/bills/2026-05").text,
    ]
    for text in texts:
        assert "Neighbour " in text
        assert "박민준" not in text and "park" not in text
    assert "김영희" in texts[0]


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("bills/2026-04", 404, "no-bill"),
        ("bills/2026-07", 404, "no-bill"),
        ("bills/2026-05?revision=2", 404, "no-bill"),
        ("bills/2026-06?revision=0", 404, "no-bill"),
        ("bills/2026-13", 422, "bad-value"),
        ("bills/2026-05?revision=-1", 422, "bad-value"),
        ("bills/0001-01", 422, "bad-value"),
    ],
)
def test_what_is_not_there_has_a_name(billed: People, path: str, status: int, problem: str) -> None:
    answer = billed.household("park").get(f"/api/1/household/park/{path}")
    assert (answer.status_code, answer.json()["problem"]) == (status, problem)
    assert billed.household("park").get(f"/household/park/{path}").status_code == status


def test_a_neighbour_sees_no_bill(billed: People) -> None:
    for path in (
        PARK,
        f"{PARK}/2026-05",
        f"{PARK}/2026-05.pdf",
        f"{PARK}/2026-05.csv",
        "/household/park/proof/2026-05",
    ):
        assert billed.household("kim").get(path).status_code == 403
