"""Every page for everybody: WCAG 2.2 AA in both languages, light and dark, by keyboard alone, and quick to load.

The pages are those of the OpenAPI document that answer with HTML: a new one is looked at without being named here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from dashboard import words
from dashboard.accounts import Accounts, passwords, people
from dashboard.bills import disputes
from tests.dashboard.accessible import DESKTOP, PHONE, Watched, watched
from tests.dashboard.conftest import Pages
from tests.dashboard.contract import Operation, operations
from tests.dashboard.signed import People

HOUSEHOLD = "h001"
MOST_BYTES = 150_000
"""What a page loads in all, compressed."""
NOT_TO_BE_LOOKED_AT = {"/verifier.html", "/start", "/language", "/household/{household}/live"}
"""A file to keep, addresses that lead elsewhere, a part of a page."""
ASKED_WITH = {"/operator/intervals/{start}/under": "?mechanism=nodal"}
FOR_NOBODY_SIGNED_IN = ("/sign-in", "/invitation/", "/offline")


def is_page(operation: Operation) -> bool:
    answer = operation.details["responses"].get("200", {})
    return operation.safe and "text/html" in answer.get("content", {}) and operation.path not in NOT_TO_BE_LOOKED_AT


@pytest.fixture(scope="module")
def asked(pages: Pages) -> None:
    """A question that was answered, so that there is one to look at."""
    accounts = Accounts(pages.store)
    disputes.begin(accounts.db)
    made = disputes.open_dispute(accounts.db, HOUSEHOLD, "Kim", "Why so much?", 0, month="2016-07")
    assert made.number == 1
    disputes.answer(accounts.db, 1, "Op", "A new fridge.", 0)
    accounts.close()


@pytest.fixture(scope="module")
def paths(settled_people: People) -> list[str]:
    pages = [one for one in operations(settled_people.app) if is_page(one)]
    found = [one.url(HOUSEHOLD) + ASKED_WITH.get(one.path, "") for one in pages]
    assert len(found) > 20
    return found


def look_at(phone: Watched, address: str, path: str, expected: int = 200) -> Iterator[str]:
    status = phone.open(address + path)
    if status != expected:
        yield f"{path}: {status}"
        return
    if status == 200:
        yield from (f"{path}: {complaint}" for complaint in phone.complaints)
    # One language all light and its colours dark, the other all dark: colours are the same in both.
    dark = phone.page.locator("html").get_attribute("lang") != words.FIRST_LANGUAGE
    broken = phone.violations(dark=dark)
    broken += [] if dark else phone.violations(dark=True, colours_only=True)
    yield from (f"{path}: {one}" for one in broken)
    yield from (f"{path}: {misfit}" for misfit in phone.misfits())
    phone.page.set_viewport_size(DESKTOP)
    yield from (f"{path} (desktop): {misfit}" for misfit in phone.misfits())
    phone.page.set_viewport_size(PHONE)
    yield from (f"{path}: asks {url}" for url in phone.loaded if not url.startswith((address, "data:")))
    if sum(phone.loaded.values()) > MOST_BYTES:
        yield f"{path}: loads {sum(phone.loaded.values())} bytes: {phone.loaded}"


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_page_of_who_is_signed_in(browser: Browser, pages: Pages, paths: list[str], language: str) -> None:
    with watched(browser, pages.link("operator", HOUSEHOLD, language), language) as phone:
        found = [
            broken
            for path in paths
            if not path.startswith(FOR_NOBODY_SIGNED_IN)
            for broken in look_at(phone, pages.address, path)
        ]
        found += look_at(phone, pages.address, "/nowhere", 404)
        assert not found, "\n".join(found)
        assert phone.page.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_page_of_who_is_not(browser: Browser, pages: Pages, paths: list[str], language: str) -> None:
    open_to_all = [p for p in paths if p in ("/", "/chain", "/open") or p.startswith(FOR_NOBODY_SIGNED_IN)]
    invitation = pages.invitation("household", HOUSEHOLD).removeprefix(pages.address)
    looked_at = [invitation if path.startswith("/invitation/") else path for path in open_to_all]
    assert len(looked_at) >= 5
    with watched(browser, None, language) as phone:
        found = [broken for path in looked_at for broken in look_at(phone, pages.address, path)]
        assert not found, "\n".join(found)
        assert phone.page.locator("html").get_attribute("lang") == language


def test_the_search_finds_what_is_wrong(browser: Browser, pages: Pages) -> None:
    with watched(browser) as phone:
        phone.open(pages.address)
        assert 0 < sum(phone.loaded.values()) < MOST_BYTES
        assert f"{pages.address}/static/pumasi.css" in phone.loaded
        phone.page.evaluate("document.querySelector('main').innerHTML = '<img src=x><input>'")
        ids = {broken.partition(":")[0] for broken in phone.violations()}
        assert {"image-alt", "label"} <= ids
        phone.page.evaluate("document.querySelector('main').innerHTML = '<p class=quiet>pale</p>'")
        assert phone.violations(dark=True, colours_only=True) == []
        phone.page.evaluate("document.querySelector('main p').className = 'pale'")
        phone.page.evaluate("document.styleSheets[0].insertRule('.pale { color: #333; background: #111 }')")
        assert [broken.partition(":")[0] for broken in phone.violations(dark=True, colours_only=True)] == [
            "color-contrast"
        ]


# by keyboard


def tab_to(page: Page, target: str, most: int = 60) -> None:
    """Press Tab until ``target`` has the focus; on the way every stop is to be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """target => {
                const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
                const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
                const seen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
                return { name: at.outerHTML.slice(0, 120), there: at.matches(target), ring, seen };
            }""",
            target,
        )
        assert stop["ring"] and stop["seen"], f"the focus is not to be seen on {stop['name']}"
        if stop["there"]:
            return
    raise AssertionError(f"Tab does not lead to {target} on {page.url}")


def test_a_household_needs_no_mouse(browser: Browser, pages: Pages) -> None:
    """Sign in, look, change the offer, open a bill and have it checked."""
    name, password = "kim at home", "four words for a door"
    accounts = Accounts(pages.store)
    made = people.add(accounts.db, name, "household", HOUSEHOLD, "en", accounts.now())
    people.set_password(accounts.db, made.account, passwords.hashed(password))
    accounts.close()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en", service_workers="block")
    page = context.new_page()
    page.goto(f"{pages.address}/sign-in")
    page.locator("body").focus()
    tab_to(page, "input[name=name]")
    page.keyboard.type(name)
    tab_to(page, "input[name=password]")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{pages.address}/household/{HOUSEHOLD}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip", "the first stop leads past the navigation"
    for href in (f"/household/{HOUSEHOLD}/offer", f"/household/{HOUSEHOLD}/bills"):
        tab_to(page, f'nav.pages a[href="{href}"]')
        page.keyboard.press("Enter")
        page.wait_for_url(f"{pages.address}{href}")
    tab_to(page, f'main a[href="/household/{HOUSEHOLD}/bills/2016-07"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/bills/2016-07")
    tab_to(page, 'main a[href$=".pdf"]')
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == f"so-far-{HOUSEHOLD}-2016-07.pdf"
    context.close()
