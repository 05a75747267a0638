"""The members and their meters in columns, made once for the rules they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from market.clearing.problem import Flags, Ints

if TYPE_CHECKING:
    from market.settlement.rules import Member

LEAST, MOST = -(2**62), 2**62
"""What stands for a limit of its own that a member has not set."""


@dataclass(frozen=True, eq=False)
class MemberColumns:
    """Over members, in their order: names, places, own limits [ticks], the tariff's place among ``tariffs``.

    Over meters, member by member: ``owner`` is the member's index, ``since`` [epoch s], ``seed`` (meters, 4) [Wh].
    """

    households: tuple[str, ...]
    accounts: tuple[str, ...]
    node: Ints
    tariff: Ints
    tariffs: tuple[str, ...]
    min_sell_ticks: Ints
    max_buy_ticks: Ints
    meters: tuple[str, ...]
    owner: Ints
    since: Ints
    seed: Ints

    @cached_property
    def row(self) -> Mapping[str, int]:
        """Each meter's place among ``meters``."""
        return {meter: i for i, meter in enumerate(self.meters)}

    def begun(self, start: int) -> Flags:
        """Which meters count in the interval that starts at ``start``."""
        begun: Flags = self.since <= start
        return begun


def in_columns(members: Sequence[Member], tariffs: Sequence[str]) -> MemberColumns:
    """The members' columns; limits beyond every price are as good as that bound."""
    place = {name: i for i, name in enumerate(tariffs)}
    meters = [(i, meter) for i, member in enumerate(members) for meter in member.meters]
    return MemberColumns(
        households=tuple(member.household for member in members),
        accounts=tuple(household_account(member.household) for member in members),
        node=_ints([member.node for member in members]),
        tariff=_ints([place[member.tariff_name] for member in members]),
        tariffs=tuple(tariffs),
        min_sell_ticks=_ints([_or(member.min_sell_ticks, LEAST) for member in members]),
        max_buy_ticks=_ints([_or(member.max_buy_ticks, MOST) for member in members]),
        meters=tuple(meter.meter for _, meter in meters),
        owner=_ints([i for i, _ in meters]),
        since=_ints([meter.since for _, meter in meters]),
        seed=_ints([meter.seed for _, meter in meters]).reshape(-1, 4),
    )


def household_account(household: str) -> str:
    """The name of a household's account in the ledger."""
    return f"household:{household}"


def _or(limit: int | None, otherwise: int) -> int:
    return otherwise if limit is None else limit


def _ints(values: Sequence[object]) -> Ints:
    return np.array(values, dtype=np.int64)
