"""What the bills' pages show only when there is more to tell: corrections, answers, a proof that was checked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from dashboard import words
from dashboard.bills import disputes
from tests.dashboard.accessible import watched
from tests.dashboard.signed import People


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_bills_with_all_they_can_say(browser: Browser, billed: People, billed_address: str, language: str) -> None:
    db = billed.site.accounts.db
    made = disputes.open_dispute(db, "park", "박민준", "x" * 500, 0, month="2026-05")
    if language == "ko":
        disputes.answer(db, made.number, "Op", "a\n" * 20, 0)
        disputes.close(db, made.number, 0)
    with watched(browser, language=language) as phone:
        token = billed.household("park").session_token
        assert token is not None
        cookies = {"pumasi": token, "language": language}
        phone.page.context.add_cookies([{"name": n, "value": v, "url": billed_address} for n, v in cookies.items()])
        found = []
        for path in (
            "bills",
            "bills/2026-05",
            "bills/2026-05?revision=0",
            "bills/2026-06",
            "disputes",
            f"disputes/{made.number}",
            "disputes/new?month=2026-05",
            "verify/2026-05",
        ):
            assert phone.open(f"{billed_address}/household/park/{path}") == 200
            if path.startswith("verify"):
                phone.page.click("#verify-now")
                expect(phone.page.locator("#verdict")).to_have_class(re.compile("good"), timeout=20_000)
            found += [f"{path}: {misfit}" for misfit in phone.misfits()]
            found += [f"{path}: {broken}" for broken in phone.violations(dark=language == "ko")]
        assert not found, "\n".join(found)
