"""Curve aggregation: the witness of a tree of any size in one pass up and one pass down.

Each node's net supply rises with its price in steps: an ask adds its energy at its price, a bid takes
its demand away at its price. A curve is its value below every price (``base``, minus the demand) and
a sorted list of steps. An edge cuts the child's curve to its limits, moves the exporting part up by the
fee and the importing part down, and hands the steps to the parent.

A step is one int64 key, ``cell << bits | price - least``, and its energy, so a level is one sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.clearing.frame import INFINITE, Frame
from market.clearing.problem import Flags, Ints
from market.clearing.tree import Level, path_fees
from market.clearing.witness import Ends, Witness, descend


@dataclass(frozen=True, eq=False)
class _Steps:
    """Steps sorted by key, in cells ``cell_0`` and up; ``start`` (cells + 1,) is where each cell's begin.

    ``running`` (steps + 1,) sums the energy of all steps before each one.
    """

    key: Ints
    energy: Ints
    start: Ints
    running: Ints
    base: Ints

    def top(self) -> Ints:
        """Net supply above every price, per cell [Wh]."""
        return self.base + self.running[self.start[1:]] - self.running[self.start[:-1]]


def solve(frame: Frame) -> Witness:
    """Return the witness of every node and interval of the frame."""
    return descend(frame, _climb(frame))


@dataclass(frozen=True)
class _Packing:
    bits: int
    least: int

    def price(self, key: Ints) -> Ints:
        return (key & ((1 << self.bits) - 1)) + self.least


def _packing(frame: Frame) -> _Packing:
    tree = frame.tree
    all_up = int(path_fees(tree, _by_node(frame, frame.fee_up)).max())
    all_down = int(path_fees(tree, _by_node(frame, frame.fee_down)).max())
    least = int(frame.price.min()) - all_down if frame.price.size else 0
    most = int(frame.price.max()) + all_up if frame.price.size else 0
    return _Packing((most - least).bit_length(), least)


def _by_node(frame: Frame, by_position: Ints) -> Ints:
    values = np.empty_like(by_position)
    values[frame.tree.node] = by_position
    return values


def _climb(frame: Frame) -> Ends:
    """Build the curves from the deepest level to the root and read off where they cross 0 and the limits."""
    pack = _packing(frame)
    intervals = frame.intervals
    zero_low, zero_high, up_low, down_low = (np.empty(frame.shape, np.int64) for _ in range(4))
    up_high, down_high = np.empty(frame.shape, np.int64), np.empty(frame.shape, np.int64)
    ends = Ends(zero_low, zero_high, up_low, up_high, down_low, down_high)
    up_low.fill(INFINITE)
    up_high.fill(INFINITE)
    down_low.fill(-INFINITE)
    down_high.fill(-INFINITE)
    base = frame.sum_by_cell(np.where(frame.sell, 0, -frame.energy))

    key = (frame.cell << pack.bits) | (frame.price - pack.least)
    order = np.argsort(key)
    own_key, own_energy = key[order], frame.energy[order]
    del key, order
    first = len(own_key)
    key, energy = own_key[:0], own_energy[:0]
    for level in frame.tree.from_leaves():
        last, first = first, int(np.searchsorted(own_key, (level.start * intervals) << pack.bits))
        steps = _gather(own_key[first:last], own_energy[first:last], key, energy, base, level.start, level.stop, pack)
        key, energy = _pass_edge(frame, level, steps, base, ends, pack)
    steps = _gather(own_key[:first], own_energy[:first], key, energy, base, 0, 1, pack)
    _read_zero(steps, 0, intervals, ends, pack, slice(0, 1))
    return ends


def _gather(
    own_key: Ints, own_energy: Ints, key: Ints, energy: Ints, base: Ints, start: int, stop: int, pack: _Packing
) -> _Steps:
    """Join the level's own orders with what came up from its children."""
    if key.size:
        key = np.concatenate([own_key, key])
        order = np.argsort(key)
        key, energy = key[order], np.concatenate([own_energy, energy])[order]
    else:
        key, energy = own_key, own_energy
    new = np.empty(key.size, np.bool_)
    new[:1] = True
    np.not_equal(key[1:], key[:-1], out=new[1:])
    if np.count_nonzero(new) < 0.8 * key.size:
        at = np.flatnonzero(new)
        key, energy = key[at], np.add.reduceat(energy, at)
    intervals = base.shape[1]
    cells = np.arange(start * intervals, stop * intervals + 1)
    running = np.empty(key.size + 1, np.int64)
    running[0] = 0
    np.cumsum(energy, out=running[1:])
    return _Steps(key, energy, np.searchsorted(key, cells << pack.bits), running, base[start:stop].reshape(-1))


def _first_at_least(steps: _Steps, level: Ints, which: Ints | slice = slice(None)) -> Ints:
    """Index of each cell's first step that lifts its curve to ``level`` or above; the next cell's start if none."""
    wanted = level - steps.base[which] + steps.running[steps.start[:-1][which]]
    return np.clip(np.searchsorted(steps.running[1:], wanted), steps.start[:-1][which], steps.start[1:][which])


def _first_above(steps: _Steps, level: Ints, which: Ints | slice = slice(None)) -> Ints:
    """Index of each cell's first step that lifts its curve above ``level``; the next cell's start if none."""
    return _first_at_least(steps, level + 1, which)


def _price_at(steps: _Steps, index: Ints, pack: _Packing, below: Flags, beyond: Flags) -> Ints:
    """Price of the steps ``index``, infinite below and beyond the curve."""
    if not steps.key.size:
        price = np.zeros(index.shape, np.int64)
    else:
        price = pack.price(steps.key[np.minimum(index, steps.key.size - 1)])
    return np.where(below, -INFINITE, np.where(beyond, INFINITE, price))


def _read_zero(steps: _Steps, start: int, intervals: int, ends: Ends, pack: _Packing, at: slice) -> Ints:
    """Note the prices where each curve is zero; return the first step that lifts it above zero."""
    top = steps.top()
    nothing = np.zeros(steps.base.shape, np.int64)
    rising, risen = _first_at_least(steps, nothing), _first_above(steps, nothing)
    never = np.zeros(steps.base.shape, np.bool_)
    ends.zero_low[at] = _price_at(steps, rising, pack, steps.base >= 0, never).reshape(-1, intervals)
    ends.zero_high[at] = _price_at(steps, risen, pack, never, top <= 0).reshape(-1, intervals)
    return risen


def _pass_edge(frame: Frame, level: Level, steps: _Steps, base: Ints, ends: Ends, pack: _Packing) -> tuple[Ints, Ints]:
    """Cut, shift and hand a level's curves to its parents: returns the steps as the parents see them."""
    intervals = frame.intervals
    at = slice(level.start, level.stop)
    risen = _read_zero(steps, level.start, intervals, ends, pack, at)
    top = steps.top()
    # No curve passes its own ends: beyond them a limit is as good as none, and sums stay in 64 bits.
    up = np.minimum(frame.up[at].reshape(-1), top + 1)
    down = np.maximum(-frame.down[at].reshape(-1), steps.base - 1)
    first, last = steps.start[:-1].copy(), steps.start[1:].copy()
    tight_up, tight_down = np.flatnonzero(up <= top), np.flatnonzero(down >= steps.base)
    if tight_up.size:
        limit = up[tight_up]
        rising, over = _first_at_least(steps, limit, tight_up), _first_above(steps, limit, tight_up)
        low = _price_at(steps, rising, pack, limit <= steps.base[tight_up], np.zeros(limit.shape, np.bool_))
        high = _price_at(steps, over, pack, np.zeros(limit.shape, np.bool_), limit >= top[tight_up])
        ends.up_low[at].reshape(-1)[tight_up] = low
        ends.up_high[at].reshape(-1)[tight_up] = high
        last[tight_up] = np.where(limit <= steps.base[tight_up], steps.start[:-1][tight_up], rising + 1)
    if tight_down.size:
        limit = down[tight_down]
        rising, over = _first_at_least(steps, limit, tight_down), _first_above(steps, limit, tight_down)
        low = _price_at(steps, rising, pack, limit <= steps.base[tight_down], np.zeros(limit.shape, np.bool_))
        high = _price_at(steps, over, pack, np.zeros(limit.shape, np.bool_), limit >= top[tight_down])
        ends.down_low[at].reshape(-1)[tight_down] = low
        ends.down_high[at].reshape(-1)[tight_down] = high
        first[tight_down] = over
    key, energy = _cut(steps, first, np.maximum(first, last), up, down, risen, frame, level, pack)
    below = np.clip(steps.base, down, up).reshape(-1, intervals)
    base[level.parents] += np.add.reduceat(below, level.first_child, axis=0)
    return key, energy


def _cut(
    steps: _Steps,
    first: Ints,
    last: Ints,
    up: Ints,
    down: Ints,
    risen: Ints,
    frame: Frame,
    level: Level,
    pack: _Packing,
) -> tuple[Ints, Ints]:
    """Steps ``first`` to ``last`` of each cell within [down, up], keyed and priced for the parent."""
    intervals = frame.intervals
    count = last - first
    total = int(count.sum())
    ends = np.cumsum(count)
    starts = ends - count
    if total == steps.key.size:
        key, energy = steps.key, steps.energy.copy()
    else:
        pick = np.arange(total) + np.repeat(first - starts, count)
        key, energy = steps.key[pick], steps.energy[pick]
    some = np.flatnonzero(count)
    offset = steps.base - steps.running[steps.start[:-1]]
    before_first = (steps.running[first] + offset)[some]
    after_last = (steps.running[last] + offset)[some]
    energy[starts[some]] -= np.maximum(down[some] - before_first, 0)
    energy[ends[some] - 1] -= np.maximum(after_last - up[some], 0)

    at = slice(level.start, level.stop)
    cells = np.arange(level.start * intervals, level.stop * intervals)
    above = (level.parent[:, None] * intervals + np.arange(intervals)).reshape(-1)
    move = (above - cells) << pack.bits
    fee_up = np.repeat(frame.fee_up[at], intervals)
    fee_down = np.repeat(frame.fee_down[at], intervals)
    if not (fee_up.any() or fee_down.any()):
        return key + np.repeat(move, count), energy
    # Steps before `turn` import and pay the fee down, steps from it on export and pay the fee up.
    turn = np.clip(risen, first, last) - first
    shift = np.stack([move - fee_down, move + fee_up], axis=1).reshape(-1)
    # The step that crosses zero does both: its importing part stays in place, the rest is added behind.
    before = np.clip(steps.running[first + turn] + offset, down, up)
    crosses = np.flatnonzero((turn < count) & (before < 0))
    step = starts[crosses] + turn[crosses]
    moved = key + np.repeat(shift, np.stack([turn, count - turn], axis=1).reshape(-1))
    extra_key = moved[step]
    extra_energy = energy[step] + before[crosses]
    moved[step] += (-fee_down - fee_up)[crosses]
    energy[step] = -before[crosses]
    if crosses.size:
        moved, energy = np.concatenate([moved, extra_key]), np.concatenate([energy, extra_energy])
    if not energy.all():
        keep = np.flatnonzero(energy)
        moved, energy = moved[keep], energy[keep]
    return moved, energy
