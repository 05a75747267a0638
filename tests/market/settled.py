"""A store with a few settled intervals of real homes, one of them revised because a reading came late."""

from __future__ import annotations

import json
from pathlib import Path

from broker.contract import topic
from broker.keys import derive_key, master_key, sign
from firmware.host.community import community_document
from firmware.host.profile import Profile
from firmware.host.street import load_street, with_homes
from market.record import Record
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import split

FIRST_STEP = 46
"""From late morning: homes trade."""
LATE_STEP = 2


def settle_street(store: Path, *, steps: int = 6, homes: int = 12, first_step: int = FIRST_STEP) -> None:
    """Settle ``steps`` intervals of ``homes`` homes in ``store``; the first home's reading of step 2 comes late."""
    street = with_homes(load_street(), homes)
    since = street.start + first_step * street.step_s
    document = community_document(street, "c")
    for member in document["members"]:
        member["meters"][0]["since"] = since
    record = Record(store)
    record.store_inputs(split(document), now=0)
    master = master_key(store / MASTER_KEY_FILE)
    ingest, gates = Ingest(record, master), Gates(record, grace_s=0.0)
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
            name = topic("c", home.meter, "reading")
            messages.append(
                Message(name, sign(derive_key(master, "c", home.meter, 1), name, json.dumps(body).encode()))
            )
        in_time, late = (messages[1:], messages[:1]) if step == LATE_STEP else (messages, [])
        ingest.store(in_time, now=start + 900, closed_before=gates.next_start)
        gates.tick(start + 900, 0.0)
        assert gates.due(0.0)
        gates.close_next()
        ingest.store(late, now=start + 900, closed_before=gates.next_start)
        assert len(list(gates.run_again())) == len(late)
    record.close()
