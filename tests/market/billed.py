"""A store with two settled months of a small street: blocks, net metering, names in Korean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from broker.contract import Reading, topic
from broker.keys import derive_key, master_key, sign
from market.record import Record
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import Registers, split
from market.tariffs import month_of
from tests.market.tariffs.documents import blocks, document, version

LENGTH_S = 86_400
MAY, JUNE = month_of("2026-05"), month_of("2026-06")
ZONE = ZoneInfo("UTC")
SINCE = MAY.start(ZONE)
STEPS = (JUNE.end(ZONE) - SINCE) // LENGTH_S
HOMES = {"kim": "김영희", "lee": "이철수", "park": "박민준"}
VAT = {"name": "vat", "percent": "10", "base": ["energy", "base"], "rounding": {"to": "1"}}
LEVELS = blocks({"up_to_kwh": 100, "per_kwh": "100", "base": "500"}, {"per_kwh": "300", "base": "500"})


def community(**members: Any) -> dict[str, Any]:
    row = version(energy=LEVELS, levies=[VAT], rounding={"to": "10", "mode": "floor"})
    solar = {**row, "export": {"kind": "net-metering"}}
    named = {"currency": "KRW", "timezone": "UTC"}
    return {
        "community": "street",
        "currency": "KRW",
        "timezone": "UTC",
        "interval_s": LENGTH_S,
        "mechanism": "mid-market",
        "promise": "month",
        "reference": {"retail_per_kwh": "300", "feed_in_per_kwh": "100"},
        "tariffs": {"home": document(row, **named), "solar": document(solar, **named, name="solar")},
        "network": [{"node": "root"}],
        "members": [
            {
                "household": home,
                "name": name,
                "node": "root",
                "tariff": "solar" if home == "park" else "home",
                "meters": [{"meter": f"m-{home}", "kid": 1, "since": SINCE}],
            }
            for home, name in HOMES.items()
        ],
        **members,
    }


def registers(home: str, step: int) -> Registers:
    """Kim and Lee use 6 and 4 kWh a day; Park makes 6, uses 2, and takes half of that from the grid."""
    days = step + 1
    if home == "park":
        return Registers(1_000 * days, 5_000 * days, 6_000 * days, 2_000 * days)
    used = {"kim": 6_000, "lee": 4_000}[home] * days
    return Registers(used, 0, 0, used)


def hear(record: Record, master: bytes, home: str, step: int) -> None:
    """A meter's sealed reading is stored."""
    start, name = SINCE + step * LENGTH_S, topic("street", f"m-{home}", "reading")
    values = registers(home, step)
    body = {"v": 1, "kid": 1, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": start}
    body |= {"length": LENGTH_S, **values._asdict(), "flags": []}
    payload = sign(derive_key(master, "street", f"m-{home}", 1), name, json.dumps(body).encode())
    reading = Reading(1, 1, "0123456789abcdef", step, 0, start, LENGTH_S, *values, [], "")
    record.add_reading(f"m-{home}", reading, payload)
    record.advance_outbox(f"m-{home}", "0123456789abcdef", step, 0)
    record.count({"stored": 1})


def settle_months(store: Path, *, late: frozenset[tuple[str, int]] = frozenset(), document: Any = None) -> None:
    """Settle May and June; the (home, step) of ``late`` are not heard."""
    record = Record(store)
    record.store_inputs(split(document or community()), 0)
    master = master_key(store / MASTER_KEY_FILE)
    chain = Chain(record, store)
    with record.transaction():
        for step in range(STEPS):
            for home in HOMES:
                if (home, step) not in late:
                    hear(record, master, home, step)
    gates = Gates(record, 0.0, chain=chain)
    gates.tick(JUNE.end(ZONE), 0.0)
    while gates.due(0.0):
        gates.close_next()
    chain.write_heads()
    record.close()
