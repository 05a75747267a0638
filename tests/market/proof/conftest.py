"""The page that checks proofs, in a real Chromium, as a person would open it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.parts import CHROMIUM_ARGUMENTS


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def locale() -> str:
    """The language of the person's browser."""
    return "en-US"


@pytest.fixture
def page(browser: Browser, tmp_path: Path, locale: str) -> Iterator[Page]:
    """A file on their own disk, without a network."""
    path = tmp_path / "verify.html"
    path.write_text(files("market.proof").joinpath("verify.html").read_text(encoding="utf-8"))
    context = browser.new_context(offline=True, locale=locale)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    context.close()
