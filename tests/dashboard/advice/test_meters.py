"""A reversed meter is noticed after two nights, a silent one after two hours; a real street raises no false alarm."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from dashboard.advice.meters import Hourly, reversed_since, silent_since
from firmware.host.profile import Profile
from firmware.host.street import load_street
from market.tariffs.months import local

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600, 86_400
MIDNIGHT = 1_468_101_600
"""2016-07-10 00:00 in Berlin."""


def home(days: int, *, roof: bool = True, turned: bool = False, unheard: frozenset[int] = frozenset()) -> list[Hourly]:
    """Takes 200 Wh an hour; its roof gives 600 Wh an hour from 8 to 20."""
    found = []
    for i in range(24 * days):
        start = MIDNIGHT + i * HOUR
        given = 600 if roof and 8 <= i % 24 < 20 else 0
        taken, fed = max(0, 200 - given), max(0, given - 200)
        heard = i not in unheard
        found.append(Hourly(start, *((fed, taken) if turned else (taken, fed)), heard, heard))
    return found


DARK = frozenset(MIDNIGHT + i * HOUR for i in range(24 * 30) if not 8 <= i % 24 < 20)


@pytest.mark.parametrize("roof", [True, False])
def test_a_reversed_meter_is_noticed_by_its_nights(roof: bool) -> None:
    assert reversed_since(home(5, roof=roof), DARK, BERLIN) is None
    assert reversed_since(home(5, roof=roof, turned=True), DARK, BERLIN) == date(2016, 7, 9)


def test_one_night_is_not_enough_and_one_good_night_ends_it() -> None:
    good, bad = home(6), home(6, turned=True)
    noon = 12
    assert reversed_since(good[: 24 * 2 + noon] + bad[24 * 2 + noon : 24 * 3 + noon], DARK, BERLIN) is None
    two = good[: 24 * 2 + noon] + bad[24 * 2 + noon : 24 * 4 + noon]
    assert reversed_since(two, DARK, BERLIN) == date(2016, 7, 12)
    assert reversed_since(two + good[24 * 4 + noon :], DARK, BERLIN) is None, "it was turned round again"


def test_a_home_that_gives_at_night_now_and_then_is_not_reversed() -> None:
    """As with a battery that empties itself for some hours."""
    hours = [one._replace(import_wh=0, export_wh=300) if i % 24 in (22, 23) else one for i, one in enumerate(home(6))]
    assert reversed_since(hours, DARK, BERLIN) is None


def test_nights_that_were_not_heard_or_not_dark_say_nothing() -> None:
    turned = home(5, turned=True)
    assert reversed_since([one._replace(heard=False) for one in turned], DARK, BERLIN) is None
    assert reversed_since(turned, frozenset(), BERLIN) is None


def test_no_false_alarm_on_a_real_street_and_each_turned_meter_found() -> None:
    street = load_street()
    first = street.start
    hours: dict[str, list[Hourly]] = {}
    roofs = [0] * (7 * 24)
    for one in street.homes:
        profile = Profile(street.start, street.step_s, one.load_w, one.generation_w)
        counters = [profile.counters_mwh(first + i * HOUR) for i in range(7 * 24 + 1)]
        hours[one.meter] = []
        for i, (before, after) in enumerate(pairwise(counters)):
            imported, exported, generated = ((a - b) // 1000 for a, b in zip(after, before, strict=True))
            roofs[i] += generated
            hours[one.meter].append(Hourly(first + i * HOUR, imported, exported, True, True))
    dark = frozenset(first + i * HOUR for i, given in enumerate(roofs) if given == 0)
    assert len(street.homes) > 50 and any(local(start, BERLIN).hour == 23 for start in dark)
    assert [meter for meter, taken in hours.items() if reversed_since(taken, dark, BERLIN)] == []
    for meter, taken in hours.items():
        turned = [one._replace(import_wh=one.export_wh, export_wh=one.import_wh) for one in taken]
        assert reversed_since(turned, dark, BERLIN) is not None, meter


# silence


def test_a_silent_meter_is_noticed_after_two_hours() -> None:
    length = HOUR
    assert silent_since([], length) is None
    assert silent_since(home(1), length) is None
    for count, noticed in ((1, False), (2, True), (5, True)):
        hours = home(1, unheard=frozenset(range(24 - count, 24)))
        expected = MIDNIGHT + DAY - count * HOUR if noticed else None
        assert silent_since(hours, length) == expected


def test_a_meter_that_is_heard_again_is_not_silent() -> None:
    assert silent_since(home(1, unheard=frozenset(range(5, 23))), HOUR) is None


def test_a_meter_that_was_never_heard() -> None:
    assert silent_since(home(1, unheard=frozenset(range(24))), HOUR) == MIDNIGHT


def test_nights_are_local() -> None:
    seoul = ZoneInfo("Asia/Seoul")
    shifted = [one._replace(start=one.start - 7 * HOUR) for one in home(4, turned=True)]
    dark = frozenset(start - 7 * HOUR for start in DARK)
    assert reversed_since(shifted, dark, seoul) == date(2016, 7, 10) - timedelta(days=1)
