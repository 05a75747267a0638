"""Advice over five days of the street: forecasts with their errors, cards that stay away once dismissed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dashboard.access import Visitor
from dashboard.accounts import Accounts
from dashboard.advice import cards
from dashboard.advice.cards import MOST_DISMISSED, advice_cards, cards_of, dismiss, dismissed, surplus_run
from dashboard.advice.chart import HEIGHT, bars
from dashboard.advice.views import AdviceView, HourView, advice_view
from dashboard.app import create_app
from dashboard.stored import StoredRecord
from market.series import EmbeddedSeries
from tests.dashboard.signed import People
from tests.dashboard.street import START, Street

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600, 86_400
DAYS = 5
HOME = "/household/h001/advice"


@dataclass
class Village:
    people: People
    now: float


def _village(settled_store: Path, folder: Path, days: int, silent: tuple[int, ...]) -> Iterator[Village]:
    series, accounts, street = EmbeddedSeries(folder / "series.sqlite"), Accounts(folder), Street()
    street.settle(series, days * 96)
    street.settle(series, 12, silent=silent)
    now = START + (days * 96 + 12) * 900
    stored = StoredRecord(settled_store, lambda: 1)
    made = Village(People(create_app(stored, series, accounts, store=folder, clock=lambda: made.now)), now)
    yield made
    accounts.close()
    series.close()


@pytest.fixture(scope="module")
def place(settled_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """The rules of a real record, and five days and three hours of the street in the series."""
    yield from _village(settled_store, tmp_path_factory.mktemp("village"), DAYS, ())


@pytest.fixture
def village(settled_store: Path, tmp_path: Path) -> Iterator[Callable[..., Village]]:
    """The same of other days; ``silent`` homes were not heard in the last three hours."""
    with ExitStack() as stack:
        yield lambda days=DAYS, silent=(): stack.enter_context(
            contextmanager(_village)(settled_store, tmp_path, days, silent)
        )


def view_of(place: Village, household: str = "h001") -> AdviceView:
    return advice_view(place.people.site, household)


def visitor(place: Village, household: str) -> Visitor:
    account = place.people.account("household", household)
    scopes = frozenset({"household:read", "household:write"})
    return Visitor(account.account, account.name, "household", household, "en", scopes, "")


def test_the_next_day_by_the_hour_with_its_error(place: Village) -> None:
    view = view_of(place)
    assert [hour.start for hour in view.hours] == [int(place.now) // HOUR * HOUR + (1 + i) * HOUR for i in range(24)]
    noon = next(hour for hour in view.hours if (hour.start - START) % DAY == 12 * HOUR)
    night = next(hour for hour in view.hours if (hour.start - START) % DAY == 2 * HOUR)
    assert noon.surplus_wh > 0 > night.surplus_wh
    assert noon.error_wh is not None and night.error_wh is not None and noon.error_wh > night.error_wh
    assert (noon.neighbour_ticks, noon.supplier_ticks) == (19_000, 30_000)
    assert view.accuracy is not None
    assert view.accuracy.days == DAYS
    assert view.accuracy.right * 2 > view.accuracy.hours
    points = place.people.site.series.community(START, START + DAYS * DAY)
    at_noon = [p for p in points if (p.start - START) % DAY // HOUR == 12]
    assert {(p.start - START) // DAY for p in at_noon} == set(range(DAYS))
    assert min(p.export_wh - p.import_wh for p in at_noon) * 4 <= noon.surplus_wh
    assert noon.surplus_wh <= max(p.export_wh - p.import_wh for p in at_noon) * 4


def test_washing_and_car_go_where_the_sun_is(place: Village) -> None:
    view = view_of(place)
    for window, hours in ((view.washing, 2), (view.car, 4)):
        assert window is not None and window.end - window.start == hours * HOUR
        assert 8 * HOUR <= (window.start - START) % DAY <= 16 * HOUR
        assert window.cost_money < window.dearest_money == window.energy_wh * 30_000


def test_too_early_to_say_anything(village: Callable[..., Village]) -> None:
    place = village(days=0)
    view = view_of(place)
    assert view.accuracy is None and view.washing is None
    assert list(cards_of(view, BERLIN)) == []
    assert "at least one day of readings" in place.people.household("h001").get(HOME).text


def test_one_day_gives_a_forecast_that_promises_nothing(village: Callable[..., Village]) -> None:
    view = view_of(village(days=1))
    assert len(view.hours) == 24
    assert [hour.error_wh for hour in view.hours].count(None) >= 20
    assert [card.kind for card in cards_of(view, BERLIN)] == []


def test_a_silent_meter_comes_first_and_three_at_most(village: Callable[..., Village]) -> None:
    place = village(silent=(1,))
    found = advice_cards(place.people.site, visitor(place, "h001"), "h001")
    assert [card.kind for card in found] == ["silent", "surplus", "washing"]
    assert found[0].urgent and found[0].figures == {"since": START + DAYS * DAY}
    assert [card.kind for card in cards_of(view_of(place), BERLIN)] == ["silent", "surplus", "washing", "car"]
    page = place.people.household("h001").get(HOME).text
    assert "The meter is silent" in page
    assert len(re.findall(r'class="card advice-card', page)) == 3


def test_a_dismissed_card_stays_away_for_this_account_until_the_matter_is_new(place: Village) -> None:
    client, other = (place.people.household("h001") for _ in range(2))
    before = client.get(f"/api/1{HOME}").json()["cards"]
    card = next(one for one in before if one["kind"] == "washing")
    sent = client.submit(f"{HOME}/dismiss", {"kind": "washing", "key": card["key"], "back": "now"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/household/h001")
    assert "washing" not in [one["kind"] for one in client.get(f"/api/1{HOME}").json()["cards"]]
    assert "Washing machine</h3>" not in client.get(HOME).text
    assert other.get(f"/api/1{HOME}").json()["cards"] == before
    # A day later the same time of day is the same matter.
    place.now += DAY
    later = client.get(f"/api/1{HOME}").json()
    assert later["advice"]["washing"]["start"] >= card["figures"]["start"] + HOUR
    assert "washing" not in [one["kind"] for one in later["cards"]]
    place.now -= DAY
    assert client.submit(f"{HOME}/restore").status_code == 303
    assert client.get(f"/api/1{HOME}").json()["cards"] == before


def test_by_json(place: Village) -> None:
    client = place.people.household("h001")
    card = client.get(f"/api/1{HOME}").json()["cards"][0]
    assert client.submit_json(f"/api/1{HOME}/dismiss", {"kind": card["kind"], "key": card["key"]}).status_code == 204
    assert card not in client.get(f"/api/1{HOME}").json()["cards"]
    bad = client.submit_json(f"/api/1{HOME}/dismiss", {"kind": "other", "key": "x"})
    assert (bad.status_code, bad.json()["problem"]) == (422, "bad-value")


def test_the_operator_reads_and_dismisses_nothing(place: Village) -> None:
    operator = place.people.operator()
    page = operator.get(HOME)
    assert page.status_code == 200 and "/dismiss" not in page.text
    assert operator.submit(f"{HOME}/dismiss", {"kind": "car", "key": "1"}).status_code == 403


def test_dismissals_are_bounded_and_go_with_the_account(place: Village) -> None:
    accounts = place.people.site.accounts
    account = place.people.account("household", "h002").account
    for n in range(MOST_DISMISSED + 5):
        dismiss(accounts.db, account, "silent", str(n), n)
    kept = dismissed(accounts.db, account)
    assert len(kept) == MOST_DISMISSED and ("silent", "4") not in kept and ("silent", "5") in kept
    accounts.remove(account)
    assert dismissed(accounts.db, account) == frozenset()
    cards.begin(accounts.db)


# pieces


def hour(place: int, surplus: int, error: int | None = 0) -> HourView:
    return HourView(START + place * HOUR, surplus, error, None, None, None, 30_000)


@pytest.mark.parametrize(
    ("surpluses", "run"),
    [
        ([], None),
        ([(-5, 0), (0, 0)], None),
        ([(-5, 0), (10, 5), (10, 5), (-1, 0), (10, 0)], (1, 3)),
        ([(10, 10), (10, 11), (10, 9)], (2, 3)),  # what does not exceed its error is not counted on
        ([(10, None)], None),
    ],
)
def test_the_next_surplus(surpluses: list[tuple[int, int | None]], run: tuple[int, int] | None) -> None:
    found = surplus_run([hour(i, *one) for i, one in enumerate(surpluses)], HOUR)
    assert found == (None if run is None else (START + run[0] * HOUR, START + run[1] * HOUR))


def test_bars_and_errors_stay_within_the_picture() -> None:
    drawn = bars([hour(0, 1000, 300), hour(1, -500, 200), hour(2, 0, None)], HOUR, "Europe/Berlin")
    for bar in drawn.bars:
        assert bar.y >= 0 and bar.y + bar.height <= HEIGHT + 1
        assert bar.high is None or bar.low is None or 0 <= bar.high <= bar.low <= HEIGHT
    assert drawn.bars[0].y + drawn.bars[0].height == drawn.zero == drawn.bars[1].y
    assert [bar.surplus for bar in drawn.bars] == [True, False, False]
    assert bars([], HOUR, "UTC").bars == []
