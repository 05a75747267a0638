"""What every month must satisfy, under random tariffs, flows and promises."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from market.billing import CarryOver, IntervalResult, MonthSettled, close_month
from market.billing.result import carry_over, month_result
from market.billing.trueup import shared, true_up
from market.settlement.interval import household_account
from market.settlement.rules import MONTHLY_NETTING, RulesError
from market.tariffs import exact_total, month_of
from market.tariffs.pricing import FlatPrice, Progressive
from market.tariffs.tariff import Metering
from tests.market.billing.months import MAY, community, intervals
from tests.market.tariffs.drawn import documents

HOMES = ("a1", "a2", "b1", "b2")
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
COIN = 1_000_000


def wishes(home: str) -> st.SearchStrategy[dict[str, list[str]]]:
    others = st.permutations([one for one in HOMES if one != home])
    return st.fixed_dictionaries({"give": others, "prefer": others | st.just([])})


@st.composite
def months(draw: st.DrawFn, *, promise: str | None = None, mechanism: str = "mid-market") -> Any:
    """(rules, hours): two tariffs over four homes, and what these import and export in some hours of May.

    Homes give to each other and prefer each other, unless the month is netted.
    """
    tariffs = {name: draw(documents()) for name in ("s", "t")}
    homes = {home: draw(st.sampled_from(["s", "t"])) for home in HOMES}
    asked = promise or draw(st.sampled_from(["interval", "month"]))
    offers = {} if mechanism == MONTHLY_NETTING else {home: draw(wishes(home)) for home in HOMES}
    try:
        rules = community(tariffs, homes, promise=asked, mechanism=mechanism, offers=offers)
    except RulesError:
        assume(False)
        raise
    energy = st.integers(0, 200_000)
    # Mostly one way, as homes do: who exports in an hour rarely imports in it.
    flow = st.tuples(energy, st.just(0)) | st.tuples(st.just(0), energy) | st.tuples(energy, energy)
    hours = draw(st.lists(st.integers(0, 743), min_size=1, max_size=4, unique=True))
    return rules, [(hour, {home: draw(flow) for home in HOMES if draw(st.integers(0, 5))}) for hour in sorted(hours)]


@st.composite
def given_months(draw: st.DrawFn) -> Any:
    """Months in which something is given, as ``months`` has them: two homes have more than they need, two need it."""
    tariffs = {name: draw(documents()) for name in ("s", "t")}
    offers = {home: draw(wishes(home)) for home in HOMES}
    promise = draw(st.sampled_from(["interval", "month"]))
    tariff_of = {home: draw(st.sampled_from(["s", "t"])) for home in HOMES}
    try:
        rules = community(tariffs, tariff_of, promise=promise, offers=offers)
    except RulesError:
        assume(False)
        raise
    energy = st.integers(1, 200_000)
    hours = draw(st.lists(st.integers(0, 743), min_size=1, max_size=4, unique=True))
    flows = [
        (hour, {home: (0, draw(energy)) if home in ("a1", "b1") else (draw(energy), 0) for home in HOMES})
        for hour in sorted(hours)
    ]
    assume(any(trade.gift for result in intervals(rules, MAY, flows) for trade in result.partners))
    return rules, flows


def settled(case: Any, month: Any = MAY, before: Any = None) -> tuple[list[IntervalResult], MonthSettled]:
    rules, hours = case
    results = intervals(rules, month, hours)
    return results, close_month(rules, month, results, before or {}, "curve")


def balances(results: list[IntervalResult], month: MonthSettled) -> dict[str, int]:
    """What every account has after the month, of its intervals' and its own postings."""
    found: dict[str, int] = defaultdict(int)
    for result in results:
        fees = -sum(position.trade_money for position in result.positions)
        residual = sum(position.residual_money for position in result.positions)
        found["network"] += fees
        found["supplier"] -= residual
        for position in result.positions:
            found[household_account(position.household)] += position.trade_money + position.residual_money
    for posting in month.postings:
        found[posting.account] += posting.money
    return found


@FEW
@given(months())
def test_money_sums_to_zero_and_each_household_owes_its_bill(case: Any) -> None:
    results, month = settled(case)
    found = balances(results, month)
    assert sum(found.values()) == 0
    for household in month.households:
        assert found[household_account(household.use.member.household)] == -household.total
        assert household.total % COIN == 0, "a bill is whole coins"
    assert abs(found["rounding"]) <= len(HOMES) * COIN // 2


@FEW
@given(months() | given_months())
def test_parts_add_up_and_fees_on_bills_are_the_networks_whatever_is_given(case: Any) -> None:
    results, month = settled(case)
    assert sum(one.use.fees for one in month.households) == -sum(
        position.trade_money for result in results for position in result.positions
    )
    for one, bill in zip(month.households, month_result(case[0], month)["bills"], strict=True):
        use, trades = one.use, bill["trades"]
        assert use.fees >= 0 and use.given_wh <= use.sold_wh and use.received_wh <= use.bought_wh
        gifts = trades.get("gifts", 0)
        told = {way for way in ("received", "given") if f"{way}_wh" in bill}
        assert set(trades) & {"received", "given", "gifts"} == told | ({"gifts"} if told else set())
        assert gifts == trades.get("given", 0) - trades.get("received", 0)
        assert trades["due"] == trades["bought"] - trades["sold"] + gifts + trades["fees"] + trades["rounding"]
        assert bill["total"] == bill["own"]["total"] + trades["due"] - bill["true_up"]
        for way in ("received_wh", "given_wh"):
            assert sum(neighbour.get(way, 0) for neighbour in bill["partners"]) == bill.get(way, 0)


@FEW
@given(given_months())
def test_a_gift_is_between_two_homes(case: Any) -> None:
    """The same month with its gifts paid: only giver and receiver owe anything else, and only for the gift."""
    results, month = settled(case)
    paid = close_month(case[0], MAY, [_paid(result) for result in results], {}, "curve")
    assert month.true_up == paid.true_up
    for one, same in zip(month.households, paid.households, strict=True):
        assert (one.own, one.alone, one.use.fees) == (same.own, same.alone, same.use.fees)
        assert one.gain_if_paid == same.gain
        assert abs(one.total - same.total - one.use.gift_money) <= COIN
        if not one.use.gift_money:
            assert one.total == same.total


def _paid(result: IntervalResult) -> IntervalResult:
    gifts: dict[str, int] = defaultdict(int)
    for trade in result.partners:
        if trade.gift:
            gifts[trade.seller] += trade.energy_wh * result.price_ticks
            gifts[trade.buyer] -= trade.energy_wh * result.price_ticks
    positions = [
        structs.replace(position, trade_money=position.trade_money + gifts[position.household])
        for position in result.positions
    ]
    return replace(result, positions=positions, partners=[structs.replace(t, gift=False) for t in result.partners])


@FEW
@given(months())
def test_the_promise_holds_as_it_is_stated(case: Any) -> None:
    _, month = settled(case)
    before = {one.use.member.household: one.gain_if_paid - one.true_up for one in month.households}
    assert month.true_up.losses == -sum(min(0, gain) for gain in before.values())
    assert month.true_up.gains == sum(max(0, gain) for gain in before.values())
    assert month.true_up.paid == min(month.true_up.losses, month.true_up.gains)
    assert sum(one.true_up for one in month.households) == 0
    left = 0
    for one in month.households:
        was = before[one.use.member.household]
        gain = one.gain_if_paid
        assert min(0, was) <= gain <= max(0, was), "nobody gives more than its gain or gets more than its loss"
        left -= min(0, gain)
    assert left == month.true_up.losses - month.true_up.paid


@FEW
@given(months(promise="interval"))
def test_with_safe_limits_nobody_loses_whatever_the_months_total(case: Any) -> None:
    """To the last fraction in unrounded bills, but for what it gives away; rounding is evened out by the true-up."""
    _, month = settled(case)
    for one in month.households:
        use = one.use
        own = exact_total(use.tariff, MAY, use.usage(), one.before.own)
        alone = exact_total(use.tariff, MAY, use.alone(), one.before.alone)
        assert own - use.trade_money - use.gift_money <= alone


@FEW
@given(months())
def test_alone_is_the_bill_of_a_household_with_zero_trade(case: Any) -> None:
    results, month = settled(case)
    untraded = [
        replace(
            result,
            positions=[
                structs.replace(position, bought_wh=0, sold_wh=0, trade_money=0) for position in result.positions
            ],
            matches=[],
            partners=[],
        )
        for result in results
    ]
    without = close_month(case[0], MAY, untraded, {}, "curve")
    for one, same in zip(month.households, without.households, strict=True):
        assert same.own == same.alone == one.alone
        assert same.total == one.alone.total and same.gain == 0


@FEW
@given(st.data())
def test_credits_are_carried_on_and_no_energy_is_lost(data: st.DataObject) -> None:
    case = data.draw(months(promise="month"))
    metered = {member.household for member in case[0].members if isinstance(member.tariff.versions[0].export, Metering)}
    assume(metered)
    before: dict[str, CarryOver] = {}
    balance: dict[str, int] = defaultdict(int)
    for number in range(3):
        month = month_of("2026-05").plus(number)
        _, closed = settled(case, month, before)
        for one in closed.households:
            if one.use.member.household in metered and one.own.netted and one.alone.netted:
                use, own, alone = one.use, one.own.netted, one.alone.netted
                for way, netted, imported, exported in (
                    ("own", own, use.import_wh - use.bought_wh, use.export_wh - use.sold_wh),
                    ("alone", alone, use.import_wh, use.export_wh),
                ):
                    key = f"{way} {one.use.member.household}"
                    balance[key] += exported + netted.billed_wh - imported - netted.expired_wh
                    assert balance[key] == sum(credit.energy_wh for credit in netted.after)
        before = carry_over(month_result(case[0], closed))


@FEW
@given(months(promise="month", mechanism="monthly-netting"))
def test_a_netted_month_gains_for_both_sides_before_steps_and_rounding(case: Any) -> None:
    """Every kWh trades at what it is worth at the margin, so unrounded bills without steps lose nothing now."""
    results, month = settled(case)
    assert month.netting is not None and month.netting.gap == 0
    found = balances(results, month)
    assert sum(found.values()) == 0
    for one in month.households:
        use = one.use
        version = use.version
        stepped = isinstance(version.energy, Progressive) and any(
            len({block.base_money for block in season.blocks}) > 1 for season in version.energy.seasons
        )
        assert isinstance(version.energy, FlatPrice | Progressive)
        if version.minimum is None and not stepped:
            own = exact_total(use.tariff, MAY, use.usage())
            assert own - use.trade_money <= exact_total(use.tariff, MAY, use.alone())


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(-50, 50)))
def test_the_true_up_moves_whole_coins_from_gainers_to_losers(gains: dict[str, int]) -> None:
    found = true_up({name: gain * COIN for name, gain in gains.items()}, COIN)
    assert sum(found.moved.values()) == 0
    for name, gain in gains.items():
        moved = Fraction(found.moved.get(name, 0), COIN)
        assert moved.denominator == 1 and abs(moved) <= abs(gain) and moved * gain <= 0


@given(st.integers(0, 1000), st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1))
def test_shares_add_up_and_miss_their_proportion_by_less_than_one(amount: int, weights: dict[str, int]) -> None:
    parts = shared(amount, weights)
    assert sum(parts.values()) == amount
    total = sum(weights.values())
    assert all(abs(parts.get(name, 0) - Fraction(amount * weight, total)) < 1 for name, weight in weights.items())


def test_equal_remainders_go_by_id() -> None:
    assert shared(2, {"c": 1, "a": 1, "b": 1}) == {"a": 1, "b": 1}
