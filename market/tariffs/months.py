"""Local calendar months in a named zone, as spans of epoch seconds."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def named_zone(name: str) -> ZoneInfo:
    """The zone of that name, which is the same on every machine. Raises ValueError."""
    try:
        if name != "localtime":
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(f"timezone {name!r} is unknown")


class Month(NamedTuple):
    """A calendar month, such as 2016-07."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def days(self) -> int:
        return monthrange(self.year, self.month)[1]

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last(self) -> date:
        return date(self.year, self.month, self.days)

    def plus(self, months: int) -> Month:
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    def start(self, zone: ZoneInfo) -> int:
        """The epoch second at which the month begins there."""
        return epoch_s(datetime(self.year, self.month, 1, tzinfo=zone))

    def end(self, zone: ZoneInfo) -> int:
        """The epoch second at which the next month begins there."""
        return self.plus(1).start(zone)


def month_of(text: str) -> Month:
    """'2016-07' as a month. Raises ValueError."""
    found = _MONTH.fullmatch(text)
    if not found or not 1970 <= int(found[1]) < 9999:
        raise ValueError(f"{text!r} is not a month such as 2016-07")
    return Month(int(found[1]), int(found[2]))


def month_at(at: date) -> Month:
    return Month(at.year, at.month)


def local(epoch: int, zone: ZoneInfo) -> datetime:
    """The wall clock's time there."""
    return (EPOCH + timedelta(seconds=epoch)).astimezone(zone)


def epoch_s(at: datetime) -> int:
    """Epoch seconds of a moment with a zone."""
    return int((at - EPOCH).total_seconds())
