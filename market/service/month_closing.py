"""Months closed by the market itself, on a thread of its own: bills take longer than readings may wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from market.clearing.lp import SolverError
from market.record import Record, RecordError
from market.record.rows import MONTH
from market.service import months
from market.service.chain import Chain
from market.settlement.interval import SettlementError
from market.tariffs.months import Month, local, month_at


class MonthClosing:
    """Closes months some days after their end, and again when something in them was settled anew."""

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._say = say
        self._thread: threading.Thread | None = None
        self._asked = threading.Event()
        self._asked.set()
        self._next_look = 0
        self._trouble = ""

    def ask(self) -> None:
        """A closed interval was settled anew: its month may have to be."""
        self._asked.set()

    def look(self, now: int) -> None:
        """Begin to close what is due at ``now`` [epoch s]; returns at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._asked.is_set() and now < self._next_look:
            return
        self._asked.clear()
        # Months end on the hour, whatever the zone.
        self._next_look = now - now % 3600 + 3600
        self._thread = threading.Thread(target=self._close_due, args=(now,), name="months", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wait for what has been begun; a month that is not booked then is closed the next time."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _close_due(self, now: int) -> None:
        trouble = ""
        try:
            record = Record(self._directory)
            try:
                chain = Chain(record, self._directory)
                for month in due(record, now):
                    closed = months.close(record, month, now, lambda gate, rules, text: chain.add(gate))
                    chain.write_heads()
                    for one in closed:
                        again = f" again, correction {one.gate.revision}" if one.gate.revision else ""
                        bills = len(one.settled.households)
                        self._say(f"month {one.settled.month} is closed{again}: {bills} bills")
            finally:
                record.close()
        except (SettlementError, SolverError, RecordError, OSError, ValueError) as error:
            # What cannot be billed, tariffs, rules and problems are ValueErrors of their own names.
            trouble = f"a month cannot be closed, the market goes on: {error}"
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble


def due(record: Record, now: int) -> list[Month]:
    """The months to be closed at ``now`` [epoch s], in order: not yet, or not since something in them was settled."""
    last, first = record.last_gate(), record.first_start()
    if last is None or first is None:
        return []
    rules = record.rules(record.input_versions(months.NEWEST))
    zone = ZoneInfo(rules.timezone)
    settled_to = min(last.start + last.length, now - rules.deadlines.bill_after_s)
    closed = {months.month_of_gate(gate, rules): gate.number for gate in record.gates(kind=MONTH)}
    found = []
    month = month_at(local(first, zone).date())
    while month.end(zone) <= settled_to:
        start, end = month.start(zone), month.end(zone)
        if month not in closed or record.settled_after(closed[month], start, end):
            found.append(month)
        month = month.plus(1)
    return found
