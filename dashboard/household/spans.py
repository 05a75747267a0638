"""Spans of local time a page can show: a day, a week from Monday, a month, a year, and what they consist of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from market.tariffs.months import Month, month_at

Kind = Literal["day", "week", "month", "year"]
FIRST, LAST = date(1971, 1, 1), date(9990, 12, 31)
_WRITTEN = {"day": r"\d{4}-\d{2}-\d{2}", "week": r"\d{4}-\d{2}-\d{2}", "month": r"\d{4}-\d{2}", "year": r"\d{4}"}
_FIRST_OF = {"day": "", "week": "", "month": "-01", "year": "-01-01"}


class SpanError(ValueError):
    """What was asked for is no day, month or year; the message can be shown."""


@dataclass(frozen=True, slots=True)
class Span:
    """``[start, end)`` [epoch s]: the local days from ``first`` until ``until``, which is no longer in it."""

    kind: Kind
    first: date
    until: date
    zone: ZoneInfo
    start: int
    end: int

    @property
    def name(self) -> str:
        """As addresses have it: 2016-07-11, 2016-07, 2016."""
        return self.first.isoformat()[: {"day": 10, "week": 10, "month": 7, "year": 4}[self.kind]]

    @property
    def last(self) -> date:
        return self.until - timedelta(days=1)

    def plus(self, spans: int) -> Span:
        """The span of this kind so many further on."""
        if self.kind in ("day", "week"):
            day = self.first + timedelta(days=spans * (7 if self.kind == "week" else 1))
        else:
            day = month_at(self.first).plus(spans * (12 if self.kind == "year" else 1)).first
        return span_of(self.kind, day, self.zone)

    def bounds(self, length: int) -> list[int]:
        """Where its parts begin, and its end: intervals of ``length`` s of a day, days, or months of a year."""
        if self.kind == "day":
            return [*range(self.start + -self.start % length, self.end, length), self.end]
        return [begin_of(day, self.zone) for day in self.days()] + [self.end]

    def days(self) -> Iterator[date]:
        """The days of a week or month, the firsts of the months of a year."""
        day = self.first
        while day < self.until:
            yield day
            day = month_at(day).plus(1).first if self.kind == "year" else day + timedelta(days=1)

    def months(self) -> list[Month]:
        """The months of a month or year."""
        return sorted({month_at(day) for day in self.days()})

    def reached(self, moment: int, like: Span) -> int:
        """How far the span has come when ``like``, a later span of its kind, has come to ``moment`` [epoch s].

        Days and times of day are compared, not hours: a day of 23 hours has a noon too. Never beyond the end.
        """
        if moment >= like.end:
            return self.end
        at = datetime.fromtimestamp(moment, like.zone)
        if self.kind in ("day", "week"):
            day = at.date() - (like.first - self.first)
        elif self.kind == "month":
            day = self.first + timedelta(days=at.day - 1)
        else:
            first = date(self.first.year, at.month, 1)
            day = first + timedelta(days=min(at.day, month_at(first).days) - 1)
        found = int(datetime.combine(day, at.time(), tzinfo=self.zone).astimezone(UTC).timestamp())
        return max(self.start, min(found, self.end))


def span_of(kind: Kind, day: date, zone: ZoneInfo) -> Span:
    """The span of that kind in which the day lies."""
    if kind == "day":
        first, until = day, day + timedelta(days=1)
    elif kind == "week":
        first = day - timedelta(days=day.weekday())
        until = first + timedelta(days=7)
    elif kind == "month":
        first, until = month_at(day).first, month_at(day).plus(1).first
    else:
        first, until = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return Span(kind, first, until, zone, begin_of(first, zone), begin_of(until, zone))


def begin_of(day: date, zone: ZoneInfo) -> int:
    """The epoch second at which a local day begins."""
    return int(datetime.combine(day, time(), tzinfo=zone).astimezone(UTC).timestamp())


def parse(kind: Kind, text: str, zone: ZoneInfo) -> Span:
    """The span named by ``text``; a week by any of its days. Raises SpanError."""
    try:
        if not re.fullmatch(_WRITTEN[kind], text, re.ASCII):
            raise ValueError
        day = date.fromisoformat(text + _FIRST_OF[kind])
        if not FIRST <= day <= LAST:
            raise ValueError
    except ValueError:
        form = {"month": "2016-07", "year": "2016"}.get(kind, "2016-07-11")
        raise SpanError(f"a {kind} is written like {form}, from {FIRST.year} to {LAST.year}") from None
    return span_of(kind, day, zone)
