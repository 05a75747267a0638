"""The pages' pictures: python docs/picture.py [--of LINK] [--only NAME …]

Runs the demo for two simulated days and a half, takes pictures of its pages with Chromium and ends the demo; with
--of, of a demo that runs already, by the link it prints (it gets a question, an audit and invitations). The README's
picture is docs/household.png. Of every page docs/pages/all/ has one sheet: English above Korean, light beside dark, as
a window and as a phone; the pages that docs/dashboard.md shows lie larger in docs/pages/.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from dashboard.screenshot import ARGUMENTS, find_chromium, screenshot

DOCS = Path(__file__).resolve().parent
DAYS = 2 + 57 / 96
WINDOW, TALL, PHONE = (1280, 860), (1280, 1850), (390, 844)
LARGE_QUALITY, SHEET_QUALITY = 60, 30
SHEET_SCALE, GAP = 0.42, 10
"""Of a sheet: what becomes of a CSS pixel, and between pictures [px]."""
BETWEEN = (128, 128, 128)
TIMEOUT_MS, LONG_WORK_MS = 30_000, 300_000


@dataclass(frozen=True)
class Reader:
    """Who looks: a variant of every page."""

    language: str
    dark: bool
    phone: bool


READERS = [
    Reader(language, dark, phone) for language in ("en", "ko") for dark in (False, True) for phone in (False, True)
]


def window(language: str = "en", dark: bool = False) -> Reader:
    return Reader(language, dark, phone=False)


def phone(language: str = "en", dark: bool = False) -> Reader:
    return Reader(language, dark, phone=True)


@dataclass(frozen=True)
class Picture:
    """A page. In its path ``{start}`` is the newest interval, ``{export_wh}`` a little more than a meter said then."""

    name: str
    path: str
    large: Reader | None = None
    """Whose view of it lies in docs/pages, too."""
    act: Callable[[Page], None] | None = None
    """What the reader does there first."""
    see: str = "h1"
    """What has to be there first."""
    size: tuple[int, int] = WINDOW
    stranger: bool = False
    """Nobody is signed in."""


def click(selector: str) -> Callable[[Page], None]:
    return lambda page: page.click(selector)


def correct(page: Page) -> None:
    """See what a correction would change."""
    page.fill("#add [name=reason]", "read off the meter")
    page.click("#add button")


def invite(page: Page) -> None:
    """Invite somebody into a household."""
    form = page.locator("form.fields[action='/operator/invitations']")
    form.locator("[name=household]").fill("h002")
    form.locator("button").click()


def join(page: Page) -> None:
    """Let one more household in, in a place that another has."""
    form = page.locator("[action='/operator/members']").first
    form.locator("[name=node]").fill(page.locator("#nodes option").last.get_attribute("value") or "")
    form.locator("button").click()


def make_token(page: Page) -> None:
    page.locator("details:has([name=scopes]) summary").click()
    page.fill("#token-name", "Home Assistant")
    page.click("[action='/account/tokens'] button")


HOME = "/household/h001"
PICTURES = (
    Picture("now", HOME, phone("ko", dark=True)),
    Picture("day", f"{HOME}/day", window(dark=True), see="#chart canvas"),
    Picture("week", f"{HOME}/week", phone("ko"), see="#chart canvas"),
    Picture("month", f"{HOME}/month", see="#chart canvas"),
    Picture("year", f"{HOME}/year", see="#chart canvas"),
    Picture("interval", HOME + "/interval/{start}", window("ko")),
    Picture("neighbours", f"{HOME}/neighbours", phone()),
    Picture(
        "offer",
        f"{HOME}/offer?preview=on&min_sell_on=on&min_sell=25&prefer=h002",
        window(),
        see="#what-if canvas",
        size=TALL,
    ),
    Picture("advice", f"{HOME}/advice", phone(dark=True)),
    Picture("bills", f"{HOME}/bills"),
    Picture("bill", f"{HOME}/bills/2016-07", phone("ko")),
    Picture("disputes", f"{HOME}/disputes"),
    Picture("dispute", f"{HOME}/disputes/1"),
    Picture("dispute-new", HOME + "/disputes/new?start={start}"),
    Picture("verify", HOME + "/verify/{start}", phone(), act=click("#verify-now"), see="#verdict.good"),
    Picture("account", "/account"),
    Picture("operator", "/operator", window()),
    Picture("network", "/operator/network", window(dark=True), see="svg"),
    Picture("meters", "/operator/meters", window("ko")),
    Picture("meter", "/operator/meters/m001"),
    Picture("operator-intervals", "/operator/intervals"),
    Picture("operator-interval", "/operator/intervals/{start}"),
    Picture("under", "/operator/intervals/{start}/under?mechanism=nodal", window()),
    Picture("rules", "/operator/rules?month=2016-07", window()),
    Picture("members", "/operator/members", window("ko", dark=True)),
    Picture("corrections", "/operator/corrections", window()),
    Picture(
        "correction",
        "/operator/corrections?meter=m001&start={start}&export_wh={export_wh}",
        act=correct,
        see="dl.facts",
    ),
    Picture("export", "/operator/export"),
    Picture("audit", "/operator/audit"),
    Picture("log", "/operator/log"),
    Picture("public", "/", phone(), stranger=True),
    Picture("open", "/open", stranger=True),
    Picture("chain", "/chain", stranger=True),
    Picture("sign-in", "/sign-in", stranger=True),
    Picture("invitation", "{invitation}", stranger=True),
    Picture("not-there", "/nothing", stranger=True),
    Picture("offline", "/offline", stranger=True),
)
LEAVING = (
    Picture("token", "/account", act=make_token, see="code"),
    Picture("invited", "/operator/members", act=invite, see=".code svg"),
)
"""What leaves something behind that would be seen on the others."""
JOINED = (Picture("joined", "/operator/members", act=join, see=".code svg"),)
"""Only where the store has a broker of its own, which a demo has not."""


@dataclass(frozen=True)
class Demo:
    """A demo to look at: the link that signs in, and what pictures' paths are filled with."""

    link: str
    places: dict[str, str]

    @property
    def address(self) -> str:
        return self.link.partition("/invitation/")[0]


def prepare(page: Page, link: str) -> Demo:
    """What the pages are to show beside a quiet street: a question, an audit, a month under other rules, a guest."""
    page.goto(link)
    address = link.partition("/invitation/")[0]
    start = (page.locator("#sentence a").get_attribute("href") or "").rpartition("/")[2]
    page.goto(f"{address}{HOME}/disputes")
    if not page.locator("main ul.plain").count():
        page.goto(f"{address}{HOME}/disputes/new?start={start}")
        page.fill("#text", "The oven was on, and the page shows less than the meter. Which is right?")
        page.click("form.form button")
    for place in ("/operator/audit", "/operator/rules?month=2016-07"):
        page.goto(address + place)
        if not page.locator("dl.tiles").count():
            page.click("main form[method=post] button")
            page.wait_for_selector("dl.tiles", timeout=LONG_WORK_MS)
    page.goto(f"{address}/operator/members")
    invite(page)
    invitation = page.locator(".once a").first.get_attribute("href") or ""
    readings = page.request.get(f"{address}/api/1/operator/meters/m001").json()["readings"]
    newest = dict(zip(readings["columns"], readings["rows"][0], strict=True))
    places = {
        "start": start,
        "invitation": invitation.removeprefix(address),
        "export_wh": str(newest["export_wh"] + 50),
    }
    return Demo(link, places)


def shoot(context: BrowserContext, demo: Demo, picture: Picture, reader: Reader) -> bytes:
    """One page as one reader sees it, as PNG."""
    page = context.pages[0]
    width, height = PHONE if reader.phone else picture.size
    page.set_viewport_size({"width": width, "height": height})
    page.goto(demo.address + picture.path.format(**demo.places))
    if picture.act is not None:
        picture.act(page)
    page.locator(picture.see).first.wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    return page.screenshot()


def sheet(shots: dict[Reader, bytes], out: Path) -> None:
    """All readers' views of a page: English above Korean, light left of dark, each as a window and as a phone."""
    small: dict[Reader, Image.Image] = {}
    for reader, shot in shots.items():
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        width = round((PHONE[0] if reader.phone else WINDOW[0]) * SHEET_SCALE)
        small[reader] = image.resize((width, image.height * width // image.width), Image.Resampling.LANCZOS)
    tallest = max(image.height for image in small.values())
    columns = [small[reader].width for reader in READERS[:4]]
    whole = Image.new("RGB", (sum(columns) + 3 * GAP, 2 * tallest + GAP), BETWEEN)
    for place, reader in enumerate(READERS):
        row, column = divmod(place, 4)
        whole.paste(small[reader], (sum(columns[:column]) + column * GAP, row * (tallest + GAP)))
    whole.save(out, "WEBP", quality=SHEET_QUALITY, method=6)


@contextmanager
def reading(browser: Browser, reader: Reader, link: str | None) -> Iterator[BrowserContext]:
    """A browser as ``reader`` has it, signed in by ``link``."""
    context = browser.new_context(
        device_scale_factor=1.5 if reader.phone else 1,
        color_scheme="dark" if reader.dark else "light",
        reduced_motion="reduce",
        locale=reader.language,
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    if link is not None:
        page.goto(link)
    yield context
    if link is not None:
        page.goto(link.partition("/invitation/")[0] + "/account")
        page.click("[action='/sign-out'] button")
    context.close()


def take(browser: Browser, demo: Demo, pictures: Collection[Picture]) -> None:
    """Write the pictures."""
    shots: dict[str, dict[Reader, bytes]] = {picture.name: {} for picture in pictures}
    for reader in READERS:
        for stranger in (False, True):
            theirs = [picture for picture in pictures if picture.stranger == stranger]
            if not theirs:
                continue
            with reading(browser, reader, None if stranger else demo.link) as context:
                for picture in theirs:
                    shots[picture.name][reader] = shoot(context, demo, picture, reader)
    for picture in pictures:
        sheet(shots[picture.name], DOCS / "pages" / "all" / f"{picture.name}.webp")
        if picture.large is not None:
            large = Image.open(io.BytesIO(shots[picture.name][picture.large])).convert("RGB")
            large.save(DOCS / "pages" / f"{picture.name}.webp", "WEBP", quality=LARGE_QUALITY, method=6)
        print(picture.name, flush=True)


def take_all(link: str, only: Collection[str], store: Path | None) -> None:
    """Write the pictures; those for which somebody joins only when the ``store`` is ours."""
    (DOCS / "pages" / "all").mkdir(parents=True, exist_ok=True)
    if not only:
        screenshot(f"{link.partition('/invitation/')[0]}{HOME}", DOCS / "household.png", enter=link)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        with reading(browser, window(), None) as context:
            demo = prepare(context.pages[0], link)
        for pictures in (PICTURES, LEAVING, JOINED):
            wanted = [picture for picture in pictures if not only or picture.name in only]
            if pictures is JOINED and wanted:
                if store is None:
                    continue
                pumasi("broker", "init", "--store", str(store), "--host", "localhost")
            take(browser, demo, wanted)
        browser.close()


def pumasi(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "market.commands", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description="The pages' pictures.")
    parser.add_argument("--of", metavar="LINK", help="the link of a demo that runs already")
    known = [picture.name for picture in (*PICTURES, *LEAVING, *JOINED)]
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=known, default=(), help="these alone")
    chosen = parser.parse_args()
    if chosen.of is not None:
        take_all(chosen.of, chosen.only, None)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "demo"
        command = [sys.executable, "-m", "market.commands", "demo", "--store", str(store), "--port", "0"]
        demo = subprocess.Popen(
            [*command, "--days", str(DAYS), "--speed", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert demo.stdout is not None
            for line in demo.stdout:
                found = re.search(r"the days are over.* (http://localhost:\d+/invitation/\S+)", line)
                if found:
                    take_all(found[1], chosen.only, store)
                    return
            sys.exit("the demo ended before its days were over")
        finally:
            demo.terminate()
            demo.wait(10)


if __name__ == "__main__":
    main()
