"""A store with a few settled intervals of real homes, one of them revised because a reading came late."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from firmware.host.community import community_document
from firmware.host.profile import Profile
from firmware.host.street import load_street, with_homes
from market.record import Record
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import split

FIRST_STEP = 46
"""From late morning: homes trade."""
EVENTFUL_STEP, LATE_STEP, CORRECTED_STEP = 1, 2, 4


def settle_street(
    store: Path,
    *,
    steps: int = 6,
    homes: int = 12,
    first_step: int = FIRST_STEP,
    eventful: bool = False,
    offers: Mapping[str, Any] | None = None,
) -> None:
    """Settle ``steps`` intervals of ``homes`` homes in ``store``; the first home's reading of step 2 comes late.

    ``eventful``: other messages come too, one that no reader can read, one that contradicts a stored reading and leaves
    a gap in its outbox, one again; and a reading is corrected. ``offers``: by household, what the document holds.
    """
    street = with_homes(load_street(), homes)
    since = street.start + first_step * street.step_s
    document = community_document(street, "c")
    for member in document["members"]:
        member["meters"][0]["since"] = since
        member["offer"] = (offers or {}).get(member["household"], member.get("offer", {}))
    record = Record(store)
    record.store_inputs(split(document), now=0)
    master = master_key(store / MASTER_KEY_FILE)
    chain = Chain(record, store)
    ingest, gates = Ingest(record, master), Gates(record, grace_s=0.0, chain=chain)
    for step in range(steps):
        start = since + step * street.step_s
        messages = []
        for home in street.homes:
            profile = Profile(street.start, street.step_s, home.load_w, home.generation_w)
            counters = [
                (after - before) // 1000
                for after, before in zip(profile.counters_mwh(start + 900), profile.counters_mwh(since), strict=True)
            ]
            imported, exported, generated = counters
            body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": start}
            body |= {"length": 900, "import_wh": imported, "export_wh": exported, "generation_wh": generated}
            body |= {"consumption_wh": imported + generated - exported, "flags": []}
            messages.append(_sealed(master, home.meter, body))
        if eventful and step == EVENTFUL_STEP:
            again = json.loads(messages[3].payload) | {"seq": 100, "first": 0}
            del again["mac"]
            again["import_wh"] += 1
            meter = messages[3].topic.split("/")[3]
            messages += [Message(messages[3].topic, b"not json"), messages[4], _sealed(master, meter, again)]
        in_time, late = (messages[1:], messages[:1]) if step == LATE_STEP else (messages, [])
        ingest.store(in_time, now=start + 900, closed_before=gates.next_start)
        gates.tick(start + 900, 0.0)
        assert gates.due(0.0)
        gates.close_next()
        ingest.store(late, now=start + 900, closed_before=gates.next_start)
        assert len(list(gates.run_again())) == len(late)
        if eventful and step == CORRECTED_STEP:
            _correct(record, start - 900, start + 900)
            assert len(list(gates.run_again())) == 2, "the interval, and the one that begins where it ends"
    chain.write_heads()
    record.close()


def _sealed(master: bytes, meter: str, body: dict[str, Any]) -> Message:
    name = topic("c", meter, "reading")
    return Message(name, sign(derive_key(master, "c", meter, 1), name, json.dumps(body).encode()))


def _correct(record: Record, start: int, now: int) -> None:
    """The first meter that imported enough in the interval is said to have imported one Wh less."""
    known = record.registers(start, 900, record.horizon())
    meter = next(m for m, at in known if at == start and known[m, at].import_wh - known[m, at - 900].import_wh > 1)
    registers = known[meter, start]._replace(import_wh=known[meter, start].import_wh - 1)
    with record.transaction():
        record.add_correction(meter, start, 900, registers, reason="meter read wrongly", author="operator", now=now)
