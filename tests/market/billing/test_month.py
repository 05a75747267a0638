"""A month's bills in figures that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from market.billing import BillingError, CarryOver, HouseholdMonth, IntervalResult, MonthSettled, close_month
from market.billing.result import carry_over, month_result
from market.settlement.final import settle_final
from market.settlement.interval import settle
from market.settlement.rules import Registers, RulesError
from market.tariff_files import read_body
from market.tariffs import Credit, TariffError, month_of
from market.tariffs.amounts import money, money_text
from market.tariffs.bill import Amount, Usage, bill
from tests.market.billing.months import HOUR, MAY, closed, community, intervals
from tests.market.tariffs.documents import blocks, document, version

FLAT = {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}
STEEP = blocks({"up_to_kwh": 10, "per_kwh": "0.10"}, {"per_kwh": "0.50"})
NET = {"kind": "net-metering"}


def household(month: MonthSettled, home: str) -> HouseholdMonth:
    return next(one for one in month.households if one.use.member.household == home)


def booked(month: MonthSettled) -> dict[tuple[str, str], str]:
    return {(posting.account, posting.reason): money_text(posting.money) for posting in month.postings}


def test_a_month_under_a_flat_tariff() -> None:
    """10 kWh at 0.19 instead of 0.30 and 0.08: both gain 1.10."""
    month = closed(community({"t": FLAT}, {"a1": "t", "a2": "t"}), [(12, {"a1": (0, 15_000), "a2": (10_000, 0)})])
    seller, buyer = household(month, "a1"), household(month, "a2")
    assert [money_text(bill.total) for bill in (seller.own, seller.alone)] == ["-0.4", "-1.2"]
    assert [money_text(bill.total) for bill in (buyer.own, buyer.alone)] == ["0", "3"]
    assert [money_text(one.trades_due) for one in (seller, buyer)] == ["-1.9", "1.9"]
    assert [money_text(one.total) for one in (seller, buyer)] == ["-2.3", "1.9"]
    assert [money_text(one.gain) for one in (seller, buyer)] == ["1.1", "1.1"]
    assert booked(month) == {}, "the intervals have booked all of it"
    assert buyer.use.partners == {"a1": [10_000, 0]} and seller.use.partners == {"a2": [0, 10_000]}


def test_a_gift_is_worth_the_posted_price_and_paid_by_nobody() -> None:
    """a1 sells 3 of 10 kWh to b1 at 0.19 and gives 7 to a2, who lives beyond no line with a fee."""
    offers = {"a1": {"give": ["a2"]}}
    rules = community({"t": FLAT}, {"a1": "t", "a2": "t", "b1": "t"}, offers=offers)
    month = closed(rules, [(12, {"a1": (0, 10_000), "a2": (7_000, 0), "b1": (5_000, 0)})])
    giver, receiver, buyer = (household(month, home) for home in ("a1", "a2", "b1"))
    assert [money_text(one.trades_due) for one in (giver, receiver, buyer)] == ["-0.57", "0", "0.63"]
    assert [money_text(one.use.fees) for one in (giver, receiver, buyer)] == ["0", "0", "0.06"]
    assert [money_text(one.use.gift_money) for one in (giver, receiver, buyer)] == ["1.33", "-1.33", "0"]
    assert [money_text(one.gain) for one in (giver, receiver, buyer)] == ["-0.23", "2.1", "0.27"]
    assert month.true_up.losses == 0, "what is given away is no loss that others make good"
    bodies = {body["household"]: body for body in month_result(rules, month)["bills"]}
    assert (bodies["a1"]["sold_wh"], bodies["a1"]["given_wh"]) == (10_000, 7_000)
    assert (bodies["a2"]["bought_wh"], bodies["a2"]["received_wh"]) == (7_000, 7_000)
    worth = {home: {way: money_text(money) for way, money in bodies[home]["trades"].items()} for home in bodies}
    assert worth["a1"] == {
        "bought": "0", "sold": "1.9", "given": "1.33", "gifts": "1.33", "fees": "0", "rounding": "0", "due": "-0.57",
    }  # fmt: skip
    assert worth["a2"] == {
        "bought": "1.33", "sold": "0", "received": "1.33", "gifts": "-1.33", "fees": "0", "rounding": "0", "due": "0",
    }  # fmt: skip
    assert "gifts" not in worth["b1"] and "received_wh" not in bodies["b1"], "a bill without gifts says nothing of them"
    assert bodies["a1"]["partners"] == [
        {"household": "a2", "bought_wh": 0, "sold_wh": 7_000, "given_wh": 7_000},
        {"household": "b1", "bought_wh": 0, "sold_wh": 3_000},
    ]


def test_no_neighbour_pays_for_a_gift_and_no_receiver_pays_out_of_one() -> None:
    """Under blocks a seller can lose by its trades; what it gave away is not among that."""
    tariffs = {"n": document(version(energy=STEEP, export=NET)), "t": FLAT}
    homes = {"a1": "n", "a2": "t", "b1": "t"}
    flows = {"a1": (30_000, 0), "a2": (0, 0), "b1": (0, 0)}, {"a1": (0, 12_000), "a2": (6_000, 0), "b1": (6_000, 0)}
    hours = list(zip((1, 2), flows, strict=True))
    given, sold = (
        closed(community(tariffs, homes, promise="month", fee="0", offers=offers), hours)
        for offers in ({"a1": {"give": ["a2"]}}, {"a1": {"prefer": ["a2"]}})
    )
    assert sold.true_up.paid and given.true_up == sold.true_up
    assert household(given, "b1").total == household(sold, "b1").total
    worth = money("1.14")
    assert household(given, "a1").use.gift_money == worth
    assert household(given, "a1").total == household(sold, "a1").total + worth
    assert household(given, "a2").total == household(sold, "a2").total - worth


def test_what_rounding_leaves_is_booked() -> None:
    """0.333 kWh: 0.0999 alone, 0.06327 bought, of which a coin makes 0.06."""
    month = closed(community({"t": FLAT}, {"a1": "t", "a2": "t"}), [(12, {"a1": (0, 333), "a2": (333, 0)})])
    buyer = household(month, "a2")
    assert (money_text(buyer.total), money_text(buyer.alone.total)) == ("0.06", "0.1")
    assert booked(month) == {
        ("household:a1", "rounding"): "-0.00327",
        ("household:a2", "rounding"): "0.00327",
    }


def test_taxes_and_grid_fees_go_to_whom_they_are_for() -> None:
    """Import 10 kWh: energy 3.00 and grid 1.00, VAT 0.80; intervals have booked 4.80 to the supplier."""
    body = document(
        version(
            grid={"per_kwh": "0.10"},
            levies=[{"name": "vat", "percent": "20", "base": ["energy", "grid"], "rounding": {"to": "0.01"}}],
        )
    )
    month = closed(community({"t": body}, {"a1": "t"}), [(0, {"a1": (10_000, 0)})])
    assert money_text(household(month, "a1").own.total) == "4.8"
    assert booked(month) == {
        ("supplier", "invoice"): "-1.8",
        ("network", "invoice"): "1",
        ("state", "invoice"): "0.8",
    }


def test_progressive_blocks_are_booked_at_the_months_end_only() -> None:
    rules = community({"t": document(version(energy=STEEP))}, {"a1": "t", "a2": "t"})
    month = closed(rules, [(0, {"a1": (9_000, 0), "a2": (0, 0)}), (50, {"a1": (6_000, 0), "a2": (0, 2_000)})])
    assert household(month, "a1").use.residual_money == 0
    assert money_text(household(month, "a1").own.total) == "3.5"  # 10 x 0.10 + 5 x 0.50: the block is safe at 0.10 only
    assert booked(month) == {("household:a1", "invoice"): "-3.5", ("supplier", "invoice"): "3.5"}


def test_with_the_promise_of_the_month_a_loss_is_made_good_out_of_gains() -> None:
    """a2 saves 2 kWh in the dear block; a3 in the cheap one, where 0.19 is more than 0.10: it is made whole."""
    rules = community(
        {"t": document(version(energy=STEEP)), "sun": FLAT}, {"a1": "sun", "a2": "t", "a3": "t"}, promise="month"
    )
    month = closed(rules, [(0, {"a2": (20_000, 0)}), (12, {"a1": (0, 4_000), "a2": (2_000, 0), "a3": (2_000, 0)})])
    gains = {one.use.member.household: money_text(one.gain + -one.true_up) for one in month.households}
    assert gains == {"a1": "0.44", "a2": "0.62", "a3": "-0.18"}
    assert [money_text(one.true_up) for one in month.households] == ["-0.07", "-0.11", "0.18"]
    assert money_text(household(month, "a3").gain) == "0"
    assert month.true_up.paid == month.true_up.losses == money("0.18")


def test_when_losses_exceed_gains_they_are_made_good_as_far_as_the_gains_go() -> None:
    """A net-metered seller at the top block gives up 0.50 a kWh for 0.19."""
    net = document(version(energy=STEEP, export=NET))
    rules = community({"t": document(version(energy=STEEP)), "net": net}, {"a1": "net", "a2": "t"}, promise="month")
    month = closed(rules, [(0, {"a1": (30_000, 0), "a2": (8_000, 0)}), (12, {"a1": (0, 2_000), "a2": (2_000, 0)})])
    seller, buyer = household(month, "a1"), household(month, "a2")
    assert money_text(seller.alone.total - seller.own.total) == "-1"
    assert (money_text(buyer.gain), money_text(seller.gain)) == ("-0.18", "-0.62")
    assert month.true_up.paid == 0, "nobody has gained"
    assert not month_result(rules, month)["promise"]["gains"]


def test_net_metering_carries_credits_on_and_alone_has_its_own() -> None:
    net = document(version(energy=blocks({"per_kwh": "0.15"}), export=NET))
    rules = community({"t": FLAT, "net": net}, {"a1": "net", "a2": "t"}, promise="month")
    first = closed(rules, [(12, {"a1": (0, 10_000), "a2": (6_000, 0)})])
    seller = household(first, "a1")
    assert seller.after == CarryOver((Credit(MAY, 4_000),), (Credit(MAY, 10_000),))
    left = carry_over(month_result(rules, first))
    assert left == {"a1": seller.after}
    june = month_of("2026-06")
    second = household(closed(rules, [(0, {"a1": (7_000, 0), "a2": (0, 0)})], june, left), "a1")
    assert (money_text(second.own.total), money_text(second.alone.total)) == ("0.45", "0")
    assert second.after == CarryOver((), (Credit(MAY, 3_000),))
    assert money_text(second.gain) == "-0.45", "what was sold in May was dearer in May: 1.14"


def test_credits_of_one_who_is_no_member_for_a_month_wait() -> None:
    rules = community({"t": FLAT}, {"a1": "t"})
    waiting = {"b9": CarryOver((Credit(MAY, 5),), ())}
    month = closed(rules, [(0, {"a1": (1, 0)})], month_of("2026-06"), waiting)
    assert carry_over(month_result(rules, month)) == waiting


def test_credits_wait_while_a_tariff_has_no_net_metering() -> None:
    held = CarryOver((Credit(MAY, 5),), (Credit(MAY, 7),))
    month = closed(community({"t": FLAT}, {"a1": "t"}), [(0, {"a1": (1, 0)})], month_of("2026-06"), {"a1": held})
    assert household(month, "a1").after == held


def test_time_of_use_is_billed_by_window() -> None:
    rules = community({"t": read_body("eu-time-of-use")}, {"a1": "t"})
    month = closed(rules, [(hour, {"a1": (1_000, 0)}) for hour in (0, 10, 18, 4 * 24 + 19)])  # 1 May is a holiday
    lines = {line.detail: (line.energy_wh, money_text(line.money)) for line in household(month, "a1").own.lines}
    assert lines["night"] == (1_000, "0.2") and lines["day"] == (2_000, "0.5") and lines["evening"] == (1_000, "0.32")


def test_a_price_that_was_known_at_the_interval_counts_when_it_is_dropped_later() -> None:
    """A day's prices may leave the document again: those of the newest count first, then those known then."""

    def dynamic(**prices: Any) -> dict[str, Any]:
        return document(version(energy={"kind": "dynamic", "otherwise_per_kwh": "0.50", **prices}))

    day = {"start": "2026-05-01T00:00:00+02:00", "step_s": 3600, "per_kwh": ["0.10", "0.20"]}
    then = community({"t": dynamic(series=[day])}, {"a1": "t"})
    now = community({"t": dynamic()}, {"a1": "t"})
    results = intervals(then, MAY, [(hour, {"a1": (1_000, 0)}) for hour in range(3)])
    month = close_month(now, MAY, results, {}, "curve")
    assert money_text(household(month, "a1").own.total) == "0.8", "0.10 + 0.20 + 0.50"
    late = close_month(now, MAY, [replace(result, rules=now) for result in results], {}, "curve")
    assert money_text(household(late, "a1").own.total) == "1.5"


def test_a_month_is_billed_by_the_newest_words_of_its_tariff() -> None:
    then, now = (community({"t": {**FLAT, "retail_per_kwh": price}}, {"a1": "t"}) for price in ("0.30", "0.40"))
    month = close_month(now, MAY, intervals(then, MAY, [(0, {"a1": (1_000, 0)})]), {}, "curve")
    assert money_text(household(month, "a1").own.total) == "0.4"
    assert booked(month) == {("household:a1", "invoice"): "-0.1", ("supplier", "invoice"): "0.1"}


def test_who_joins_within_a_month_pays_the_fixed_charges_of_all_of_it() -> None:
    """As alone: the month of its supplier's contract is not the community's to divide."""
    rules = community({"t": document(version(charges=[{"name": "standing", "per_day": "0.20"}]))}, {"a1": "t"})
    one = household(closed(rules, [(20 * 24, {"a1": (1_000, 0)})]), "a1")
    assert [money_text(made.total) for made in (one.own, one.alone)] == ["6.5", "6.5"], "31 x 0.20 and 0.30"


def test_a_household_that_changes_its_tariff_is_billed_by_it_from_the_next_month_on() -> None:
    tariffs = {"old": FLAT, "new": {**FLAT, "retail_per_kwh": "0.40"}}
    before, after = (community(tariffs, {"a1": name}) for name in ("old", "new"))
    results = intervals(before, MAY, [(0, {"a1": (1_000, 0)})]) + intervals(after, MAY, [(1, {"a1": (1_000, 0)})])
    month = close_month(after, MAY, results, {}, "curve")
    assert money_text(household(month, "a1").own.total) == "0.6"
    assert booked(month) == {("household:a1", "invoice"): "0.1", ("supplier", "invoice"): "-0.1"}


def test_a_month_without_data_is_refused() -> None:
    with pytest.raises(BillingError, match="month 2026-05: there is no settled interval in it"):
        closed(community({"t": FLAT}, {"a1": "t"}), [])


def test_a_tariff_that_does_not_hold_for_the_month_is_refused() -> None:
    rules = community({"t": document(version(valid_until="2026-05-31"))}, {"a1": "t"})
    with pytest.raises(TariffError, match="tariff t is not valid in all of 2026-05"):
        closed(rules, [(0, {"a1": (1, 0)})])


# Monthly netting, as in Korea's pilot


def netting(homes: dict[str, str], **members: Any) -> Any:
    tariffs = {"t": document(version(energy=STEEP)), "net": document(version(energy=STEEP, export=NET)), "sun": FLAT}
    return community(tariffs, homes, mechanism="monthly-netting", promise="month", **members)


def test_a_months_kwh_are_netted_between_neighbours() -> None:
    """a2's 15 kWh: five of them are worth 0.50, the others 0.10; only the five are worth 0.19."""
    rules = netting({"a1": "sun", "a2": "t"})
    month = closed(rules, [(0, {"a1": (0, 0), "a2": (15_000, 0)}), (12, {"a1": (0, 9_000), "a2": (0, 0)})])
    seller, buyer = household(month, "a1"), household(month, "a2")
    assert (seller.use.sold_wh, buyer.use.bought_wh) == (5_000, 5_000)
    assert (money_text(buyer.own.total), money_text(buyer.trades_due)) == ("1", "0.95")
    assert (money_text(seller.own.total), money_text(seller.trades_due)) == ("-0.32", "-0.95")
    assert [money_text(one.gain) for one in (seller, buyer)] == ["0.55", "1.55"]
    assert booked(month)["household:a2", "trade"] == "-0.95"


def test_a_seller_whose_kwh_would_come_dearer_does_not_sell() -> None:
    """Net metered at 30 kWh: a kWh sold is one more at 0.50."""
    rules = netting({"a1": "net", "a2": "t"})
    month = closed(rules, [(0, {"a1": (32_000, 0), "a2": (15_000, 0)}), (12, {"a1": (0, 2_000), "a2": (0, 0)})])
    assert household(month, "a1").use.sold_wh == 0
    month = closed(rules, [(0, {"a1": (5_000, 0), "a2": (15_000, 0)}), (12, {"a1": (0, 4_000), "a2": (0, 0)})])
    assert household(month, "a1").use.sold_wh == 4_000, "in the cheap block it gives up 0.10"


@pytest.mark.parametrize(
    ("offers", "traded"),
    [
        ({"a1": {"min_sell_per_kwh": "0.19"}, "a2": {"max_buy_per_kwh": "0.19"}}, 5_000),
        ({"a1": {"min_sell_per_kwh": "0.20"}}, 0),
        ({"a2": {"max_buy_per_kwh": "0.18"}}, 0),
    ],
)
def test_a_households_own_limits_hold_for_the_netted_month(offers: dict[str, Any], traded: int) -> None:
    """The posted price is 0.19; the tariffs leave 5 kWh to trade."""
    rules = netting({"a1": "sun", "a2": "t"}, offers=offers, fee="0")
    month = closed(rules, [(0, {"a1": (0, 0), "a2": (15_000, 0)}), (12, {"a1": (0, 9_000), "a2": (0, 0)})])
    assert (household(month, "a1").use.sold_wh, household(month, "a2").use.bought_wh) == (traded, traded)


def test_who_has_exported_sells_and_does_not_buy() -> None:
    rules = netting({"a1": "sun", "a2": "t", "a3": "sun"})
    month = closed(rules, [(0, {"a1": (3_000, 1_000), "a2": (15_000, 0), "a3": (0, 500)})])
    assert [(one.use.bought_wh, one.use.sold_wh) for one in month.households] == [(0, 1_000), (1_500, 0), (0, 500)]


def test_fees_of_the_way_are_paid_by_the_buyer() -> None:
    rules = netting({"a1": "sun", "b1": "t"}, fee="0.01")
    month = closed(rules, [(0, {"a1": (0, 9_000), "b1": (15_000, 0)})])
    assert money_text(household(month, "b1").use.trade_money) == "-1.05"
    assert booked(month)["network", "fee"] == "0.1"


def test_own_limits_hold() -> None:
    rules = netting({"a1": "sun", "a2": "t"})
    members = tuple(replace(member, max_buy_ticks=15_000) for member in rules.members)
    month = closed(replace(rules, members=members), [(0, {"a1": (0, 9_000), "a2": (15_000, 0)})])
    assert household(month, "a2").use.bought_wh == 0


@pytest.mark.parametrize(
    ("tariffs", "members", "reason"),
    [
        (FLAT, {"mechanism": "monthly-netting"}, "monthly-netting settles months: it needs the promise 'month'"),
        (
            read_body("eu-time-of-use"),
            {"mechanism": "monthly-netting", "promise": "month"},
            "tariffs: t: its energy has a price for each time: a kWh of the month has no value of its own",
        ),
        (
            document(version(energy=blocks(), export=NET)),
            {},
            "tariffs: t: from 100 kWh a month on the base charge steps from 1 to 2, and one kWh that a "
            "net-metered member sells can cost all of it: the promise 'interval' cannot be kept under it, 'month' can",
        ),
        (document(version(), currency="CHF"), {}, "tariffs: t: its currency is CHF, the community's EUR"),
        (document(version(), timezone="Asia/Seoul"), {}, "its timezone is Asia/Seoul, the community's Europe/Berlin"),
        (
            document(
                version(
                    energy={
                        "kind": "time-of-use",
                        "windows": [
                            {"name": "n", "from": "21:30", "to": "06:00", "per_kwh": "0.1"},
                            {"name": "d", "from": "06:00", "to": "21:30", "per_kwh": "0.2"},
                        ],
                    }
                )
            ),
            {},
            "tariffs: t: window [nd] begins or ends at 21:30, which an interval of 3600 s does not divide",
        ),
        ("eu-flat", {}, "tariffs: t: 'eu-flat' is only a name"),
        ({"retail_per_kwh": "0.1", "feed_in_per_kwh": "0.2"}, {}, "tariffs: t: feed-in above retail"),
        (
            read_body("at-energy-community"),
            {"timezone": "Europe/Vienna", "grid": {"tariff": "t", "level": "moon"}},
            "tariffs: t: its grid fee knows no level moon; known: local, regional",
        ),
        (FLAT, {"network": [{"node": "a", "grid_level": "far"}]}, "a grid_level needs the community's member grid"),
    ],
)
def test_what_a_community_cannot_have(tariffs: Any, members: dict[str, Any], reason: str) -> None:
    with pytest.raises(RulesError, match=reason):
        community({"t": tariffs}, {"a1": "t"}, **members)


def test_fees_of_the_network_follow_from_the_grid_fee() -> None:
    """Beyond the level that all share, two edges bear the rest: (80 - 60) % of 10.5 with 8.1 % VAT, halved."""
    swiss = read_body("ch-local-community")
    rules = community(
        {"t": swiss},
        {"a1": "t", "b1": "t"},
        currency="CHF",
        timezone="Europe/Zurich",
        grid={"tariff": "t", "level": "transformer"},
        network=[{"node": "root"}, *({"node": n, "parent": "root", "grid_level": "beyond"} for n in "ab")],
    )
    assert rules.network.fee_ticks.tolist() == [0, 1_135, 1_135]
    assert rules.members[0].tariff.level == "transformer"


@pytest.mark.parametrize("left_wh", [1, 0])
def test_what_a_final_correction_took_from_a_trade_stays_owed(left_wh: int) -> None:
    """10 kWh were sold; the meter made 1 Wh, or none: the seller owes its supplier the rest, in the month too."""
    rules = community({"t": FLAT}, {"a1": "t", "a2": "t"})
    start = MAY.start(ZoneInfo(rules.timezone))
    zero, sold, bought = (Registers(0, 0, 0, 0), Registers(0, 10_000, 10_000, 0), Registers(10_000, 0, 0, 10_000))
    registers = {(home, start - HOUR): zero for home in ("a1", "a2")} | {("a1", start): sold, ("a2", start): bought}
    cleared = settle(rules, start, registers, "curve")
    registers["a1", start] = Registers(0, left_wh, left_wh, 0)
    final = settle_final(rules, start, registers, cleared.result)
    result = IntervalResult(start, rules, final.price_ticks, final.positions, final.matches)
    month = close_month(rules, MAY, [result], {}, "curve")
    assert money_text(household(month, "a1").own.total) == "0.8"
    assert abs(sum(posting.money for posting in month.postings if posting.account == "household:a1")) < money("0.01")


def test_energy_that_cancels_out_at_two_prices_is_still_paid_for() -> None:
    usage = Usage(supplied={"dynamic": Amount(0, 500)})
    tariff = community({"t": document(version())}, {"a1": "t"}).tariffs["t"]
    assert sum(line.money for line in bill(tariff, MAY, usage).lines if line.name == "energy") == 500


def test_what_intervals_have_traded_is_not_netted_again() -> None:
    """The mechanism changed within the month, and the nodes stand in another order since."""
    tariff = {"t": document(version(energy=STEEP)), "s": document(version(energy=STEEP, export=NET), name="s")}
    before = community(tariff, {"a1": "t", "b1": "s"}, promise="month")
    traded = intervals(before, MAY, [(12, {"a1": (9_000, 0), "b1": (0, 9_000)})])
    assert sum(position.sold_wh for position in traded[0].positions) == 9_000
    network = [{"node": "root"}, {"node": "b", "parent": "root"}, {"node": "a", "parent": "root"}]
    after = community(tariff, {"a1": "t", "b1": "s"}, promise="month", mechanism="monthly-netting", network=network)
    month = close_month(after, MAY, traded, {}, "curve")
    assert month.netting is not None and month.netting.orders == ()
    assert household(month, "a1").use.bought_wh == 9_000
