"""Holding a page against WCAG 2.2 AA with axe-core, and counting what it loads, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TARGETS = "button, .button, nav a, select, input:not([type=hidden], [type=checkbox], [type=radio])"
LEAST_PX = 44
"""Height of a target; links in running text may be as high as the text."""


@dataclass
class Watched:
    """A page with what it asked for since ``loaded`` was last emptied: address -> bytes as they were sent."""

    page: Page
    loaded: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str) -> int:
        """Load it as if for the first time; returns its status."""
        self.loaded.clear()
        self.complaints.clear()
        answer = self.page.goto(address, wait_until="load")
        assert answer is not None
        return answer.status

    def violations(self, *, dark: bool = False, colours_only: bool = False) -> list[str]:
        """What breaks WCAG 2.2 AA, as a reader who prefers light or dark pages sees it."""
        options: dict[str, Any] = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
        if colours_only:
            options["runOnly"] = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
        self.page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        found = self.page.evaluate("options => axe.run(options)", options)
        return [
            f"{broken['id']}: {' '.join(node['target'])}: {node['failureSummary']}"
            for broken in found["violations"]
            for node in broken["nodes"]
        ]

    def misfits(self) -> list[str]:
        """What makes the page wider than its window, and targets that a finger misses."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        small: list[str] = self.page.evaluate(
            """([targets, least]) => [...document.querySelectorAll(targets)]
                .map((one) => [one, one.getBoundingClientRect()])
                .filter(([one, box]) => box.width > 1 && box.height > 1 && box.height < least - 0.5)
                .map(([one, box]) => `${Math.round(box.height)} px high: ${one.outerHTML.slice(0, 100)}`)""",
            [TARGETS, LEAST_PX],
        )
        return [f"{wide} px wider than the window", *small] if wide > 0 else small


@contextmanager
def watched(browser: Browser, link: str | None = None, language: str = "en", **options: Any) -> Iterator[Watched]:
    """A phone whose reader signed in by ``link``. Nothing is kept from one page to the next."""
    context = browser.new_context(viewport=PHONE, locale=language, service_workers="block", **options)
    page = context.new_page()
    seen = Watched(page)
    addresses: dict[str, str] = {}
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def asked(event: dict[str, Any]) -> None:
        addresses[event["requestId"]] = event["request"]["url"]
        seen.loaded.setdefault(event["request"]["url"], 0)

    def came(event: dict[str, Any]) -> None:
        address = addresses.get(event["requestId"], "")
        seen.loaded[address] = seen.loaded.get(address, 0) + int(event["encodedDataLength"])

    network.on("Network.requestWillBeSent", asked)
    network.on("Network.loadingFinished", came)
    page.on("console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    # Pages do not allow it themselves: their policy lets in no script from elsewhere.
    page.add_init_script(AXE_SCRIPT)
    if link is not None:
        page.goto(link)
    yield seen
    context.close()
