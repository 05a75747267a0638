"""The forecast: means of the same quarter-hours, errors by back-testing, and the cheapest span to use energy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.forecast import Hour, Source, best_window, forecast

BERLIN = ZoneInfo("Europe/Berlin")
SEOUL = ZoneInfo("Asia/Seoul")
HOUR = 3600


def at(day: str, hour: int = 0, zone: ZoneInfo = BERLIN) -> int:
    return int((datetime.fromisoformat(day).replace(tzinfo=zone) + timedelta(hours=hour)).timestamp())


def days(first: str, figures: list[int], zone: ZoneInfo = BERLIN, hour: int = 12) -> dict[int, int]:
    """A figure a day at one hour."""
    begin = datetime.fromisoformat(first).replace(tzinfo=zone, hour=hour)
    return {int((begin + timedelta(days=i)).timestamp()): figure for i, figure in enumerate(figures)}


def expected(history: dict[int, int], start: int, zone: ZoneInfo = BERLIN) -> int | None:
    made = forecast(history, [start], HOUR, zone)
    return made.ahead[0].expected_wh if made.ahead else None


@pytest.mark.parametrize(
    ("figures", "then"),
    [
        ([100], 100),
        ([100, 101], 101),  # half a Wh goes up
        ([-100, -101], -100),
        ([10, 20, 30, 40], 25),
    ],
)
def test_the_mean_of_the_same_hour(figures: list[int], then: int) -> None:
    history = days("2026-06-01", figures)
    assert expected(history, max(history) + 24 * HOUR) == then


def test_what_is_older_than_a_fortnight_is_forgotten() -> None:
    history = days("2026-06-01", [1000] * 7 + [10] * 14)
    assert expected(history, at("2026-06-22", 12)) == 10


def test_working_days_and_weekends_are_told_apart_once_there_are_three_of_the_kind() -> None:
    week = [10, 10, 10, 10, 10, 90, 90]
    history = days("2026-06-01", week)
    assert expected(history, at("2026-06-08", 12)) == 10, "a Monday: five working days"
    assert expected(history, at("2026-06-13", 12)) == (50 + 180 + 3) // 7, "a Saturday: two of its kind are too few"
    history = days("2026-06-01", week * 2)
    assert expected(history, at("2026-06-20", 12)) == 90


def test_an_hour_without_a_past_is_left_out_and_nothing_is_tested_on_one_day() -> None:
    made = forecast(days("2026-06-01", [100]), [at("2026-06-02", 12), at("2026-06-02", 13)], HOUR, BERLIN)
    assert [one.start for one in made.ahead] == [at("2026-06-02", 12)]
    assert made.accuracy is None
    assert made.ahead[0].error_wh is None
    assert forecast({}, [at("2026-06-02", 12)], HOUR, BERLIN).ahead == ()


def test_hours_are_local_across_the_change_of_clocks() -> None:
    """In Berlin clocks went forward on 2026-03-29: noon came an hour earlier in UTC."""
    history = days("2026-03-27", [100, 100])
    noon = at("2026-03-30", 12)
    assert noon - max(history) == 47 * HOUR
    assert expected(history, noon) == 100
    assert expected(history, noon + HOUR) is None


def test_the_error_is_that_of_forecasts_made_before_the_day() -> None:
    # The second day is expected as 100 and is 300; the third as 200 and is 200; the fourth as 200 and is -100.
    made = forecast(days("2026-06-01", [100, 300, 200, -100]), [at("2026-06-05", 12)], HOUR, SEOUL)
    assert made.days == 4
    assert made.accuracy is not None
    assert (made.accuracy.days, made.accuracy.intervals) == (3, 3)
    assert made.accuracy.error_wh == round((200 + 0 + 300) / 3)
    assert made.accuracy.sign_right == 2
    assert made.accuracy.usual_right == 2
    assert made.ahead[0].expected_wh == 125
    assert made.ahead[0].error_wh == made.accuracy.error_wh


def test_what_comes_later_changes_no_past_test() -> None:
    """A forecast that had seen the day it is tested on would be without error here."""
    made = forecast(days("2026-06-01", [0, 1000]), [at("2026-06-03", 12)], HOUR, BERLIN)
    assert made.accuracy is not None
    assert made.accuracy.error_wh == 1000


@given(st.lists(st.integers(-(2**31), 2**31), min_size=1, max_size=30))
def test_forecasts_lie_between_what_was(figures: list[int]) -> None:
    history = days("2026-01-01", figures)
    found = expected(history, max(history) + 24 * HOUR)
    assert found is not None
    assert min(figures) <= found <= max(figures)


# when to use energy

START = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())


def hours(*sources: list[tuple[int, int]], rest: int = 30) -> list[Hour]:
    return [Hour(START + i * HOUR, tuple(Source(*s) for s in found), rest) for i, found in enumerate(sources)]


def test_cheapest_sources_first_and_the_rest_at_the_suppliers_price() -> None:
    (hour,) = hours([(100, 19), (50, 8)])
    assert hour.cost(0) == 0
    assert hour.cost(50) == 50 * 8
    assert hour.cost(120) == 50 * 8 + 70 * 19
    assert hour.cost(1000) == 50 * 8 + 100 * 19 + 850 * 30
    (dear,) = hours([(1000, 31)])
    assert dear.cost(10) == 300, "what is dearer than the supplier is not taken"


def test_the_cheapest_span_and_what_beginning_at_once_would_cost() -> None:
    found = best_window(hours([], [], [(500, 19)], [(500, 19)], []), HOUR, 1000, 2 * HOUR)
    assert found is not None
    assert (found.start, found.end) == (START + 2 * HOUR, START + 4 * HOUR)
    assert (found.cost, found.cost_at_once, found.cost_dearest) == (19_000, 30_000, 30_000)


def test_the_earliest_of_equals() -> None:
    found = best_window(hours([], [], []), HOUR, 1000, HOUR)
    assert found is not None
    assert found.start == START


def test_a_span_has_no_gap_and_may_not_be_there() -> None:
    all_hours = hours([], [(500, 1)], [(500, 1)], [])
    assert best_window(all_hours[:1], HOUR, 1000, 2 * HOUR) is None
    assert best_window([], HOUR, 1000, HOUR) is None
    found = best_window([all_hours[0], all_hours[1], all_hours[3]], HOUR, 1000, 2 * HOUR)
    assert found is not None
    assert found.start == START


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 40)), min_size=1, max_size=8),
    st.integers(1, 5000),
    st.integers(1, 4),
)
def test_no_span_is_cheaper(offered: list[tuple[int, int]], energy_wh: int, count: int) -> None:
    rows = hours(*([one] for one in offered))
    found = best_window(rows, HOUR, energy_wh, count * HOUR)
    if count > len(rows):
        assert found is None
        return
    assert found is not None
    each, more = divmod(energy_wh, count)
    for first in range(len(rows) - count + 1):
        cost = sum(rows[first + i].cost(each + (i < more)) for i in range(count))
        assert (found.cost, found.start) <= (cost, rows[first].start)
