"""The frame in a real Chromium: passkeys, the installed pages without a connection, and nothing that complains."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.dashboard.conftest import ROOT, Pages, start_pages

WORDS = "three small green kettles"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB", viewport={"width": 390, "height": 800})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that may not complain."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    yield page
    expected = ("ERR_CONNECTION_REFUSED", "Clear-Site-Data header on", "422 (", "403 (")
    assert [complaint for complaint in complaints if not any(said in complaint for said in expected)] == []


def authenticator(context: BrowserContext, page: Page, verifies: bool = True) -> Any:
    """A phone's own passkeys, as Chromium plays them; ``verifies``: the finger is the right one."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": verifies, "automaticPresenceSimulation": True}
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def test_a_passkey_makes_an_account_and_opens_it_again(context: BrowserContext, page: Page, pages: Pages) -> None:
    session, number = authenticator(context, page)
    page.goto(pages.invitation("household", "h001"))
    page.get_by_label("Name", exact=True).fill("Mina")
    page.get_by_role("button", name="Continue with a passkey").click()
    page.wait_for_url("**/household/h001")
    (kept,) = session.send("WebAuthn.getCredentials", {"authenticatorId": number})["credentials"]
    assert (kept["isResidentCredential"], kept["rpId"]) == (True, "localhost")
    page.goto(f"{pages.address}/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.goto(f"{pages.address}/household/h001/bills")
    assert "/sign-in?next=" in page.url
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/household/h001/bills")
    page.goto(f"{pages.address}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Mina")
    page.get_by_role("button", name="End the passkey Passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("only way to sign in")
    session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": number})
    authenticator(context, page)
    page.get_by_label("Name of the new passkey").fill("my phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("button", name="End the passkey my phone")).to_be_visible()
    page.get_by_role("button", name="End the passkey Passkey").click()
    expect(page.get_by_role("button", name="End the passkey my phone")).to_be_visible()
    expect(page.get_by_role("button", name="End the passkey Passkey")).to_have_count(0)


def test_a_passkey_that_was_ended_or_not_verified_opens_nothing(
    context: BrowserContext, page: Page, pages: Pages
) -> None:
    session, number = authenticator(context, page)
    page.goto(pages.link("household", "h002"))
    page.goto(f"{pages.address}/account")
    for name in ("one", "two"):
        page.get_by_label("Name of the new passkey").fill(name)
        if name == "two":
            session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": number})
            session, number = authenticator(context, page)
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_role("button", name=f"End the passkey {name}")).to_be_visible()
    page.get_by_role("button", name="End the passkey two").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.goto(f"{pages.address}/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    session.send("WebAuthn.setUserVerified", {"authenticatorId": number, "isUserVerified": False})
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was made or used")
    assert page.url.endswith("/sign-in")


def test_a_password_needs_no_javascript(browser: Browser, pages: Pages) -> None:
    context = browser.new_context(locale="ko-KR", java_script_enabled=False)
    page = context.new_page()
    page.goto(pages.invitation("household", "h003"))
    assert page.locator("html").get_attribute("lang") == "ko"
    page.locator("#name").fill("민아")
    page.locator("#password").fill(WORDS)
    page.locator("#again").fill(WORDS)
    page.get_by_role("button", name="이 비밀번호로 계속하기").click()
    assert page.url.endswith("/household/h003")
    page.goto(f"{pages.address}/account")
    page.get_by_role("button", name="로그아웃", exact=True).click()
    page.goto(f"{pages.address}/sign-in?next=/account")
    page.locator("#name").fill("민아")
    page.locator("#password").fill(WORDS)
    page.get_by_role("button", name="로그인", exact=True).click()
    assert page.url.endswith("/account")
    page.get_by_role("link", name="English").click()
    assert page.url.endswith("/account")
    assert page.locator("html").get_attribute("lang") == "en"
    context.close()


def test_under_an_address_the_page_says_what_to_open_instead(page: Page, pages: Pages) -> None:
    page.goto(pages.address.replace("localhost", "127.0.0.1") + "/sign-in")
    expect(page.locator("#without")).to_contain_text("localhost instead")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    expect(page.get_by_label("Password")).to_be_visible()


def test_the_pages_can_be_installed(context: BrowserContext, page: Page, pages: Pages) -> None:
    page.goto(pages.link("household", "h001"))
    controlled(page)
    session = context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert manifest["url"].startswith(pages.address)
    # The window is a private one, in which nothing can be installed; nothing else is wrong.
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in errors} <= {"in-incognito"}


def controlled(page: Page) -> None:
    """Until the service worker sees what this page asks for."""
    page.evaluate(
        """() => navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller
             || new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", () => done(1))))"""
    )


def kept_pages(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        """async () => (await caches.has("pages-1"))
             ? (await (await caches.open("pages-1")).keys()).map((kept) => new URL(kept.url).pathname) : []"""
    )
    return found


@pytest.fixture
def short_lived(settled_store: Path, tmp_path: Path) -> Iterator[Pages]:
    """Pages that a test may end."""
    pages = start_pages(settled_store, tmp_path / "store")
    yield pages
    pages.end()


def test_the_last_figures_are_there_without_a_connection(
    context: BrowserContext, page: Page, short_lived: Pages
) -> None:
    page.goto(short_lived.link("household", "h001"))
    controlled(page)
    home = f"{short_lived.address}/household/h001"
    page.goto(home)
    online = page.locator("h1").inner_text()
    expect(page.locator("#offline")).to_be_hidden()
    assert "/household/h001" in kept_pages(page)
    short_lived.end()
    page.goto(home)
    assert page.locator("h1").inner_text() == online
    expect(page.locator("#offline")).to_contain_text("No connection. These figures are of")
    expect(page.locator("#offline")).to_contain_text(
        re.compile(r"\d{4}, \d\d:\d\d \((this minute|in 0 minutes|0 minutes ago|\d minutes? ago)\)")
    )
    page.goto(f"{short_lived.address}/household/h001/advice")
    expect(page.get_by_role("heading", level=1)).to_have_text("No connection")


def test_nothing_is_kept_for_the_next_one_at_the_device(context: BrowserContext, page: Page, pages: Pages) -> None:
    page.goto(pages.link("household", "h001"))
    controlled(page)
    page.goto(f"{pages.address}/household/h001")
    assert "/household/h001" in kept_pages(page)
    page.goto(f"{pages.address}/account")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(re.compile(r"/$"))
    assert kept_pages(page) == []
    # And where somebody else comes in without the first having signed out.
    page.goto(pages.link("household", "h001"))
    page.goto(f"{pages.address}/household/h001")
    controlled(page)
    page.goto(f"{pages.address}/household/h001")
    assert "/household/h001" in kept_pages(page)
    page.goto(pages.link("household", "h002"))
    page.goto(f"{pages.address}/household/h002")
    assert [path for path in kept_pages(page) if "h001" in path] == []
    # Nor does an operator leave a household's figures behind.
    page.goto(pages.link("operator"))
    page.goto(f"{pages.address}/household/h003")
    assert [path for path in kept_pages(page) if "h003" in path] == []


def test_keys_are_enough(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.address}/sign-in")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert {"name", "password", "Sign in", "한국어"} <= reached


def test_the_screenshot_command(chromium_path: Path, short_lived: Pages, tmp_path: Path) -> None:
    out = tmp_path / "page.png"
    command = [sys.executable, "-m", "dashboard.screenshot", f"{short_lived.address}/account", str(out)]
    command += ["--enter", short_lived.link("household", "h001"), "--width", "390", "--chromium", str(chromium_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    header = out.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", header[16:])
    assert width == 390
    assert height > 1500
    short_lived.end()
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("screenshot: http://localhost:")
    assert failed.stderr.count("\n") == 1
