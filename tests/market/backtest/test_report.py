"""The report in a real Chromium, and the charts' arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from market.backtest import charts
from market.commands.main import main
from tests.parts import CHROMIUM_ARGUMENTS


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    grid = ["--grid", "1-LV-rural3--2-sw", "--from", "2016-06-01", "--to", "2016-08-31", "--fees"]
    assert main(["backtest", *grid, "--mechanism", "nodal", "bill-sharing", "--out", str(folder)]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_report_fits_and_asks_for_nothing(browser: Browser, report: Path, width: int, dark: bool) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", java_script_enabled=True
    )
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (complaints, asked) == ([], [report.as_uri()])
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(17, 21, 19)" if dark else "rgb(246, 245, 241)")
    for plot in page.locator(".plot > svg").all():
        assert plot.get_attribute("aria-label")
        box = plot.bounding_box()
        assert box is not None and box["width"] > 60 and box["height"] > 80
    # Shades differ, so that the map says something.
    fills = page.eval_on_selector_all(".heat-key rect", "all => all.slice(0, 8).map(e => getComputedStyle(e).fill)")
    assert len(set(fills)) == charts.SHADES
    context.close()


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 84.0], (0, 25, 50, 75, 100)),
        ([0.08, 0.3], (0, 0.1, 0.2, 0.3)),
        ([-3.0, 7.0], (-5, -2.5, 0, 2.5, 5, 7.5)),
        ([0.0], (0, 0.25, 0.5, 0.75, 1)),
        ([float("nan"), 2.0], (0, 0.5, 1, 1.5, 2)),
    ],
)
def test_axes_have_round_ticks_around_all_values(values: list[float], ticks: tuple[float, ...]) -> None:
    assert charts.axis(values).ticks == ticks


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([10.0, 3_503.0], (0, 400, 4_000)),
        ([-1_072.0, 1_481.0], (-1_500, 0, 1_500)),
        ([0.0, 0.0], (0, 1)),
        ([-5.0], (-5, -0.5, 0)),
    ],
)
def test_root_axes_name_an_end_and_a_tenth(values: list[float], ticks: tuple[float, ...]) -> None:
    found = charts.root_axis(values)
    assert found.ticks == ticks
    assert all(0 <= found.share(value) <= 1 for value in values)


def test_a_square_root_axis_is_one() -> None:
    axis = charts.Axis(0, 100, (0, 100), root=True)
    assert [axis.share(value) for value in (0, 1, 25, 100)] == [0, 0.1, 0.5, 1]


def test_a_heat_map_covers_each_hour_that_has_a_value_once() -> None:
    values = np.array([[1.0, 2.0], [1.0, np.nan], [8.0, 8.0]])
    text = charts.heat_map(values, "heat-traded")
    # Hour 0 is at the bottom: two days alike are one rectangle, the empty cell is none.
    assert 'shade-0" d="M0 1h2v1h-2z"' in text
    assert 'shade-1" d="M0 0h1v1h-1z"' in text
    assert 'shade-7" d="M2 1h1v1h-1zM2 0h1v1h-1z"' in text
    assert text.count("z") == 4


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1500, "1,500"), (-1500, "−1,500"), (0.25, "0.25"), (0.3, "0.3"), (2.5, "2.5")]
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert charts.number(value) == text
