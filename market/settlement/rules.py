"""What an interval is settled by: the community's rules, read from its versioned inputs.

The bodies are what ``community.json`` holds, split by kind so that each has versions of its own:
``community``, ``tariffs``, ``network``, ``members``, ``offers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from math import floor
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from market.clearing.problem import Network, ProblemError
from market.settlement.document import Deadlines as DeadlinesBody
from market.settlement.document import bodies_of
from market.settlement.members import MemberColumns, in_columns
from market.tariffs.bill import grid_share
from market.tariffs.months import named_zone
from market.tariffs.steps import one_price
from market.tariffs.tariff import Tariff, flat_tariff, parse_tariff, undivided
from market.tariffs.values import Promise, grid_fee, unsafe
from market.units import ticks

KINDS = ("community", "tariffs", "network", "members", "offers")
MID_MARKET, MONTHLY_NETTING = "mid-market", "monthly-netting"
SETTLED_BY = (MID_MARKET, MONTHLY_NETTING)
"""Mechanisms that a community can be settled by today. Under the second a month's kWh are netted between neighbours
when it has ended, as in Korea's pilot of 2016; its intervals trade nothing."""


class RulesError(ValueError):
    """The community's inputs cannot be used; the message says where and why."""


class Registers(NamedTuple):
    """A meter's cumulative registers [Wh]."""

    import_wh: int
    export_wh: int
    generation_wh: int
    consumption_wh: int


@dataclass(frozen=True)
class Reference:
    """What the posted price lies between: the community's retail and feed-in prices [ticks]."""

    retail_ticks: int
    feed_in_ticks: int


@dataclass(frozen=True)
class Meter:
    """A member's meter: it counts from the interval that starts at ``since`` [epoch s], from ``seed``.

    ``nonces``: by key number, what its keys were drawn with beside the one before.
    """

    meter: str
    kid: int
    since: int
    seed: Registers
    nonces: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A household: its place in the network, its tariff and its name in the community, its own limits and its meters.

    ``prefer`` and ``give`` are households, first choice first: whom it trades with before all others, and whom it gives
    its surplus to. ``min_sell_ticks`` and ``max_buy_ticks`` are what it asked for, None where it leaves it to its
    tariff. What holds in an interval is market.settlement.limits. ``generates`` is for people to see; nothing is
    settled by it.
    """

    household: str
    name: str
    node: int
    tariff_name: str
    tariff: Tariff
    min_sell_ticks: int | None
    max_buy_ticks: int | None
    meters: tuple[Meter, ...]
    generates: bool
    prefer: tuple[str, ...] = ()
    give: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deadlines:
    """How long after its end an interval is estimated where nothing was heard, and when it becomes final [s].

    ``bill_after_s`` [s] after its end a month's bills are made; ``final_after_s`` after it the month is final, too.
    """

    estimate_after_s: int
    bill_after_s: int
    final_after_s: int


@dataclass(frozen=True)
class Rules:
    """Everything but the readings that decides an interval. ``members`` are sorted by household.

    ``promise``: 'interval', no trade is worse than staying alone whatever the month brings; or 'month', no bill is,
    as far as the month's gains can pay for it.
    """

    community: str
    currency: str
    timezone: str
    interval_s: int
    mechanism: str
    promise: Promise
    deadlines: Deadlines
    reference: Reference
    tariffs: Mapping[str, Tariff]
    nodes: tuple[str, ...]
    network: Network
    members: tuple[Member, ...]

    @cached_property
    def columns(self) -> MemberColumns:
        """The members and their meters in columns."""
        return in_columns(self.members, tuple(self.tariffs))

    @cached_property
    def naming(self) -> tuple[Member, ...]:
        """The members who prefer somebody or give to somebody."""
        return tuple(member for member in self.members if member.prefer or member.give)


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
        zone = named_zone(community["timezone"])
        offset_s = _undivided_offset_s(zone, interval_s)
        if offset_s is not None:
            raise ValueError(f"an interval of {interval_s} s does not divide the UTC offset of {offset_s} s in use")
        if community["mechanism"] not in SETTLED_BY:
            raise ValueError(f"mechanism {community['mechanism']!r} is unknown; known: {', '.join(SETTLED_BY)}")
        promise: Promise = community.get("promise", "interval")
        if community["mechanism"] == MONTHLY_NETTING and promise != "month":
            raise ValueError(f"mechanism {MONTHLY_NETTING} settles months: it needs the promise 'month'")
        reference = _reference(community["reference"])
        deadlines = _deadlines(community.get("deadlines") or {})
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise RulesError(f"community: {_missing(error)}") from None
    tariffs = {}
    level = (community.get("grid") or {}).get("level")
    for name, body in bodies["tariffs"].items():
        try:
            tariffs[name] = _tariff(name, body, community, zone, level)
        except (KeyError, TypeError, ValueError) as error:
            raise RulesError(f"tariffs: {name}: {_missing(error)}") from None
    nodes, network = _network(bodies["network"], _grid_fees(community.get("grid"), tariffs))
    members = _members(bodies["members"], bodies["offers"], tariffs, nodes, interval_s)
    _check_named(members, community["mechanism"])
    return Rules(
        community=community["community"],
        currency=community["currency"],
        timezone=community["timezone"],
        interval_s=interval_s,
        mechanism=community["mechanism"],
        promise=promise,
        deadlines=deadlines,
        reference=reference,
        tariffs=tariffs,
        nodes=nodes,
        network=network,
        members=members,
    )


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


def _deadlines(body: Mapping[str, int]) -> Deadlines:
    days = msgspec.convert(body, DeadlinesBody)
    if not days.estimate_after_days <= days.bill_after_days <= days.final_after_days:
        raise ValueError("deadlines: estimates come before bills, and bills before intervals are final")
    seconds = (24 * 3600 * d for d in (days.estimate_after_days, days.bill_after_days, days.final_after_days))
    return Deadlines(*seconds)


def _reference(body: Mapping[str, Any]) -> Reference:
    reference = Reference(ticks(body["retail_per_kwh"]), ticks(body["feed_in_per_kwh"]))
    if reference.feed_in_ticks > reference.retail_ticks:
        raise ValueError("feed-in above retail: buying to sell would pay without end")
    return reference


def _tariff(name: str, body: Any, community: Mapping[str, Any], zone: ZoneInfo, level: str | None) -> Tariff:
    if "versions" not in body:
        return flat_tariff(name, body["retail_per_kwh"], body["feed_in_per_kwh"], community["currency"], zone)
    tariff = replace(parse_tariff(body), level=level)
    if tariff.currency != community["currency"]:
        raise ValueError(f"its currency is {tariff.currency}, the community's {community['currency']}")
    if tariff.zone.key != zone.key:
        raise ValueError(f"its timezone is {tariff.zone.key}, the community's {zone.key}: their months differ")
    within = undivided(tariff, int(community["interval_s"]))
    if within:
        raise ValueError(within)
    if level is not None:
        for version in tariff.versions:
            grid_share(version, level)
    if community["mechanism"] == MONTHLY_NETTING and one_price(tariff):
        raise ValueError(f"{one_price(tariff)}, which the mechanism {MONTHLY_NETTING} needs")
    why = unsafe(tariff) if community.get("promise", "interval") == "interval" else None
    if why:
        raise ValueError(f"{why}: the promise 'interval' cannot be kept under it, 'month' can")
    return tariff


def _grid_fees(grid: Mapping[str, str] | None, tariffs: Mapping[str, Tariff]) -> Callable[[str], int]:
    """By level: the fee of an edge that energy passes to leave the level that all members share [ticks].

    A way passes two of them, up and down again.
    """

    def fee(level: str) -> int:
        if grid is None:
            raise ValueError("a grid_level needs the community's member grid")
        if grid["tariff"] not in tariffs:
            raise ValueError(f"the tariff {grid['tariff']} of the community's grid is unknown")
        tariff = tariffs[grid["tariff"]]
        return max(0, floor((grid_fee(tariff, level) - grid_fee(tariff, grid["level"])) / 2))

    return fee


def _network(rows: Sequence[Mapping[str, Any]], grid_fees: Callable[[str], int]) -> tuple[tuple[str, ...], Network]:
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
            fee = ticks(row.get("fee_per_kwh", "0"))
            level = row.get("grid_level")
            if level is not None and fee:
                raise ValueError("fee_per_kwh and grid_level cannot both stand")
            fee_ticks.append(fee if level is None else grid_fees(level))
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
                tariff_name=body["tariff"],
                tariff=tariffs[body["tariff"]],
                min_sell_ticks=None if least is None else ticks(least),
                max_buy_ticks=None if most is None else ticks(most),
                meters=meters,
                generates=bool(body.get("generates", False)),
                prefer=tuple(offer.get("prefer", ())),
                give=tuple(offer.get("give", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RulesError(f"members: {household}: {_missing(error)}") from None
    return tuple(members[household] for household in sorted(members))


def _check_named(members: Sequence[Member], mechanism: str) -> None:
    """Whom members prefer or give to are members too."""
    known = {member.household for member in members}
    for member in members:
        for what, names in (("prefer", member.prefer), ("give", member.give)):
            where = f"members: {member.household}: offer: {what}"
            if names and mechanism == MONTHLY_NETTING:
                raise RulesError(f"{where}: under {MONTHLY_NETTING} no interval trades, so none can go first")
            for place, name in enumerate(names):
                if name == member.household:
                    raise RulesError(f"{where}: it names itself")
                if name not in known:
                    raise RulesError(f"{where}: {name} is no member")
                if name in names[:place]:
                    raise RulesError(f"{where}: {name} stands twice")


def _meter(body: Mapping[str, Any], interval_s: int) -> Meter:
    seed = Registers(*(int(body.get(name, 0)) for name in Registers._fields))
    nonces = {int(kid): nonce for kid, nonce in body.get("nonces", {}).items()}
    meter = Meter(body["meter"], int(body["kid"]), int(body["since"]), seed, nonces)
    for kid in nonces:
        if not 2 <= kid <= meter.kid:
            raise ValueError(f"its meter {meter.meter} has a nonce for key {kid}, and keys 2 to {meter.kid}")
    if meter.since % interval_s:
        raise ValueError(f"its meter {meter.meter} counts from {meter.since}, which is no interval's start")
    return meter


def _missing(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
