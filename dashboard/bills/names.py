"""The neighbours' names on a household's bills: those that its other pages use."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.household.home import home_of
from dashboard.household.partners import Neighbours
from dashboard.site import Site
from dashboard.words import say


def names_for(site: Site, household: str, language: str) -> Mapping[str, str]:
    """By household id: a name where both want to be named, else one that stands for it on this household's pages."""
    home = home_of(site, household)
    neighbours = Neighbours(home)
    found = {}
    for member in home.rules.members:
        known = neighbours.of(member.household)
        found[member.household] = known.name or say(language, "bills.neighbour", alias=known.alias)
    return {**found, household: home.member.name}
