"""Every household can prove every interval, whatever came late, was wrong or became final; and every billed month."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.contract import Reading
from market.proof.verify import check_proof
from market.record import Record
from market.record.rows import FINAL
from market.service import months
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.proofs import proof_of
from market.settlement.rules import Registers
from market.tariffs.months import month_of
from tests.market.service.test_corrections import correct, hear, settle
from tests.market.service.test_gates import BODIES, HOUSEHOLDS, INTERVALS, SINCE, close_all, week

END = SINCE + 900 * INTERVALS
FINAL_AT = END + 400 * 86_400


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    yield record
    record.close()


def failing(text: str) -> str:
    last = check_proof(text)[-1]
    return "" if last.holds else f"{last.name}: {last.text}"


@pytest.mark.parametrize("seed", range(3))
def test_late_wrong_and_final(record: Record, store: Path, seed: int) -> None:
    draw = random.Random(seed)
    record.store_inputs(BODIES, now=0)
    truth, chain = week(seed), Chain(record, store)
    gates = Gates(record, grace_s=0.0, chain=chain)
    late = {key for key in truth if draw.random() < 0.3}
    hear(record, gates, {key: truth[key] for key in truth if key not in late})
    settle(record, gates, END)
    hear(record, gates, {key: truth[key] for key in late})
    settle(record, gates, END + 1)
    # After the final deadline only the household's own residual moves, also to below what it had bought.
    meter, start = draw.choice([key for key in truth if key[1] == END - 900])
    before = truth.get((meter, start - 900), Registers(0, 0, 0, 0))
    correct(record, meter, start, before)
    settle(record, gates, FINAL_AT)
    assert any(gate.state == FINAL for gate in record.gates())
    for at in range(SINCE, END, 900):
        for household in HOUSEHOLDS:
            assert not failing(proof_of(record, store, household, at, 900, "interval")), (household, at)
    final = check_proof(proof_of(record, store, f"h{meter[1:]}", start, 900, "interval"))
    assert any("The interval was final" in check.text for check in final)
    done = audit(record, store, lambda done, total: None).chain
    assert done is not None
    assert done.closures == done.tied == record.last_gate_number()


@pytest.mark.parametrize("name", ["accepted_wh", "trade_money", "bought_wh"])
def test_a_trade_that_moved_after_it_was_final_is_rejected(record: Record, store: Path, name: str) -> None:
    """As if the operator had written another outcome and chained it: the membership is taken for granted here."""
    record.store_inputs(BODIES, now=0)
    gates = Gates(record, grace_s=0.0, chain=Chain(record, store))
    hear(record, gates, week(1))
    settle(record, gates, END)
    registers = week(1)["m0", END - 900]
    correct(record, "m0", END - 900, registers._replace(generation_wh=registers.generation_wh + 1))
    settle(record, gates, FINAL_AT)
    proof = json.loads(proof_of(record, store, "h0", END - 900, 900, "interval"))
    assert not failing(json.dumps(proof))
    from market.proof import verify

    texts = [{part["kind"]: json.loads(part["text"]) for part in told["parts"]} for told in proof["revisions"]]
    entry = json.loads(proof["revisions"][1]["entry"])
    assert verify._ordered(entry, texts[1], texts[0]).holds
    value = texts[1]["outcome"][name]
    texts[1]["outcome"][name] = value + 1 if isinstance(value, int) else f"{value}1"
    with pytest.raises(verify._BrokenError, match="had to stay"):
        verify._ordered(entry, texts[1], texts[0])
    with pytest.raises(verify._BrokenError, match="had to stay"):
        verify._ordered(entry, texts[0], {})


LENGTH = 21_600
JUNE = month_of("2026-06")


def billed(record: Record, directory: Path, offers: Mapping[str, Any] = {}) -> Chain:
    """A community of five that is settled through June 2026, four times a day, and billed."""
    start = 1_780_272_000
    bodies = json.loads(json.dumps(BODIES))
    bodies["community"] |= {"timezone": "UTC", "interval_s": LENGTH}
    bodies["offers"] |= offers
    for member in bodies["members"]:
        member["meters"][0]["since"] = start
    record.store_inputs(bodies, now=0)
    chain = Chain(record, directory)
    gates, steps = Gates(record, grace_s=0.0, chain=chain), 30 * 4
    with record.transaction():
        for step in range(steps):
            for i in range(5):
                imported, exported = (0, 900 + step) if i < 2 else (700 + i, 0)
                total = Registers(*sum_to(step, imported, exported))
                outbox, at = f"{i:016x}", start + step * LENGTH
                reading = Reading(1, 1, outbox, step, 0, at, LENGTH, *total, [], "0" * 64)
                record.add_reading(f"m{i}", reading, msgspec.json.encode(reading))
                record.advance_outbox(f"m{i}", outbox, step, 0)
        record.count({"stored": 5 * steps})
    gates.tick(start + steps * LENGTH, 0.0)
    assert len(close_all(gates, 0.0)) == steps
    closed = months.close(record, JUNE, start + steps * LENGTH, lambda gate, rules, text: chain.add(gate))
    assert len(closed) == 1
    return chain


def sum_to(step: int, imported: int, exported: int) -> tuple[int, int, int, int]:
    """Registers after equal intervals but for what an export grows by."""
    sold = sum(900 + earlier for earlier in range(step + 1)) if exported else 0
    bought = imported * (step + 1)
    return bought, sold, sold, bought


def test_a_billed_month_is_proven_like_an_interval(record: Record, store: Path) -> None:
    chain = billed(record, store)
    gate = next(record.gates(kind="month"))
    for household in HOUSEHOLDS:
        text = proof_of(record, store, household, gate.start, gate.length, "month")
        checks = check_proof(text, public_key=chain.public_key)
        assert [check.name for check in checks] == [
            *("form", "signature", "chain", "membership", "sums", "bill", "transfers")
        ]
        assert checks[-1].holds, checks[-1]
        others = set(HOUSEHOLDS) - {household}
        assert not re.search(rf"\b({'|'.join(others)})\b", text), "whom it traded with stays on the bill"
    assert "2026-06" in next(check.text for check in checks if check.name == "bill")
    for change in ('\\"own\\":{', '\\"total\\":'):
        assert failing(text.replace(change, f"{change}1" if change.endswith(":") else f'{change}\\"x\\":1,', 1))
    done = audit(record, store, lambda done, total: None).chain
    assert done is not None
    assert done.tied == 121
