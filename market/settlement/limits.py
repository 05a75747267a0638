"""What an interval's energy is worth to each member, and the limits of its orders that follow."""

from __future__ import annotations

from market.settlement.rules import Member, Rules
from market.tariffs.values import Limits, Values, values


def values_at(rules: Rules, start: int) -> dict[str, Values]:
    """By the tariff's name in the community, for the interval that starts at ``start`` [epoch s]."""
    return {name: values(tariff, start, rules.promise) for name, tariff in rules.tariffs.items()}


def order_limits(member: Member, worth: Values) -> Limits:
    """The member's own limits, as far as its tariff's values allow: nobody trades to its loss by mistake."""
    most, least = worth.limits.most_ticks, worth.limits.least_ticks
    return Limits(
        most if member.max_buy_ticks is None else min(most, member.max_buy_ticks),
        least if member.min_sell_ticks is None else max(least, member.min_sell_ticks),
    )
