"""From the households that members name to the orders of one interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from market.mechanisms.partners import Wishes
from market.settlement.rules import Member


def wishes_of(naming: Iterable[Member], households: Sequence[str], first: int = 0) -> Wishes:
    """Whom the orders' households name.

    ``naming`` are the members who name anybody; ``households`` is over the interval's orders, ``first`` the row of the
    first of them in the book.
    """
    naming = list(naming)
    if not naming:
        return Wishes({}, {})
    row = {household: first + place for place, household in enumerate(households)}
    present = [member for member in naming if member.household in row]
    return Wishes(
        give={row[one.household]: [row.get(name) for name in one.give] for one in present},
        prefer={row[one.household]: [row.get(name) for name in one.prefer] for one in present},
    )
