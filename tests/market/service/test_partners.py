"""Neighbours who prefer each other or give, settled for real: replayed, audited, asked of, and refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from market.clearing.problem import ENERGY_BOUND_WH, Book, Network, ProblemError
from market.mechanisms import partners as mechanism
from market.record import Record
from market.record.rows import FINAL
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.replay import DifferenceError, replay
from market.service.what_if import Limits, what_if
from market.settlement import interval
from market.settlement.interval import settle
from market.settlement.rules import Registers, RulesError, parse, split
from tests.market.bodies import COMMUNITY
from tests.market.service.test_corrections import correct
from tests.market.service.test_what_if import FOREVER, settled_under, told
from tests.market.settled import settle_street

OFFERS: dict[str, Any] = {
    "h001": {"prefer": ["h002", "h004"], "give": ["h003"]},
    "h004": {"give": ["h002", "h003"]},
    "h007": {"prefer": ["h006"], "max_buy_per_kwh": "0.30"},
    "h012": {"prefer": ["h002"]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    settle_street(store, eventful=True, offers=OFFERS)
    return store


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store, read_only=True)
    yield record
    record.close()


def results(record: Record) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.result(gate.number)) for gate in record.gates()]


def quiet(done: int, total: int) -> None: ...


def test_partners_go_first_and_the_books_stay_whole(record: Record, store: Path) -> None:
    found = results(record)
    rows = [row for result in found for row in result["partners"]]
    assert {row["gift"] for row in rows} == {True, False}
    assert {(row["seller"], row["buyer"]) for row in rows} <= {
        ("h001", "h002"), ("h001", "h003"), ("h004", "h002"), ("h004", "h003"), ("h006", "h007")
    }  # fmt: skip
    for result in found:
        orders = {row["order"]: row for row in result["orders"]}
        given = sum(row["energy_wh"] for row in result["partners"] if row["gift"] and row["buyer"] == "h003")
        # All that it needs is given to it: it pays no more than the ways.
        assert given == orders["h003"]["accepted_wh"] == orders["h003"]["energy_wh"]
        assert 0 <= -orders["h003"]["money"] < given * result["price_ticks"] // 4
        assert result["matches"][: len(result["partners"])] == [
            {name: row[name] for name in ("seller", "buyer", "energy_wh")} for row in result["partners"]
        ]
        assert sum(row["money"] for row in result["orders"]) + result["fees"] == 0
    assert replay(record, quiet).gates == len(found)
    assert audit(record, store, quiet).gates == len(found)


def test_a_record_without_them_is_as_ever(tmp_path: Path) -> None:
    """No trace in the inputs or the results of a community whose members name nobody."""
    settle_street(tmp_path, steps=1)
    record = Record(tmp_path, read_only=True)
    assert all("partners" not in result for result in results(record))
    assert set(record.offers(1)["h001"]) == {"min_sell_per_kwh", "max_buy_per_kwh"}
    record.close()


def test_a_market_that_forgets_partners_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = mechanism.Wishes({}, {})
    monkeypatch.setattr(interval, "wishes_of", lambda *_: nobody)
    settle_street(tmp_path, steps=1, offers=OFFERS)
    monkeypatch.undo()
    record = Record(tmp_path, read_only=True)
    with pytest.raises(DifferenceError, match="the trades of partners are not what follows"):
        audit(record, tmp_path, quiet)
    with pytest.raises(DifferenceError):
        replay(record, quiet)
    record.close()


def test_once_final_the_trades_of_partners_stand(tmp_path: Path) -> None:
    settle_street(tmp_path, steps=2, offers=OFFERS)
    record = Record(tmp_path)
    gates = Gates(record, grace_s=0.0, chain=Chain(record, tmp_path))
    gate = record.last_gate()
    assert gate is not None
    before = msgspec.json.decode(record.result(gate.number))
    registers = record.registers(gate.start, gate.length, gate.horizon, gate.corrections)
    correct(record, "m001", gate.start, registers["m001", gate.start - gate.length])
    gates.tick(gate.start + 400 * 86_400, 0.0)
    assert [closed.gate.state for closed in gates.run_again()] == [FINAL]
    last = record.last_gate()
    assert last is not None
    after = msgspec.json.decode(record.result(last.number))
    for name in ("orders", "matches", "partners", "fees", "nodes"):
        assert after[name] == before[name]
    assert audit(record, tmp_path, quiet).gates == 3
    record.close()


@pytest.mark.parametrize("household", ["h001", "h004", "h006", "h003"])
@pytest.mark.parametrize(
    "limits",
    [
        Limits(None, None),
        Limits(None, None, give=("h012", "h002")),
        Limits(25_000, 9_000, prefer=("h002",)),
        Limits(None, None, prefer=("h009", "h007"), give=("h002",)),
    ],
)
def test_what_would_have_been_is_what_settling_gives(record: Record, household: str, limits: Limits) -> None:
    assert told(what_if(record, household, limits, *FOREVER)) == settled_under(record, household, limits)


BAD = [
    ({"give": ["h1"]}, "members: h1: offer: give: it names itself"),
    ({"prefer": ["h9"]}, "members: h1: offer: prefer: h9 is no member"),
    ({"prefer": ["h2", "h3", "h2"]}, "members: h1: offer: prefer: h2 stands twice"),
    ({"give": [f"x{i}" for i in range(9)]}, r"array.* length <= 8.*offer\.give"),
    ({"give": "h2"}, r"Expected `array`.*offer\.give"),
]


def document(**community: Any) -> dict[str, Any]:
    members = [
        {"household": name, "node": "root", "tariff": "t", "meters": [{"meter": name, "kid": 1, "since": 0}]}
        for name in ("h1", "h2", "h3")
    ]
    tariffs = {"t": {"retail_per_kwh": "0.30", "feed_in_per_kwh": "0.08"}}
    return {**COMMUNITY, "network": [{"node": "root"}], "tariffs": tariffs, "members": members, **community}


def test_the_promise_is_held_against_what_was_not_given() -> None:
    """A giver ends below staying alone, by its own will; nobody else may."""
    body = document()
    body["members"][0]["offer"] = {"give": ["h2"]}
    registers = {(name, -900): Registers(0, 0, 0, 0) for name in ("h1", "h2", "h3")}
    registers |= {("h1", 0): Registers(0, 500, 500, 0)}
    registers |= {(name, 0): Registers(400, 0, 0, 400) for name in ("h2", "h3")}
    positions = settle(parse(split(body)), 0, registers, "curve").positions
    assert [position.trade_money for position in positions] == [100 * 19_000, 0, -100 * 19_000]
    lost = [position.trade_money + position.residual_money - position.alone_money for position in positions]
    assert lost == [100 * 19_000 - 500 * 8_000, 400 * 30_000, 100 * 11_000]
    assert lost[0] < 0


@pytest.mark.parametrize(("offer", "said"), BAD)
def test_an_offer_that_cannot_be_is_refused_by_name(offer: dict[str, Any], said: str) -> None:
    body = document()
    body["members"][0]["offer"] = offer
    with pytest.raises(RulesError, match=said):
        parse(split(body))


def test_where_months_are_netted_nobody_can_go_first() -> None:
    body = document(mechanism="monthly-netting", promise="month")
    body["members"][0]["offer"] = {"prefer": ["h2"]}
    with pytest.raises(RulesError, match="h1: offer: prefer: under monthly-netting no interval trades"):
        parse(split(body))


def test_the_same_energy_under_any_solver(record: Record) -> None:
    for gate in list(record.gates())[:2]:
        registers = record.registers(gate.start, gate.length, gate.horizon, gate.corrections)
        rules = record.rules(gate.inputs)
        one, other = (settle(rules, gate.start, registers, solver) for solver in ("curve", "pulp"))
        assert one.body == other.body


def test_what_is_given_is_bounded_by_what_is_there() -> None:
    """Energies at the bound of an order are shared exactly."""
    most = ENERGY_BOUND_WH - 1
    network = Network(np.array([-1]), np.array([-1]), np.array([0]))
    sell, limit = np.array([True, True, False]), np.array([0, 0, 40_000])
    book = Book(np.zeros(3, int), np.zeros(3, int), sell, limit, np.full(3, most), id=np.arange(3), intervals=1)
    trades = mechanism.partner_trades(book, network, np.array([19_000]), mechanism.Wishes({0: [2], 1: [2]}, {}))
    assert int(trades.energy_wh.sum()) == most
    assert abs(int(trades.energy_wh[0] - trades.energy_wh[1])) <= 1


def test_an_interval_beyond_the_bounds_is_refused_also_where_partners_trade_it_all() -> None:
    homes = 4_000
    sell = np.arange(homes) < homes // 2
    book = Book(
        np.zeros(homes, int), np.zeros(homes, int), sell, np.where(sell, 0, 2**29), np.full(homes, ENERGY_BOUND_WH - 1),
        id=np.arange(homes), intervals=1,
    )  # fmt: skip
    network = Network(np.array([-1]), np.array([-1]), np.array([0]))
    gifts = {row: [row + homes // 2] for row in range(homes // 2)}
    for wishes in (mechanism.Wishes({}, {}), mechanism.Wishes(gifts, {})):
        with pytest.raises(ProblemError, match=r"interval 0: .* ticks reaches"):
            mechanism.trade_with_partners(book, network, np.array([2**28]), wishes)


def test_who_leaves_is_no_longer_named(tmp_path: Path) -> None:
    body = document()
    body["members"][0]["offer"] = {"prefer": ["h3", "h2"], "give": ["h3"]}
    record = Record(tmp_path)
    record.store_document(body, now=0)
    body = record.document()
    del body["members"][2]
    record.store_document(body, now=900)
    assert record.offers(2)["h1"] == {"min_sell_per_kwh": None, "max_buy_per_kwh": None, "prefer": ["h2"]}
    body["members"][0]["offer"] = {"give": ["h3"]}
    with pytest.raises(RulesError, match="h1: offer: give: h3 is no member"):
        record.store_document(body, now=1800)
    record.close()
