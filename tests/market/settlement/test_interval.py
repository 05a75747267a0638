"""One interval's settlement, in figures that can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from market.clearing.clear import Clearing
from market.mechanisms import Outcome
from market.mechanisms.partners import trade_with_partners
from market.settlement.interval import NETWORK, SUPPLIER, Settled, SettlementError, settle
from market.settlement.rules import Registers, Rules, parse, split
from tests.market.bodies import COMMUNITY, TARIFFS

START = 900_000
RETAIL, FEED_IN, PRICE = 30_000, 8_000, 19_000


def rules(*homes: str, fee: str = "0.01", **offers: dict[str, str]) -> Rules:
    """Homes named by their feeder, 'a1', 'a2', 'b1' ...: the fee is due above each feeder."""
    feeders = sorted({home[0] for home in homes})
    document: dict[str, Any] = {
        **COMMUNITY,
        "tariffs": TARIFFS,
        "network": [{"node": "root"}, *({"node": f, "parent": "root", "fee_per_kwh": fee} for f in feeders)],
        "members": [
            {
                "household": home,
                "node": home[0],
                "tariff": "standard",
                "offer": offers.get(home, {}),
                "meters": [{"meter": home, "kid": 1, "since": START}],
            }
            for home in homes
        ],
    }
    return parse(split(document))


def run(of: Rules, **flows: tuple[int, int]) -> Settled:
    """Settle with each home's (import, export) [Wh]; a home that is not named was not heard."""
    registers = {
        (home, START): Registers(imported, exported, exported, imported) for home, (imported, exported) in flows.items()
    }
    settled = settle(of, START, registers, "pulp")
    assert settle(of, START, registers, "curve") == settled
    return settled


def position(settled: Settled, home: str) -> Any:
    return next(row for row in settled.positions if row.household == home)


def test_a_neighbour_on_the_same_feeder_pays_no_fee() -> None:
    settled = run(rules("a1", "a2"), a1=(0, 500), a2=(300, 0))
    seller, buyer = position(settled, "a1"), position(settled, "a2")
    assert (seller.sold_wh, buyer.bought_wh) == (300, 300)
    assert seller.trade_money == 300 * PRICE and buyer.trade_money == -300 * PRICE
    assert seller.residual_money == 200 * FEED_IN and buyer.residual_money == 0
    assert seller.alone_money == 500 * FEED_IN and buyer.alone_money == -300 * RETAIL
    assert settled.result["fees"] == 0


def test_a_buyer_behind_another_feeder_pays_both_edges() -> None:
    settled = run(rules("a1", "b1"), a1=(0, 500), b1=(300, 0))
    assert position(settled, "a1").trade_money == 300 * PRICE
    assert position(settled, "b1").trade_money == -300 * (PRICE + 2_000)
    (fee,) = [posting for posting in settled.postings if posting.account == NETWORK]
    assert fee.money == 300 * 2_000


def test_what_went_in_and_out_is_charged_gross_and_never_traded_with_itself() -> None:
    settled = run(rules("a1", "a2"), a1=(100, 60), a2=(0, 500))
    home = position(settled, "a1")
    assert (home.bought_wh, home.sold_wh) == (40, 0)
    assert home.alone_money == 60 * FEED_IN - 100 * RETAIL
    assert home.residual_money == 60 * FEED_IN - 60 * RETAIL
    assert home.trade_money == -40 * PRICE


def test_equal_sellers_share_evenly_whatever_feeder_they_are_on() -> None:
    settled = run(rules("a1", "a2", "a3", fee="0"), a1=(0, 400), a2=(0, 200), a3=(300, 0))
    assert [position(settled, home).sold_wh for home in ("a1", "a2")] == [200, 100], "equal fill ratios"


def test_a_limit_of_ones_own_is_kept() -> None:
    settled = run(rules("a1", "a2", a2={"max_buy_per_kwh": "0.15"}), a1=(0, 500), a2=(300, 0))
    assert settled.energy_traded_wh == 0
    settled = run(rules("a1", "a2", a1={"min_sell_per_kwh": "0.20"}), a1=(0, 500), a2=(300, 0))
    assert settled.energy_traded_wh == 0


def test_who_was_not_heard_trades_nothing() -> None:
    settled = run(rules("a1", "a2", "a3"), a1=(0, 500), a2=(300, 0))
    missing = position(settled, "a3")
    assert not missing.heard and missing.alone_money == 0
    assert settled.energy_traded_wh == 300


@pytest.mark.parametrize("flows", [{}, {"a1": (0, 0)}, {"a1": (0, 500)}, {"a1": (500, 0), "a2": (1, 0)}])
def test_one_sided_and_empty_intervals_settle(flows: dict[str, tuple[int, int]]) -> None:
    settled = run(rules("a1", "a2"), **flows)
    assert settled.energy_traded_wh == 0 and settled.certificate_gap == 0
    supplier = sum(posting.money for posting in settled.postings if posting.account == SUPPLIER)
    households = sum(row.residual_money for row in settled.positions)
    assert supplier == -households


def more(values: Any) -> Any:
    """The first order gets one more."""
    return values + (np.arange(len(values)) == 0)


@pytest.mark.parametrize(
    ("of", "name", "wrong", "said"),
    [
        (Outcome, "money", more, "the money does not sum to zero"),
        (Outcome, "accepted_wh", more, "bought 300 Wh, sold 301 Wh"),
        (Clearing, "dual", more, "the certificate's gap is 1"),
        (Clearing, "matches", lambda _: lambda: [np.zeros(0, np.int64)] * 3, "the matches do not add up to the 300 Wh"),
    ],
)
def test_a_defect_of_the_mechanism_is_found_before_anything_is_booked(
    monkeypatch: pytest.MonkeyPatch, of: type, name: str, wrong: Callable[[Any], Any], said: str
) -> None:
    def broken(*given: Any) -> Any:
        outcome, partners = trade_with_partners(*given)
        at = outcome if of is Outcome else outcome.clearing
        object.__setattr__(at, name, wrong(getattr(at, name)))
        return outcome, partners

    monkeypatch.setattr("market.settlement.interval.trade_with_partners", broken)
    with pytest.raises(SettlementError, match=said):
        run(rules("a1", "a2"), a1=(0, 500), a2=(300, 0))
