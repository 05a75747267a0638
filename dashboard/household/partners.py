"""Neighbours by the names this household may see, and the way energy takes between two homes."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.household.home import Home
from market.clearing.preferences import ways
from market.settlement.rules import Rules


@dataclass(frozen=True, slots=True)
class Neighbour:
    """``alias`` is the same in all that this household sees, and another for everybody else.

    ``name`` only where both homes want to be named.
    """

    alias: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Way:
    """Between two homes: the lines of the tree it takes, the node it turns at, what a kWh pays for it [ticks]."""

    lines: int
    turns_at: str
    fee_ticks: int


class Neighbours:
    """How a household's other members are called before it."""

    def __init__(self, home: Home) -> None:
        self._accounts, self._viewer = home.site.accounts, home.household
        self.named = self._accounts.shows_name(home.household)
        self._names = {member.household: member.name for member in home.rules.members}

    def of(self, partner: str) -> Neighbour:
        alias = _alias(self._accounts.pseudonym(self._viewer, partner))
        return Neighbour(alias, self._names[partner] if self.may_see(partner) else None)

    def may_see(self, partner: str) -> bool:
        """Whether the household may know who the member is; for what is no member it is as if it may not."""
        return self.named and partner in self._names and self._accounts.shows_name(partner)


_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look like another."""


def _alias(number: int) -> str:
    letters = []
    for _ in range(6):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def way_between(rules: Rules, one: int, other: int) -> Way:
    """The only way there is in a tree, and its fees for energy from ``one`` node to ``other``."""
    network = rules.network
    parent = network.parent.tolist()
    rising, sinking = ways(parent, one, other)
    turn = parent[rising[-1]] if rising else parent[sinking[-1]] if sinking else one
    fee = int(network.fee_ticks[rising].sum() + network.fee_down_ticks[sinking].sum())
    return Way(len(rising) + len(sinking), rules.nodes[turn], fee)
