"""What is cleared: a book of orders on a network tree, with every bound by name.

Both classes copy nothing they need not, hold read-only int64 arrays and refuse bad input with a
:class:`ProblemError` that names the fault and the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

NO_PRICE = int(np.iinfo(np.int64).min)
"""Stands where nothing bounds a price."""

UNLIMITED = -1
"""A limit of -1 Wh is no limit."""

PRICE_BOUND_TICKS = 2**30
"""Prices and fees stay below this magnitude [ticks]."""
ENERGY_BOUND_WH = 2**31
"""One order stays below this energy [Wh]."""
LIMIT_BOUND_WH = 2**61
"""A limit stays below this energy [Wh]."""
VALUE_BOUND = 2**62
"""Total energy of an interval times the greatest price that can occur in it stays below this [Wh x tick]."""
PATH_FEE_BOUND_TICKS = 2**38
"""The fees from any node to the root add up to less than this, in either direction [ticks]."""
NODES_BOUND = 2**22
ORDERS_BOUND = 2**31
CELLS_BOUND = 2**31
"""Intervals times nodes stay below this."""


class ProblemError(ValueError):
    """A book or network that cannot be cleared.

    Attributes:
        name: stable kebab-case name of the fault.
        row: index of the order or node at fault, None when no single one is.
        reason: one sentence for people.
    """

    def __init__(self, name: str, row: int | None, reason: str) -> None:
        self.name = name
        self.row = row
        self.reason = reason
        super().__init__(f"{name}: {reason}" if row is None else f"{name}: row {row}: {reason}")


def _refuse_first(bad: Flags, name: str, reason: str) -> None:
    if bad.any():
        first = np.argwhere(bad)[0]
        raise ProblemError(name, int(first[-1]), reason)


def _integers(values: ArrayLike, field: str) -> Ints:
    """Return a read-only int64 array, or refuse what is not whole numbers."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ProblemError("not-an-array", None, f"{field} is not an array of integers") from error
    if array.size == 0:
        array = array.astype(np.int64)
    elif array.dtype.kind == "f":
        _refuse_first(~np.isfinite(array), "not-a-number", f"{field} must be a finite integer")
        _refuse_first(array != np.floor(array), "not-an-integer", f"{field} must be a whole number")
        _refuse_first(np.abs(array) >= 2.0**53, "too-large", f"{field} is beyond what a float holds exactly")
    elif array.dtype.kind == "u":
        _refuse_first(array > np.iinfo(np.int64).max, "too-large", f"{field} does not fit 64 bits")
    elif array.dtype.kind == "O":
        _check_objects(array, field)
    elif array.dtype.kind not in "bi":
        raise ProblemError("not-an-integer", None, f"{field} must be integers, not {array.dtype}")
    result = array.astype(np.int64, copy=True)
    result.flags.writeable = False
    return result


def _check_objects(array: NDArray[np.object_], field: str) -> None:
    for row, value in enumerate(array.ravel()):
        if not isinstance(value, (int, np.integer)):
            raise ProblemError("not-an-integer", row, f"{field} must be an integer")
        if not -(2**63) <= value < 2**63:
            raise ProblemError("too-large", row, f"{field} does not fit 64 bits")


def _same_shape(shape: tuple[int, ...], **fields: Ints) -> None:
    for name, array in fields.items():
        if array.shape != shape:
            raise ProblemError("shape-mismatch", None, f"{name} has shape {array.shape}, expected {shape}")


@dataclass(frozen=True, eq=False, init=False)
class Network:
    """A tree of nodes; the edge of each node to its parent has a limit and a fee per direction.

    Args:
        parent: (nodes,) index of the parent; -1 for the one root.
        limit_wh: (nodes,) or (intervals, nodes), what may flow to the parent [Wh]; -1 is unlimited.
        fee_ticks: (nodes,) what one Wh pays on its way to the parent [ticks].
        limit_down_wh, fee_down_ticks: the same from the parent; equal to the way up unless given.

    The root's limit and fee are never used. Raises :class:`ProblemError`.
    """

    parent: Ints
    limit_wh: Ints
    fee_ticks: Ints
    limit_down_wh: Ints
    fee_down_ticks: Ints

    def __init__(
        self,
        parent: ArrayLike,
        limit_wh: ArrayLike,
        fee_ticks: ArrayLike,
        *,
        limit_down_wh: ArrayLike | None = None,
        fee_down_ticks: ArrayLike | None = None,
    ) -> None:
        parents = _integers(parent, "parent")
        up = _integers(limit_wh, "limit_wh")
        fee = _integers(fee_ticks, "fee_ticks")
        down = up if limit_down_wh is None else _integers(limit_down_wh, "limit_down_wh")
        fee_down = fee if fee_down_ticks is None else _integers(fee_down_ticks, "fee_down_ticks")
        _check_parents(parents)
        nodes = parents.size
        _same_shape((nodes,), fee_ticks=fee, fee_down_ticks=fee_down)
        for field, limit in (("limit_wh", up), ("limit_down_wh", down)):
            if limit.ndim not in (1, 2) or limit.shape[-1] != nodes:
                raise ProblemError("shape-mismatch", None, f"{field} has shape {limit.shape}, expected one per node")
            _refuse_first(limit < UNLIMITED, "limit-negative", f"{field} must be -1 (unlimited), 0 or more")
            _refuse_first(limit >= LIMIT_BOUND_WH, "limit-too-large", f"{field} must be below {LIMIT_BOUND_WH} Wh")
        if up.ndim == down.ndim == 2 and up.shape != down.shape:
            raise ProblemError("shape-mismatch", None, "limit_wh and limit_down_wh cover different intervals")
        for field, ticks in (("fee_ticks", fee), ("fee_down_ticks", fee_down)):
            _refuse_first(ticks < 0, "fee-negative", f"{field} must be 0 or more")
            _refuse_first(ticks >= PRICE_BOUND_TICKS, "fee-too-large", f"{field} must be below {PRICE_BOUND_TICKS}")
        for field, value in (
            ("parent", parents),
            ("limit_wh", up),
            ("fee_ticks", fee),
            ("limit_down_wh", down),
            ("fee_down_ticks", fee_down),
        ):
            object.__setattr__(self, field, value)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return int(self.parent.size)

    @property
    def root(self) -> int:
        """Index of the node without a parent."""
        return int(np.flatnonzero(self.parent < 0)[0])

    @property
    def limit_intervals(self) -> int | None:
        """Number of intervals the limits are given for; None when they hold for all."""
        for limit in (self.limit_wh, self.limit_down_wh):
            if limit.ndim == 2:
                return int(limit.shape[0])
        return None


def _check_parents(parent: Ints) -> None:
    if parent.ndim != 1:
        raise ProblemError("shape-mismatch", None, "parent must have one dimension")
    nodes = parent.size
    if nodes == 0:
        raise ProblemError("no-nodes", None, "a network needs at least one node")
    if nodes > NODES_BOUND:
        raise ProblemError("too-many-nodes", None, f"{nodes} nodes, at most {NODES_BOUND}")
    _refuse_first((parent < -1) | (parent >= nodes), "parent-unknown", "the parent is not a node")
    _refuse_first(parent == np.arange(nodes), "parent-self", "an edge joins the node to itself")
    roots = np.flatnonzero(parent == -1)
    if roots.size > 1:
        raise ProblemError("two-roots", int(roots[1]), f"node {int(roots[0])} is the root already")
    # Pointer doubling: after 2^k >= nodes steps every node that hangs on a root stands at "none".
    hop = np.where(parent < 0, nodes, parent)
    hop = np.append(hop, nodes)
    for _ in range(nodes.bit_length()):
        hop = hop[hop]
    _refuse_first(hop[:nodes] != nodes, "cycle", "the node's parents lead back to themselves")


@dataclass(frozen=True, eq=False, init=False)
class Book:
    """The orders of one or many intervals, as arrays over orders.

    Args:
        interval: index of the interval, from 0.
        node: index of the node in the network.
        sell: true for an ask, false for a bid.
        price_ticks: limit price [ticks per kWh, as integers].
        energy_wh: greatest energy [Wh].
        id: the rank that breaks ties (a household's rank); lower goes first. Orders of equal id are told
            apart by greater energy; orders equal in everything are interchangeable.
        intervals: number of intervals; the last index in use plus one unless given.

    Raises :class:`ProblemError`.
    """

    interval: Ints
    node: Ints
    sell: Flags
    price_ticks: Ints
    energy_wh: Ints
    id: Ints
    intervals: int

    def __init__(
        self,
        interval: ArrayLike,
        node: ArrayLike,
        sell: ArrayLike,
        price_ticks: ArrayLike,
        energy_wh: ArrayLike,
        *,
        id: ArrayLike | None = None,
        intervals: int | None = None,
    ) -> None:
        at = _integers(interval, "interval")
        nodes = _integers(node, "node")
        side = _integers(sell, "sell")
        price = _integers(price_ticks, "price_ticks")
        energy = _integers(energy_wh, "energy_wh")
        rank = np.zeros(at.shape, np.int64) if id is None else _integers(id, "id")
        if at.ndim != 1:
            raise ProblemError("shape-mismatch", None, "interval must have one dimension")
        if at.size >= ORDERS_BOUND:
            raise ProblemError("too-many-orders", None, f"{at.size} orders, fewer than {ORDERS_BOUND} are possible")
        _same_shape(at.shape, node=nodes, sell=side, price_ticks=price, energy_wh=energy, id=rank)
        _refuse_first(at < 0, "interval-negative", "the interval must be 0 or more")
        count = (int(at.max()) + 1 if at.size else 0) if intervals is None else int(intervals)
        if count < 0 or count >= CELLS_BOUND:
            raise ProblemError("too-many-intervals", None, f"{count} intervals, expected 0 to {CELLS_BOUND - 1}")
        _refuse_first(at >= count, "interval-unknown", f"the interval must be below {count}")
        _refuse_first(nodes < 0, "node-unknown", "the node must be 0 or more")
        _refuse_first((side != 0) & (side != 1), "side-unknown", "sell must be true or false")
        _refuse_first(
            (price >= PRICE_BOUND_TICKS) | (price <= -PRICE_BOUND_TICKS),
            "price-too-large",
            f"the price's magnitude must be below {PRICE_BOUND_TICKS} ticks",
        )
        _refuse_first(energy < 0, "energy-negative", "the energy must be 0 Wh or more")
        _refuse_first(energy >= ENERGY_BOUND_WH, "energy-too-large", f"the energy must be below {ENERGY_BOUND_WH} Wh")
        flags = side.astype(np.bool_)
        for array in (flags, rank):
            array.flags.writeable = False
        for field, value in (
            ("interval", at),
            ("node", nodes),
            ("sell", flags),
            ("price_ticks", price),
            ("energy_wh", energy),
            ("id", rank),
            ("intervals", count),
        ):
            object.__setattr__(self, field, value)

    @property
    def orders(self) -> int:
        """Number of orders."""
        return int(self.interval.size)


def check(book: Book, network: Network, greatest_path_fee_ticks: int) -> None:
    """Refuse a book that does not fit its network or whose sums could leave 64 bits.

    ``greatest_path_fee_ticks`` is the dearest way between any node and the root, either direction.
    """
    _refuse_first(book.node >= network.nodes, "node-unknown", f"the network has {network.nodes} nodes")
    covered = network.limit_intervals
    if covered is not None and covered != book.intervals:
        raise ProblemError(
            "shape-mismatch", None, f"limits are given for {covered} intervals, the book has {book.intervals}"
        )
    if book.intervals * network.nodes >= CELLS_BOUND:
        raise ProblemError("too-many-cells", None, f"intervals times nodes must be below {CELLS_BOUND}")
    if greatest_path_fee_ticks >= PATH_FEE_BOUND_TICKS:
        raise ProblemError(
            "path-fee-too-large", None, f"the fees between a node and the root reach {PATH_FEE_BOUND_TICKS} ticks"
        )
    if book.orders == 0:
        return
    total = np.zeros(book.intervals, np.int64)
    np.add.at(total, book.interval, book.energy_wh)
    price = np.zeros(book.intervals, np.int64)
    np.maximum.at(price, book.interval, np.abs(book.price_ticks))
    # A node's price stays within the orders' prices widened by the way to the root and back.
    bound = np.maximum(price + 2 * greatest_path_fee_ticks, 2)
    over = total > (VALUE_BOUND - 1) // bound
    if over.any():
        at = int(np.flatnonzero(over)[0])
        row = int(np.flatnonzero(book.interval == at)[0])
        raise ProblemError(
            "value-too-large",
            row,
            f"interval {at}: {int(total[at])} Wh times {int(bound[at])} ticks reaches {VALUE_BOUND}",
        )
