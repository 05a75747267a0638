"""The time series' points of a settled interval, made from its stored result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from market.record.record import Gate
from market.series import CommunityPoint, FlowPoint, HealthPoint, HouseholdPoint, PartnerPoint, Point, ReadingPoint
from market.settlement.rules import Registers, Rules

_ENERGY = ("import_wh", "export_wh", "generation_wh", "consumption_wh")


def points(
    gate: Gate, rules: Rules, result: dict[str, Any], registers: Mapping[tuple[str, int], Registers]
) -> list[Point]:
    """Every point of the interval: households, partners, the community, nodes, meters, and how the interval came about.

    ``registers`` maps (meter, interval start) to what the gate closure saw.
    """
    households = result["households"]
    received, given = _gifts(result)
    found: list[Point] = [
        HouseholdPoint(
            start=gate.start,
            length=gate.length,
            household=row["household"],
            **{name: row[name] for name in _ENERGY},
            bought_wh=row["bought_wh"],
            sold_wh=row["sold_wh"],
            heard=row["heard"],
            trade_money=row["trade_money"],
            residual_money=row["residual_money"],
            alone_money=row["alone_money"],
            revision=gate.revision,
            received_wh=received[row["household"]],
            given_wh=given[row["household"]],
        )
        for row in households
    ]
    traded: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for match in result["matches"]:
        traded[match["buyer"], match["seller"]][0] += match["energy_wh"]
        traded[match["seller"], match["buyer"]][1] += match["energy_wh"]
    for (household, partner), (bought, sold) in sorted(traded.items()):
        found.append(PartnerPoint(gate.start, gate.length, household, partner, bought, sold, gate.revision))
    found.append(
        CommunityPoint(
            start=gate.start,
            length=gate.length,
            homes=len(households),
            heard=sum(row["heard"] for row in households),
            energy_traded_wh=sum(row["sold_wh"] for row in households),
            **{name: sum(row[name] for row in households) for name in _ENERGY},
            welfare=result["welfare"],
            certificate_gap=result["certificate"]["gap"],
            price_ticks=result["price_ticks"],
            retail_ticks=rules.reference.retail_ticks,
            feed_in_ticks=rules.reference.feed_in_ticks,
            fees=result["fees"],
            revision=gate.revision,
        )
    )
    found.extend(
        FlowPoint(gate.start, gate.length, row["node"], row["flow_wh"], row["price_ticks"], gate.revision)
        for row in result["nodes"]
    )
    read = list(_readings(gate, rules, registers))
    found.extend(read)
    found.append(
        HealthPoint(
            start=gate.start,
            length=gate.length,
            meters=sum(meter.since <= gate.start for member in rules.members for meter in member.meters),
            meters_heard=len(read),
            closed_after_s=gate.closed_at - gate.start - gate.length,
            readings=gate.horizon,
            revision=gate.revision,
        )
    )
    return found


def _gifts(result: Mapping[str, Any]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """What households received and gave in a result [Wh], 0 for those it does not name."""
    received: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for trade in result.get("partners", ()):
        if trade["gift"]:
            received[trade["buyer"]] += trade["energy_wh"]
            given[trade["seller"]] += trade["energy_wh"]
    return received, given


def _readings(gate: Gate, rules: Rules, registers: Mapping[tuple[str, int], Registers]) -> Iterator[ReadingPoint]:
    for member in rules.members:
        for meter in member.meters:
            seen = registers.get((meter.meter, gate.start))
            if seen is not None and meter.since <= gate.start:
                yield ReadingPoint(gate.start, gate.length, meter.meter, member.household, *seen, gate.revision)
