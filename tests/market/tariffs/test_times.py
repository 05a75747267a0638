"""Local time: windows, seasons, holidays, days of 23 and 25 hours, price series; and what an interval cannot divide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from market.tariff_files import read_tariff
from market.tariffs import Tariff, TariffError, month_of, parse_tariff
from market.tariffs.pricing import Series, Windows
from market.tariffs.tariff import undivided
from market.tariffs.values import values
from tests.market.tariffs.documents import document, tariff, version, windows

NIGHT = {"name": "night", "from": "22:00", "to": "06:00", "per_kwh": "0.20"}
DAY = {"name": "day", "from": "06:00", "to": "22:00", "per_kwh": "0.30"}
BERLIN = ZoneInfo("Europe/Berlin")


def epoch(text: str, zone: ZoneInfo = BERLIN) -> int:
    """Epoch seconds of local time, or of one with its offset."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())


def price(of: Tariff, text: str) -> int:
    rates = values(of, epoch(text, of.zone), "interval").rates
    assert rates is not None
    return rates.import_ticks


@pytest.mark.parametrize(
    ("at", "ticks"),
    [
        ("2026-01-14T21:59:59", 32_000),  # a Wednesday
        ("2026-01-14T22:00", 20_000),
        ("2026-01-15T00:00", 20_000),
        ("2026-01-15T05:59", 20_000),
        ("2026-01-15T06:00", 25_000),
        ("2026-01-15T17:00", 32_000),
        ("2026-01-17T17:00", 25_000),  # a Saturday
        ("2026-01-01T17:00", 25_000),  # a holiday, on a Thursday
        ("2026-05-01T21:59", 25_000),
    ],
)
def test_windows_weekends_and_holidays(at: str, ticks: int) -> None:
    """The evening is dearer on working days only."""
    pricing = read_tariff("eu-time-of-use").versions[0].energy
    assert isinstance(pricing, Windows)
    assert pricing.band(epoch(at), BERLIN).ticks == ticks


def test_windows_may_change_with_the_season() -> None:
    summer, winter = list(range(4, 10)), [1, 2, 3, 10, 11, 12]
    of = tariff(
        energy=windows(
            {"name": "summer", "per_kwh": "0.25", "months": summer},
            {**NIGHT, "months": winter},
            {**DAY, "months": winter},
        )
    )
    assert price(of, "2026-03-31T23:45") == 20_000
    assert price(of, "2026-04-01T00:00") == 25_000
    assert price(of, "2026-09-30T23:45") == 25_000
    assert price(of, "2026-10-01T00:00") == 20_000


@pytest.mark.parametrize(
    ("day", "hours", "night_quarters"),
    [
        ("2026-03-29", 23, 28),  # 02:00 to 03:00 does not exist: 2 + 5 hours of night
        ("2026-10-25", 25, 36),  # 02:00 to 03:00 comes twice
        ("2026-10-26", 24, 32),
    ],
)
def test_days_of_23_and_25_hours(day: str, hours: int, night_quarters: int) -> None:
    of = tariff(energy=windows(NIGHT, DAY))
    start = epoch(f"{day}T00:00")
    quarters = [values(of, start + 900 * i, "interval").rates for i in range(hours * 4)]
    assert sum(rates is not None and rates.import_ticks == 20_000 for rates in quarters) == night_quarters
    assert epoch(f"{day}T23:45") == start + (hours * 4 - 1) * 900


def test_months_have_the_lengths_that_clocks_give_them() -> None:
    march, october = month_of("2026-03"), month_of("2026-10")
    assert march.end(BERLIN) - march.start(BERLIN) == 31 * 86_400 - 3600
    assert october.end(BERLIN) - october.start(BERLIN) == 31 * 86_400 + 3600
    assert month_of("2024-02").days == 29 and month_of("2026-12").plus(1) == month_of("2027-01")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([NIGHT], "month 1, mon 06:00 is in no window"),
        ([NIGHT, DAY, {**DAY, "name": "peak", "from": "18:00", "to": "20:00"}], "mon 18:00 is in day and peak"),
        ([NIGHT, {**DAY, "days": ["weekday"]}], "month 1, sat 06:00 is in no window"),
        ([NIGHT, {**DAY, "days": ["weekday", "weekend"]}], "month 1, holiday 06:00 is in no window"),
        ([NIGHT, {**DAY, "months": [1, 2]}], "month 3, mon 06:00 is in no window"),
        ([NIGHT, {**DAY, "name": "night"}], "window night has two prices, 0.2 and 0.3 per kWh"),
        ([{**NIGHT, "from": "24:00"}, DAY], "window night: it cannot begin at 24:00"),
        ([{**NIGHT, "from": "25:00"}, DAY], "regex"),
        ([{**NIGHT, "days": ["monday"]}, DAY], "Invalid enum value 'monday'"),
    ],
)
def test_windows_that_leave_or_share_a_time_are_refused(rows: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        tariff(energy=windows(*rows))


@pytest.mark.parametrize(("begin", "interval_s", "divides"), [("06:30", 1800, True), ("06:30", 3600, False)])
def test_a_boundary_within_an_interval_is_refused(begin: str, interval_s: int, divides: bool) -> None:
    of = tariff(energy=windows({**NIGHT, "to": begin}, {**DAY, "from": begin}))
    assert (undivided(of, interval_s) is None) == divides
    if not divides:
        assert "window night begins or ends at 06:30, which an interval of 3600 s does not divide" in (
            undivided(of, interval_s) or ""
        )


def dynamic(**members: Any) -> dict[str, Any]:
    series = [{"start": "2026-06-01T00:00:00+02:00", "step_s": 3600, "per_kwh": ["0.10", "-0.02", "0.30"]}]
    return {"kind": "dynamic", "markup_per_kwh": "0.05", "otherwise_per_kwh": "0.25", "series": series, **members}


@pytest.mark.parametrize(
    ("at", "ticks"),
    [
        ("2026-05-31T23:45", 25_000),  # before the series
        ("2026-06-01T00:00", 15_000),
        ("2026-06-01T00:45", 15_000),
        ("2026-06-01T01:00", 3_000),
        ("2026-06-01T02:45", 35_000),
        ("2026-06-01T03:00", 25_000),
    ],
)
def test_a_price_series(at: str, ticks: int) -> None:
    assert price(tariff(energy=dynamic()), at) == ticks


def test_negative_prices_are_prices() -> None:
    of = tariff(energy=dynamic(markup_per_kwh="0"), export={"kind": "flat", "per_kwh": "0.08"})
    worth = values(of, epoch("2026-06-01T01:00"), "interval")
    assert (worth.limits.most_ticks, worth.limits.least_ticks) == (-2_000, 8_000)


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        ([{"start": "2026-06-01T00:00:00", "step_s": 3600, "per_kwh": ["1"]}], "has no offset from UTC"),
        ([{"start": "2026-06-01T00:00:00Z", "step_s": 3600, "per_kwh": ["x"]}], "price 1 of the series: 'x' is not"),
        (
            [{"start": f"2026-06-01T0{i}:00:00Z", "step_s": 3600, "per_kwh": ["0.1"] * 2} for i in range(2)],
            "price series that begin at 1780272000 and 1780275600 overlap",
        ),
    ],
)
def test_a_series_that_cannot_be_used(series: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        tariff(energy=dynamic(series=series))


def test_a_series_that_an_interval_does_not_divide() -> None:
    assert "steps of 3600 s" in (undivided(tariff(energy=dynamic()), 7200) or "")
    assert undivided(tariff(energy=dynamic()), 900) is None


def test_stretches_of_a_series_may_come_in_any_order() -> None:
    early = {"start": "2026-06-01T00:00:00Z", "step_s": 900, "per_kwh": ["0.1"] * 4}
    late = {"start": "2026-06-01T02:00:00Z", "step_s": 3600, "per_kwh": ["0.2"]}
    pricing = tariff(energy=dynamic(series=[late, early])).versions[0].energy
    assert isinstance(pricing, Series)
    at = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
    assert [pricing.listed(at + step) for step in (-900, 0, 2700, 3600, 7200, 10_800)] == [
        None, 15_000, 15_000, None, 25_000, None,
    ]  # fmt: skip


def test_rows_of_validity_hold_by_the_local_day() -> None:
    old = version(valid_until="2026-07-01")
    new = version(valid_from="2026-07-01", energy={"kind": "flat", "per_kwh": "0.35"})
    for rows in ((old, new), (new, old)):
        of = parse_tariff(document(*rows))
        assert price(of, "2026-06-30T23:45") == 30_000
        assert price(of, "2026-07-01T00:00") == 35_000
    assert of.of_month(month_of("2026-06")).span() == "2000-01-01 to 2026-07-01"


def test_a_market_goes_on_when_a_tariff_has_run_out_and_the_bill_says_so() -> None:
    of = tariff(valid_until="2026-07-01")
    assert price(of, "2026-08-01T00:00") == 30_000
    with pytest.raises(
        TariffError, match="tariff t is not valid in all of 2026-07: it is from 2000-01-01 to 2026-07-01"
    ):
        of.of_month(month_of("2026-07"))
