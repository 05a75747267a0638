"""Days, weeks, months and years in local time; comparing like with like."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from dashboard.household.spans import Kind, SpanError, parse, span_of

BERLIN, SEOUL = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Seoul")


def at(text: str, zone: ZoneInfo = BERLIN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).timestamp())


@pytest.mark.parametrize(
    ("kind", "text", "first", "last", "hours"),
    [
        ("day", "2016-07-11", "2016-07-11", "2016-07-11", 24),
        ("day", "2016-03-27", "2016-03-27", "2016-03-27", 23),
        ("day", "2016-10-30", "2016-10-30", "2016-10-30", 25),
        ("week", "2016-07-17", "2016-07-11", "2016-07-17", 168),
        ("week", "2016-01-01", "2015-12-28", "2016-01-03", 168),
        ("week", "2016-03-27", "2016-03-21", "2016-03-27", 167),
        ("month", "2016-02", "2016-02-01", "2016-02-29", 29 * 24),
        ("month", "2016-10", "2016-10-01", "2016-10-31", 31 * 24 + 1),
        ("year", "2016", "2016-01-01", "2016-12-31", 366 * 24),
    ],
)
def test_a_span_is_its_local_days(kind: Kind, text: str, first: str, last: str, hours: int) -> None:
    span = parse(kind, text, BERLIN)
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)
    assert (span.start, span.end) == (at(f"{first}T00:00"), span.start + hours * 3600)
    assert parse(kind, span.name, BERLIN) == span
    assert span.plus(1).start == span.end and span.plus(1).plus(-1) == span


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("day", "2016-02-30"),
        ("day", "11.7.2016"),
        ("day", "2016-07"),
        ("day", "0001-01-01"),
        ("week", "2016-W28"),
        ("month", "2016-13"),
        ("month", "2016-07-11"),
        ("year", "16"),
        ("year", "9999"),
        ("day", "٢٠١٦-٠٧-١١"),
    ],
)
def test_what_is_no_span_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(SpanError, match=f"a {kind} is written like"):
        parse(kind, text, BERLIN)


@pytest.mark.parametrize(
    ("kind", "text", "parts", "first_part_s"),
    [
        ("day", "2016-03-27", 92, 900),
        ("day", "2016-10-30", 100, 900),
        ("week", "2016-03-27", 7, 86_400),
        ("month", "2016-02", 29, 86_400),
        ("year", "2016", 12, 31 * 86_400),
    ],
)
def test_its_parts_cover_it(kind: Kind, text: str, parts: int, first_part_s: int) -> None:
    span = parse(kind, text, BERLIN)
    bounds = span.bounds(900)
    assert (bounds[0], bounds[-1], len(bounds)) == (span.start, span.end, parts + 1)
    assert bounds == sorted(set(bounds))
    assert bounds[1] - bounds[0] == first_part_s


@pytest.mark.parametrize(
    ("kind", "now", "moment", "reached"),
    [
        ("day", "2016-07-12", "2016-07-12T14:15", "2016-07-11T14:15"),
        ("day", "2016-03-28", "2016-03-28T12:00", "2016-03-27T12:00"),
        ("day", "2016-10-31", "2016-10-31T12:00", "2016-10-30T12:00"),
        ("week", "2016-07-13", "2016-07-13T08:00", "2016-07-06T08:00"),
        ("month", "2016-07", "2016-07-11T08:00", "2016-06-11T08:00"),
        ("month", "2016-03", "2016-03-31T08:00", "2016-03-01T00:00"),
        ("year", "2016", "2016-07-11T08:00", "2015-07-11T08:00"),
        ("year", "2016", "2016-02-29T08:00", "2015-02-28T08:00"),
        ("day", "2016-07-12", "2016-07-13T00:00", "2016-07-12T00:00"),
        ("month", "2016-02", "2016-03-01T00:00", "2016-02-01T00:00"),
    ],
)
def test_an_unfinished_span_is_compared_with_as_much_of_the_one_before(
    kind: Kind, now: str, moment: str, reached: str
) -> None:
    span = parse(kind, now, BERLIN)
    assert span.plus(-1).reached(at(moment), span) == at(reached)


def test_days_begin_where_the_community_is() -> None:
    assert span_of("day", date(2016, 7, 11), SEOUL).start == at("2016-07-11T00:00", SEOUL)
    assert [str(month) for month in parse("year", "2016", SEOUL).months()] == [f"2016-{m:02d}" for m in range(1, 13)]
    assert [str(month) for month in parse("month", "2016-07", SEOUL).months()] == ["2016-07"]
