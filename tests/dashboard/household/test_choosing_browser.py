"""Preferred partners and gifts in a real Chromium: chosen with and without JavaScript, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dashboard.accounts import Accounts
from market.record import Record
from tests.dashboard.accessible import watched
from tests.dashboard.conftest import Pages, start_pages
from tests.dashboard.household.beside import Market


@pytest.fixture
def partnered_pages(partnered_store: Path, tmp_path: Path) -> Iterator[Pages]:
    pages = start_pages(partnered_store, tmp_path / "store")
    for household in ("h003", "h005"):
        pages.link("household", household)
    yield pages
    pages.end()


def link(pages: Pages, language: str | None = None) -> str:
    """Signs in somebody of the first home, whose name, as everybody else's, is then shown."""
    found = pages.link("household", "h001", language)
    accounts = Accounts(pages.store)
    accounts.db.write("UPDATE account SET shown = 1")
    accounts.close()
    return found


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_pages_hold_for_everybody(browser: Browser, partnered_pages: Pages, language: str) -> None:
    record = Record(partnered_pages.store, read_only=True)
    start = record.first_start()
    record.close()
    with watched(browser, link(partnered_pages, language), language) as phone:
        for path in ("/offer?preview=on&prefer=h005&give=", f"/interval/{start}", "/neighbours", "/day", ""):
            assert phone.open(f"{partnered_pages.address}/household/h001{path}") == 200
            for summary in phone.page.locator("main summary").all():
                summary.click()
            assert phone.complaints + phone.misfits() == [], path
            assert phone.violations() + phone.violations(dark=True, colours_only=True) == [], path


def test_a_gift_is_tried_saved_and_given_in_the_next_interval(browser: Browser, partnered_pages: Pages) -> None:
    market = Market(partnered_pages.store)
    with watched(browser, link(partnered_pages)) as phone:
        page = phone.page
        page.goto(f"{partnered_pages.address}/household/h001/offer")
        gifts = page.get_by_role("group", name="Give to them")
        assert gifts.get_by_label("Choice 1").input_value() == "h003"
        page.get_by_role("textbox", name="Sell for at least").fill("nothing")
        page.get_by_role("switch").first.check()
        expect(page.locator("#what-if")).to_contain_text("A price is a number such as 21.5.")
        page.get_by_role("switch").first.uncheck()
        gifts.get_by_label("Choice 1").select_option("Home 5")
        # Home 3 left the first place for it, and can be chosen again; nobody stands twice.
        expect(gifts.get_by_label("Choice 2").locator("option[value=h005]")).to_be_disabled()
        gifts.get_by_label("Choice 2").select_option("Home 3")
        expect(page.locator("#what-if canvas")).to_be_visible()
        assert page.url.endswith("/offer"), "nothing was loaded anew"
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status").first).to_contain_text("Your offer applies from Mon 11 Jul 2016, 13:00 on.")
        result = market.settle_next()
        market.close()
        (gift,) = (row for row in result["partners"] if row["buyer"] == "h005")
        assert gift["gift"] and gift["seller"] == "h001"
        page.goto(f"{partnered_pages.address}/household/h001/interval/{result['start']}")
        row = page.get_by_role("row", name="Home 5")
        expect(row).to_contain_text("Given to neighbours")
        expect(row).to_contain_text("0.0 ct")
        expect(page.locator(".sum-up")).to_contain_text("given to neighbours for nothing.")


def test_saving_right_after_a_change_stores_once(browser: Browser, partnered_pages: Pages) -> None:
    with watched(browser, link(partnered_pages)) as phone:
        page, sent = phone.page, []
        page.goto(f"{partnered_pages.address}/household/h001/offer")
        page.on("request", lambda request: sent.append(request.method))
        # As if the answer took longer than the preview waits for further changes.
        page.evaluate("document.getElementById('offer').addEventListener('submit', (event) => event.preventDefault())")
        page.get_by_role("group", name="Give to them").get_by_label("Choice 2").select_option("Home 5")
        page.get_by_role("button", name="Save").click()
        page.wait_for_timeout(1_000)
        assert "POST" not in sent, "the form was held back, and nothing else stores"


def test_choosing_needs_no_javascript_and_no_mouse(browser: Browser, partnered_pages: Pages) -> None:
    with watched(browser, link(partnered_pages), java_script_enabled=False) as phone:
        page = phone.page
        if "/invitation/" in page.url:
            page.locator("main button[type=submit]").first.click()
        page.goto(f"{partnered_pages.address}/household/h001/offer")
        first = page.get_by_role("group", name="Trade with them first")
        first.get_by_label("Choice 2").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert [first.get_by_label(f"Choice {place}").input_value() for place in (1, 2, 3)] == ["h002", "h004", "h003"]
        page.get_by_role("button", name="Show what last week").press("Enter")
        expect(page.locator("#what-if tbody tr")).to_have_count(1)
        first.get_by_label("Choice 1").select_option("Home 3")
        page.get_by_role("button", name="Save").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("A neighbour stands twice in one list. Nothing was saved.")
        assert first.get_by_label("Choice 1").input_value() == "h003", "what was chosen stands there still"
        first.get_by_label("Choice 3").select_option("nobody")
        page.get_by_role("button", name="Save").press("Enter")
        page.wait_for_url("**/offer?saved=on")
        assert [first.get_by_label(f"Choice {place}").input_value() for place in (1, 2, 3)] == ["h003", "h004", ""]
