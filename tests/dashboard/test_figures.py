"""Figures as people read them: units, rounding, shares and money that can be retraced."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import figures
from dashboard.days import local_day
from market.series import CommunityPoint, HouseholdPoint, HouseholdTotals

EURO, WON, OTHER = figures.currency("EUR"), figures.currency("KRW"), figures.currency("SEK")
NOON = HouseholdPoint(
    start=1_468_231_200,
    length=900,
    household="h001",
    import_wh=40,
    export_wh=500,
    generation_wh=800,
    consumption_wh=340,
    bought_wh=40,
    sold_wh=200,
    heard=True,
    trade_money=200 * 19_000 - 40 * 19_500,
    residual_money=300 * 8_000,
    alone_money=500 * 8_000 - 40 * 30_000,
    revision=0,
)


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("value", "scale", "digits", "text"),
    [
        (0, 3, 2, "0.00"),
        (1_234, 3, 2, "1.23"),
        (1_235, 3, 2, "1.24"),
        (-1_235, 3, 2, "-1.24"),
        (-4, 3, 2, "0.00"),
        (999_999, 3, 0, "1,000"),
        (5, 0, 2, "5.00"),
        (12_345_678, 3, 3, "12,345.678"),
    ],
)
def test_decimals_are_cut_from_integers(value: int, scale: int, digits: int, text: str) -> None:
    assert spaced(figures.decimal(value, scale, digits)) == text


@pytest.mark.parametrize(
    ("watts", "text"), [(0, "0 W"), (999, "999 W"), (1_000, "1.0 kW"), (1_249, "1.2 kW"), (99_960, "100 kW")]
)
def test_power(watts: int, text: str) -> None:
    assert spaced(figures.power(watts)) == text


@pytest.mark.parametrize(
    ("wh", "text"),
    [
        (0, "0.00 kWh"),
        (4, "4 Wh"),
        (10, "0.01 kWh"),
        (9_994, "9.99 kWh"),
        (9_995, "10.0 kWh"),
        (1_250_000, "1,250.0 kWh"),
    ],
)
def test_energy(wh: int, text: str) -> None:
    assert spaced(figures.energy(wh)) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (EURO.price(19_000), "19.0 ct"),
        (EURO.price(19_050), "19.05 ct"),
        (EURO.price(-500), "-0.5 ct"),
        (EURO.money(97_000_000), "€0.97"),
        (EURO.signed(97_000_000), "+€0.97"),
        (EURO.signed(-62_400_000), "-€0.62"),
        (EURO.signed(400_000), "€0.00"),
        (EURO.signed(-400_000), "€0.00"),
        (EURO.signed(1_540_000, extra=2), "+€0.0154"),
        (WON.price(19_000_000), "₩190.0"),
        (WON.money(123_456_700_000_000), "₩1,234,567"),
        (OTHER.money(123_456_789), "SEK 1.23"),
    ],
)
def test_money_and_prices(written: str, text: str) -> None:
    assert spaced(written).removeprefix("+" if text == "€0.00" else "") == text


@pytest.mark.parametrize(
    ("wh", "length", "watts"), [(1, 3600, 1), (100, 900, 400), (1, 900, 4), (1, 7200, 1), (0, 900, 0)]
)
def test_mean_power_of_an_interval(wh: int, length: int, watts: int) -> None:
    assert figures.watts(wh, length) == watts


def test_flow_is_gross_in_both_directions() -> None:
    assert figures.flow(NOON) == figures.Flow(
        generation_w=3_200,
        use_w=1_360,
        own_use_w=1_200,
        bought_w=160,
        sold_w=800,
        from_grid_w=0,
        to_grid_w=1_200,
    )


def test_a_buyer_is_told_the_price_with_fees() -> None:
    buyer = replace(NOON, sold_wh=0, trade_money=-40 * 19_500)
    assert figures.paid_ticks(buyer, 19_000) == 19_500
    assert figures.paid_ticks(NOON, 19_000) == 19_000
    assert figures.paid_ticks(replace(NOON, bought_wh=0), 19_000) == 19_000


@pytest.mark.parametrize(
    ("price", "feed_in", "retail", "permille"),
    [(19_000, 8_000, 30_000, 500), (8_000, 8_000, 30_000, 0), (40_000, 8_000, 30_000, 1000), (5, 5, 5, 500)],
)
def test_place_of_the_price(price: int, feed_in: int, retail: int, permille: int) -> None:
    assert figures.PriceScale(price, feed_in, retail).permille == permille


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=6))
def test_shares_add_up(energies: list[int]) -> None:
    found = figures.shares([(str(i), wh) for i, wh in enumerate(energies)])
    if not sum(energies):
        assert found == []
        return
    assert sum(share.permille for share in found) == 1000
    assert sum(share.percent for share in found) == 100
    for share, wh in zip(found, energies, strict=True):
        assert abs(share.permille - wh * 1000 / sum(energies)) < 1
        assert abs(share.percent - wh * 100 / sum(energies)) < 1
    assert [s.begin for s in found] == [sum(s.permille for s in found[:i]) for i in range(len(found))]


def test_where_energy_came_from_and_went() -> None:
    sums = HouseholdTotals(
        intervals=1, import_wh=400, export_wh=500, generation_wh=1_100, consumption_wh=1_000, bought_wh=100, sold_wh=200
    )
    assert [(s.kind, s.wh) for s in figures.use_came_from(sums)] == [("own", 600), ("bought", 100), ("grid", 300)]
    assert [(s.kind, s.wh) for s in figures.generation_went(sums)] == [("own", 600), ("sold", 200), ("grid", 300)]
    assert figures.without_grid(sums) == figures.Part(700, 70)
    assert figures.without_grid(HouseholdTotals()) is None


@pytest.mark.parametrize(
    ("part", "text"),
    [(figures.Part(0, 0), "0 %"), (figures.Part(3, 0), "< 1 %"), (figures.Part(9, 100), "100 %")],
)
def test_percent(part: figures.Part, text: str) -> None:
    assert spaced(figures.percent(part)) == text


def price(start: int, ticks: int) -> CommunityPoint:
    return CommunityPoint(start, 900, 12, 12, 0, 0, 0, 0, 0, 0, 0, ticks, 30_000, 8_000, 0, 0)


def test_a_days_money_can_be_retraced() -> None:
    day = local_day(date(2016, 7, 11), ZoneInfo("Europe/Berlin"))
    later = replace(NOON, start=NOON.start + 900, trade_money=200 * 17_000 - 40 * 17_500)
    rows = figures.day_rows(day, 900, [NOON, later], [price(NOON.start, 19_000), price(later.start, 17_000)])
    money = figures.money(rows)
    assert money.sold == 200 * 19_000 + 200 * 17_000
    assert money.bought == 40 * 19_000 + 40 * 17_000
    assert money.fees == 2 * 40 * 500
    assert money.sold - money.bought - money.fees == money.sums.trade_money
    assert money.prices == (17_000, 19_000)
    assert money.sums.saved_money == NOON.saved_money + later.saved_money


def test_rows_cover_the_day_and_the_chart_knows_what_is_missing() -> None:
    day = local_day(date(2016, 10, 30), ZoneInfo("Europe/Berlin"))
    first = replace(NOON, start=day.start)
    silent = replace(NOON, start=day.start + 900, heard=False)
    rows = figures.day_rows(day, 900, [first, silent], [price(day.start, 19_000)])
    assert len(rows) == 100
    assert [row.heard for row in rows[:3]] == [True, False, False]
    assert rows[12].clock == "02:00 CET"
    found = figures.chart(day, rows, 900)
    times = found["times"]
    assert isinstance(times, list)
    assert (times[0], times[-1], len(times)) == (day.start, day.end, 101)
    for name, known in (("generation_w", 3_200), ("use_w", 1_360), ("sold_w", 800), ("bought_w", 160)):
        column = found[name]
        assert isinstance(column, list)
        assert column == [known] + [None] * 100
