"""Proofs by download, and the one click that checks them in a real Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from dashboard.bills.proofs import verifier_page, verifier_script
from market.proof.verify import check_proof
from tests.dashboard.signed import People

HOME = "/household/h001"


@pytest.fixture(scope="module")
def starts(settled_people: People) -> list[int]:
    client = settled_people.household("h001")
    newest = client.get("/api/1/chain").json()
    return [newest["start"] - 900 * i for i in range(5, -1, -1)]


def test_a_proof_is_the_one_that_the_command_makes(settled_people: People, starts: list[int]) -> None:
    client = settled_people.household("h001")
    answer = client.get(f"{HOME}/proof/{starts[2]}")
    assert answer.headers["content-disposition"] == f'attachment; filename="proof-h001-{starts[2]}.json"'
    assert len(json.loads(answer.text)["revisions"]) == 2, "its reading came late"
    assert all(check.holds for check in check_proof(answer.text))
    assert client.get(f"/api/1{HOME}/proof/{starts[2]}").text == answer.text


@pytest.mark.parametrize(
    ("what", "status"), [("2016-07", 404), ("900", 404), ("901x", 422), ("99999999999", 404), ("2016-13", 422)]
)
def test_what_cannot_be_proven(settled_people: People, what: str, status: int) -> None:
    assert settled_people.household("h001").get(f"/api/1{HOME}/proof/{what}").status_code == status


def test_a_closed_months_bill_is_proven(billed: People) -> None:
    answer = billed.household("park").get("/household/park/proof/2026-05")
    checks = check_proof(answer.text)
    assert all(check.holds for check in checks) and "bill" in {check.name for check in checks}


def test_others_proofs_are_not_given(settled_people: People, starts: list[int]) -> None:
    assert settled_people.household("h002").get(f"{HOME}/proof/{starts[0]}").status_code == 403
    assert settled_people.anonymous().get(f"/api/1{HOME}/proof/{starts[0]}").status_code == 401


def test_the_verifier_is_the_one_file(settled_people: People) -> None:
    anyone = settled_people.anonymous()
    assert anyone.get("/verifier.html").text == verifier_page()
    assert "attachment" in anyone.get("/verifier.html").headers["content-disposition"]
    script = anyone.get("/verifier.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.text == verifier_script() and script.text.strip() in verifier_page()
    assert "document" not in script.text, "what checks touches no page"


def test_without_script_the_page_claims_nothing(settled_people: People, starts: list[int]) -> None:
    page = settled_people.household("h001").get(f"{HOME}/verify/{starts[0]}").text
    assert re.findall(r'<a href="([^"]*)" aria-current="page"', page) == [f"{HOME}/day"]
    before, _, words = page.partition('<dl id="verify-words" hidden>')
    assert "Every check holds" not in before and "Every check holds" in words
    assert "pumasi verify-proof proof-h001-" in before
    section = re.search(r'<section class="card" id="verify"[^>]*>', page)
    assert section is not None and " hidden" in section[0]


# in a browser


@pytest.fixture(scope="module")
def context(settled_people: People, settled_address: str, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(service_workers="block")
    token = settled_people.household("h001").session_token
    assert token is not None
    context.add_cookies([{"name": "pumasi", "value": token, "url": settled_address}])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    page.close()


def click(page: Page, address: str, start: int) -> None:
    page.goto(f"{address}{HOME}/verify/{start}")
    page.click("#verify-now")
    expect(page.locator("#verdict")).to_have_class(re.compile("good|bad"), timeout=20_000)


def test_one_click_checks_everything_and_notes_the_head(
    page: Page, settled_address: str, settled_people: People, starts: list[int]
) -> None:
    click(page, settled_address, starts[2])
    expect(page.locator("#verdict")).to_have_text("Every check holds.")
    names = page.locator("#checks li span").all_text_contents()
    assert "Your own figures went in." in names and "The published heads are the same in this proof." in names
    assert names.count("Your offer was treated rightly.") == 2, "in both revisions"
    pin = json.loads(page.evaluate("localStorage.getItem('pumasi-pin:c')"))
    assert pin["head"] == settled_people.anonymous().get("/api/1/chain").json()["head"]


def test_a_korean_page_says_each_line_in_korean(page: Page, settled_address: str, starts: list[int]) -> None:
    page.goto(f"{settled_address}/language?to=ko&next=/")
    try:
        click(page, settled_address, starts[2])
        expect(page.locator("#verdict")).to_have_text("모든 확인이 맞습니다.")
        said = page.locator("#checks li small").all_text_contents()
        assert len(said) > 15 and all(re.search("[가-힣]", line) for line in said)
        assert any("지시값" in line or "받은 전기" in line for line in said)
        assert not [line for line in said if re.search(r"\b(the|is|of|and|were)\b", line)]
        page.locator("#verify summary").click()
        page.fill("#verify-heads", "x")
        page.click("#verify-now")
        expect(page.locator("#checks .bad small")).to_have_text("체인 머리가 아닙니다: x", timeout=20_000)
    finally:
        page.goto(f"{settled_address}/language?to=en&next=/")


def test_what_this_browser_noted_is_held_against_the_chain(
    page: Page, settled_address: str, settled_people: People, starts: list[int]
) -> None:
    heads = [json.loads(line) for line in settled_people.anonymous().get("/open/heads.jsonl").text.splitlines()]
    for noted in heads:
        pin = {"number": noted["number"], "head": noted["head"], "key": noted["key"]}
        page.goto(f"{settled_address}{HOME}/verify/{starts[0]}")
        page.evaluate("pin => localStorage.setItem('pumasi-pin:c', JSON.stringify(pin))", pin)
        click(page, settled_address, starts[0])
        expect(page.locator("#verdict")).to_have_text("Every check holds.")
        assert "The chain agrees with what this browser saw before." in page.locator("#checks").inner_text()
    for change, said in (
        ({"head": "0" * 64}, "no longer contains the head"),
        ({"key": "0" * 64}, "signed by another key"),
        ({"number": heads[-1]["number"] + 1}, "shorter than what this browser noted"),
    ):
        pin = {"number": heads[1]["number"], "head": heads[1]["head"], "key": heads[1]["key"], **change}
        page.evaluate("pin => localStorage.setItem('pumasi-pin:c', JSON.stringify(pin))", pin)
        click(page, settled_address, starts[0])
        expect(page.locator("#verdict")).to_have_text("It does not hold.")
        assert said in page.locator("#checks .bad").inner_text()
        assert json.loads(page.evaluate("localStorage.getItem('pumasi-pin:c')")) == pin, "a bad chain is not noted"
    page.click("#forget")
    assert page.evaluate("localStorage.getItem('pumasi-pin:c')") is None


def test_a_changed_proof_does_not_hold(page: Page, settled_address: str, starts: list[int]) -> None:
    def change(route: Route) -> None:
        text = route.fetch().text()
        route.fulfill(body=text.replace('\\"import_wh\\":', '\\"import_wh\\":1', 1), content_type="application/json")

    page.route("**/proof/*", change)
    click(page, settled_address, starts[3])
    expect(page.locator("#verdict")).to_have_text("It does not hold.")


def test_heads_of_others_and_the_own_meter_count(page: Page, settled_address: str, starts: list[int]) -> None:
    page.goto(f"{settled_address}{HOME}/verify/{starts[3]}")
    page.locator("#verify summary").click()
    page.fill("#verify-heads", "ab" * 32)
    page.click("#verify-now")
    expect(page.locator("#verdict")).to_have_text("It does not hold.", timeout=20_000)
    assert "ab" * 32 in page.locator("#checks .bad").inner_text()
    page.fill("#verify-heads", "")
    page.fill("#verify-reading", '{"readings":[]}')
    page.click("#verify-now")
    expect(page.locator("#checks .bad span")).to_have_text("Your own meter says the same.", timeout=20_000)


def test_a_time_that_is_not_settled_says_so(page: Page, settled_address: str, starts: list[int]) -> None:
    click(page, settled_address, starts[-1] + 900)
    expect(page.locator("#verdict")).to_have_text("It does not hold.")
    assert "had not been settled" in page.locator("#checks .bad").inner_text()
