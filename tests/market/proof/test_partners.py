"""A household is told of its preferred partners and its gifts; what is said of them and is not so is caught."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.market.proof.both import in_browser, in_python, same_checks_fail
from tests.market.proof.mutations import mutations
from tests.market.proof.partners import (
    BILLS,
    CHEATS,
    FINAL_CHEATS,
    OFFERS,
    POSTED,
    START,
    TRUE,
    WITH_PARTNERS,
    WITHOUT,
    made_final,
    month_proof,
    partner_chain,
)
from tests.market.proof.street import HOMES, PUBLIC_KEY, Chain, make_chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return partner_chain(intervals=3)


def outcome_of(chain: Chain, home: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(chain.accounts[-1][home].texts["outcome"])
    return body


def both(page: Page, text: str) -> list[dict[str, Any]]:
    """What both verifiers say, word for word."""
    expected = in_python(text)
    assert in_browser(page, text) == expected
    return expected


def fails(checks: list[dict[str, Any]]) -> str:
    return "" if checks[-1]["holds"] else checks[-1]["name"]


@pytest.mark.parametrize("home", range(HOMES))
def test_both_are_convinced_and_say_the_same(page: Page, chain: Chain, home: int) -> None:
    text = chain.proof(f"household:h{home}", START)
    checks = in_python(text, public_key=PUBLIC_KEY)
    assert fails(checks) == ""
    assert in_browser(page, text, publicKey=PUBLIC_KEY) == checks


def test_a_revision_of_it_too(page: Page) -> None:
    chain = make_chain(2, revised=1, offers=OFFERS)
    for home in range(HOMES):
        assert fails(both(page, chain.proof(f"household:h{home}", START))) == ""


def test_only_a_household_with_partner_trades_has_a_word_of_them(chain: Chain) -> None:
    told = {home: list(outcome_of(chain, home)) for home in range(HOMES)}
    assert {tuple(names[-2:]) for home, names in told.items() if home in WITH_PARTNERS} == {("partner_wh", "gift_wh")}
    assert [told[home][-1] for home in WITHOUT] == ["alone_money"] * len(WITHOUT)
    figures = {0: (190, 155), 1: (120, 120), 2: (35, 0), 3: (210, -210), 5: (65, -65)}
    assert {home: tuple(outcome_of(chain, home).values())[-2:] for home in WITH_PARTNERS} == figures


SAID = [
    (
        0,
        "order",
        "340 Wh were accepted, 190 Wh of it with preferred partners, 155 Wh of them given as a gift; the witness",
    ),
    (0, "money", "0.03515 EUR for what was traded (fees 0; the gift is worth 0.02945 at the posted price)"),
    (
        1,
        "order",
        "120 Wh of it with preferred partners, 120 Wh of them given as a gift; nothing of it was left for the m",
    ),
    (1, "money", "0 EUR for what was traded (fees 0; the gift is worth 0.0228 at the posted price)"),
    (
        2,
        "order",
        "To buy 35 Wh (limit 0.3, posted price 0.19): 35 Wh were accepted, 35 Wh of it with preferred partners; no",
    ),
    (2, "money", "-0.00665 EUR for what was traded (fees 0), "),
    (3, "order", "210 Wh of it with preferred partners, 210 Wh of them received as a gift"),
    (
        5,
        "order",
        "215 Wh were accepted, 65 Wh of it with preferred partners, 65 Wh of them received as a gift; the witness's p",
    ),
    (5, "money", "-0.0328 EUR for what was traded (fees 0.0043; the gift is worth 0.01235 at the posted price)"),
]


@pytest.mark.parametrize(("home", "name", "said"), SAID)
def test_what_a_household_is_told(chain: Chain, home: int, name: str, said: str) -> None:
    assert any(
        check["name"] == name and said in check["text"] for check in in_python(chain.proof(f"household:h{home}", START))
    )


def test_who_gives_everything_is_worse_off_and_the_promise_looks_at_it_as_if_it_had_been_paid(chain: Chain) -> None:
    outcome = outcome_of(chain, 1)
    money, alone = int(outcome["trade_money"]) + int(outcome["residual_money"]), int(outcome["alone_money"])
    assert money < alone <= money + POSTED * outcome["gift_wh"]


def test_what_is_not_so_is_caught_by_both(page: Page) -> None:
    for home, change, name in CHEATS:
        chain = partner_chain()
        chain.cheat(f"household:{home}", "outcome", change)
        assert fails(both(page, chain.proof(f"household:{home}", START))) == name, (home, change)


def test_no_price_speaks_of_what_was_in_no_market(page: Page) -> None:
    for home, change in TRUE:
        chain = partner_chain()
        chain.cheat(f"household:{home}", "outcome", change)
        assert fails(both(page, chain.proof(f"household:{home}", START))) == "", (home, change)


@pytest.mark.parametrize("home", [0, 3])
def test_any_changed_field_is_rejected_by_both(page: Page, home: int) -> None:
    cases = [
        case for case in mutations(json.loads(partner_chain().proof(f"household:h{home}", START))) if concerns(case[0])
    ]
    assert len(cases) > 15
    same_checks_fail(page, cases)


def concerns(what: str) -> bool:
    return bool(re.search("partner_wh|gift_wh|accepted_wh|trade_money|sold_wh|bought_wh", what))


@pytest.mark.parametrize("home", [0, 1, 2, 3, 5])
def test_every_combination_holds_where_the_rule_does_and_nowhere_else(page: Page, home: int) -> None:
    """The rule once more, written down in one place: the operator signs each of these."""
    chain = partner_chain()
    true = outcome_of(chain, home)
    partner_wh, gift_wh = true["partner_wh"], true["gift_wh"]
    partners = {0, 1, abs(gift_wh), partner_wh - 1, partner_wh, true["accepted_wh"], true["accepted_wh"] + 1}
    gifts = {0, gift_wh, -gift_wh, gift_wh + 1, gift_wh - 1, partner_wh, -partner_wh}
    held = 0
    for partner, gift in itertools.product(sorted(partners), sorted(gifts)):
        chain.cheat(f"household:h{home}", "outcome", {"partner_wh": partner, "gift_wh": gift})
        fees = POSTED * (true["sold_wh"] - true["bought_wh"] - gift) - int(true["trade_money"])
        holds = (
            1 <= partner <= true["accepted_wh"]
            and abs(gift) <= partner
            and not (gift > 0 and not true["sold_wh"])
            and not (gift < 0 and not true["bought_wh"])
            and 0 <= fees <= true["way_in_ticks"] * true["bought_wh"]
        )
        checks = both(page, chain.proof(f"household:h{home}", START))
        assert (fails(checks) == "") == holds, (partner, gift)
        held += holds
    assert held


def test_once_final_partner_trades_stay(page: Page) -> None:
    for home, part, change, name in FINAL_CHEATS:
        chain = partner_chain()
        made_final(chain)
        assert fails(both(page, chain.proof(f"household:{home}", START))) == ""
        chain.cheat(f"household:{home}", part, change)
        assert fails(both(page, chain.proof(f"household:{home}", START))) == name, (home, part, change)


def test_a_final_revision_is_not_the_first_to_speak_of_partners(page: Page) -> None:
    chain = make_chain(2, revised=99)
    made_final(chain)
    assert fails(both(page, chain.proof("household:h0", START))) == ""
    chain.cheat("household:h0", "outcome", {"partner_wh": 1, "gift_wh": 0})
    assert fails(both(page, chain.proof("household:h0", START))) == "order"


def test_a_months_gifts_add_up(page: Page) -> None:
    for change, name in BILLS:
        assert fails(both(page, month_proof(change))) == name, change
