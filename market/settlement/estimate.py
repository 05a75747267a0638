"""Registers that were never heard, from those on both sides of the gap.

The energy of the gap is known exactly, for registers are cumulative; only when it flowed is not. It is
taken as if it had flowed evenly, and what does not divide falls to the later intervals.
"""

from __future__ import annotations

from market.settlement.rules import Registers


def between(before: Registers, after: Registers, intervals: int) -> list[Registers]:
    """Registers [Wh] at the ends of the ``intervals`` - 1 intervals that lie between two known ends.

    ``before`` is known at the gap's beginning, ``after`` at the end of its last interval. Raises
    ValueError when the registers fall.
    """
    if any(late < early for early, late in zip(before, after, strict=True)):
        raise ValueError(f"the registers fall from {tuple(before)} to {tuple(after)}")
    return [
        Registers(
            *(early + (late - early) * step // intervals for early, late in zip(before, after, strict=True)),
        )
        for step in range(1, intervals)
    ]
