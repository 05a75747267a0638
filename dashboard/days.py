"""Local days in the community's time zone; some have 23 or 25 hours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FIRST_DAY = date(1970, 1, 2)
LAST_DAY = date(9998, 12, 31)
LAST_MOMENT = 2**37
"""In the year 6325 [epoch s]; what is later is no date for Python at some point."""
MONTH = "(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])"
"""The pattern of a month such as 2026-07."""


class DayError(ValueError):
    """A day that is not one; the message can be shown."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """The half-open span `[start, end)` [epoch s] that is one calendar day in `zone`."""

    date: date
    zone: ZoneInfo
    start: int
    end: int


def day_of(moment: int, zone: ZoneInfo) -> LocalDay:
    """The local day in which an epoch second lies."""
    return local_day(datetime.fromtimestamp(moment, zone).date(), zone)


def local_day(day: date, zone: ZoneInfo) -> LocalDay:
    """The span of a calendar day. In zones that change at midnight the day begins when its date does."""
    start, end = (
        int(datetime.combine(d, time(), tzinfo=zone).astimezone(UTC).timestamp())
        for d in (day, day + timedelta(days=1))
    )
    return LocalDay(day, zone, start, end)


def parse_day(text: str) -> date:
    """A day written YYYY-MM-DD; raises DayError with a message to show."""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        day = date.fromisoformat(text)
        if not FIRST_DAY <= day <= LAST_DAY:
            raise ValueError
    except ValueError:
        raise DayError("a day is written YYYY-MM-DD, for example 2016-07-11") from None
    return day


def clock(moment: int, zone: ZoneInfo) -> str:
    """Local "12:15"; in the hour that comes twice, "02:15 CEST" and "02:15 CET"."""
    local = datetime.fromtimestamp(moment, zone)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    # A skipped hour never comes out of a moment, so differing offsets mean a repeated one.
    return f"{local:%H:%M} {local.tzname()}" if twice else f"{local:%H:%M}"
