"""Two people who change the community at once: the later one is told, and nothing of the earlier one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.record import ChangedMeanwhileError, Record, RecordError
from market.settlement.rules import split
from tests.market.billed import community


def test_a_change_made_from_older_inputs_is_refused(tmp_path: Path) -> None:
    one, other = Record(tmp_path), Record(tmp_path)
    one.store_inputs(split(community()), now=0)
    seen = one.inputs_version()
    mine, theirs = one.document(), other.document()
    theirs["members"][1]["offer"] = {"min_sell_per_kwh": None, "max_buy_per_kwh": "250"}
    assert other.store_document(theirs, now=0, seen=seen) == ["offers"]
    mine["members"][0]["offer"] = {"min_sell_per_kwh": "150", "max_buy_per_kwh": None}
    with pytest.raises(ChangedMeanwhileError, match="nothing was stored"):
        one.store_document(mine, now=0, seen=seen)
    assert one.document() == theirs
    assert one.inputs_version() == seen + 1
    again = one.document()
    again["members"][0]["offer"] = mine["members"][0]["offer"]
    assert one.store_document(again, now=0, seen=seen + 1) == ["offers"]
    offers = one.offers(3)
    assert offers["kim"]["min_sell_per_kwh"] == "150"
    assert offers["lee"]["max_buy_per_kwh"] == "250"
    assert one.offers(1)["lee"]["max_buy_per_kwh"] is None
    with pytest.raises(RecordError, match="input offers version 9 is missing"):
        one.offers(9)
    for record in (one, other):
        record.close()
