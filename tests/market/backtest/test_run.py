"""Clearing and settling measured time: small cases by hand, and what holds for every mechanism."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.backtest import run
from market.backtest.figures import Figures, cost_alone, cost_with, exact_total, figures, gains
from market.backtest.meters import Meters, net_of
from market.backtest.rules import RULES, agreement, rule
from market.backtest.run import BacktestError, Prices, Rule, Settled, exact_sums, settle
from market.clearing.problem import Network
from market.mechanisms import Outcome, nodal

PRICES = Prices(30_000, 8_000)
PLATE = Network([-1], [-1], [0])
KEYED = {"proportional", "static", "ex-ante", "hierarchical", "per-pair"}
ZONE = ZoneInfo("Europe/Berlin")


def meters(load: list[list[int]], generation: list[list[int]], start: int = 1_451_602_800) -> Meters:
    used, made = np.array(load, np.int64), np.array(generation, np.int64)
    taken, given = net_of(used, made)
    names = tuple(f"h{at}" for at in range(used.shape[1]))
    return Meters(names, ("",) * len(names), start, 900, taken, given, made, used)


def settled(of: Meters, name: str, network: Network = PLATE, node: list[int] | None = None) -> Settled:
    at = np.array(node or [0] * len(of.households), np.int64)
    clock = iter(range(10_000)).__next__
    return settle(of, network, at, PRICES, rule(name, agreement(of, ZONE)), lambda: float(clock()), lambda done: None)


def told(of: Meters, name: str) -> Figures:
    return figures(of, PRICES, settled(of, name))


STREET = meters([[400, 100, 0], [500, 300, 0]], [[0, 0, 600], [0, 0, 200]])
"""Two consumers and a roof; a quarter-hour with surplus to spare (500 of 600 Wh) and one in want (200 of 800 Wh)."""


@pytest.mark.parametrize(
    ("name", "bought", "sold", "gain_ticks_wh"),
    [
        # Everyone gains 11 000 ticks on each Wh traded: half of what lies between retail and feed-in.
        ("mid-market", [400 + 125, 100 + 75, 0], [0, 0, 700], [525 * 11_000, 175 * 11_000, 700 * 11_000]),
        # Plenty: 8 000 ticks, all to the buyers. Want: 30 000 ticks, all to the seller.
        ("nodal", [525, 175, 0], [0, 0, 700], [400 * 22_000, 100 * 22_000, 200 * 22_000]),
        ("pay-as-bid", [525, 175, 0], [0, 0, 700], [0, 0, 0]),
        # A gift: the buyers save retail, the giver loses feed-in.
        ("bill-sharing", [525, 175, 0], [0, 0, 700], [525 * 30_000, 175 * 30_000, -700 * 8_000]),
        ("proportional", [525, 175, 0], [0, 0, 700], [525 * 11_000, 175 * 11_000, 700 * 11_000]),
        # A third each, the roof's own third stays: 200 and 66.67 Wh, the last Wh to the first; the second uses 100.
        ("static", [200 + 67, 100 + 66, 0], [0, 0, 433], [267 * 11_000, 166 * 11_000, 433 * 11_000]),
        # Mean use in the hour is 9 to 4: 69.2308 % and 30.7692 %, at most what is used.
        ("ex-ante", [400 + 138, 100 + 62, 0], [0, 0, 700], [538 * 11_000, 162 * 11_000, 700 * 11_000]),
        ("hierarchical", [525, 175, 0], [0, 0, 700], [525 * 11_000, 175 * 11_000, 700 * 11_000]),
        # Half each of 600 and of 200; the second uses 100 of its first 300.
        ("per-pair", [300 + 100, 100 + 100, 0], [0, 0, 600], [400 * 11_000, 200 * 11_000, 600 * 11_000]),
    ],
)
def test_who_trades_and_gains_what(name: str, bought: list[int], sold: list[int], gain_ticks_wh: list[int]) -> None:
    done = settled(STREET, name)
    assert (done.bought_wh.tolist(), done.sold_wh.tolist()) == (bought, sold)
    assert gains(STREET, PRICES, done) == gain_ticks_wh


def test_the_ratio_sets_the_price() -> None:
    # r = 200/800: 30 000 x 8 000 / (22 000 / 4 + 8 000) = 17 777; more offered than wanted: 8 000.
    done = settled(STREET, "supply-demand-ratio")
    assert gains(STREET, PRICES, done)[2] == 200 * (17_777 - 8_000)


def test_the_figures_of_a_street() -> None:
    row = told(STREET, "mid-market")
    assert row.self_sufficiency_alone == 0  # the roof's own home uses nothing
    assert row.self_sufficiency == 700 / 1300
    assert row.energy_traded_wh == 700
    assert row.cost_alone == (1300 * 30_000 - 800 * 8_000) / 1e8
    assert row.cost == (600 * 30_000 - 100 * 8_000) / 1e8
    assert row.saved == pytest.approx(700 * 22_000 / (1300 * 30_000 - 800 * 8_000))
    assert (row.gain_least, row.gain_median, row.gain_most) == (0.01925, 0.05775, 0.077)
    assert (row.better_off, row.worse_off) == (1, 0)


def test_what_the_pool_keeps_is_the_communitys() -> None:
    row = told(STREET, "pay-as-bid")
    assert row.cost == told(STREET, "mid-market").cost
    assert row.kept == 700 * 22_000 / 1e8
    assert row.better_off == 0


def test_energy_in_and_out_within_one_interval_is_not_traded_with_oneself() -> None:
    taken, given = np.array([[300, 0]]), np.array([[100, 50]])
    of = Meters(("a", "b"), ("", ""), 0, 900, taken, given, given, taken)
    done = settled(of, "mid-market")
    assert (done.bought_wh.tolist(), done.sold_wh.tolist()) == ([50, 0], [0, 50])
    assert cost_alone(of, PRICES) == [300 * 30_000 - 100 * 8_000, -50 * 8_000]
    assert cost_with(of, PRICES, done) == [250 * 30_000 - 100 * 8_000 + 50 * 19_000, -50 * 19_000]


def test_a_limit_binds_and_shows_as_congestion() -> None:
    network = Network([-1, 0, 0], [-1, 150, -1], [0, 500, 0])
    done = settled(STREET, "mid-market", network, [2, 2, 1])
    assert done.traded_wh.tolist() == [150, 150]
    assert done.full_edges.tolist() == [1, 1]
    assert exact_total(done.fees) == 300 * 500
    # Buyers pay 19 000 and the fee of 500.
    assert done.paid.tolist() == [150 * 19_500] * 2
    assert done.received.tolist() == [150 * 19_000] * 2


streets = st.integers(1, 5).flatmap(
    lambda homes: st.lists(
        st.tuples(*[st.lists(st.integers(0, 900) | st.just(0), min_size=homes, max_size=homes)] * 2),
        min_size=1,
        max_size=6,
    )
)


@settings(max_examples=60, deadline=None)
@given(streets, st.sampled_from(sorted(RULES)))
def test_nobody_is_worse_off_and_nothing_is_lost(rows: list[tuple[list[int], list[int]]], name: str) -> None:
    of = meters([load for load, _ in rows], [made for _, made in rows])
    done = settled(of, name)
    gained = gains(of, PRICES, done)
    traded = exact_total(done.traded_wh)
    assert sum(done.bought_wh.tolist()) == sum(done.sold_wh.tolist()) == traded
    assert sum(gained) + exact_total(done.pool) + exact_total(done.rent) == traded * 22_000
    most = np.minimum(of.import_wh.sum(axis=1), of.export_wh.sum(axis=1))
    if name in KEYED - {"proportional", "hierarchical"}:
        assert (done.traded_wh <= most).all()
    else:
        assert done.traded_wh.tolist() == most.tolist()
    if name != "bill-sharing":
        assert min(gained) >= 0


@pytest.mark.parametrize("name", sorted(RULES))
def test_pieces_do_not_change_the_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    of = meters(random.integers(0, 300, (40, 6)).tolist(), random.integers(0, 500, (40, 6)).tolist())
    whole = settled(of, name)
    monkeypatch.setattr(run, "CHUNK_ORDERS", 7 * 6)
    parts = settled(of, name)
    assert parts.money == whole.money
    assert parts.paid.tolist() == whole.paid.tolist()


@pytest.mark.parametrize("name", sorted(set(RULES) - {"per-pair"}))
def test_the_order_of_households_does_not_matter(name: str) -> None:
    random = np.random.default_rng(8)
    load, made = random.integers(0, 300, (20, 6)), random.integers(0, 500, (20, 6))
    of = meters(load.tolist(), made.tolist())
    turned = [3, 5, 0, 1, 4, 2]
    names = tuple(of.households[at] for at in turned)
    other = Meters(
        names,
        of.nodes,
        of.start,
        900,
        of.import_wh[:, turned],
        of.export_wh[:, turned],
        made[:, turned],
        load[:, turned],
    )
    one = dict(zip(of.households, gains(of, PRICES, settled(of, name)), strict=True))
    two = dict(zip(names, gains(other, PRICES, settled(other, name)), strict=True))
    assert one == two


def _tampered(change: Callable[[Outcome], None]) -> Rule:
    def tamper(piece: run.Piece) -> Outcome:
        outcome = nodal(piece.book, piece.network)
        change(outcome)
        return outcome

    return Rule("tampered", tamper)


def _add_money(outcome: Outcome) -> None:
    outcome.money[0] += 1


def _add_energy(outcome: Outcome) -> None:
    outcome.accepted_wh[0] += 1


def _take_energy(outcome: Outcome) -> None:
    outcome.accepted_wh[np.argmax(outcome.accepted_wh)] -= 1


def _move_money(outcome: Outcome) -> None:
    outcome.money[0] += 10**9
    outcome.money[1] -= 10**9


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_add_money, "interval 0: money does not sum to zero, by 1"),
        (_add_energy, "trades more than it offers"),
        (_take_energy, "sold and bought energy differ"),
        (_move_money, "interval 0: an order trades against its limit"),
    ],
)
def test_a_broken_result_is_named(change: Callable[[Outcome], None], reason: str) -> None:
    of = meters([[400, 0], [300, 0]], [[0, 400], [0, 500]])
    with pytest.raises(BacktestError, match=reason):
        settle(of, PLATE, np.zeros(2, np.int64), PRICES, _tampered(change), lambda: 0.0, lambda done: None)


def test_sums_beyond_64_bits_are_exact() -> None:
    amounts = np.array([2**62, 2**62, 2**62, -5, -(2**62), -(2**62), -(2**62)], np.int64)
    index = np.array([0, 0, 0, 0, 1, 1, 1])
    assert exact_sums(amounts, index, 2) == [3 * 2**62 - 5, -3 * 2**62]
    assert exact_total(amounts[:4]) == 3 * 2**62 - 5
