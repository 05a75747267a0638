"""The page in a real Chromium: drawn, live, quiet, and useful without JavaScript."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard.conftest import ROOT, Served
from tests.parts import CHROMIUM_ARGUMENTS

WIDTHS = [390, 1280]


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """A page with all it complained about and asked for."""

    def __init__(self, browser: Browser, width: int = 1280, *, dark: bool = False, javascript: bool = True) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))


def drawn(page: Page) -> None:
    page.wait_for_selector("#chart[data-drawn] canvas", timeout=10_000)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_drawn_without_complaint(browser: Browser, served: Served, width: int, dark: bool) -> None:
    visit = Visit(browser, width, dark=dark)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    drawn(page)
    expect(page.locator("#link .is-live")).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()
    assert visit.complaints == []
    assert {urlsplit(url).netloc for url in visit.asked} == {served.host}
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    backdrop = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in backdrop.removeprefix("rgb(").rstrip(")").split(",")) < 200) == dark
    painted = page.evaluate(
        """() => {
            const canvas = document.querySelector("#chart canvas");
            const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            for (let i = 0; i < seen.length; i += 4) if (seen[i + 3] === 255) colours.add(seen.slice(i, i + 3).join());
            return colours.size;
        }"""
    )
    assert painted > 5
    visit.context.close()


def test_a_new_interval_changes_the_figures_in_place(browser: Browser, served: Served) -> None:
    visit = Visit(browser)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    drawn(page)
    page.locator("summary", has_text="How this is computed").click()
    assert "14:00" in page.locator("#flow figcaption").inner_text()
    before = page.locator("#money-lines").inner_text()
    served.settle()
    expect(page.locator("#flow figcaption")).to_contain_text("14:15", timeout=5_000)
    expect(page.locator("#chart")).to_have_attribute("data-drawn", "2")
    assert page.locator("#money-lines").inner_text() != before
    expect(page.locator("#money-lines")).to_be_visible()
    assert page.locator("#day-table tbody tr").count() == 58
    for _ in range(3):
        served.settle()
    expect(page.locator("#flow figcaption")).to_contain_text("15:00", timeout=5_000)
    assert visit.complaints == []
    visit.context.close()


def test_a_past_day_stays_while_now_moves_on(browser: Browser, served: Served) -> None:
    visit = Visit(browser)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    drawn(page)
    page.locator("#previous-day").click()
    page.wait_for_url("**day=2016-07-10")
    drawn(page)
    served.settle()
    expect(page.locator("#flow figcaption")).to_contain_text("14:15", timeout=5_000)
    expect(page.locator("#day-heading h2")).to_have_text("Sunday, 10 July 2016")
    assert page.locator("#day-table tbody tr").count() == 96
    visit.context.close()


def test_pointing_at_the_chart_reads_its_values(browser: Browser, served: Served) -> None:
    visit = Visit(browser)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    drawn(page)
    page.locator("#chart").scroll_into_view_if_needed()
    box = page.locator("#chart .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 12.1 / 24, box["y"] + 20)
    expect(page.locator("#chart-when")).to_have_text("12:00\u201312:15")
    row = page.locator("#day-table tbody tr", has_text="12:00\u201312:15")
    kwh = float(row.locator("td").nth(0).text_content() or "")
    expect(page.locator('[data-column="generation_w"]')).to_have_text(f"{kwh * 4:.1f}\u00a0kW")
    visit.context.close()


def test_choosing_a_home_with_a_pointer_and_with_the_keyboard(browser: Browser, served: Served) -> None:
    visit = Visit(browser)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    page.locator("#household").select_option("h004")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/household/h004")
    assert page.locator("h1").inner_text() == "Home 4"
    visit.context.close()


def test_it_is_useful_without_javascript(browser: Browser, served: Served) -> None:
    visit = Visit(browser, 390, javascript=False)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    assert "Selling" in page.locator("#sentence").inner_text()
    page.locator("summary", has_text="The same as a table").click()
    expect(page.locator("#day-table tbody tr").first).to_be_visible()
    page.locator("summary", has_text="How this is computed").click()
    expect(page.locator("#money-lines")).to_be_visible()
    page.locator("#household").select_option("h002")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/household/h002")
    page.locator("#previous-day").click()
    page.wait_for_url("**day=2016-07-10")
    assert {urlsplit(url).netloc for url in visit.asked} == {served.host}
    visit.context.close()


def test_the_page_says_when_the_connection_is_lost(browser: Browser, served: Served) -> None:
    visit = Visit(browser)
    page = visit.page
    page.goto(f"{served.address}/household/h003")
    expect(page.locator("#link .is-live")).to_be_visible()
    served.process.terminate()
    expect(page.locator("#link .is-lost")).to_be_visible(timeout=5_000)
    visit.context.close()


def test_the_screenshot_command(chromium_path: Path, served: Served, tmp_path: Path) -> None:
    out = tmp_path / "page.png"
    command = [sys.executable, "-m", "dashboard.screenshot", f"{served.address}/household/h003", str(out)]
    command += ["--width", "390", "--chromium", str(chromium_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    header = out.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", header[16:])
    assert width == 390
    assert height > 1500
    served.process.kill()
    served.process.wait()
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("screenshot: http://localhost:")
    assert failed.stderr.count("\n") == 1
