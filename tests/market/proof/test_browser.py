"""The page that checks proofs, in a real Chromium: a file, alone, that comes to what the Python verifier does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from market.record import Record
from market.service.proofs import proof_of
from tests.market.proof.both import in_browser, in_python, same_checks_fail
from tests.market.proof.mutations import mutations
from tests.market.proof.street import HOMES, LENGTH, PUBLIC_KEY, SINCE, Chain, make_chain, payload, registers_of
from tests.market.service.test_provable import billed

REVISED = SINCE + LENGTH


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain(intervals=3)


@pytest.mark.parametrize("home", range(HOMES))
def test_both_say_the_same_of_every_household(page: Page, chain: Chain, home: int) -> None:
    proof = chain.proof(f"household:h{home}", REVISED)
    said = payload(f"m{home}", REVISED, registers_of(1, frozenset())[f"m{home}", REVISED]).decode()
    heads = [chain.published(3), {"head": chain.heads[1].hex()}]
    expected = in_python(proof, public_key=PUBLIC_KEY, heads=heads, reading=said)
    assert all(check["holds"] for check in expected)
    assert in_browser(page, proof, publicKey=PUBLIC_KEY, heads=heads, reading=said) == expected


def test_both_reject_any_changed_field_by_the_same_check(page: Page, chain: Chain) -> None:
    cases = list(mutations(json.loads(chain.proof("household:h5", SINCE))))
    assert len(cases) > 400
    same_checks_fail(page, cases)


def test_both_say_the_same_of_a_month_and_of_one_that_was_changed(page: Page, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record = Record(store)
    public_key = billed(record, store).public_key
    gate = next(record.gates(kind="month"))
    proof = proof_of(record, store, "h3", gate.start, gate.length, "month")
    record.close()
    expected = in_python(proof, public_key=public_key)
    assert expected[-1]["holds"]
    assert in_browser(page, proof, publicKey=public_key) == expected
    same_checks_fail(page, [case for i, case in enumerate(mutations(json.loads(proof))) if not i % 4])


OTHERWISE = [
    {"public_key": "ab" * 32},
    {"heads": [{"head": "ab" * 32}]},
    {"heads": [{"number": 1, "head": "ab" * 32}]},
    {"heads": [{"number": 99, "head": "ab" * 32}]},
    {"heads": [{"number": 1, "head": "@", "kind": "interval", "start": SINCE, "length": LENGTH, "revision": 1}]},
    {"reading": "{}"},
    {"reading": "no json"},
    {"reading": '{"start": 900000, "import_wh": 511, "export_wh": 40, "generation_wh": 40, "consumption_wh": 510}'},
    {"reading": '{"start": 900000, "import_wh": 510, "export_wh": 40, "generation_wh": 40, "consumption_wh": 510}'},
    {"reading": '{"readings": [{"start": 900900, "import_wh": 510}]}'},
]


@pytest.mark.parametrize("options", OTHERWISE, ids=json.dumps)
def test_both_hold_it_against_what_is_known_from_elsewhere(page: Page, chain: Chain, options: dict[str, Any]) -> None:
    text = chain.proof("household:h5", SINCE)
    given = json.loads(json.dumps(options).replace('"@"', f'"{chain.heads[1].hex()}"'))
    expected = in_python(text, **given)
    names = {"public_key": "publicKey"}
    assert in_browser(page, text, **{names.get(name, name): value for name, value in given.items()}) == expected


NO_PROOFS = ["", "{}", "[]", "null", "1", '{"pumasi_proof": 1}', '{"pumasi_proof": 1.0}', "\ufeff{}", "[" * 3000]


def test_both_refuse_what_is_no_proof(page: Page) -> None:
    for text in NO_PROOFS:
        assert in_browser(page, text) == in_python(text), text


def test_its_hashes_are_those_of_the_standard(page: Page) -> None:
    for size in (0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000):
        text = "x" * size
        found = page.evaluate(
            """(text) => [pumasi.digest, pumasi.digest512].map((hash) => pumasi.hexOf(hash(pumasi.utf8(text))))""", text
        )
        assert found == [hashlib.sha256(text.encode()).hexdigest(), hashlib.sha512(text.encode()).hexdigest()]


def test_a_person_chooses_the_file_and_reads_the_verdict(page: Page, chain: Chain, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    proof.write_text(chain.proof("household:h2", REVISED))
    page.locator("#file").set_input_files(proof)
    expect(page.locator("#verdict")).to_have_text("Every check holds.")
    assert "Revision 1: m2 (reading): imported 35 Wh" in page.locator("#checks").inner_text()
    page.locator("summary").click()
    page.locator("#heads").fill(json.dumps(chain.published(3)))
    expect(page.locator("#checks li").last).to_contain_text("1 published heads are the same")
    page.locator("#key").fill("ab" * 32)
    expect(page.locator("#verdict")).to_have_text("It does not hold: signature.")
    page.locator("#key").fill(PUBLIC_KEY)
    page.locator("#heads").fill("no head")
    expect(page.locator("#verdict")).to_have_text("It does not hold: input.")
    page.locator("#heads").fill("")
    expect(page.locator("#verdict")).to_have_text("Every check holds.")
    changed = tmp_path / "changed.json"
    changed.write_text(proof.read_text().replace('\\"sold_wh\\":0', '\\"sold_wh\\":1'))
    page.locator("#file").set_input_files(changed)
    expect(page.locator("#verdict")).to_have_text("It does not hold: membership.")
