"""What a kWh is worth: by hand for every kind of line, and for random tariffs against the bill itself."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from market.tariff_files import read_tariff
from market.tariffs import Amount, Bill, Credit, Tariff, TariffError, Usage, bill, exact_total, month_of, parse_tariff
from market.tariffs.steps import buying, one_price, selling
from market.tariffs.tariff import Metering
from market.tariffs.values import Limits, grid_fee, unsafe, values
from tests.market.tariffs.documents import blocks, document, tariff, version
from tests.market.tariffs.drawn import documents

MONTH = month_of("2026-03")
START = 1_772_600_400
"""In March 2026."""
VAT = {"name": "vat", "percent": "20", "base": ["energy", "grid", "grid-traded", "tax"]}
TAX = {"name": "tax", "per_kwh": "0.01"}


@pytest.mark.parametrize(
    ("members", "rates", "limits"),
    [
        ({}, (30_000, 0, 0, 0), (30_000, 0)),
        ({"levies": [{**VAT, "base": ["energy"]}]}, (36_000, 0, 0, 0), (36_000, 0)),
        ({"charges": [TAX]}, (31_000, 0, 0, 0), (31_000, 0)),
        ({"charges": [{**TAX, "on": "import"}]}, (31_000, 0, 1_000, 0), (30_000, 0)),
        ({"charges": [{**TAX, "on": "bought"}]}, (30_000, 0, 1_000, 0), (29_000, 0)),
        ({"charges": [{**TAX, "on": "sold"}]}, (30_000, 0, 0, 1_000), (30_000, 1_000)),
        ({"charges": [{**TAX, "on": "fed-in"}]}, (30_000, -1_000, 0, 0), (30_000, -1_000)),
        ({"charges": [{**TAX, "on": "export"}]}, (30_000, -1_000, 0, 1_000), (30_000, 0)),
        ({"export": {"kind": "flat", "per_kwh": "0.08"}}, (30_000, 8_000, 0, 0), (30_000, 8_000)),
        ({"grid": {"per_kwh": "0.10"}}, (40_000, 0, 10_000, 0), (30_000, 0)),
        (
            {"grid": {"per_kwh": "0.10", "reductions": [{"level": "near", "percent": "40"}]}, "charges": [TAX],
             "levies": [VAT]},
            (49_200, 0, 7_200, 0), (42_000, 0),
        ),
        ({"minimum": {"per_month": "5"}}, (30_000, 0, 0, 0), (0, 0)),
        ({"charges": [TAX], "levies": [{**VAT, "base": ["tax"]},
                                       {"name": "more", "percent": "50", "base": ["vat", "energy"]}]},
         (46_300, 0, 0, 0), (46_300, 0)),
    ],
)  # fmt: skip
def test_rates_and_limits(members: dict[str, Any], rates: tuple[int, ...], limits: tuple[int, int]) -> None:
    worth = values(tariff(**members), START, "interval")
    assert worth.rates is not None
    assert (
        worth.rates.import_ticks, worth.rates.export_ticks, worth.rates.bought_ticks, worth.rates.sold_ticks,
    ) == rates  # fmt: skip
    assert worth.limits == Limits(*limits)


def test_under_blocks_the_lowest_block_is_safe_for_a_buyer_and_the_highest_for_a_net_metered_seller() -> None:
    level = [{"up_to_kwh": 100, "per_kwh": "0.20"}, {"up_to_kwh": 200, "per_kwh": "0.10"}, {"per_kwh": "0.40"}]
    of = tariff(energy=blocks(*level), levies=[{**VAT, "base": ["energy"]}])
    assert values(of, START, "interval").rates is None
    assert values(of, START, "interval").limits == Limits(12_000, 0)
    assert values(of, START, "month").limits == Limits(48_000, 0)
    metered = tariff(energy=blocks(*level), levies=[{**VAT, "base": ["energy"]}], export={"kind": "net-metering"})
    assert values(metered, START, "interval").limits == Limits(0, 48_000), "a credit may never be used"
    assert values(metered, START, "month").limits == Limits(48_000, 0)


def test_a_credit_may_be_worth_what_a_later_row_makes_of_it() -> None:
    rows = [
        version(valid_until="2027-01-01", energy=blocks({"per_kwh": "0.30"}), export={"kind": "net-metering"}),
        version(valid_from="2027-01-01", energy=blocks({"per_kwh": "0.45"}), export={"kind": "net-metering"}),
    ]
    assert values(parse_tariff(document(*rows)), START, "interval").limits == Limits(0, 45_000)
    assert values(parse_tariff(document(rows[0])), START, "interval").limits == Limits(0, 30_000)


def test_korea() -> None:
    """(120 + 9 + 5) x 1.137 and (307.3 + 9 + 5) x 1.137 won, floored and ceiled to ticks."""
    korea = read_tariff("kr-residential-low-2024")
    at = 1_715_000_000
    assert values(korea, at, "interval").limits == Limits(15_235_800, 0)
    assert values(korea, at, "month").limits.most_ticks == 36_531_810
    assert unsafe(korea) is None, "a base charge that rises with use only makes a bought kWh worth more"
    net = unsafe(read_tariff("kr-residential-low-2024-net"))
    assert net == (
        "from 300 kWh a month on the base charge steps from 910 to 1600, and one kWh that a net-metered member sells "
        "can cost all of it"
    )


def test_a_base_charge_that_falls_is_unsafe_for_a_buyer() -> None:
    falling = blocks({"up_to_kwh": 100, "per_kwh": "0.1", "base": "9"}, {"per_kwh": "0.1", "base": "5"})
    assert "from 100 kWh a month on the base charge steps from 9 to 5, and one kWh that a member buys" in (
        unsafe(tariff(energy=falling)) or ""
    )


def test_the_grid_fee_by_level() -> None:
    swiss = read_tariff("ch-local-community")
    assert [grid_fee(swiss, level) for level in ("transformer", "beyond")] == [
        Fraction(10_500 * 60 * 1081, 100_000), Fraction(10_500 * 80 * 1081, 100_000),
    ]  # fmt: skip
    with pytest.raises(TariffError, match="knows no level moon; known: transformer, beyond"):
        grid_fee(swiss, "moon")


def test_a_months_kwh_at_what_they_are_worth() -> None:
    korea, month = read_tariff("kr-residential-low-2024-net"), month_of("2024-05")
    assert buying(korea, month, 470_000) == [(70_000, 36_531_810), (200_000, 25_991_820), (200_000, 15_235_800)]
    assert buying(korea, month, 250_000, credits=[Credit(month, 40_000)]) == [
        (10_000, 25_991_820), (200_000, 15_235_800), (40_000, 0),
    ]  # fmt: skip
    assert selling(korea, month, 430_000, 50_000) == [(20_000, 25_991_820), (30_000, 36_531_810)]
    assert selling(korea, month, 430_000, 50_000, [Credit(month, 200_000)]) == [
        (20_000, 15_235_800), (30_000, 25_991_820),
    ], "credits come off before the blocks"  # fmt: skip
    assert selling(korea, month, 10_000, 50_000) == [(50_000, 15_235_800)]
    assert "for each time" in (one_price(read_tariff("eu-time-of-use")) or "") and one_price(korea) is None


# Random tariffs and months against the bill itself.

ENERGY = st.integers(0, 700_000)


def usage(of: Tariff, supplied_wh: int, fed_in_wh: int, bought_wh: int = 0, sold_wh: int = 0) -> Usage:
    """All energy in one interval of the month; what was traded is not in the others."""
    version = of.versions[0]

    def amounts(pricing: Any, energy_wh: int) -> dict[str, Amount]:
        if not hasattr(pricing, "band"):
            return {"": Amount(energy_wh, 0)}
        band = pricing.band(START, of.zone)
        return {band.name: Amount(energy_wh, energy_wh * band.ticks)}

    return Usage(amounts(version.energy, supplied_wh), amounts(version.export, fed_in_wh), bought_wh, sold_wh)


@settings(max_examples=120, deadline=None)
@given(documents(), ENERGY, ENERGY, st.integers(1, 400_000), st.integers(0, 300_000))
def test_no_trade_within_safe_limits_costs_anything_whatever_the_month_brings(
    body: dict[str, Any], supplied_wh: int, fed_in_wh: int, traded_wh: int, credit_wh: int
) -> None:
    """In unrounded bills, to the last fraction: at the limit itself the household is no worse off."""
    of = parse_tariff(body)
    assume(unsafe(of) is None)
    limits = values(of, START, "interval").safe
    credits = [Credit(MONTH.plus(-1), credit_wh)] if credit_wh else []
    alone = exact_total(of, MONTH, usage(of, supplied_wh + traded_wh, fed_in_wh), credits)
    with_it = exact_total(of, MONTH, usage(of, supplied_wh, fed_in_wh, bought_wh=traded_wh), credits)
    assert with_it + traded_wh * limits.most_ticks <= alone
    alone = exact_total(of, MONTH, usage(of, supplied_wh, fed_in_wh + traded_wh), credits)
    with_it = exact_total(of, MONTH, usage(of, supplied_wh, fed_in_wh, sold_wh=traded_wh), credits)
    assert with_it - traded_wh * limits.least_ticks <= alone


# Of the tariffs drawn some have no net metering, and are passed over.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(documents(steps=False), st.lists(st.tuples(ENERGY, ENERGY), min_size=2, max_size=6), st.data())
def test_nor_when_its_credits_would_have_been_used_in_later_months(
    body: dict[str, Any], flows: list[tuple[int, int]], data: st.DataObject
) -> None:
    of = parse_tariff(body)
    assume(isinstance(of.versions[0].export, Metering) and unsafe(of) is None)
    least = values(of, START, "interval").safe.least_ticks
    owed, credits = [Fraction(0), Fraction(0)], [(), ()]
    month = MONTH
    for supplied_wh, fed_in_wh in flows:
        sold_wh = data.draw(st.integers(0, fed_in_wh))
        for way, sold in enumerate((0, sold_wh)):
            used = usage(of, supplied_wh, fed_in_wh - sold, sold_wh=sold)
            owed[way] += exact_total(of, month, used, credits[way]) - sold * least
            credits[way] = bill(of, month, used, credits[way]).credits  # type: ignore[assignment]
        month = month.plus(1)
    assert owed[1] <= owed[0]


@settings(max_examples=120, deadline=None)
@given(documents(), ENERGY, ENERGY, ENERGY, st.integers(0, 300_000))
def test_a_bill_is_the_sum_of_its_lines_and_close_to_the_unrounded_one(
    body: dict[str, Any], supplied_wh: int, fed_in_wh: int, bought_wh: int, credit_wh: int
) -> None:
    of = parse_tariff(body)
    credits = [Credit(MONTH.plus(-1), credit_wh)] if credit_wh else []
    used = usage(of, supplied_wh, fed_in_wh, bought_wh=bought_wh)
    made: Bill = bill(of, MONTH, used, credits)
    version = of.versions[0]
    assert made.total == sum(line.money for line in made.lines)
    assert made.total % version.rounding.to == 0
    # Levies may be on levies, so that one's rounding is carried on by the next.
    steps = sum(levy.rounding.to for levy in version.levies) * 2 + version.rounding.to + 20 * 2
    assert abs(made.total - exact_total(of, MONTH, used, credits)) < steps


@settings(max_examples=80, deadline=None)
@given(documents(), ENERGY, ENERGY)
def test_the_booked_rates_are_the_unrounded_bill_but_for_what_is_fixed(
    body: dict[str, Any], supplied_wh: int, fed_in_wh: int
) -> None:
    """Where intervals have prices, rates x energy misses the bill's linear part by less than a tick per Wh."""
    of = parse_tariff(body)
    rates = values(of, START, "interval").rates
    assume(rates is not None and of.versions[0].minimum is None)
    assert rates is not None
    fixed = exact_total(of, MONTH, usage(of, 0, 0))
    linear = exact_total(of, MONTH, usage(of, supplied_wh, fed_in_wh)) - fixed
    booked = supplied_wh * rates.import_ticks - fed_in_wh * rates.export_ticks
    assert 0 <= linear - booked <= supplied_wh + fed_in_wh
