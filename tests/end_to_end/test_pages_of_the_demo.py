"""A day with the pages: a household and then the operator, in a real Chromium, on a demo that goes on meanwhile."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.end_to_end.conftest import Running
from tests.parts import CHROMIUM_ARGUMENTS

LONG_MS = 30_000
"""A machine with much else to do may take this long for a page."""
NEIGHBOUR = "Home 2"
"""It has no roof: whenever the household has something to give, it needs something."""
LIMIT_CT = 30
"""What the grid charges: neighbours never pay it."""


@pytest.fixture
def page(chromium_path: Path) -> Iterator[Page]:
    """A page that may not complain."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGUMENTS))
        page = browser.new_page(locale="en-GB", viewport={"width": 1280, "height": 900})
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        yield page
        expect.set_options(timeout=5_000)
        browser.close()
    assert complaints == []


def day_rows(page: Page, pages: str, home: str) -> dict[int, dict[str, int]]:
    """The day's table as the page shows it: start -> column -> Wh."""
    page.goto(f"{pages}/household/{home}/day")
    rows = page.locator("#span-table").evaluate(
        """table => {
            const columns = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.dataset.s);
            return [...table.tBodies[0].rows].map((row) => [
                row.querySelector("a").getAttribute("href").split("/").pop(),
                columns.map((column, i) => [column, Number(row.cells[i + 1].dataset.v)]),
            ]);
        }"""
    )
    return {int(start): dict(cells) for start, cells in rows}


def test_a_household_and_the_operator_live_a_day_with_the_pages(
    start: Callable[..., Running], needs_firmware: None, page: Page
) -> None:
    demo = start("--homes", "4", "--speed", "0.3", "--days", "0.75")
    found = re.search(r"(http://localhost:\d+)/invitation/\S+", demo.until("open the pages"))
    assert found is not None
    pages = found[1]

    # The household gives to a neighbour whose name it sees.
    page.goto(found[0])
    home = page.url.rpartition("/")[2]
    page.goto(f"{pages}/household/{home}/offer")
    page.get_by_role("group", name="Give to them").get_by_label("Choice 1").select_option(NEIGHBOUR)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/offer?saved=on")

    # It reads, while the sun rises.
    page.goto(f"{pages}/household/{home}")
    demo.until("09:30-09:45")
    expect(page.locator("#sentence .lead")).to_contain_text(re.compile("You are (selling|giving)"))

    # It asks for more than neighbours pay.
    page.get_by_role("link", name="Change my offer").click()
    page.get_by_role("switch").first.check()
    page.get_by_role("textbox", name="Sell for at least").fill(str(LIMIT_CT))
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/offer?saved=on")
    applies = re.search(r"applies from .*(\d\d:\d\d)\son", page.get_by_role("status").first.inner_text())
    assert applies is not None
    demo.until(f"{applies[1]}-")
    page.goto(f"{pages}/household/{home}")
    expect(page.locator(".switches")).to_contain_text("30.0 ct")
    expect(page.locator("#sentence .lead")).to_contain_text("You are sending")
    rows = day_rows(page, pages, home)
    sold = [begin for begin, row in rows.items() if row["sold"] > 0]
    last_sold = max(sold)
    after = min(begin for begin, row in rows.items() if begin > last_sold)
    assert all(row["to-grid"] > 0 for begin, row in rows.items() if begin >= after), "there was enough to sell"
    page.goto(f"{pages}/household/{home}/interval/{after}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(applies[1])
    expect(page.locator(".sum-up")).to_contain_text("Nothing was traded with neighbours.")
    expect(page.locator("main")).to_contain_text("for at least 30.0 ct per kWh. 0.00 kWh were traded.")

    # It checks the last that it traded itself, and asks about it.
    page.get_by_role("link", name="Earlier").click()
    page.wait_for_url(f"**/interval/{last_sold}")
    expect(page.locator(".sum-up")).to_contain_text("given to neighbours for nothing.")
    expect(page.get_by_role("row", name=NEIGHBOUR)).to_contain_text("Given to neighbours")
    expect(page.get_by_role("row", name=NEIGHBOUR)).to_contain_text("0.0 ct")
    page.get_by_role("link", name="Check it in the browser").click()
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#verdict")).to_have_text("Every check holds.")
    assert page.locator("#checks li").count() > 5
    expect(page.locator("#checks .bad")).to_have_count(0)
    page.go_back()
    page.get_by_role("link", name="Ask about this interval").click()
    page.get_by_label("What seems wrong?").fill("Why was it no more?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("open")
    question = page.url

    # The month is not closed: what there is of it can be taken along all the same.
    page.get_by_role("link", name="Bills").click()
    page.get_by_role("link", name="See what there is").click()
    expect(page.locator(".notice")).to_contain_text("This is not a bill")
    with page.expect_download() as taken:
        page.get_by_role("link", name="PDF").click()
    assert taken.value.path().read_bytes().startswith(b"%PDF-")
    with page.expect_download() as taken:
        page.get_by_role("link", name="CSV for spreadsheets").click()
    lines = list(csv.reader(taken.value.path().read_text(encoding="utf-8-sig").splitlines()))
    assert len(lines) > 5 and len({len(line) for line in lines}) == 1

    # The operator's day.
    page.get_by_role("link", name="Operator", exact=True).click()
    expect(page.locator(".tiles").first).to_contain_text("4 of 4")
    expect(page.locator(".attention")).to_contain_text("1 question is open")
    page.get_by_role("link", name="Network").click()
    expect(page.locator(".quiet").first).to_contain_text("4 of 4 homes were heard")
    expect(page.locator(".tree svg")).to_be_visible()
    page.goto(f"{pages}/operator/intervals/{last_sold}")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("status")).to_contain_text("run again, it comes out exactly as it is stored")
    page.get_by_role("link", name="Corrections").first.click()
    expect(page.locator("#disputes blockquote")).to_have_text("Why was it no more?")
    page.get_by_label("Your answer").fill("The neighbours needed no more.")
    page.get_by_role("button", name="Send the answer").click()
    expect(page.locator("#disputes")).to_contain_text("No household is waiting for an answer.")
    page.goto(f"{pages}/operator/log")
    for deed in ("changed an offer", "asked a question", "answered a question"):
        expect(page.get_by_role("row", name=re.compile(deed))).to_have_count(2 if deed == "changed an offer" else 1)

    # The household reads the answer.
    page.goto(question)
    expect(page.get_by_role("heading", level=1)).to_contain_text("answered")
    expect(page.locator("main")).to_contain_text("The neighbours needed no more.")
