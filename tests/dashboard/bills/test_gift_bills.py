"""Gifts on the pages of bills: the list says why a home pays more than alone, the bill what was given to whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.accounts import Accounts
from dashboard.app import create_app
from dashboard.stored import StoredRecord
from market.record import Record
from market.series import EmbeddedSeries
from market.series.position import read_position
from market.service import months
from market.tariffs.amounts import money
from tests.dashboard.signed import People
from tests.market.billed import JUNE, MAY, ZONE, community, settle_months

WORTH = money(str(4 * 31 * 200))
"""Park gives Kim 4 kWh a day in May, at 200 won."""


@pytest.fixture(scope="module")
def giving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    store: Path = tmp_path_factory.mktemp("giving")
    document = community()
    next(one for one in document["members"] if one["household"] == "park")["offer"] = {"give": ["kim"]}
    settle_months(store, document=document)
    record = Record(store)
    assert months.close(record, MAY, JUNE.end(ZONE))
    record.close()
    series, accounts = EmbeddedSeries(store / "series.sqlite"), Accounts(store)
    stored = StoredRecord(store, lambda: read_position(store, "embedded"))
    yield People(create_app(stored, series, accounts, store=store, clock=lambda: JUNE.end(ZONE)))
    accounts.close()
    series.close()


@pytest.mark.parametrize(
    ("home", "gifts", "said", "line"),
    [
        ("park", WORTH, "by gifts: −₩24,800", ("Gifts to neighbours", "24,800")),
        ("kim", -WORTH, "by gifts: +₩24,800", ("Gifts from neighbours", "−24,800")),
        ("lee", 0, None, None),
    ],
)
def test_list_and_bill_say_what_was_given(
    giving: People, home: str, gifts: int, said: str | None, line: tuple[str, str] | None
) -> None:
    client = giving.household(home)
    row = client.get(f"/api/1/household/{home}/bills").json()["months"][-1]
    assert (row["month"], row["gifts_money"]) == (str(MAY), gifts)
    page = client.get(f"/household/{home}/bills").text
    assert said in page if said else "gifts" not in page
    view = client.get(f"/api/1/household/{home}/bills/{MAY}").json()
    trades = next(table for table in view["tables"] if table["key"] == "trades")["lines"]
    given = [(one["what"], one["amount"]) for one in trades if "Gift" in one["what"]]
    assert given == ([line] if line else [])
    assert ("Gifts" in [text["title"] for text in view["texts"]]) == bool(line)
    assert view["unit"] == "₩"
