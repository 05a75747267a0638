"""Short cards: at most a few at once, each dismissed for good until its matter is another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from dashboard.accounts.database import Database
from dashboard.advice.views import AdviceView, HourView, WindowView, advice_view, likely_wh
from market.tariffs.months import local

if TYPE_CHECKING:
    from dashboard.access import Visitor
    from dashboard.site import Site

Kind = Literal["reversed", "silent", "surplus", "washing", "car"]
MOST_CARDS = 3
MOST_DISMISSED = 100
"""Per account; the oldest is forgotten."""
PART_OF_DAY_H = 3
"""A time of day is another matter when it is in another part of the day."""
WORTH_PERCENT = 5
"""What saves less is not said."""
RELIABLE_PERCENT = 60
"""A surplus is announced when that was right so often."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS dismissed(
  account TEXT NOT NULL REFERENCES account(id) ON DELETE CASCADE, kind TEXT NOT NULL, key TEXT NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY(account, kind, key)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Card:
    """``kind`` and ``key`` name the matter; ``figures`` fill the words (times in epoch s, money in Wh x tick)."""

    kind: Kind
    key: str
    urgent: bool
    figures: Mapping[str, int | str]


def advice_cards(site: Site, visitor: Visitor, household: str, *, most: int = MOST_CARDS) -> Sequence[Card]:
    """What there is to say to this visitor, the urgent first; what was dismissed is left out."""
    rules = site.record.rules()
    gone = dismissed(site.accounts.db, visitor.account) if visitor.account is not None else frozenset()
    cards = cards_of(advice_view(site, household), ZoneInfo(rules.timezone))
    return [card for card in cards if (card.kind, card.key) not in gone][:most]


def cards_of(view: AdviceView, zone: ZoneInfo) -> Iterator[Card]:
    """Every card of a view, the urgent first."""
    if view.reversed_since is not None:
        yield Card("reversed", view.reversed_since, True, {"since": view.reversed_since})
    if view.silent_since is not None:
        yield Card("silent", str(view.silent_since), True, {"since": view.silent_since})
    run = surplus_run(view.hours, view.length_s)
    right = 0 if view.accuracy is None else view.accuracy.right * 100 // view.accuracy.hours
    if run is not None and right >= RELIABLE_PERCENT:
        start, end = run
        figures = {"start": start, "end": end, "today": view.today_to, "right": right}
        yield Card("surplus", _part(start, zone), False, figures)
    for kind, window in (("washing", view.washing), ("car", view.car)):
        if window is not None and _worth(window):
            figures = {
                "start": window.start,
                "end": window.end,
                "today": view.today_to,
                "saved": window.at_once_money - window.cost_money,
                "less": window.dearest_money - window.cost_money,
            }
            yield Card(kind, _part(window.start, zone), False, figures)  # type: ignore[arg-type]


def surplus_run(hours: Sequence[HourView], length: int) -> tuple[int, int] | None:
    """The next span in which a surplus of the community can be counted on."""
    start = end = None
    for hour in hours:
        if likely_wh(hour.surplus_wh, hour.error_wh) and end in (None, hour.start):
            start, end = (hour.start if start is None else start), hour.start + length
        elif end is not None:
            break
    return None if start is None or end is None else (start, end)


def _worth(window: WindowView) -> bool:
    return (window.dearest_money - window.cost_money) * 100 >= WORTH_PERCENT * max(window.dearest_money, 1)


def _part(moment: int, zone: ZoneInfo) -> str:
    return str(local(moment, zone).hour // PART_OF_DAY_H)


# -- dismissals ----------------------------------------------------------------------------------


def begin(db: Database) -> None:
    """Make the table where there is none."""
    db.write(SCHEMA)


def dismiss(db: Database, account: str, kind: str, key: str, now: int) -> None:
    with db.transaction():
        db.write("INSERT OR REPLACE INTO dismissed VALUES(?, ?, ?, ?)", (account, kind, key, now))
        db.write(
            "DELETE FROM dismissed WHERE account = ? AND (kind, key) NOT IN"
            " (SELECT kind, key FROM dismissed WHERE account = ? ORDER BY at DESC, kind, key LIMIT ?)",
            (account, account, MOST_DISMISSED),
        )


def dismissed(db: Database, account: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (kind, key) for kind, key in db.rows("SELECT kind, key FROM dismissed WHERE account = ?", (account,))
    )


def restore(db: Database, account: str) -> None:
    """Show everything again."""
    db.write("DELETE FROM dismissed WHERE account = ?", (account,))
