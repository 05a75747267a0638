"""A proof holds as it was made; with any field changed, or by an operator who cheated, it does not."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from market.proof import verify
from market.proof.tree import Account
from market.proof.verify import Check, check_proof
from tests.market.proof.mutations import mutations
from tests.market.proof.street import HOMES, LENGTH, PUBLIC_KEY, SINCE, Chain, make_chain, payload, registers_of

REVISED = SINCE + LENGTH
INTERVAL_CHECKS = ["chain", "membership", "sums", "reading", "order", "money", "transfers"]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain(intervals=12)


def failing(checks: list[Check]) -> str:
    """The name of the check that does not hold, which must be the last."""
    assert all(check.holds for check in checks[:-1])
    return "" if checks[-1].holds else checks[-1].name


@pytest.mark.parametrize("home", range(HOMES))
@pytest.mark.parametrize("start", [SINCE, REVISED, SINCE + 11 * LENGTH])
def test_every_household_is_convinced(chain: Chain, home: int, start: int) -> None:
    checks = check_proof(chain.proof(f"household:h{home}", start), public_key=PUBLIC_KEY)
    assert failing(checks) == ""
    revisions = 2 if start == REVISED else 1
    assert [check.name for check in checks] == ["form", "signature", *INTERVAL_CHECKS * revisions]


@pytest.mark.parametrize(
    ("home", "said"),
    [
        (0, "To sell 340 Wh (limit 0.08, posted price 0.19): 340 Wh were accepted"),
        (4, "You had no order in this interval."),
        (5, "To buy 470 Wh (limit 0.3, posted price 0.19): 215 Wh were accepted"),
        (6, "Your limit did not accept the posted price (limit 0.1, posted price 0.19)"),
    ],
)
def test_what_it_says_of_the_order(chain: Chain, home: int, said: str) -> None:
    checks = check_proof(chain.proof(f"household:h{home}", REVISED))
    assert any(check.name == "order" and said in check.text for check in checks)


def test_a_late_reading_is_in_the_second_revision_and_only_the_difference_is_booked(chain: Chain) -> None:
    texts = [check.text for check in check_proof(chain.proof("household:h2", REVISED))]
    assert any("Revision 0: A meter had not been heard" in text for text in texts)
    assert any("Revision 1: m2 (reading): imported 35 Wh" in text for text in texts)
    texts = [check.text for check in check_proof(chain.proof("household:h5", REVISED))]
    assert "Revision 1: Booked with you in this closure: residual -0.0105, trade 0.00735." in texts


def test_any_changed_field_is_rejected() -> None:
    proof = json.loads(make_chain(intervals=3).proof("household:h5", SINCE))
    count = 0
    for what, text in mutations(proof):
        assert failing(check_proof(text)), what
        count += 1
    assert count > 400


def test_revisions_stand_in_their_order_and_none_between_is_left_out(chain: Chain) -> None:
    proof = json.loads(chain.proof("household:h5", REVISED))
    first, second = proof["revisions"]
    for revisions in ([second], [second, first], [first, first], [first, second, second]):
        assert failing(check_proof(json.dumps(proof | {"revisions": revisions}))) == "chain"


@pytest.mark.parametrize("change", [{"start": REVISED}, {"length": 901}, {"community": "d"}], ids=str)
def test_a_closure_does_not_prove_another_interval(chain: Chain, change: dict[str, Any]) -> None:
    """Also not to a home without any transfer, whose ids would tell."""
    proof = json.loads(chain.proof("household:h4", SINCE)) | change
    assert failing(check_proof(json.dumps(proof))) == ("signature" if "community" in change else "chain")


def test_what_is_known_from_elsewhere(chain: Chain) -> None:
    proof = chain.proof("household:h2", REVISED)
    newest = {"head": chain.heads[chain.number].hex()}
    assert failing(check_proof(proof, heads=[newest])) == ""
    assert failing(check_proof(proof, heads=[{"head": chain.heads[1].hex()}, chain.published(3)])) == ""
    assert failing(check_proof(proof, heads=[chain.published(number) for number in range(1, 13)])) == ""
    assert failing(check_proof(proof, heads=[{"head": "ab" * 32}])) == "heads"
    assert failing(check_proof(proof, heads=[chain.published(3) | {"head": "ab" * 32}])) == "heads"
    assert failing(check_proof(proof, heads=[newest | {"number": 99}])) == "heads", "it says nothing of this proof"
    assert failing(check_proof(proof, public_key="ab" * 32)) == "signature"
    assert failing(check_proof(proof, public_key=f" {PUBLIC_KEY.upper()}\n")) == ""


def test_a_revision_that_is_kept_back_is_noticed_by_its_published_head(chain: Chain) -> None:
    proof = json.loads(chain.proof("household:h5", REVISED))
    del proof["revisions"][1]
    assert failing(check_proof(json.dumps(proof), heads=[chain.published(2)])) == ""
    assert failing(check_proof(json.dumps(proof), heads=[chain.published(2), chain.published(3)])) == "heads"


def test_what_is_chained_is_the_same_in_every_version() -> None:
    """Texts, salts, sums and entries, byte for byte: proofs of older chains hold."""
    newest = make_chain(intervals=3).heads[-1].hex()
    assert newest == "6ef0d463b2797cf18403634434f969ae40c0f55f3b4f5fa6faca4780ed1a30ab"


def reading(**changes: Any) -> str:
    registers = registers_of(1, frozenset())["m2", REVISED]
    return json.dumps({"meter": "m2", "start": REVISED, **registers._asdict(), **changes})


BEFORE = {"start": SINCE, "import_wh": 35, "consumption_wh": 35}
METER_SAYS = [
    (payload("m2", REVISED, registers_of(1, frozenset())["m2", REVISED]).decode(), ""),
    (payload("m2", REVISED, registers_of(1, frozenset())["m2", REVISED]).decode().replace('"v":1', '"v":2'), "meter"),
    (reading(), ""),
    (f"[{reading()}, {reading(**BEFORE)}]", ""),
    (f'{{"readings": [{reading()}]}}', ""),
    (reading(import_wh=71), "meter"),
    (reading(**BEFORE, export_wh=1), "meter"),
    (reading(meter="m3"), "meter"),
    (reading(start=REVISED + LENGTH), "meter"),
    ("[]", "meter"),
    ("{}", "meter"),
    ("null", "meter"),
    ("no json", "meter"),
]


@pytest.mark.parametrize(("said", "fails"), METER_SAYS)
def test_what_the_own_meter_says(chain: Chain, said: str, fails: str) -> None:
    assert failing(check_proof(chain.proof("household:h2", REVISED), reading=said)) == fails


def test_the_verifier_needs_nothing_but_the_standard_library() -> None:
    """So that it shares no code with what makes proofs, and one file is all that somebody else has to read."""
    tree = ast.parse(Path(verify.__file__).read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in named} <= sys.stdlib_module_names
    assert "hmac" not in named, "salts are the prover's"


NO_PROOFS = ["", "{}", "[]", "null", "1", "[" * 5000, '{"pumasi_proof": 1}', "\x00"]


@pytest.mark.parametrize("text", NO_PROOFS, ids=range(len(NO_PROOFS)))
def test_what_is_no_proof(text: str) -> None:
    assert failing(check_proof(text)) == "form"


CHEATS: list[tuple[str, str, dict[str, Any], str]] = [
    # The operator signs and chains these: the tree, the chain and the sums are all in order.
    ("h0", "outcome", {"accepted_wh": 339}, "order"),
    ("h0", "outcome", {"price_low": 18_999}, "order"),
    ("h0", "outcome", {"price_ticks": None}, "order"),
    ("h0", "outcome", {"price_high": 18_000}, "order"),
    ("h0", "outcome", {"export_wh": 341}, "reading"),
    ("h0", "outcome", {"heard": False}, "reading"),
    ("h0", "outcome", {"trade_money": str(19_000 * 340 - 1)}, "money"),
    ("h0", "outcome", {"trade_money": f"0{19_000 * 340}"}, "money"),
    ("h0", "outcome", {"trade_money": 19_000 * 340}, "money"),
    ("h0", "outcome", {"residual_money": "1"}, "money"),
    ("h0", "outcome", {"import_ticks": None}, "money"),
    ("h0", "outcome", {"sold_ticks": 1}, "money"),
    ("h5", "outcome", dict.fromkeys(("import_ticks", "export_ticks", "bought_ticks", "sold_ticks")), "money"),
    ("h0", "outcome", {"least_ticks": 8_001}, "order"),
    ("h0", "order", {"energy_wh": 341}, "order"),
    ("h0", "order", {"side": "buy"}, "order"),
    ("h0", "order", {"limit_ticks": 19_001}, "order"),
    ("h0", "order", {"account": "household:h1"}, "membership"),
    ("h0", "reading", {"meters": []}, "reading"),
    ("h0", "transfers", {"transfers": []}, "transfers"),
    ("h5", "outcome", {"trade_money": str(-19_000 * 215 + 1)}, "money"),
    ("h5", "outcome", {"trade_money": str(-(19_000 + 2_001) * 215)}, "money"),
    ("h5", "outcome", {"alone_money": str(40 * 8_000 - 510 * 30_000 + 1)}, "money"),
    ("h5", "order", {"limit_ticks": 20_999}, "order"),
    ("h6", "order", {"limit_ticks": 30_001}, "order"),
]


@pytest.mark.parametrize(("home", "part", "change", "fails"), CHEATS)
def test_an_operator_who_cheats_one_household(home: str, part: str, change: dict[str, Any], fails: str) -> None:
    chain = make_chain(intervals=2, revised=9)
    chain.cheat(f"household:{home}", part, change)
    assert failing(check_proof(chain.proof(f"household:{home}", REVISED))) == fails


@pytest.mark.parametrize(("energy_wh", "money"), [(1, 0), (0, 1), (-(2**31), 2**62)])
def test_sums_that_are_not_zero_convince_nobody(monkeypatch: pytest.MonkeyPatch, energy_wh: int, money: int) -> None:
    """An account made of nothing: the operator's own tree would refuse it, so its check is taken out."""
    chain = make_chain(intervals=1, revised=9)
    closure, accounts, facts = chain.reopen()
    accounts.append(Account("ghost", {"transfers": "{}"}, energy_wh, money))
    with pytest.raises(ValueError, match="not to zero"):
        chain.close(closure, accounts, facts)
    monkeypatch.setattr("market.proof.tree._check_sums", lambda accounts: None)
    chain.close(closure, accounts, facts)
    assert failing(check_proof(chain.proof("household:h0", SINCE))) == "sums"
