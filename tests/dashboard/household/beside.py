"""A market that runs beside the pages on the settled store: it settles one more interval when it is told to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from broker.keys import derive_key, master_key, sign
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import write_position
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.market import MASTER_KEY_FILE
from market.service.projection import points_of

OUTBOX = "0123456789abcdef"
SELLER = "h001"
SOLD_FOR, TAKEN = (0, 500, 600, 100), (200, 0, 0, 200)
"""What flows in each further interval at the one home that exports, and at every other (import, export, …) [Wh]."""


class Market:
    def __init__(self, store: Path, flags: Sequence[str] = ()) -> None:
        """``flags`` are what every meter says of each reading."""
        self._flags = list(flags)
        self._store = store
        self._record = Record(store)
        self._series = EmbeddedSeries(store / "series.sqlite")
        self._master = master_key(store / MASTER_KEY_FILE)
        self._ingest = Ingest(self._record, self._master)
        self._gates = Gates(self._record, grace_s=0.0, chain=Chain(self._record, store))

    @property
    def next_start(self) -> int:
        return self._gates.next_start

    def settle_next(self) -> dict[str, Any]:
        """The result of the next interval, whose figures then are in the series."""
        start = self._gates.next_start
        messages = [
            self._reading(member.household, member.meters[0].meter, start) for member in self._gates.rules.members
        ]
        self._ingest.store(messages, now=start + 900, closed_before=start)
        self._gates.learn()
        self._gates.tick(start + 900, 0.0)
        assert self._gates.due(0.0)
        gate = self._gates.close_next().gate
        self._series.write(points_of(self._record, gate))
        write_position(self._store, "embedded", gate.number)
        found: dict[str, Any] = json.loads(self._record.result(gate.number))
        return found

    def _reading(self, household: str, meter: str, start: int) -> Message:
        before, _ = self._record.neighbours(meter, start, 0)
        assert before is not None
        flowed = SOLD_FOR if household == SELLER else TAKEN
        registers = (known + more for known, more in zip(before[1], flowed, strict=True))
        body = {
            "v": 1,
            "kid": 1,
            "outbox": OUTBOX,
            "seq": self._record.next_seq(meter, OUTBOX),
            "first": 0,
            "start": start,
        }
        body |= {"length": 900}
        names = ("import_wh", "export_wh", "generation_wh", "consumption_wh")
        body |= dict(zip(names, registers, strict=True)) | {"flags": self._flags}
        name = f"pumasi/1/c/{meter}/reading"
        return Message(name, sign(derive_key(self._master, "c", meter, 1), name, json.dumps(body).encode()))

    def close(self) -> None:
        self._series.close()
        self._record.close()
