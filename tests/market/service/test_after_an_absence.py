"""What came late is settled by whatever market runs next, however long none did."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from market.record import Record
from market.record.rows import CORRECTED, FINAL
from market.service.audit import audit
from market.service.chain import Chain
from market.service.estimates import Estimates
from market.service.gates import LOOK_BACK_S, Gates
from market.service.replay import replay
from tests.market.service.test_corrections import hear
from tests.market.service.test_month_closing import BODIES, DAY_S, HALF_DAY_S, SINCE, registers

MISSING = SINCE + 2 * HALF_DAY_S
STEPS = 6
END = SINCE + STEPS * HALF_DAY_S


def begun(store: Path, closed_at: int = END, m1_steps: int = STEPS) -> tuple[Record, Gates]:
    """Settled for three days; one reading of m1 has not come, and those from ``m1_steps`` on."""
    record = Record(store)
    record.store_inputs(BODIES, now=0)
    gates = Gates(record, 0.0, 0, Chain(record, store))
    every = {(m, SINCE + step * HALF_DAY_S): registers(m, step + 1) for step in range(STEPS) for m in ("m0", "m1")}
    del every["m1", MISSING]
    heard = {key: value for key, value in every.items() if key[0] == "m0" or key[1] < SINCE + m1_steps * HALF_DAY_S}
    hear(record, gates, heard, since=SINCE, length=HALF_DAY_S)
    close(gates, closed_at)
    return record, gates


def close(gates: Gates, now: int) -> None:
    gates.tick(now, 0.0)
    while gates.due(0.0):
        gates.close_next()


def come_late(record: Record, gates: Gates) -> None:
    hear(record, gates, {("m1", MISSING): registers("m1", 3)}, since=SINCE, length=HALF_DAY_S)


def check(record: Record, store: Path, state: str) -> None:
    for start in (MISSING, MISSING + HALF_DAY_S):
        gate = record.newest_gate(start, HALF_DAY_S)
        assert gate is not None and (gate.revision, gate.state) == (1, state)
        heard = {
            row["household"]: row["heard"] for row in msgspec.json.decode(record.result(gate.number))["households"]
        }
        assert heard == {"h0": True, "h1": True}
    assert sum(record.balances().values()) == 0
    replay(record, lambda done, total: None)
    audit(record, store, lambda done, total: None)
    record.close()


@pytest.mark.parametrize(("days", "state"), [(31, CORRECTED), (118, CORRECTED), (130, FINAL)])
def test_a_reading_that_comes_after_a_long_absence_is_settled(tmp_path: Path, days: int, state: str) -> None:
    """The meter's outbox held it while no market ran; also after the final deadline it is the household's own."""
    record, _ = begun(tmp_path)
    gates = Gates(record, 0.0, 0, Chain(record, tmp_path))
    close(gates, END + days * DAY_S)
    assert list(gates.run_again()) == []
    come_late(record, gates)
    assert [closed.gate.start for closed in gates.run_again()] == [MISSING, MISSING + HALF_DAY_S]
    check(record, tmp_path, state)


def test_a_market_that_ends_before_it_has_run_again_what_came_late_loses_nothing(tmp_path: Path) -> None:
    """Back after 40 days it stores a late reading and closes the gates of all these days; then it is killed."""
    record, _ = begun(tmp_path)
    gates = Gates(record, 0.0, 0, Chain(record, tmp_path))
    come_late(record, gates)
    away_s = 40 * DAY_S
    assert away_s > LOOK_BACK_S
    close(gates, END + away_s)
    again = Gates(record, 0.0, 0, Chain(record, tmp_path))
    again.tick(END + away_s, 0.0)
    assert [closed.gate.start for closed in again.run_again()] == [MISSING, MISSING + HALF_DAY_S]
    check(record, tmp_path, CORRECTED)


def test_no_more_is_looked_at_than_what_may_have_been_left(tmp_path: Path) -> None:
    """A market that has run for a year starts as fast as one that has run for a month."""
    record, gates = begun(tmp_path)
    for day in range(1, 40):
        close(gates, END + day * DAY_S)
    assert record.horizon_before(LOOK_BACK_S) == record.horizon() == 2 * STEPS - 1
    assert record.horizon_before(60 * DAY_S) == 0
    record.close()


@pytest.mark.parametrize("closed_at", [END, END + 130 * DAY_S], ids=["before", "while catching up"])
def test_a_gap_that_became_final_while_no_market_looked_is_estimated(tmp_path: Path, closed_at: int) -> None:
    """The market before ended in time, or had just closed the gates of all that it had been away for."""
    record, _ = begun(tmp_path, closed_at)
    now = END + 130 * DAY_S
    gates, estimates = Gates(record, 0.0, 0, Chain(record, tmp_path)), Estimates(record)
    gates.tick(now, 0.0)
    assert estimates.fill(gates.rules, now, gates.next_start) == 1
    assert estimates.fill(gates.rules, now, gates.next_start) == 0
    assert [closed.gate.start for closed in gates.run_again()] == [MISSING, MISSING + HALF_DAY_S]
    assert Estimates(record).fill(gates.rules, now, gates.next_start) == 0
    check(record, tmp_path, FINAL)


def test_a_market_that_ends_when_the_other_side_of_a_gap_has_come_loses_nothing(tmp_path: Path) -> None:
    """The meter is silent at last; much later a reading of its outbox comes, and the market is killed."""
    record, _ = begun(tmp_path, m1_steps=2)
    now = END + 130 * DAY_S
    gates = Gates(record, 0.0, 0, Chain(record, tmp_path))
    estimates = Estimates(record)
    assert estimates.fill(gates.rules, now, gates.next_start) == 0
    close(gates, now)
    hear(record, gates, {("m1", END - HALF_DAY_S): registers("m1", STEPS)}, since=SINCE, length=HALF_DAY_S)
    estimates = Estimates(record)
    assert estimates.fill(gates.rules, now, gates.next_start) == STEPS - 3
    assert Estimates(record).fill(gates.rules, now, gates.next_start) == 0
    record.close()


def test_deadlines_that_became_shorter_while_no_market_looked_hide_no_gap(tmp_path: Path) -> None:
    record, gates = begun(tmp_path)
    now = END + 10 * DAY_S
    close(gates, now)
    shorter = {"estimate_after_days": 1, "bill_after_days": 1, "final_after_days": 2}
    record.store_inputs({**BODIES, "community": {**BODIES["community"], "deadlines": shorter}}, now=now)
    gates.learn()
    assert Estimates(record).fill(gates.rules, now, gates.next_start) == 1
    record.close()
