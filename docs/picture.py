"""The pages' pictures: python docs/picture.py [--of LINK]

Runs the demo for two simulated days and a half, takes pictures of its pages with Chromium and ends the demo; with
--of, of a demo that runs already, by the link it prints. The README's picture is docs/household.png, the others lie in
docs/pages/.
"""

from __future__ import annotations

import argparse
import base64
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from dashboard.screenshot import ARGUMENTS, find_chromium, screenshot

DOCS = Path(__file__).resolve().parent
DAYS = 2 + 57 / 96
DESKTOP, TALL, PHONE = (1280, 860), (1280, 1280), (390, 844)
QUALITY = 70
TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class Picture:
    """A page as one reader sees it; ``{start}`` in its path is the newest interval."""

    name: str
    path: str
    size: tuple[int, int] = PHONE
    language: str = "en"
    dark: bool = False
    click: str = ""
    """A button's name: what it does belongs into the picture."""
    see: str = "h1"
    """What has to be there first; it is scrolled to when it lies below."""


PICTURES = (
    Picture("now", "/household/h001", language="ko", dark=True),
    Picture("day", "/household/h001/day", DESKTOP, dark=True, see="#chart canvas"),
    Picture("week", "/household/h001/week", language="ko", see="#chart canvas"),
    Picture("neighbours", "/household/h001/neighbours"),
    Picture("offer", "/household/h001/offer?preview=on&min_sell_on=on&min_sell=25", TALL, see="#what-if canvas"),
    Picture("bill", "/household/h001/bills/2016-07", language="ko"),
    Picture("advice", "/household/h001/advice", dark=True),
    Picture("interval", "/household/h001/interval/{start}", DESKTOP, language="ko"),
    Picture("verify", "/household/h001/verify/{start}", click="verify-now", see="#verdict.good"),
    Picture("operator", "/operator", DESKTOP),
    Picture("network", "/operator/network", DESKTOP, dark=True, see="svg"),
    Picture("meters", "/operator/meters", DESKTOP, language="ko"),
    Picture("under", "/operator/intervals/{start}/under?mechanism=nodal", DESKTOP),
    Picture("members", "/operator/members", DESKTOP, language="ko", dark=True),
    Picture("public", "/"),
)


def take(browser: Browser, link: str, picture: Picture) -> Path:
    """Write one picture."""
    address = link.partition("/invitation/")[0]
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=1.5 if picture.size == PHONE else 1,
        color_scheme="dark" if picture.dark else "light",
        reduced_motion="reduce",
        locale=picture.language,
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(link)
    newest = page.locator("#sentence a").get_attribute("href") or ""
    page.goto(address + picture.path.format(start=newest.rpartition("/")[2]))
    if picture.click:
        page.click(f"#{picture.click}")
    page.locator(picture.see).first.scroll_into_view_if_needed()
    out = DOCS / "pages" / f"{picture.name}.webp"
    out.write_bytes(webp(page))
    context.close()
    return out


def webp(page: Page) -> bytes:
    """What the window shows: playwright itself writes no WebP."""
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(taken["data"])


def take_all(link: str) -> None:
    """Write all pictures."""
    screenshot(f"{link.partition('/invitation/')[0]}/household/h001", DOCS / "household.png", enter=link)
    (DOCS / "pages").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        for picture in PICTURES:
            print(take(browser, link, picture), flush=True)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="The pages' pictures.")
    parser.add_argument("--of", metavar="LINK", help="the link of a demo that runs already")
    link = parser.parse_args().of
    if link is not None:
        take_all(link)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "market.commands", "demo", "--store", f"{folder}/demo", "--port", "0"]
        demo = subprocess.Popen(
            [*command, "--days", str(DAYS), "--speed", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert demo.stdout is not None
            for line in demo.stdout:
                found = re.search(r"the days are over.* (http://localhost:\d+/invitation/\S+)", line)
                if found:
                    take_all(found[1])
                    return
            sys.exit("the demo ended before its days were over")
        finally:
            demo.terminate()
            demo.wait(10)


if __name__ == "__main__":
    main()
