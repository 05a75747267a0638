"""Both verifiers speak English and Korean from one list of texts, the page's, and none is missing in it."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from market.commands import main
from market.commands.proof import korean
from market.proof import verify
from market.proof.verify import check_proof
from tests.market.proof.both import in_browser
from tests.market.proof.partners import BILLS, CHEATS, OFFERS, START, month_proof, partner_chain
from tests.market.proof.street import HOMES, PUBLIC_KEY, Chain, make_chain, payload, registers_of

PAGE = files("market.proof").joinpath("verify.html").read_text(encoding="utf-8")
TEXT = r'"((?:[^"\\]|\\.)*)"'
CHECKS = (
    "form", "signature", "chain", "membership", "sums", "reading", "order", "outcome", "money", "bill", "transfers",
    "heads", "meter", "input",
)  # fmt: skip
"""What a check, or the part that it does not understand, is called."""
OF_THE_COMMAND = {"Every check holds.", "It does not hold: {check}.", "holds", "fails"}


class Words(HTMLParser):
    """The texts of the page's elements that are said in its language, and all of its other texts."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.others: list[str] = []
        self.place: list[tuple[str, bool]] = []
        self.feed(PAGE)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input"):
            self.place.append((tag, "data-say" in dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.place.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.place and self.place[-1][0] not in ("script", "style"):
            (self.said if self.place[-1][1] else self.others).append(" ".join(data.split()))


def of_the_script() -> list[str]:
    """The texts in it; all are written where they are said, but for the checks' names."""
    script = PAGE.split("  };\n", 1)[1]
    # What is behind `function` declares them.
    calls = re.findall(r"(?<!function )\b(?:say|fail)\(", script)
    said = re.findall(rf"(?<!function )\bsay\(\s*{TEXT}", script)
    failing = re.findall(rf'(?<!function )\bfail\((?:"\w+"|name),\s*{TEXT}', script)
    elsewhere = ["say(text, values)", "say(one.name)", "say(checks.at(-1).name)", "say(element.dataset.say)"]
    assert [script.count(call) for call in elsewhere] == [1, 1, 1, 1]
    assert len(calls) == len(said) + len(failing) + len(elsewhere)
    return [json.loads(f'"{text}"') for text in said + failing]


def of_the_module() -> list[str]:
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(verify))):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if name in ("_say", "_fail"):
            assert isinstance(node, ast.Call)
            text = node.args[0 if name == "_say" else 1]
            if isinstance(text, ast.Name):
                assert ast.unparse(node) == "_say(text, **values)"
                continue
            assert isinstance(text, ast.Constant), ast.unparse(node)
            found.append(text.value)
    return found


def test_both_verifiers_have_the_same_texts_and_all_are_in_the_list() -> None:
    page, script, module = set(Words().said), set(of_the_script()), set(of_the_module())
    assert len(module) > 100
    assert script - module == OF_THE_COMMAND | {"This is no head: {line}"}
    assert module <= script
    assert set(korean()) == page | script | set(CHECKS)


def test_no_text_of_the_page_is_beside_the_list() -> None:
    assert Words().others == ["English", "한국어"]
    assert len(Words().said) == 8


def test_the_list_has_each_text_once() -> None:
    source = PAGE.split("const KOREAN = ", 1)[1].split(";\n", 1)[0]
    names = Counter(name for name, _ in json.loads(source, object_pairs_hook=list))
    assert names and max(names.values()) == 1


@pytest.mark.parametrize("text", korean())
def test_each_korean_text_is_one(text: str) -> None:
    said = korean()[text]
    assert Counter(re.findall(r"{\w+}", said)) == Counter(re.findall(r"{\w+}", text))
    words = re.sub(r"{\w+}|JSON|Wh", "", text)
    assert bool(re.search("[가-힣]", said)) == bool(re.search("[a-z]", words)), said
    assert not re.search(r"[A-Za-z]", re.sub(r"{\w+}|JSON|Wh", "", said)), said
    assert not re.search(r"요[.,)]|요$", said), f"formal throughout: {said}"


def in_korean(text: str, **options: Any) -> list[dict[str, Any]]:
    return [vars(check) for check in check_proof(text, words=korean(), **options)]


def only_korean(checks: list[dict[str, Any]]) -> None:
    """No English is left, but for what a file names its members, and names of accounts, meters and nodes."""
    for check in checks:
        assert re.search("[가-힣]", check["text"]), check
        assert not re.search(r"\b(the|is|not|of|and|in|was|were|that)\b", check["text"]), check


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain(2, revised=1, offers=OFFERS)


def test_both_say_the_same_in_korean(page: Page, chain: Chain) -> None:
    page.evaluate("pumasi.speak('ko')")
    texts = [chain.proof(f"household:h{home}", START) for home in range(HOMES)]
    texts += [month_proof(change) for change, _ in BILLS[:3]]
    for home, change, _ in CHEATS[::7]:
        cheated = partner_chain()
        cheated.cheat(f"household:{home}", "outcome", change)
        texts.append(cheated.proof(f"household:{home}", START))
    texts += ["", "{}", texts[0].replace('\\"final\\":false', '\\"final\\":0')]
    for text in texts:
        said = in_korean(text)
        only_korean(said)
        assert in_browser(page, text) == said
        english = check_proof(text)
        assert [(one["name"], one["holds"]) for one in said] == [(one.name, one.holds) for one in english]
        assert all(not re.search("[가-힣]", one.text) for one in english)


def test_what_is_known_from_elsewhere_in_korean(page: Page, chain: Chain) -> None:
    page.evaluate("pumasi.speak('ko')")
    text = chain.proof("household:h2", START)
    reading = payload("m2", START, registers_of(1, frozenset())["m2", START]).decode()
    for heads, known in (
        ([chain.published(1)], reading),
        ([{"head": "ab" * 32}], reading),
        ([chain.published(1)], "{}"),
    ):
        said = in_korean(text, public_key=PUBLIC_KEY, heads=heads, reading=known)
        only_korean(said)
        assert in_browser(page, text, publicKey=PUBLIC_KEY, heads=heads, reading=known) == said


def visible(page: Page) -> str:
    return page.locator("body").inner_text().replace("English", "")


class TestAKoreanBrowser:
    @pytest.fixture
    def locale(self) -> str:
        return "ko-KR"

    def test_opens_the_page_in_korean_and_can_switch(self, page: Page, chain: Chain, tmp_path: Path) -> None:
        proof = tmp_path / "proof.json"
        proof.write_text(chain.proof("household:h5", START))
        page.locator("#file").set_input_files(proof)
        page.locator("summary").click()
        expect(page.locator("#verdict")).to_have_text("모든 확인이 맞습니다.")
        assert page.evaluate("document.documentElement.lang") == "ko" and page.title() == "품앗이 증명 확인"
        assert not re.search(r"\b(the|is|holds|and|of)\b", visible(page))
        assert "그 가운데 65 Wh는 선물로 받았습니다" in visible(page)
        page.locator("#heads").fill("x")
        expect(page.locator("#verdict")).to_have_text("맞지 않습니다: 입력.")
        expect(page.locator("#checks li")).to_contain_text("체인 머리가 아닙니다: x")
        page.get_by_role("button", name="English").click()
        expect(page.locator("#verdict")).to_have_text("It does not hold: input.")
        page.locator("#heads").fill("")
        expect(page.locator("#verdict")).to_have_text("Every check holds.")
        assert page.evaluate("document.documentElement.lang") == "en"
        assert not re.search("[가-힣]", visible(page).replace("한국어", ""))
        assert page.locator("#languages [aria-pressed=true]").inner_text() == "English"


def test_the_command_speaks_korean(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = tmp_path / "proof.json"
    proof.write_text(chain.proof("household:h0", START))
    assert main(["verify-proof", str(proof), "--lang", "ko"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "맞음  형식: 이 파일은 household:h0의 증명입니다."
    assert any(
        "그 가운데 190 Wh는 우선 거래 이웃과 거래했습니다. 또 그 가운데 155 Wh는 선물로 주었습니다" in line
        for line in said
    )
    assert said[-1] == "verify-proof: 모든 확인이 맞습니다."
    proof.write_text(proof.read_text().replace('\\"sold_wh\\":340', '\\"sold_wh\\":341'))
    assert main(["verify-proof", str(proof), "--lang", "ko"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("틀림  포함: ")
    assert said[-1] == "verify-proof: 맞지 않습니다: 포함."
