"""The network tree in one interval: what flowed over each edge against its limit, and the prices and fees there."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from dashboard.access import Problem
from dashboard.operator.drawing import Drawing, Shape, draw
from dashboard.operator.intervals import gate_at
from dashboard.operator.table import place
from dashboard.site import Site
from market.clearing.tree import plant
from market.record import Gate
from market.service.network_load import load
from market.service.settling import state_now
from market.settlement.rules import Rules

NEAR_PERMILLE, FULL_PERMILLE = 800, 1000
NODES_A_PAGE = 100
OVER_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node and its edge to the parent. Flows are from the node to its parent, negative towards it [Wh].

    ``metered_wh`` is what flowed by the meters, ``traded_wh`` the part of it that was traded. ``load_permille`` is
    the metered flow against the limit, None without one; ``band`` is none, low, near or over.
    """

    node: str
    parent: str | None
    level: int
    children: int
    homes: int
    heard: int
    metered_wh: int
    traded_wh: int
    limit_wh: int | None
    load_permille: int | None
    band: str
    fee_ticks: int
    price_ticks: int | None
    price_low: int | None
    price_high: int | None


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The tree at and below the node ``at`` in an interval; ``path`` leads to it from the root.

    ``nodes`` are those of ``page``; ``over`` are the worst of the ``overloaded`` ones of the tree, at most OVER_SHOWN.
    """

    start: int
    length: int
    revision: int
    state: str
    before: int | None
    after: int | None
    price_ticks: int
    homes: int
    heard: int
    at: str
    path: tuple[str, ...]
    nodes: tuple[NodeView, ...]
    page: int
    pages: int
    overloaded: int
    over: tuple[NodeView, ...]
    drawing: Drawing


class _Node(msgspec.Struct, gc=False):
    node: str
    price_ticks: int | None
    price_low: int | None
    price_high: int | None
    flow_wh: int


class _Household(msgspec.Struct, gc=False):
    household: str
    heard: bool
    import_wh: int
    export_wh: int


class _Result(msgspec.Struct):
    price_ticks: int
    nodes: list[_Node]
    households: list[_Household]


_RESULT = msgspec.json.Decoder(_Result)


@dataclass(frozen=True, slots=True)
class _Interval:
    """A settled interval's tree in columns over nodes; ``order`` has parents before their children."""

    rules: Rules
    result: _Result
    order: list[int]
    parent: list[int]
    level: list[int]
    children: list[int]
    flow_wh: list[int]
    homes: list[int]
    heard: list[int]
    limit_wh: list[int | None]
    load_permille: list[int | None]


def network_view(site: Site, start: int | None, at: str | None, page: int = 1) -> NetworkView:
    """The newest settled interval's, or that of ``start``; from the root, or from ``at``. Raises Problem."""
    gate = gate_at(site, start)
    interval = _interval(site, gate)
    names = interval.rules.nodes
    if at is not None and at not in names:
        raise Problem(404, "no-node", "the network has no such node")
    whole = interval.order[0]
    root = whole if at is None else names.index(at)
    below = _below(interval, root)
    page, pages = place(len(below), page)
    over = _over(interval)
    return NetworkView(
        start=gate.start,
        length=gate.length,
        revision=gate.revision,
        state=state_now(interval.rules, gate, int(site.clock())),
        before=_settled(site, gate.start - gate.length, gate.length),
        after=_settled(site, gate.start + gate.length, gate.length),
        price_ticks=interval.result.price_ticks,
        homes=interval.homes[whole],
        heard=interval.heard[whole],
        at=names[root],
        path=_path(interval, root),
        nodes=tuple(_node(interval, i) for i in below[(page - 1) * NODES_A_PAGE : page * NODES_A_PAGE]),
        page=page,
        pages=pages,
        overloaded=len(over),
        over=tuple(_node(interval, i) for i in over[:OVER_SHOWN]),
        drawing=draw([_shape(interval, i) for i in below]),
    )


def overloaded(site: Site) -> int:
    """How many edges carried more than their limits in the newest settled interval."""
    return len(_over(_interval(site, gate_at(site, None))))


def _settled(site: Site, start: int, length: int) -> int | None:
    gate = site.record.read().newest_gate(start, length)
    return None if gate is None else start


def _interval(site: Site, gate: Gate) -> _Interval:
    record = site.record.read()
    rules = record.rules(gate.inputs)
    result = _RESULT.decode(record.result(gate.number))
    network, tree = rules.network, plant(rules.network)
    loads = load(rules, {h.household: h.export_wh - h.import_wh for h in result.households if h.heard})
    parent, flows = network.parent.tolist(), loads.flow_wh.tolist()
    level, children = [0] * network.nodes, [0] * network.nodes
    order = tree.node.tolist()
    for i in order[1:]:
        level[i] = level[parent[i]] + 1
        children[parent[i]] += 1
    limits: list[int | None] = [
        None if above < 0 or (up if flow >= 0 else down) < 0 else (up if flow >= 0 else down)
        for above, flow, up, down in zip(
            parent, flows, network.limit_wh.tolist(), network.limit_down_wh.tolist(), strict=True
        )
    ]
    return _Interval(
        rules, result, order, parent, level, children, flows, loads.homes.tolist(), loads.heard.tolist(), limits,
        [None if most is None else _permille(abs(flow), most) for flow, most in zip(flows, limits, strict=True)],
    )  # fmt: skip


def _permille(flow_wh: int, limit_wh: int) -> int:
    """The load; twice the limit where nothing may flow and something does."""
    if limit_wh:
        return flow_wh * 1000 // limit_wh
    return 2 * FULL_PERMILLE if flow_wh else 0


def _band(permille: int | None) -> str:
    if permille is None:
        return "none"
    return "over" if permille > FULL_PERMILLE else "near" if permille >= NEAR_PERMILLE else "low"


def _over(interval: _Interval) -> list[int]:
    """The overloaded nodes, the worst first."""
    found = [(permille, i) for i, permille in enumerate(interval.load_permille) if _band(permille) == "over"]
    return [i for _, i in sorted(found, key=lambda one: -(one[0] or 0))]


def _below(interval: _Interval, root: int) -> list[int]:
    """The node and all below it; parents come before their children."""
    kept = {root}
    found = []
    for i in interval.order:
        if i == root or interval.parent[i] in kept:
            kept.add(i)
            found.append(i)
    return found


def _path(interval: _Interval, node: int) -> tuple[str, ...]:
    way = []
    while node >= 0:
        way.append(interval.rules.nodes[node])
        node = interval.parent[node]
    return tuple(reversed(way))


def _node(interval: _Interval, i: int) -> NodeView:
    names, parent, row = interval.rules.nodes, interval.parent[i], interval.result.nodes[i]
    return NodeView(
        node=names[i],
        parent=None if parent < 0 else names[parent],
        level=interval.level[i],
        children=interval.children[i],
        homes=interval.homes[i],
        heard=interval.heard[i],
        metered_wh=interval.flow_wh[i],
        traded_wh=row.flow_wh,
        limit_wh=interval.limit_wh[i],
        load_permille=interval.load_permille[i],
        band=_band(interval.load_permille[i]),
        fee_ticks=int(interval.rules.network.fee_ticks[i]),
        price_ticks=row.price_ticks,
        price_low=row.price_low,
        price_high=row.price_high,
    )


def _shape(interval: _Interval, i: int) -> Shape:
    names, parent, permille = interval.rules.nodes, interval.parent[i], interval.load_permille[i]
    above = None if parent < 0 else names[parent]
    return Shape(names[i], above, interval.homes[i], permille, _band(permille), interval.flow_wh[i])
