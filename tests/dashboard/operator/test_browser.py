"""The operator's pages in a browser: accessible in both languages, and following what the market settles."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import write_position
from market.service.gates import Gates
from market.service.projection import points_of
from tests.dashboard.conftest import Pages
from tests.dashboard.operator.conftest import SINCE

LAST = SINCE + 5 * 900
PLACES = [
    "", "/network", "/meters", "/meters/m001", "/intervals", f"/intervals/{LAST}",
    f"/intervals/{LAST}/under?mechanism=nodal", "/rules", "/members", "/corrections", "/audit", "/export", "/log",
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_page_is_accessible_and_fits_a_phone(browser: playwright.Browser, pages: Pages, language: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(pages.link("operator", language=language))
    for place in PLACES:
        page.goto(f"{pages.address}/operator{place}")
        assert page.evaluate("document.documentElement.lang") == language
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        assert found.violations_count == 0, f"{place}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, place
    assert said == []
    context.close()


def test_the_network_follows_what_is_settled(browser: playwright.Browser, pages: Pages) -> None:
    page = browser.new_page()
    page.goto(pages.link("operator"))
    page.goto(f"{pages.address}/operator/network")
    shown = page.locator(".when a")
    before = shown.get_attribute("href")
    assert before is not None
    start = int(before.rpartition("/")[2]) + 900
    record, series = Record(pages.store), EmbeddedSeries(pages.store / "series.sqlite")
    gates = Gates(record, grace_s=0.0)
    gates.tick(start + 900, 0.0)
    closed = gates.close_next()
    series.write(points_of(record, closed.gate))
    write_position(pages.store, "embedded", closed.gate.number)
    series.close()
    record.close()
    playwright.expect(shown).to_have_attribute("href", f"/operator/intervals/{start}", timeout=15_000)
    page.close()
