"""What an interval is settled by: the community's rules, read from its versioned inputs.

The bodies are what ``community.json`` holds, split by kind so that each has versions of its own:
``community``, ``tariffs``, ``network``, ``members``, ``offers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from market.clearing.problem import Network, ProblemError
from market.settlement.document import bodies_of
from market.units import ticks

KINDS = ("community", "tariffs", "network", "members", "offers")
SETTLED_BY = ("mid-market",)
"""Mechanisms that a community can be settled by today."""


class RulesError(ValueError):
    """The community's inputs cannot be used; the message says where and why."""


class Registers(NamedTuple):
    """A meter's cumulative registers [Wh]."""

    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int


@dataclass(frozen=True)
class Tariff:
    """What a household pays and earns per kWh without the community [ticks]."""

    retail_ticks: int
    feed_in_ticks: int


@dataclass(frozen=True)
class Meter:
    """A member's meter: it counts from the interval that starts at ``since`` [epoch s], from ``seed``."""

    meter: str
    kid: int
    since: int
    seed: Registers


@dataclass(frozen=True)
class Member:
    """A household: its place in the network, its tariff, its effective limits [ticks] and its meters.

    ``generates`` is for people to see; nothing is settled by it.
    """

    household: str
    name: str
    node: int
    tariff: Tariff
    min_sell_ticks: int
    max_buy_ticks: int
    meters: tuple[Meter, ...]
    generates: bool


@dataclass(frozen=True)
class Rules:
    """Everything but the readings that decides an interval. ``members`` are sorted by household."""

    community: str
    currency: str
    timezone: str
    interval_s: int
    mechanism: str
    reference: Tariff
    nodes: tuple[str, ...]
    network: Network
    members: tuple[Member, ...]


def split(document: Any) -> Mapping[str, Any]:
    """``community.json`` as one body for each input kind. Raises RulesError naming the place and the reason."""
    try:
        return bodies_of(document)
    except ValueError as error:
        raise RulesError(str(error)) from None


def parse(bodies: Mapping[str, Any]) -> Rules:
    """The rules that five input bodies make. Raises RulesError naming the kind, the entry and the reason."""
    community = bodies["community"]
    try:
        interval_s = int(community["interval_s"])
        if interval_s <= 0 or 86_400 % interval_s:
            raise ValueError(f"an interval of {interval_s} s does not divide the day")
        offset_s = _undivided_offset_s(_zone(community["timezone"]), interval_s)
        if offset_s is not None:
            raise ValueError(f"an interval of {interval_s} s does not divide the UTC offset of {offset_s} s in use")
        if community["mechanism"] not in SETTLED_BY:
            raise ValueError(f"mechanism {community['mechanism']!r} is unknown; known: {', '.join(SETTLED_BY)}")
        reference = _tariff(community["reference"])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise RulesError(f"community: {_missing(error)}") from None
    tariffs = {}
    for name, body in bodies["tariffs"].items():
        try:
            tariffs[name] = _tariff(body)
        except (KeyError, TypeError, ValueError) as error:
            raise RulesError(f"tariffs: {name}: {_missing(error)}") from None
    nodes, network = _network(bodies["network"])
    return Rules(
        community=community["community"],
        currency=community["currency"],
        timezone=community["timezone"],
        interval_s=interval_s,
        mechanism=community["mechanism"],
        reference=reference,
        nodes=nodes,
        network=network,
        members=_members(bodies["members"], bodies["offers"], tariffs, nodes, interval_s),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone {name!r} is unknown") from None


def _undivided_offset_s(zone: ZoneInfo, interval_s: int) -> int | None:
    """A UTC offset of the zone, from 2000 to 2050, whose local days would begin within an interval."""
    for year in range(2000, 2051):
        for month in range(1, 13):
            offset = datetime(year, month, 15, tzinfo=zone).utcoffset()
            assert offset is not None
            offset_s = int(offset.total_seconds())
            if offset_s % interval_s:
                return offset_s
    return None


def _tariff(body: Mapping[str, Any]) -> Tariff:
    tariff = Tariff(ticks(body["retail_per_kwh"]), ticks(body["feed_in_per_kwh"]))
    if tariff.feed_in_ticks > tariff.retail_ticks:
        raise ValueError("feed-in above retail: buying to sell would pay without end")
    return tariff


def _network(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], Network]:
    nodes = tuple(str(row["node"]) for row in rows)
    place = {node: i for i, node in enumerate(nodes)}
    if len(place) < len(nodes):
        twice = next(node for i, node in enumerate(nodes) if place[node] != i)
        raise RulesError(f"network: node {twice} stands twice")
    parent, limit_wh, fee_ticks = [], [], []
    for row in rows:
        above = row.get("parent")
        if above is not None and above not in place:
            raise RulesError(f"network: node {row['node']}: its parent {above} is unknown")
        parent.append(-1 if above is None else place[above])
        limit_wh.append(-1 if row.get("limit_wh") is None else int(row["limit_wh"]))
        try:
            fee_ticks.append(ticks(row.get("fee_per_kwh", "0")))
        except ValueError as error:
            raise RulesError(f"network: node {row['node']}: {error}") from None
    try:
        return nodes, Network(np.array(parent), np.array(limit_wh), np.array(fee_ticks))
    except ProblemError as error:
        raise RulesError(f"network: {error}") from None


def _members(
    bodies: Sequence[Mapping[str, Any]],
    offers: Mapping[str, Any],
    tariffs: Mapping[str, Tariff],
    nodes: Sequence[str],
    interval_s: int,
) -> tuple[Member, ...]:
    place = {node: i for i, node in enumerate(nodes)}
    members: dict[str, Member] = {}
    seen_meters: set[str] = set()
    for body in bodies:
        household = body.get("household", "?")
        try:
            if household in members:
                raise ValueError("stands twice")
            if body["node"] not in place:
                raise ValueError(f"its node {body['node']} is unknown")
            if body["tariff"] not in tariffs:
                raise ValueError(f"its tariff {body['tariff']} is unknown")
            tariff = tariffs[body["tariff"]]
            offer = offers.get(household, {})
            least, most = offer.get("min_sell_per_kwh"), offer.get("max_buy_per_kwh")
            meters = tuple(_meter(meter, interval_s) for meter in body["meters"])
            for meter in meters:
                if meter.meter in seen_meters:
                    raise ValueError(f"its meter {meter.meter} stands twice")
                seen_meters.add(meter.meter)
            members[household] = Member(
                household=household,
                name=body.get("name") or household,
                node=place[body["node"]],
                tariff=tariff,
                min_sell_ticks=tariff.feed_in_ticks if least is None else max(ticks(least), tariff.feed_in_ticks),
                max_buy_ticks=tariff.retail_ticks if most is None else min(ticks(most), tariff.retail_ticks),
                meters=meters,
                generates=bool(body.get("generates", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RulesError(f"members: {household}: {_missing(error)}") from None
    return tuple(members[household] for household in sorted(members))


def _meter(body: Mapping[str, Any], interval_s: int) -> Meter:
    seed = Registers(*(int(body.get(name, 0)) for name in Registers._fields))
    meter = Meter(body["meter"], int(body["kid"]), int(body["since"]), seed)
    if meter.since % interval_s:
        raise ValueError(f"its meter {meter.meter} counts from {meter.since}, which is no interval's start")
    return meter


def _missing(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
