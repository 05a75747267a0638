"""Preferred partners and gifts as a market settled them: late and wrong readings, a final interval, a billed month."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page

from market.record import Record
from market.record.rows import FINAL
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.proofs import proof_of
from market.settlement.rules import Registers
from tests.market.proof.both import in_browser, in_python
from tests.market.service.test_corrections import correct, hear, settle
from tests.market.service.test_gates import BODIES, HOUSEHOLDS, INTERVALS, SINCE, week
from tests.market.service.test_provable import billed

END = SINCE + 900 * INTERVALS
FINAL_AT = END + 400 * 86_400
OFFERS = {
    "h0": {"give": ["h3"], "prefer": ["h2", "h4"]},
    "h1": {"give": ["h2", "h3"]},
    "h4": {"prefer": ["h1"]},
}


def holds_for_both(page: Page, text: str, public_key: str) -> list[str]:
    expected = in_python(text, public_key=public_key)
    assert expected[-1]["holds"], expected[-1]
    assert in_browser(page, text, publicKey=public_key) == expected
    return [check["text"] for check in expected]


@pytest.mark.parametrize("seed", [3, 10])
def test_late_wrong_and_final(page: Page, tmp_path: Path, seed: int) -> None:
    store, draw, truth = tmp_path / "store", random.Random(seed), week(seed)
    record = Record(store)
    record.store_inputs(BODIES | {"offers": OFFERS}, now=0)
    chain = Chain(record, store)
    gates = Gates(record, grace_s=0.0, chain=chain)
    late = {key for key in truth if draw.random() < 0.3}
    hear(record, gates, {key: truth[key] for key in truth if key not in late})
    settle(record, gates, END)
    hear(record, gates, {key: truth[key] for key in late})
    settle(record, gates, END + 1)
    last = END - 900
    meter = draw.choice([meter for meter, start in truth if start == last])
    correct(record, meter, last, truth.get((meter, last - 900), Registers(0, 0, 0, 0)))
    settle(record, gates, FINAL_AT)
    partners = [
        (gate.state, msgspec.json.decode(record.result(gate.number)).get("partners")) for gate in record.gates()
    ]
    assert {row["gift"] for _, rows in partners for row in rows or ()} == {True, False}
    assert any(state == FINAL and rows for state, rows in partners)
    said = [
        text
        for start in range(SINCE, END, 900)
        for household in HOUSEHOLDS
        for text in holds_for_both(page, proof_of(record, store, household, start, 900, "interval"), chain.public_key)
    ]
    for words in ("with preferred partners", "given as a gift", "received as a gift", "The interval was final"):
        assert any(words in text for text in said), words
    done = audit(record, store, lambda done, total: None).chain
    assert done is not None and done.closures == done.tied == record.last_gate_number()
    record.close()


def test_a_billed_month(page: Page, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record = Record(store)
    public_key = billed(record, store, offers={"h0": {"give": ["h3"]}, "h1": {"prefer": ["h4"]}}).public_key
    gate = next(record.gates(kind="month"))
    bills = {bill["household"]: bill["trades"] for bill in json.loads(record.result(gate.number))["bills"]}
    assert bills["h0"]["gifts"] > 0 > bills["h3"]["gifts"] and "gifts" not in bills["h1"]
    for household in HOUSEHOLDS:
        holds_for_both(page, proof_of(record, store, household, gate.start, gate.length, "month"), public_key)
    record.close()
