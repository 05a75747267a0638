"""Figures as people read them: units, rounding, money and dates in both languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from dashboard import figures

EURO, WON, OTHER = figures.currency("EUR"), figures.currency("KRW"), figures.currency("SEK")
KOREAN_WON = figures.currency("KRW", "ko")


def spaced(text: str) -> str:
    """With plain spaces, and each minus sign, which must be a real one, as a hyphen."""
    assert "-" not in text
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
    ("watts", "text"),
    [(0, "0 W"), (999, "999 W"), (1_000, "1.0 kW"), (1_249, "1.2 kW"), (99_960, "100 kW"), (-5, "-5 W")],
)
def test_power(watts: int, text: str) -> None:
    assert spaced(figures.power(watts)) == text


@pytest.mark.parametrize(
    ("wh", "text"),
    [
        (0, "0.00 kWh"),
        (4, "4 Wh"),
        (-3, "-3 Wh"),
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
        (EURO.price(20_999), "21.0 ct"),
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
    assert spaced(written) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (KOREAN_WON.price(19_000_000), "190.0원"),
        (KOREAN_WON.price(-50_000), "-0.5원"),
        (KOREAN_WON.money(123_456_700_000_000), "1,234,567원"),
        (KOREAN_WON.signed(-12_300_000_000), "-123원"),
        (KOREAN_WON.signed(12_300_000_000), "+123원"),
        (figures.currency("EUR", "ko").money(97_000_000), "€0.97"),
    ],
)
def test_korean_readers_find_won_after_the_amount(written: str, text: str) -> None:
    assert spaced(written) == text


@dataclass(frozen=True)
class Share:
    wh: int
    percent: int


@pytest.mark.parametrize(("part", "text"), [(Share(0, 0), "0 %"), (Share(3, 0), "< 1 %"), (Share(9, 100), "100 %")])
def test_percent(part: Share, text: str) -> None:
    assert spaced(figures.percent(part)) == text


WEDNESDAY = date(2026, 7, 1)


@pytest.mark.parametrize(
    ("written", "english", "korean"),
    [
        (lambda language: figures.long_date(WEDNESDAY, language), "Wednesday, 1 July 2026", "2026년 7월 1일 수요일"),
        (lambda language: figures.short_date(WEDNESDAY, language), "Wed 1 Jul", "7월 1일 (수)"),
        (lambda language: figures.month("2026-07", language), "July 2026", "2026년 7월"),
        (lambda language: figures.month(WEDNESDAY, language), "July 2026", "2026년 7월"),
        (
            lambda language: figures.moment(1_782_900_000, ZoneInfo("Asia/Seoul"), language),
            "Wed 1 Jul 2026, 19:00",
            "2026년 7월 1일 (수) 19:00",
        ),
    ],
)
def test_dates_are_written_as_readers_write_them(written: Callable[[str], str], english: str, korean: str) -> None:
    assert (written("en"), written("ko")) == (english, korean)


def test_every_day_and_month_has_its_name() -> None:
    for language in ("en", "ko"):
        names = {figures.long_date(date(2026, month, 1), language) for month in range(1, 13)}
        days = {figures.short_date(date(2026, 7, day), language) for day in range(1, 8)}
        assert (len(names), len(days)) == (12, 7)
