"""Whom a household may prefer or give to: neighbours whose names it may see, and those its offer names already."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dashboard.access import Problem
from dashboard.household.home import Home
from dashboard.household.partners import Neighbour, Neighbours
from market.service.what_if import Limits
from market.settlement.rules import MONTHLY_NETTING

MOST = 8
"""So many homes an offer may prefer, and so many it may give to."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A home by the id that offers name it by, and as it is called before this household.

    ``prefer`` and ``give``: whether it may stand in that list; without a name only where it stands already.
    """

    household: str
    neighbour: Neighbour
    prefer: bool
    give: bool


def choices(home: Home) -> list[Choice]:
    """By name; those without one, which were chosen before, come last."""
    neighbours, stands = Neighbours(home), home.member
    found = []
    for one in (member.household for member in home.rules.members):
        seen = one != home.household and neighbours.may_see(one)
        prefer, give = (seen or one in names for names in (stands.prefer, stands.give))
        if prefer or give:
            found.append(Choice(one, neighbours.of(one), prefer, give))
    return sorted(found, key=lambda one: (one.neighbour.name is None, one.neighbour.name or one.neighbour.alias))


def check_named(home: Home, wanted: Limits, prefer: Collection[str], give: Collection[str]) -> None:
    """Raises Problem for what may not stand in the household's offer; each list may keep who stands in it already.

    A home that the household may not know of is refused as one that does not exist.
    """
    if (wanted.prefer or wanted.give) and home.rules.mechanism == MONTHLY_NETTING:
        raise Problem(409, "no-partners", "this community nets whole months: none can trade first, nor be given to")
    neighbours = Neighbours(home)
    for what, names, stored in (("prefer", wanted.prefer, prefer), ("give", wanted.give, give)):
        if home.household in names:
            raise Problem(422, "own-home", f"{what}: the household names itself")
        for place, name in enumerate(names):
            if name in names[:place]:
                raise Problem(422, "named-twice", f"{what}: {name} stands twice")
            if name not in stored and not neighbours.may_see(name):
                raise Problem(422, "no-neighbour", f"{what}: {name} is no neighbour whose name this household may see")
