"""Two things that can be wrong with a meter and that its own figures show: it is reversed, or it is silent.

A meter whose transformer is turned round counts what the home takes as what it gives. By day a roof hides that; in the
dark no roof gives anything, and every home takes something. So it is noticed by the nights: a home whose meter says in
nearly every dark hour of two nights that it gave more than it took. Dark are the hours late at night in which no roof
of the community gave anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from market.tariffs.months import local

LATE, EARLY = 22, 4
"""The hours between which a night is looked at."""
NIGHTS = 2
LEAST_HOURS = 3
"""A night of which less was heard says nothing."""
NEARLY_ALL = (9, 10)
SILENT_S = 2 * 3600
"""A reading may come late; two hours are more than a network's hiccup."""


class Hourly(NamedTuple):
    """What a home took and gave in the hour (or longer interval) that begins at ``start`` [epoch s, Wh].

    ``heard``: in all of it; ``any_heard``: in some of it.
    """

    start: int
    import_wh: int
    export_wh: int
    heard: bool
    any_heard: bool


def reversed_since(hours: Sequence[Hourly], dark: Collection[int], zone: ZoneInfo) -> date | None:
    """The first of the last nights that all look reversed; None when the newest whole ones do not.

    ``hours`` in order of time; ``dark`` are the starts of hours in which no roof gave anything.
    """
    nights: dict[date, list[Hourly]] = {}
    for hour in hours:
        at = local(hour.start, zone)
        if hour.heard and hour.start in dark and not EARLY <= at.hour < LATE:
            nights.setdefault(at.date() - timedelta(days=at.hour < EARLY), []).append(hour)
    whole = [night for night in sorted(nights) if len(nights[night]) >= LEAST_HOURS]
    found = None
    for count, night in enumerate(reversed(whole), start=1):
        if not _looks_reversed(nights[night]):
            break
        if count >= NIGHTS:
            found = night
    return found


def _looks_reversed(night: Sequence[Hourly]) -> bool:
    part, whole = NEARLY_ALL
    given = sum(hour.export_wh > hour.import_wh for hour in night)
    return given * whole >= len(night) * part


def silent_since(hours: Sequence[Hourly], length: int) -> int | None:
    """By the hour, when the meter was last heard [epoch s]; None while it is heard.

    ``hours`` in order of time, up to the newest that is settled; of a meter that was not heard in any of them, when
    they begin.
    """
    if not hours or hours[-1].any_heard:
        return None
    heard = next((hour for hour in reversed(hours) if hour.any_heard), None)
    since = hours[0].start if heard is None else heard.start + length
    return since if hours[-1].start + length - since >= SILENT_S else None
