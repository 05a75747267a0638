"""What the record's tables hold, as their readers get it, and what can go wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from market.settlement.rules import Registers

INTERVAL, MONTH = "interval", "month"
"""Kinds of gate closures."""
PROVISIONAL, CORRECTED, FINAL = "provisional", "corrected", "final"
"""States that a closure leaves its interval or month in."""
ESTIMATED = "estimated"
"""The reason of a correction that stands only as long as no reading of the interval is known."""


class RecordError(RuntimeError):
    """The record cannot be used, or would contradict itself; the message says why."""


class RecordFullError(RecordError):
    """There is no room for what was to be written: nothing of it is kept, and it may be tried again."""


class ChangedMeanwhileError(RecordError):
    """Somebody stored inputs since these were read: nothing is stored; read them again."""


class Transfer(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Money [Wh x tick, positive] that goes from ``debit`` to ``credit`` for ``reason``."""

    id: str
    debit: str
    credit: str
    amount: int
    reason: str


@dataclass(frozen=True)
class Gate:
    """A gate closure: what a run of the interval, or of the month's bills, saw.

    ``horizon`` is the arrival number of the last reading it saw, ``corrections`` the number of the
    last correction, ``inputs`` the version of each kind of input, ``versions`` those of engine and
    solver. ``kind`` is INTERVAL or MONTH; ``start`` and ``length`` [s] are the interval's or month's.
    """

    number: int
    start: int
    length: int
    revision: int
    closed_at: int
    horizon: int
    inputs: dict[str, int]
    versions: dict[str, str]
    kind: str = INTERVAL
    corrections: int = 0
    state: str = PROVISIONAL


@dataclass(frozen=True)
class Correction:
    """Registers that stand for a meter's interval instead of what was heard; a later number wins.

    With the reason ESTIMATED they only fill: what was heard, also later, and any other correction stand before them.
    """

    number: int
    meter: str
    start: int
    length: int
    registers: Registers
    reason: str
    author: str
    stored_at: int


@dataclass(frozen=True)
class MeterStatus:
    """What a meter said last of its own health, at ``received_at`` [epoch s] by the market's clock.

    ``said``: the members of its newest ``status`` message (broker.contract.Status) while it was online; empty where
    there was none. Whoever is offline says nothing more, so these are then older than ``received_at``.
    """

    received_at: int
    online: bool
    said: dict[str, Any]


@dataclass(frozen=True)
class ChainRow:
    """A gate closure's place in the chain: the exact text ``entry`` that is hashed, what is ``sealed``, and the head.

    ``head`` is 64 hexadecimal digits; ``signature`` is the head's.
    """

    gate: int
    entry: str
    sealed: str
    head: str
    signature: str | None


@dataclass(frozen=True)
class InputVersion:
    """A stored input, the ``number``-th: it applies to intervals that start at or after ``stored_at`` [epoch s]."""

    number: int
    kind: str
    version: int
    stored_at: int
    author: str


def transfer_id(community: str, gate: Gate, account: str, reason: str) -> str:
    """The name of a member's transfer: interval, account, reason and revision decide it, nothing else."""
    key = f"{community}/{gate.start}/{gate.length}/{account}/{reason}/{gate.revision}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def transfer_ids(community: str, gate: Gate, keys: Iterable[tuple[str, str]]) -> list[str]:
    """``transfer_id`` of many transfers of one closure, by account and reason."""
    begun, ended, hashed = f"{community}/{gate.start}/{gate.length}/", f"/{gate.revision}", hashlib.sha256
    return [hashed(f"{begun}{account}/{reason}{ended}".encode()).hexdigest()[:32] for account, reason in keys]
