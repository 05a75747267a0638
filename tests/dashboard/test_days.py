"""Local days: spans, the clock on the wall, and days as people write them."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from dashboard.days import DayError, clock, day_of, local_day, parse_day

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", date(2016, 7, 11), 1_468_188_000, 24),
        ("Europe/Berlin", date(2016, 3, 27), 1_459_033_200, 23),
        ("Europe/Berlin", date(2016, 10, 30), 1_477_778_400, 25),
        ("Asia/Seoul", date(2016, 7, 11), 1_468_162_800, 24),
        ("Australia/Lord_Howe", date(2016, 4, 3), 1_459_602_000, 24.5),
        ("Asia/Kathmandu", date(2016, 7, 11), 1_468_174_500, 24),
    ],
)
def test_a_day_begins_and_ends_with_its_date(zone: str, day: date, start: int, hours: float) -> None:
    found = local_day(day, ZoneInfo(zone))
    assert (found.start, found.end) == (start, start + int(hours * 3600))
    assert day_of(found.start, found.zone) == found
    assert day_of(found.end - 1, found.zone) == found
    assert day_of(found.end, found.zone).date > day


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (1_468_188_000, "00:00"),
        (1_459_040_400 - 900, "01:45"),
        (1_459_040_400, "03:00"),
        (1_477_785_600, "02:00 CEST"),
        (1_477_785_600 + 3_600, "02:00 CET"),
        (1_477_785_600 + 7_200, "03:00"),
    ],
)
def test_the_hour_that_comes_twice_names_its_offset(moment: int, said: str) -> None:
    assert clock(moment, BERLIN) == said


@pytest.mark.parametrize(
    "text", ["", "2016-7-1", "20160711", "2016-W28-1", "2016-02-30", "0000-01-01", "9999-12-31", "today", "2016-07-11 "]
)
def test_other_writings_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(DayError, match="2016-07-11"):
        parse_day(text)


def test_a_day_is_read() -> None:
    assert parse_day("2016-07-11") == date(2016, 7, 11)
