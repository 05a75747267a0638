"""A correction that comes after an interval has become final: its household's own, and nobody else's.

Trades stand as they were settled. What the correction changes is residual energy: the household settles it
with its supplier at its own tariff, below zero too where less was imported than had been bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from msgspec.structs import replace

from market.settlement.energy import Energy, energies
from market.settlement.households import at_tariff
from market.settlement.interval import Match, Position, Settled, estimated_households, postings_of
from market.settlement.limits import values_at
from market.settlement.rules import Registers, Rules
from market.tariffs.values import Values


def settle_final(
    rules: Rules,
    start: int,
    registers: Mapping[tuple[str, int], Registers],
    previous: Mapping[str, Any],
    estimated: Set[str] = frozenset(),
) -> Settled:
    """The interval after its final deadline, from its ``previous`` result and the registers as they are known now.

    ``estimated`` names the meters whose registers were estimated.
    """
    heard = energies(rules, start, registers)
    stood = {row["household"]: Position(**row) for row in previous["households"]}
    worth = values_at(rules, start)
    positions = tuple(
        _corrected(stood[member.household], heard.get(member.household), worth[member.tariff_name])
        for member in rules.members
    )
    postings = postings_of(positions, previous["fees"])
    result = {name: value for name, value in previous.items() if name not in ("final", "estimated")}
    result["households"] = positions
    result["final"] = True
    result.update(estimated_households(rules, estimated))
    return Settled(
        start=start,
        positions=positions,
        matches=tuple(Match(**row) for row in previous["matches"]),
        postings=postings,
        energy_traded_wh=sum(position.sold_wh for position in positions),
        welfare=previous["welfare"],
        certificate_gap=previous["certificate"]["gap"],
        price_ticks=previous["price_ticks"],
        fees=previous["fees"],
        body=result,
    )


def _corrected(stood: Position, energy: Energy | None, worth: Values) -> Position:
    if energy is None:
        return stood
    now = (energy.import_wh, energy.export_wh, energy.generation_wh, energy.consumption_wh)
    if stood.heard and now == (stood.import_wh, stood.export_wh, stood.generation_wh, stood.consumption_wh):
        return stood
    residual_money, alone_money = at_tariff(worth, energy, stood.bought_wh, stood.sold_wh)
    return replace(
        stood,
        heard=True,
        import_wh=energy.import_wh,
        export_wh=energy.export_wh,
        generation_wh=energy.generation_wh,
        consumption_wh=energy.consumption_wh,
        residual_money=residual_money,
        alone_money=alone_money,
    )
