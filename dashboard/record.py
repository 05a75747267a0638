"""What the pages ask of the record. The record itself lives with the market; any object that fits will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from market.record import Record
from market.settlement.rules import Rules


@dataclass(frozen=True, slots=True)
class CommunityInfo:
    """The community as pages name it. `currency` is an ISO 4217 code, `timezone` an IANA name."""

    name: str
    currency: str
    timezone: str
    interval_s: int


@dataclass(frozen=True, slots=True)
class HouseholdInfo:
    """A member as pages name it."""

    household: str
    name: str
    node: str
    has_generation: bool


class LastInterval(NamedTuple):
    """The latest settled interval: its start, its revision, and the change counter it was read under."""

    start: int
    revision: int
    change_counter: int


class CommunityRecord(Protocol):
    """A reader of the record. Called from several threads, never written through."""

    def community(self) -> CommunityInfo:
        """The community's name, currency, zone and interval length."""
        ...

    def households(self) -> Sequence[HouseholdInfo]:
        """All members, in the order lists show them."""
        ...

    def last_interval(self) -> LastInterval | None:
        """The latest settled interval; None before the first."""
        ...

    def change_counter(self) -> int:
        """A number that differs after every change a page could show. Asked ten times a second."""
        ...

    def rules(self) -> Rules:
        """The newest rules: members, network, tariffs, offers."""
        ...

    def read(self) -> Record:
        """This thread's own connection to the record; for reading only."""
        ...
