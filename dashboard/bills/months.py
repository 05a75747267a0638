"""Bills out of the record: closed months by household, and the month so far, read once and kept for the next reader.

A month's result holds every member's bill. Pages need one household's, and lists only its sums: those are kept.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from market.record import Gate, Record
from market.record.rows import MONTH
from market.service import months
from market.settlement.rules import Rules
from market.tariffs.months import Month, local, month_at

NEWEST = 2**62
KEPT_MONTHS, KEPT_BILLS = 36, 256
SO_FAR_S = 60.0
"""A month so far is derived from all its intervals: at most once in this time, whoever asks."""

Value = TypeVar("Value")


class Sums(NamedTuple):
    """A household's month [Wh x tick]: what it owes, and would have owed without the community.

    ``gifts`` is what those it gave are worth, less those it received.
    """

    total: int
    alone: int
    gain: int
    gifts: int


class _Total(msgspec.Struct):
    total: int


class _Trades(msgspec.Struct):
    gifts: int = 0


class _Bill(msgspec.Struct):
    household: str
    total: int
    gain: int
    alone: _Total
    trades: _Trades


class _Month(msgspec.Struct):
    bills: list[_Bill]


_SUMS = msgspec.json.Decoder(_Month)


@dataclass(frozen=True)
class FoundBill:
    """One household's bill as it is stored; ``result`` has no other household's. ``revision`` is None so far."""

    rules: Rules
    result: Mapping[str, Any]
    body: Mapping[str, Any]
    revision: int | None
    closed_at: int


class _Kept(Generic[Value]):
    """The newest few of what was read, by key; two who ask for the same at once read it once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, Value] = OrderedDict()

    def of(self, key: Hashable, read: Callable[[], Value]) -> Value:
        with self._lock:
            if key not in self._found:
                self._found[key] = read()
                while len(self._found) > self._most:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
            return self._found[key]

    def forget(self) -> None:
        with self._lock:
            self._found.clear()


class Bills:
    """The bills of one store, for all its readers. Raises BillingError as market.service.months does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sums: _Kept[dict[str, Sums]] = _Kept(KEPT_MONTHS)
        self._bills: _Kept[FoundBill | None] = _Kept(KEPT_BILLS)
        self._so_far: _Kept[tuple[float, int, tuple[Rules, dict[str, Any], int]]] = _Kept(2)

    def closures(self, record: Record, month: Month) -> list[Gate]:
        """The month's closures from the first to the newest; none while it is not closed."""
        zone = ZoneInfo(record.rules(record.input_versions(NEWEST)).timezone)
        start = month.start(zone)
        newest = record.newest_gate(start, month.end(zone) - start, MONTH)
        if newest is None:
            return []
        found = (record.gate_of(newest.start, newest.length, n, MONTH) for n in range(newest.revision))
        return [*(gate for gate in found if gate is not None), newest]

    def sums(self, record: Record, gate: Gate) -> Mapping[str, Sums]:
        """Every household's sums in a closure."""

        def read() -> dict[str, Sums]:
            bills = _SUMS.decode(record.result(gate.number)).bills
            return {bill.household: Sums(bill.total, bill.alone.total, bill.gain, bill.trades.gifts) for bill in bills}

        return self._sums.of(gate.number, read)

    def closed(self, record: Record, gate: Gate, household: str) -> FoundBill | None:
        """The household's bill of a closure; None when it was no member then."""

        def read() -> FoundBill | None:
            result = msgspec.json.decode(record.result(gate.number))
            return _only(record.rules(gate.inputs), result, household, gate.revision, gate.closed_at)

        return self._bills.of((gate.number, household), read)

    def so_far(self, record: Record, month: Month, household: str) -> FoundBill | None:
        """The household's month by what is settled of it; not newer than a minute where many ask."""
        counter = record.last_gate_number(kind=None)

        def read() -> tuple[float, int, tuple[Rules, dict[str, Any], int]]:
            return self._clock(), counter, months.so_far(record, month)

        made_at, seen, (rules, result, until) = self._so_far.of(month, read)
        if seen != counter and self._clock() - made_at >= SO_FAR_S:
            self._so_far.forget()
            _, _, (rules, result, until) = self._so_far.of(month, read)
        return _only(rules, result, household, None, until)


def _only(
    rules: Rules, result: Mapping[str, Any], household: str, revision: int | None, closed_at: int
) -> FoundBill | None:
    body = next((bill for bill in result["bills"] if bill["household"] == household), None)
    if body is None:
        return None
    kept = {name: value for name, value in result.items() if name not in ("bills", "netting", "waiting")}
    return FoundBill(rules, {**kept, "bills": [body]}, body, revision, closed_at)


def months_with_data(record: Record) -> list[Month]:
    """The local months of which anything is settled, the newest first."""
    rules = record.rules(record.input_versions(NEWEST))
    zone = ZoneInfo(rules.timezone)
    first, last = record.first_start(), record.last_gate()
    if first is None or last is None:
        return []
    month, oldest = month_at(local(last.start, zone).date()), month_at(local(first, zone).date())
    found = [month]
    while found[-1] > oldest:
        found.append(found[-1].plus(-1))
    return found
