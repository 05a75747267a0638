"""A closed month's bill as a person gets it: found, opened and downloaded in a browser, as by the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard import words
from dashboard.figures import month
from market.commands.main import main
from tests.dashboard.signed import People
from tests.market.billed import HOMES, MAY

BILL = f"park-{MAY}"


def rows(content: bytes) -> list[dict[str, str]]:
    """All but the neighbours, which have their names on the page and their ids on the command line."""
    found = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    return [row for row in found if row["section"] != "partner"]


def downloaded(page: Page, kind: str) -> tuple[str, bytes]:
    with page.expect_download() as taken:
        page.locator(f'main a.button[href*=".{kind}"]').click()
    return taken.value.suggested_filename, Path(taken.value.path()).read_bytes()


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_closed_month_is_downloaded_as_the_command_line_makes_it(
    browser: Browser,
    billed: People,
    billed_store: Path,
    billed_address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    language: str,
) -> None:
    asked = ["bill", "park", str(MAY), "--store", str(billed_store), "--lang", language, "--out", str(tmp_path)]
    assert main(asked) == 0
    due, amount = capsys.readouterr().out.splitlines()[-1].split(": ")
    made = {kind: (tmp_path / f"bill-{BILL}.{kind}").read_bytes() for kind in ("pdf", "csv")}

    for home in HOMES:
        billed.account("household", home)
    token = billed.household("park").session_token
    assert token is not None
    # Who agrees to be named is named, as everybody is on the command line.
    billed.site.accounts.db.write("UPDATE account SET shown = 1, language = ?", (language,))
    context = browser.new_context(locale=language, accept_downloads=True)
    context.add_cookies([{"name": "pumasi", "value": token, "url": billed_address}])
    page = context.new_page()
    page.goto(f"{billed_address}/household/park/bills")
    page.get_by_role("link", name=month(str(MAY), language), exact=True).click()
    page.wait_for_url(f"**/household/park/bills/{MAY}")
    head = page.locator("main section.card").first
    expect(head.locator("h2")).to_have_text(due)
    expect(head.locator(".figure")).to_have_text(amount)
    expect(page.locator("#revisions tbody tr")).to_have_count(2)

    name, pdf = downloaded(page, "pdf")
    assert name == f"bill-{BILL}-1.pdf", "the second version, which corrects the first"
    assert pdf == made["pdf"]
    name, table = downloaded(page, "csv")
    assert name == f"bill-{BILL}-1.csv"
    assert rows(table) == rows(made["csv"])
    total = [row for row in rows(table) if row["section"] == "total"][-1]
    received = "".join(digit for digit in amount if digit.isdecimal())
    assert total["amount"] == f"-{received}", "no word says there that it is received"
    context.close()
