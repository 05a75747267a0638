"""Gifts from a record's intervals to its month: closed, derived again, so far, exported."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market.commands.main import main
from market.record import Record
from market.service import months
from market.tariffs.amounts import money, money_text
from tests.market.billed import JUNE, MAY, ZONE, community, settle_months

MAY_DAYS, JUNE_DAYS = 31, 30


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Park gives Kim, who needs 6 kWh a day, all of its 4."""
    store = tmp_path_factory.mktemp("gifts")
    document = community()
    park = next(member for member in document["members"] if member["household"] == "park")
    park["offer"] = {"give": ["kim"]}
    settle_months(store, document=document)
    record = Record(store)
    assert months.close(record, MAY, JUNE.end(ZONE))
    record.close()
    return store


def bills(result: dict[str, Any]) -> dict[str, Any]:
    return {bill["household"]: bill for bill in result["bills"]}


def test_what_was_given_is_on_the_stored_bill_and_derived_again(store: Path) -> None:
    record = Record(store, read_only=True)
    gate, _, result = months.month_body(record, MAY)
    text, _ = months.derive_closed(record, gate)
    assert text == record.result(gate.number)
    found = bills(result)
    given_wh, worth = 4_000 * MAY_DAYS, money(str(4 * MAY_DAYS * 200))
    assert (found["park"]["given_wh"], found["kim"]["received_wh"]) == (given_wh, given_wh)
    assert (found["park"]["trades"]["gifts"], found["kim"]["trades"]["gifts"]) == (worth, -worth)
    assert found["park"]["trades"]["due"] == found["kim"]["trades"]["due"] == 0, "nobody pays for a gift"
    assert "gifts" not in found["lee"]["trades"]
    _, so_far, _ = months.so_far(record, JUNE)
    assert bills(so_far)["park"]["trades"]["given"] == money(str(4 * JUNE_DAYS * 200))
    record.close()


def test_the_table_of_bills_has_them_and_adds_up(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "bills.csv"
    assert main(["export", "--store", str(store), "--what", "bills", "--out", str(path)]) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [(row["household"], row["line"], row["energy_wh"], row["amount"]) for row in rows]
    wh, worth = str(4_000 * MAY_DAYS), str(4 * MAY_DAYS * 200)
    assert ("park", "sold", wh, f"-{worth}") in lines and ("park", "given", wh, worth) in lines
    assert ("kim", "bought", wh, worth) in lines and ("kim", "received", wh, f"-{worth}") in lines
    assert [line for line in lines if line[1] in ("given", "received")] == [
        line for line in lines if line[:2] in (("park", "given"), ("kim", "received"))
    ]
    due: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["section"] != "alone":
            due[row["household"]] += Decimal(row["amount"])
    record = Record(store, read_only=True)
    _, _, result = months.month_body(record, MAY)
    record.close()
    assert due == {home: Decimal(money_text(bill["total"])) for home, bill in bills(result).items()}
