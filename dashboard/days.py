"""Local days in the community's time zone; some have 23 or 25 hours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FIRST_DAY = date(1970, 1, 2)
LAST_DAY = date(9998, 12, 31)


class DayError(ValueError):
    """A day that is not one; the message can be shown."""


@dataclass(frozen=True, slots=True)
class LocalDay:
    """The half-open span `[start, end)` [epoch s] that is one calendar day in `zone`."""

    date: date
    zone: ZoneInfo
    start: int
    end: int

    def starts(self, length: int) -> range:
        """The starts of the day's intervals of `length` seconds, aligned to the epoch."""
        return range(self.start + -self.start % length, self.end, length)

    def clock(self, moment: int) -> str:
        """Local "12:15"; the hour that comes twice in a year also names its offset."""
        return clock(moment, self.zone)

    def hours(self, step: int) -> Iterator[tuple[int, str]]:
        """(moment, "06:00") at every local hour divisible by `step`, both ends of the day included."""
        for moment in range(self.start, self.end, 3600):
            local = datetime.fromtimestamp(moment, self.zone)
            # Of an hour that comes twice only the first is marked.
            if local.hour % step == 0 and local.minute == 0 and local.fold == 0:
                yield moment, f"{local:%H:%M}"
        yield self.end, "24:00"


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
