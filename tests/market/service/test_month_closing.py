"""The market closes months by itself, again after corrections, and never while something of them is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from market.clearing.problem import ProblemError
from market.record import Record
from market.record.rows import MONTH
from market.service import months
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.month_closing import MonthClosing, due
from market.service.replay import replay
from market.settlement.rules import Registers
from market.tariffs import month_of
from tests.market.billed import community as street
from tests.market.billed import settle_months
from tests.market.bodies import COMMUNITY, TARIFFS
from tests.market.service.test_corrections import hear

HALF_DAY_S, DAY_S = 43_200, 86_400
MAY, JULY = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (5, 7))
OTHER = {"retail_per_kwh": "120", "feed_in_per_kwh": "100"}
SINCE = MAY + 29 * DAY_S
"""The community begins two days before June."""
BODIES: dict[str, Any] = {
    "community": {**COMMUNITY, "timezone": "UTC", "interval_s": HALF_DAY_S},
    "tariffs": TARIFFS,
    "network": [{"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"}],
    "members": [
        {"household": f"h{i}", "node": "root", "tariff": "standard",
         "meters": [{"meter": f"m{i}", "kid": 1, "since": SINCE}]}
        for i in range(2)
    ],
    "offers": {},
}  # fmt: skip


def registers(meter: str, step: int) -> Registers:
    """One exports 3 kWh each half day, the other needs 2."""
    return Registers(0, 3_000 * step, 3_000 * step, 0) if meter == "m0" else Registers(2_000 * step, 0, 0, 2_000 * step)


@pytest.fixture
def settled(tmp_path: Path) -> Path:
    """Settled to the end of June."""
    record = Record(tmp_path)
    record.store_inputs(BODIES, now=0)
    gates = Gates(record, 0.0, 0, Chain(record, tmp_path))
    steps = range((JULY - SINCE) // HALF_DAY_S)
    every = {(m, SINCE + step * HALF_DAY_S): registers(m, step + 1) for step in steps for m in ("m0", "m1")}
    hear(record, gates, every, since=SINCE, length=HALF_DAY_S)
    gates.tick(JULY, 0.0)
    while gates.due(0.0):
        gates.close_next()
    record.close()
    return tmp_path


def close_at(store: Path, now: int) -> list[str]:
    said: list[str] = []
    closing = MonthClosing(store, said.append)
    closing.look(now)
    closing.stop(60)
    return said


def test_months_are_closed_in_order_some_days_after_their_end(settled: Path) -> None:
    assert close_at(settled, JULY - 1) == ["month 2026-05 is closed: 2 bills"]
    assert close_at(settled, JULY + 5 * DAY_S - 1) == []
    assert close_at(settled, JULY + 5 * DAY_S) == ["month 2026-06 is closed: 2 bills"]
    assert close_at(settled, JULY + 6 * DAY_S) == []
    record = Record(settled)
    assert [(gate.kind, gate.revision) for gate in record.gates(kind=MONTH)] == [(MONTH, 0), (MONTH, 0)]
    assert sum(record.balances().values()) == 0
    replay(record, lambda done, total: None)
    audit(record, settled, lambda done, total: None)
    record.close()


def test_a_correction_closes_its_month_again_and_only_that(settled: Path) -> None:
    close_at(settled, JULY + 5 * DAY_S)
    record = Record(settled)
    gates = Gates(record, 0.0, 0, Chain(record, settled))
    last = JULY - HALF_DAY_S
    with record.transaction():
        wrong = registers("m1", (JULY - SINCE) // HALF_DAY_S)
        record.add_correction(
            "m1", last, HALF_DAY_S, wrong._replace(import_wh=wrong.import_wh - 500),
            reason="a wrong reading", author="operator", now=JULY,
        )  # fmt: skip
    gates.now = JULY + 6 * DAY_S
    assert [closed.gate.start for closed in gates.run_again()] == [last]
    assert close_at(settled, JULY + 6 * DAY_S) == ["month 2026-06 is closed again, correction 1: 2 bills"]
    assert due(record, JULY + 7 * DAY_S) == []
    assert sum(record.balances().values()) == 0
    replay(record, lambda done, total: None)
    audit(record, settled, lambda done, total: None)
    record.close()


def test_a_month_that_comes_out_the_same_is_not_derived_every_hour(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settled again by a correction to what it was, it is looked at once."""
    closing, said = MonthClosing(settled, print), []
    record = Record(settled)
    real = months.close

    def close(record: Record, month: Any, *rest: Any) -> Any:
        said.append(str(month))
        return real(record, month, *rest)

    monkeypatch.setattr(months, "close", close)
    for hour in range(4):
        if hour == 1:
            last = JULY - HALF_DAY_S
            with record.transaction():
                same = registers("m1", (JULY - SINCE) // HALF_DAY_S)
                record.add_correction("m1", last, HALF_DAY_S, same, reason="as it was", author="operator", now=JULY)
            gates = Gates(record, 0.0, 0, Chain(record, settled))
            gates.now = JULY + 5 * DAY_S
            assert [closed.gate.revision for closed in gates.run_again()] == [1]
        closing.look(JULY + 5 * DAY_S + hour * 3600)
        closing.stop(60)
    assert said == ["2026-05", "2026-06", "2026-06"]
    record.close()


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_a_month_that_came_out_the_same_is_not_made_another_by_later_words(settled: Path, again: bool) -> None:
    """It was settled anew and looked at before its tariff's words changed, by this market or by the one before it."""
    now, last = JULY + 5 * DAY_S, JULY - HALF_DAY_S
    said: list[str] = []
    closing = MonthClosing(settled, said.append)
    closing.look(now)
    closing.stop(60)
    record = Record(settled)
    bills = record.result(record.last_gate_number(MONTH))
    with record.transaction():
        same = registers("m1", (JULY - SINCE) // HALF_DAY_S)
        record.add_correction("m1", last, HALF_DAY_S, same, reason="as it was", author="operator", now=now)
    gates = Gates(record, 0.0, 0, Chain(record, settled))
    gates.now = now
    assert [closed.gate.start for closed in gates.run_again()] == [last]
    closing.ask()
    closing.look(now)
    closing.stop(60)
    assert said[-1] == "month 2026-06 is closed again, correction 1: 2 bills"
    document = record.document()
    document["tariffs"]["standard"]["retail_per_kwh"] = "0.50"
    record.store_document(document, now)
    closing = MonthClosing(settled, said.append) if again else closing
    for hour in range(1, 3):
        closing.look(now + hour * 3600)
        closing.stop(60)
    assert len(said) == 3
    newest = record.last_gate_number(MONTH)
    assert record.result(newest) == bills
    assert record.transfers(newest) == []
    assert due(record, now + DAY_S) == []
    replay(record, lambda done, total: None)
    audit(record, settled, lambda done, total: None)
    record.close()


def test_what_stands_in_the_way_is_said_once_and_the_market_goes_on(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from market.billing import BillingError

    def refuse(*_: object) -> None:
        raise BillingError("no tariff of June")

    monkeypatch.setattr("market.service.months.close", refuse)
    said: list[str] = []
    closing = MonthClosing(settled, said.append)
    for day in (5, 6, 7):
        closing.look(JULY + day * DAY_S)
        closing.stop(60)
    assert said == ["a month cannot be closed, the market goes on: no tariff of June"]


def test_a_change_after_a_month_has_ended_does_not_make_it_another(tmp_path: Path) -> None:
    """Netted months stay netted, at the reference that was, when the community changes both before they are closed."""
    month, now = month_of("2026-05"), JULY + 6 * DAY_S
    bills = {}
    for name, change in {"same": {}, "changed": {"mechanism": "mid-market", "reference": OTHER}}.items():
        settle_months(tmp_path / name, document=street(mechanism="monthly-netting"))
        record = Record(tmp_path / name)
        record.store_document(record.document() | change, JULY + DAY_S)
        (closed,) = months.close(record, month, now)
        bills[name] = closed.text
        record.close()
    assert bills["same"] == bills["changed"]
    assert '"netting":{' in bills["same"]


def test_intervals_that_settle_meanwhile_do_not_keep_a_month_from_closing(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, other = Record(settled), Record(settled)
    gates = Gates(market, 0.0, 0)
    gates.tick(JULY + 100 * HALF_DAY_S, 0.0)
    real, count = months.derive, 0

    def derive(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        assert count < 9, "it never comes to an end"
        gates.close_next()
        return real(*given, **named)

    monkeypatch.setattr(months, "derive", derive)
    assert len(months.close(other, month_of("2026-05"), JULY)) == 1
    assert count == 1
    market.close()
    other.close()


def test_a_month_is_derived_again_when_something_in_it_is_settled_meanwhile(
    settled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was derived before is not booked: its closure would say that it has seen what it has not."""
    market, other = Record(settled), Record(settled)
    gates = Gates(market, 0.0, 0, Chain(market, settled))
    gates.now = JULY
    real, count = months.derive, 0

    def derive(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        found = real(*given, **named)
        if count == 1:
            lower = registers("m1", 1)._replace(import_wh=500)
            with market.transaction():
                market.add_correction("m1", SINCE, HALF_DAY_S, lower, reason="x", author="operator", now=JULY)
            assert [closed.gate.start for closed in gates.run_again()] == [SINCE, SINCE + HALF_DAY_S]
        return found

    monkeypatch.setattr(months, "derive", derive)
    chain = Chain(other, settled)
    assert len(months.close(other, month_of("2026-05"), JULY, lambda gate, rules, text: chain.add(gate))) == 1
    assert count == 2
    monkeypatch.setattr(months, "derive", real)
    replay(other, lambda done, total: None)
    market.close()
    other.close()


def test_trouble_of_any_kind_is_told_and_ends_in_a_line(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ProblemError("energy-too-large", None, "too much")

    monkeypatch.setattr(months, "close", fail)
    (said,) = close_at(settled, JULY)
    assert said.startswith("a month cannot be closed, the market goes on: ")
