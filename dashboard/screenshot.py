"""A picture of a page:  python -m dashboard.screenshot URL OUT.png [--enter LINK] [--width 390] [--dark]

Uses playwright with a Chromium that is on the machine or unpacked below `.parts/`; no browser is
downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
UNPACKED = Path(__file__).resolve().parents[1] / ".parts" / "chromium" / "bin" / "chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync")
HEIGHT = 900
TIMEOUT_MS = 15_000


class ScreenshotError(Exception):
    """No picture was made; the message is one line."""


def find_chromium() -> Path | None:
    """Chromium on PATH or unpacked below `.parts/`."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is not None:
        return Path(found)
    return UNPACKED if os.access(UNPACKED, os.X_OK) else None


def screenshot(
    url: str,
    out: Path,
    *,
    enter: str | None = None,
    width: int = 1280,
    dark: bool = False,
    language: str = "en",
    scale: float = 1.0,
    chromium: Path | None = None,
) -> None:
    """Write a full-page PNG once the chart is drawn; `enter` is opened first, a link that signs in. ScreenshotError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ScreenshotError("playwright is not installed: pip install playwright") from None
    program = chromium or find_chromium()
    if program is None:
        raise ScreenshotError("no Chromium on PATH or below .parts/ (python tests/parts.py chromium)")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
            try:
                page = browser.new_page(
                    viewport={"width": width, "height": HEIGHT},
                    device_scale_factor=scale,
                    color_scheme="dark" if dark else "light",
                    reduced_motion="reduce",
                    locale=language,
                )
                if enter is not None:
                    page.goto(enter, timeout=TIMEOUT_MS)
                page.goto(url, timeout=TIMEOUT_MS)
                # Event streams never let the network fall idle: wait for what is to be seen.
                if page.locator("#chart").count():
                    page.wait_for_selector("#chart[data-drawn] canvas", timeout=TIMEOUT_MS)
                page.screenshot(path=out, full_page=True)
            finally:
                browser.close()
    except Error as error:
        raise ScreenshotError(f"{url}: {str(error).splitlines()[0]}") from error


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 and one line when there is no picture."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.screenshot", description="A picture of a page.")
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--enter", metavar="LINK", help="open this first: a link that signs in, as pumasi demo prints it"
    )
    parser.add_argument("--language", default="en", help="the reader's: en (default) or ko")
    parser.add_argument("--width", type=int, default=1280, help="CSS pixels: 1280 (default), 390 for a phone")
    parser.add_argument("--dark", action="store_true", help="as a reader who prefers dark pages sees it")
    parser.add_argument("--scale", type=float, default=1.0, help="device pixels for each CSS pixel")
    parser.add_argument("--chromium", type=Path, help="the browser's program, instead of the one found")
    chosen = parser.parse_args(arguments)
    try:
        screenshot(
            chosen.url,
            chosen.out,
            enter=chosen.enter,
            width=chosen.width,
            dark=chosen.dark,
            language=chosen.language,
            scale=chosen.scale,
            chromium=chosen.chromium,
        )
    except ScreenshotError as error:
        print(f"screenshot: {error}", file=sys.stderr)
        return 1
    print(chosen.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
