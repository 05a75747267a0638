"""The household's pages in a real Chromium: drawn, followed, changed, and useful without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import playwright.sync_api as playwright
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.conftest import Pages, start_pages
from tests.dashboard.household.beside import Market

PAGES = ("", "/day", "/week", "/year", "/neighbours", "/offer?preview=on&min_sell_on=on&min_sell=25")
Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page that may not complain; keywords as of a browser's context."""
    contexts: list[playwright.BrowserContext] = []
    complaints: list[str] = []

    def open_page(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]  # as of new_context
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def fresh_pages(settled_store: Path, tmp_path: Path) -> Iterator[Pages]:
    pages = start_pages(settled_store, tmp_path / "store")
    yield pages
    pages.end()


def colours(page: Page) -> int:
    """How many colours the first chart has."""
    page.wait_for_selector("[data-chart] canvas")
    found: int = page.evaluate(
        """() => {
            const canvas = document.querySelector("[data-chart] canvas");
            const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            for (let i = 0; i < seen.length; i += 4) if (seen[i + 3] === 255) colours.add(seen.slice(i, i + 3).join());
            return colours.size;
        }"""
    )
    return found


@pytest.mark.parametrize(("width", "scheme", "language"), [(390, "dark", "ko"), (1280, "light", "en")])
def test_every_page_is_drawn_and_nothing_sticks_out(
    pages: Pages, opened: Open, width: int, scheme: str, language: str
) -> None:
    page = opened(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(pages.link("household", "h001", language))
    start = page.locator("#sentence a").get_attribute("href")
    for path in (*(f"/household/h001{path}" for path in PAGES), start):
        page.goto(f"{pages.address}{path}")
        for summary in page.locator("main summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if page.locator("[data-chart]").count():
            assert colours(page) > 3, path


def test_a_new_interval_changes_the_figures_in_place(fresh_pages: Pages, opened: Open) -> None:
    market = Market(fresh_pages.store)
    page = opened()
    page.goto(fresh_pages.link("household", "h001"))
    expect(page.locator("#link .is-live")).to_be_visible()
    expect(page.locator("#sentence .age")).to_contain_text("12:45\u201313:00")
    market.settle_next()
    expect(page.locator("#sentence .age")).to_contain_text("13:00\u201313:15")
    expect(page.locator("#sentence .lead")).to_contain_text("You are selling 2.0 kW to")
    page.goto(f"{fresh_pages.address}/household/h001/day")
    page.locator("summary", has_text="Every interval").click()
    page.locator('[data-key="Sold to neighbours"] summary').click()
    page.wait_for_selector("#chart canvas")
    rows = page.locator("#span-table tbody tr")
    expect(rows).to_have_count(7)
    before = page.locator('[data-key="Sold to neighbours"]').inner_text()
    market.settle_next()
    market.close()
    expect(rows).to_have_count(8)
    expect(page.locator("#span-table")).to_be_visible()
    tile = page.locator('[data-key="Sold to neighbours"]')
    expect(tile.locator("p")).to_be_visible()
    assert tile.inner_text() != before


def test_pointing_at_the_chart_reads_its_values(pages: Pages, opened: Open) -> None:
    page = opened(viewport={"width": 1280, "height": 900})
    page.goto(pages.link("household", "h001"))
    page.goto(f"{pages.address}/household/h001/day")
    over = page.locator("#chart .u-over").bounding_box()
    assert over is not None
    page.mouse.move(over["x"] + over["width"] * 12.1 / 24, over["y"] + 20)
    expect(page.locator("[data-read-when]")).to_have_text("12:00\u201312:15")
    row = page.locator("#span-table tbody tr", has_text="12:00\u201312:15")
    wh = int(row.locator("td").first.get_attribute("data-v") or "")
    shown = f"{wh * 4}\u00a0W" if wh < 250 else f"{wh * 4 / 1000:.1f}\u00a0kW"
    expect(page.locator('[data-read="generation"]')).to_have_text(shown)


def test_an_offer_is_tried_saved_and_holds_in_the_next_interval(fresh_pages: Pages, opened: Open) -> None:
    market = Market(fresh_pages.store)
    page = opened()
    page.goto(fresh_pages.link("household", "h001"))
    page.get_by_role("link", name="Change my offer").click()
    page.get_by_role("switch").first.check()
    page.get_by_role("textbox", name="Sell for at least").fill("25")
    page.get_by_role("textbox", name="Sell for at least").press("Tab")
    expect(page.locator("#what-if")).to_contain_text("less than it was")
    expect(page.locator("#what-if canvas")).to_be_visible()
    assert page.url.endswith("/offer"), "nothing was loaded anew"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Your offer applies from Mon 11 Jul 2016, 13:00 on.")
    assert "csrf" not in page.url
    result = market.settle_next()
    market.close()
    order = next(order for order in result["orders"] if order["order"] == "h001")
    assert (order["limit_ticks"], order["accepted_wh"]) == (25_000, 0)
    page.goto(f"{fresh_pages.address}/household/h001")
    expect(page.locator("#sentence .lead")).to_have_text("You are sending 2.0 kW to the grid.")
    expect(page.locator(".switches")).to_contain_text("25.0 ct")


def test_all_of_it_works_without_javascript(fresh_pages: Pages, opened: Open) -> None:
    page = opened(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page.goto(fresh_pages.link("household", "h001"))
    if "/invitation/" in page.url:
        page.locator("main button[type=submit]").first.click()
    expect(page.locator("#sentence .lead")).to_contain_text("You are")
    page.locator("#sentence a").click()
    expect(page.locator("#h-certificate")).to_be_visible()
    page.goto(f"{fresh_pages.address}/household/h001/week")
    expect(page.locator("#span-table tbody tr").first).to_be_visible()
    page.locator("#span-table a").first.click()
    page.wait_for_url("**/day?on=2016-07-11")
    page.goto(f"{fresh_pages.address}/household/h001/offer")
    page.get_by_role("switch").first.check()
    page.get_by_role("textbox", name="Sell for at least").fill("25")
    page.get_by_role("button", name="Show what last week").click()
    expect(page.locator("#what-if")).to_contain_text("less than it was")
    assert "csrf" not in page.url
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/offer?saved=on")
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
