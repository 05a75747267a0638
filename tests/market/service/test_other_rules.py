"""Stored intervals under other mechanisms: under their own they come out as they were settled, to the last unit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from market.clearing.problem import Network
from market.record import Record
from market.service import other_rules
from market.service.other_rules import NAMES, TooMuchError, Under, agreed, newest_gates, stretches, under
from tests.market.settled import settle_street


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("street")
    settle_street(store, steps=5, homes=12, eventful=True)
    return store


def compared(store: Path, names: tuple[str, ...] = NAMES) -> dict[str, Under]:
    record = Record(store, read_only=True)
    try:
        parts = stretches(record, newest_gates(record.gates()), lambda done: None)
        return {name: under(parts, name, agreed(parts)) for name in names}
    finally:
        record.close()


def test_their_own_mechanism_gives_what_was_settled(store: Path) -> None:
    record = Record(store, read_only=True)
    bought, sold, money, gain = (defaultdict[str, int](int) for _ in range(4))
    fees = traded = welfare = consumed = own = alone = 0
    for gate in newest_gates(record.gates()):
        result = msgspec.json.decode(record.result(gate.number))
        fees, welfare = fees + result["fees"], welfare + result["welfare"]
        for row in result["households"]:
            name = row["household"]
            bought[name] += row["bought_wh"]
            sold[name] += row["sold_wh"]
            money[name] += row["trade_money"]
            gain[name] += row["trade_money"] + row["residual_money"] - row["alone_money"]
            traded += row["sold_wh"]
            consumed += row["consumption_wh"]
            own += row["generation_wh"] - row["export_wh"]
            alone += row["alone_money"]
    record.close()
    assert traded > 0
    found = compared(store, ("mid-market",))["mid-market"]
    assert found.refused is None
    assert {name: tuple(moved) for name, moved in found.households.items()} == {
        name: (bought[name], sold[name], money[name], gain[name]) for name in bought
    }
    assert (found.traded_wh, found.fees, found.welfare, found.kept) == (traded, fees, welfare, 0)
    assert (found.consumption_wh, found.own_use_wh, found.alone_money) == (consumed, own, alone)


def test_every_mechanism_keeps_energy_and_money_or_says_why_not(store: Path) -> None:
    found = compared(store)
    assert set(found) == set(NAMES)
    for name, one in found.items():
        assert one.refused is None, name
        assert one.traded_wh > 0, name
        assert sum(moved.bought_wh for moved in one.households.values()) == one.traded_wh
        assert sum(moved.sold_wh for moved in one.households.values()) == one.traded_wh
        assert sum(moved.money for moved in one.households.values()) + one.fees + one.kept == 0, name
    assert found["nodal"].gain_money >= max(one.gain_money for one in found.values())
    assert found["pay-as-bid"].kept > 0 == found["mid-market"].kept


def test_a_rule_that_cannot_be_applied_says_why(store: Path) -> None:
    record = Record(store, read_only=True)
    (part,) = stretches(record, newest_gates(record.gates())[:1], lambda done: None)
    narrow = replace(part, rules=replace(part.rules, network=_narrow(part.rules.network)))
    refused = under([narrow], "proportional", agreed([narrow]))
    assert refused.refused is not None
    assert refused.refused.startswith("limit-exceeded")
    assert refused.households == {}
    kept = under([narrow], "nodal", agreed([narrow]))
    assert kept.refused is None, "a clearing gives way to a limit"
    assert kept.traded_wh < under([part], "nodal", agreed([part])).traded_wh
    netting = replace(part, rules=replace(part.rules, mechanism="monthly-netting"))
    assert "hold no orders" in str(under([netting], "nodal", agreed([netting])).refused)
    record.close()


def _narrow(network: Network) -> Network:
    """No edge may carry more than 5 Wh."""
    return Network(network.parent, np.where(network.parent < 0, -1, 5), network.fee_ticks)


def test_intervals_are_read_in_pieces_of_bounded_size(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compared(store)
    monkeypatch.setattr(other_rules, "CHUNK_ORDERS", 12)
    assert compared(store) == whole
    monkeypatch.setattr(other_rules, "CELLS_BOUND", 12)
    with pytest.raises(TooMuchError, match="60 households' intervals at once, fewer than 12"):
        compared(store)
