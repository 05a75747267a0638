"""Wrong, missing and late readings: corrected as revisions, estimated from both sides, final after their deadline."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from broker.contract import Reading, topic
from broker.keys import derive_key, sign
from market.commands import main
from market.record import Record, RecordFullError
from market.record.rows import CORRECTED, ESTIMATED, FINAL, PROVISIONAL
from market.service.audit import audit
from market.service.estimates import Estimates
from market.service.gates import Gates
from market.service.ingest import Ingest, Message
from market.service.replay import DifferenceError, replay
from market.settlement.estimate import between
from market.settlement.rules import Registers
from tests.market.service.test_gates import BODIES, INTERVALS, SINCE, add, balances, close_all, week

DAY_S = 86_400
DEADLINES = {"estimate_after_days": 3, "bill_after_days": 5, "final_after_days": 120}
END = SINCE + INTERVALS * 900
EVERY = 2**62


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    record.store_inputs(BODIES, now=0)
    yield record
    record.close()


def hear(
    record: Record, gates: Gates, readings: dict[tuple[str, int], Registers], *, since: int = SINCE, length: int = 900
) -> None:
    """The meters send these readings, and the market stores them."""
    master = bytes(32)
    messages = []
    for (meter, start), registers in readings.items():
        seq = (start - since) // length
        body = msgspec.json.encode(
            Reading(1, 1, f"{meter:0>16}".replace("m", "a"), seq, 0, start, length, *registers, [], "")
        )
        body = body.replace(b',"mac":""', b"")
        name = topic("c", meter, "reading")
        messages.append(Message(name, sign(derive_key(master, "c", meter, 1), name, body)))
    now = max([gates.now, *(start + length for _, start in readings)])
    batch = Ingest(record, master).store(messages, now=now, closed_before=gates.next_start)
    assert set(batch.outcomes) <= {"stored", "late"}, batch.outcomes
    for meter, start in readings:
        gates.heard(start, meter)


def correct(record: Record, meter: str, start: int, registers: Registers, reason: str = "a wrong reading") -> None:
    with record.transaction():
        record.add_correction(meter, start, 900, registers, reason=reason, author="operator", now=END)


def settle(record: Record, gates: Gates, now: int) -> None:
    """What is due at ``now``: the gates of these few intervals, then what came late or was corrected."""
    gates.now = 0
    gates.tick(min(now, END), 0.0)
    close_all(gates, 0.0)
    gates.now = now
    list(gates.run_again())


def whole(record: Record) -> Record:
    """Replayed and audited."""
    replay(record, lambda done, total: None)
    audit(record, Path("there is no key here"), lambda done, total: None)
    return record


def newest(record: Record, start: int) -> dict[str, dict[str, int]]:
    gate = record.newest_gate(start, 900)
    assert gate is not None
    return {row["household"]: row for row in msgspec.json.decode(record.result(gate.number))["households"]}


@pytest.mark.parametrize("seed", range(6))
def test_revisions_sum_to_one_run_with_all_data(tmp_path: Path, seed: int) -> None:
    """Whatever came late, was wrong and was put right, in whatever order: the money is that of the truth at once."""
    draw = random.Random(seed)
    truth = week(seed)
    at_once, in_pieces = Record(tmp_path / "at-once"), Record(tmp_path / "in-pieces")
    for record in (at_once, in_pieces):
        record.store_inputs(BODIES, now=0)
    gates = Gates(at_once, grace_s=0.0)
    hear(at_once, gates, truth)
    settle(at_once, gates, END)

    gates = Gates(in_pieces, grace_s=0.0)
    late = {key for key in truth if draw.random() < 0.3}
    wrong = {key for key in truth if key not in late and draw.random() < 0.3}
    # A wrong reading repeats what the interval before should have ended with.
    zero = Registers(0, 0, 0, 0)
    said = {(m, at): truth.get((m, at - 900), zero) if (m, at) in wrong else truth[m, at] for m, at in truth}
    for start in range(SINCE, END, 900):
        hear(in_pieces, gates, {key: said[key] for key in truth if key[1] == start and key not in late})
        settle(in_pieces, gates, start + 900)
    repairs = [*((key, "late") for key in late), *((key, "wrong") for key in wrong)]
    draw.shuffle(repairs)
    for number, (key, what) in enumerate(repairs):
        if what == "late":
            hear(in_pieces, gates, {key: truth[key]})
        else:
            correct(in_pieces, *key, truth[key])
        if draw.random() < 0.4 or number == len(repairs) - 1:
            settle(in_pieces, gates, END + number)
    assert balances(whole(in_pieces)) == balances(at_once)
    at_once.close()
    in_pieces.close()


def test_what_was_booked_is_never_touched(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    hear(record, gates, week(1))
    settle(record, gates, END)
    before = {gate.number: (record.result(gate.number), record.transfers(gate.number)) for gate in record.gates()}
    registers = week(1)["m3", SINCE + 900]
    correct(record, "m3", SINCE + 900, registers._replace(import_wh=registers.import_wh - 1))
    settle(record, gates, END + 30 * DAY_S)
    after = {gate.number: (record.result(gate.number), record.transfers(gate.number)) for gate in record.gates()}
    assert {number: after[number] for number in before} == before
    revised = [(gate.start, gate.revision, gate.state) for gate in record.gates() if gate.number not in before]
    assert revised == [(SINCE + 900, 1, CORRECTED), (SINCE + 1800, 1, CORRECTED)]
    assert next(record.gates()).state == PROVISIONAL
    whole(record)


def test_a_later_correction_stands_before_an_earlier_one(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    truth = week(2)
    hear(record, gates, truth)
    settle(record, gates, END)
    right = balances(record)
    last = SINCE + 2700
    correct(record, "m4", last, truth["m4", last]._replace(import_wh=truth["m4", last].import_wh + 50))
    settle(record, gates, END + 1)
    assert balances(record) != right
    correct(record, "m4", last, truth["m4", last], "the first correction was wrong")
    settle(record, gates, END + 2)
    assert balances(whole(record)) == right


def gap(record: Record, gates: Gates, missing: set[tuple[str, int]], seed: int = 3) -> dict[tuple[str, int], Registers]:
    truth = week(seed)
    hear(record, gates, {key: truth[key] for key in truth if key not in missing})
    settle(record, gates, END)
    return truth


def test_a_gap_is_estimated_from_both_sides_after_its_deadline(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    missing = {("m3", SINCE + 900), ("m3", SINCE + 1800)}
    truth = gap(record, gates, missing)
    low, high = truth["m3", SINCE], truth["m3", SINCE + 2700]
    early = SINCE + 1800 + 3 * DAY_S - 1
    assert estimates.fill(gates.rules, early, gates.next_start) == 0
    assert not newest(record, SINCE + 900)["h3"]["heard"]
    assert estimates.fill(gates.rules, early + 1, gates.next_start) == 1, "one interval's deadline has passed"
    assert estimates.fill(gates.rules, early + 901, gates.next_start) == 1
    assert estimates.fill(gates.rules, early + 99_999, gates.next_start) == 0, "once"
    settle(record, gates, early + 99_999)
    found = record.corrections_to(record.last_correction())
    assert [(c.meter, c.start, c.reason, c.author) for c in found] == [
        ("m3", SINCE + 900, ESTIMATED, "market"), ("m3", SINCE + 1800, ESTIMATED, "market"),
    ]  # fmt: skip
    rows = [newest(record, SINCE + 900 * i)["h3"] for i in (1, 2, 3)]
    assert all(row["heard"] for row in rows)
    assert sum(row["import_wh"] for row in rows) == high.import_wh - low.import_wh, "no energy is lost or made"
    flagged = {gate.start for gate in record.gates() if "estimated" in msgspec.json.decode(record.result(gate.number))}
    assert flagged == {SINCE + 900, SINCE + 1800, SINCE + 2700}
    whole(record)


def test_a_reading_that_comes_after_all_stands_before_its_estimate(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    truth = gap(record, gates, {("m3", SINCE + 900)})
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 1
    settle(record, gates, now)
    hear(record, gates, {("m3", SINCE + 900): truth["m3", SINCE + 900]})
    settle(record, gates, now + 60)
    assert newest(record, SINCE + 900)["h3"]["import_wh"] == (
        truth["m3", SINCE + 900].import_wh - truth["m3", SINCE].import_wh
    )
    gate = record.newest_gate(SINCE + 900, 900)
    assert gate is not None
    assert "estimated" not in msgspec.json.decode(record.result(gate.number))
    whole(record)


def test_a_persons_correction_stands_before_an_estimate_and_a_reading(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    truth = gap(record, gates, {("m3", SINCE + 900)})
    correct(record, "m3", SINCE + 900, truth["m3", SINCE + 900])
    assert estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 0
    settle(record, gates, END + 4 * DAY_S)
    hear(record, gates, {("m3", SINCE + 900): truth["m3", SINCE]})
    settle(record, gates, END + 4 * DAY_S + 1)
    assert newest(record, SINCE + 900)["h3"]["import_wh"] == (
        truth["m3", SINCE + 900].import_wh - truth["m3", SINCE].import_wh
    )
    whole(record)


def test_a_gap_without_a_second_side_is_left_until_it_has_one(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    silent = {("m3", SINCE + 900 * i) for i in (1, 2, 3)}
    truth = gap(record, gates, silent)
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 0
    hear(record, gates, {("m3", SINCE + 2700): truth["m3", SINCE + 2700]})
    estimates.heard([(SINCE + 2700, "m3")])
    assert estimates.fill(gates.rules, now + 1, gates.next_start) == 2
    settle(record, gates, now + 1)
    assert all(newest(record, SINCE + 900 * i)["h3"]["heard"] for i in (1, 2, 3))
    whole(record)


def test_a_market_that_starts_again_finds_the_gaps(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    gap(record, gates, {("m0", SINCE + 900), ("m4", SINCE)})
    assert Estimates(record).fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 2
    assert Estimates(record).fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 0


def test_registers_that_fell_are_not_estimated(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    truth = week(3)
    truth["m3", SINCE + 1800] = truth["m3", SINCE + 2700] = Registers(0, 0, 0, 0)
    add(record, gates, {key: truth[key] for key in truth if key != ("m3", SINCE + 900)})
    gates.tick(SINCE + 1800, 0.0)
    close_all(gates, 0.0)
    assert truth["m3", SINCE].import_wh
    assert estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 0


@pytest.mark.parametrize("delta_wh", [-60, 60])
def test_after_the_final_deadline_only_the_households_residual_moves(record: Record, delta_wh: int) -> None:
    gates = Gates(record, grace_s=0.0)
    truth = week(4)
    hear(record, gates, truth)
    settle(record, gates, END)
    last = SINCE + 2700
    before = newest(record, last)
    money = balances(record)
    buyer = max(before, key=lambda name: before[name]["bought_wh"])
    meter = buyer.replace("h", "m")
    assert before[buyer]["bought_wh"] > 60
    registers = truth[meter, last]
    correct(record, meter, last, registers._replace(import_wh=registers.import_wh + delta_wh))
    settle(record, gates, last + 900 + 120 * DAY_S)
    gate = record.newest_gate(last, 900)
    assert gate is not None
    assert (gate.revision, gate.state) == (1, FINAL)
    after = newest(record, last)
    assert {name for name in after if after[name] != before[name]} == {buyer}
    assert after[buyer]["bought_wh"] == before[buyer]["bought_wh"], "below zero residual rather than another trade"
    now = balances(record)
    moved = {key: now.get(key, 0) - money.get(key, 0) for key in now | money}
    retail = 30_000
    assert {key: value for key, value in moved.items() if value} == {
        (last, f"household:{buyer}", "residual"): -delta_wh * retail, (last, "supplier", "residual"): delta_wh * retail,
    }  # fmt: skip
    whole(record)
    correct(record, meter, last, registers, "back")
    settle(record, gates, last + 900 + 120 * DAY_S - 1)
    assert balances(whole(record)) == money, "final, also for a market whose clock was set back"
    assert {gate.state for gate in record.gates() if gate.start == last and gate.revision} == {FINAL}


def test_a_result_that_was_final_cannot_be_passed_off_as_cleared(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.store_inputs(BODIES, now=0)
    gates = Gates(record, grace_s=0.0)
    hear(record, gates, week(4))
    settle(record, gates, END)
    last = SINCE + 2700
    correct(record, "m3", last, week(4)["m3", last]._replace(import_wh=week(4)["m3", last].import_wh + 9))
    settle(record, gates, last + 900 + 120 * DAY_S)
    record._db.execute("DROP TRIGGER gate_UPDATE_refused")
    record._db.execute("UPDATE gate SET state = 'corrected' WHERE state = 'final'")
    with pytest.raises(DifferenceError, match="state is corrected"):
        audit(record, tmp_path, lambda done, total: None)
    record.close()


def test_registers_that_fall_between_a_correction_and_a_reading_trade_nothing(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    truth = gap(record, gates, {("m3", SINCE + 900)})
    correct(record, "m3", SINCE + 900, truth["m3", SINCE + 2700]._replace(import_wh=10**6))
    settle(record, gates, END)
    assert newest(record, SINCE + 900)["h3"]["heard"]
    assert not newest(record, SINCE + 1800)["h3"]["heard"], "until somebody says what is right"
    whole(record)


def test_estimates_share_out_every_unit() -> None:
    low, high = Registers(10, 0, 5, 2**40), Registers(20, 0, 6, 2**40 + 7)
    ends = [low, *between(low, high, 3), high]
    steps = [[b - a for a, b in zip(x, y, strict=True)] for x, y in pairwise(ends)]
    assert [sum(column) for column in zip(*steps, strict=True)] == [10, 0, 1, 7]
    assert all(step in ([3, 0, 0, 2], [3, 0, 0, 3], [4, 0, 1, 2], [4, 0, 1, 3], [3, 0, 1, 2]) for step in steps)
    with pytest.raises(ValueError, match="fall"):
        between(high, low, 2)


def test_a_gap_is_estimated_between_what_was_put_right(record: Record) -> None:
    """The readings on both sides were wrong: what stands instead of them is what the gap lies between."""
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    truth = week(3)
    low, high = truth["m3", SINCE], truth["m3", SINCE + 1800]
    wrong = Registers(high.import_wh + 50, *high[1:])
    said = {key: value for key, value in truth.items() if key != ("m3", SINCE + 900)}
    add(record, gates, said | {("m3", SINCE): wrong, ("m3", SINCE + 1800): wrong})
    correct(record, "m3", SINCE, low)
    correct(record, "m3", SINCE + 1800, high)
    settle(record, gates, END)
    assert estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 1
    settle(record, gates, END + 4 * DAY_S)
    used = [newest(record, SINCE + 900 * i)["h3"] for i in (1, 2)]
    assert all(row["heard"] for row in used)
    assert sum(row["import_wh"] for row in used) == high.import_wh - low.import_wh


def used_wh(record: Record, meter: str, start: int) -> int | None:
    row = newest(record, start)[meter.replace("m", "h")]
    return row["import_wh"] if row["heard"] else None


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
@pytest.mark.parametrize(("step", "stated", "used"), [(0, 60, [60, 20, 20, 20]), (3, 180, [0, 60, 60, 60])])
def test_estimates_are_made_again_when_one_of_their_sides_is_put_right(
    record: Record, step: int, stated: int, used: list[int], again: bool
) -> None:
    """Two unknown ends between 0 and 120 Wh: the side below turns out to be 60, or the one above 180."""
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    at = [SINCE + 900 * step for step in range(4)]
    hear(record, gates, {("m3", at[0]): Registers(0, 0, 0, 0), ("m3", at[3]): Registers(120, 0, 0, 120)})
    settle(record, gates, END)
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 2
    settle(record, gates, now)
    assert [used_wh(record, "m3", start) for start in at] == [0, 40, 40, 40]
    correct(record, "m3", at[step], Registers(stated, 0, 0, stated))
    estimates = Estimates(record) if again else estimates
    assert estimates.fill(gates.rules, now + 60, gates.next_start) == 2
    assert estimates.fill(gates.rules, now + 120, gates.next_start) == 0
    assert Estimates(record).fill(gates.rules, now + 120, gates.next_start) == 0
    settle(record, gates, now + 120)
    assert [used_wh(record, "m3", start) for start in at] == used
    flagged = [gate.start for gate in record.gates() if gate.revision and "estimated" in record.result(gate.number)]
    assert set(flagged) == {at[1], at[2], at[3]}
    whole(record)


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_estimates_are_made_again_when_a_reading_comes_into_their_gap(record: Record, again: bool) -> None:
    """Of two estimated ends the second becomes known, and lies below what was estimated for the first."""
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    at = [SINCE + 900 * step for step in range(4)]
    hear(record, gates, {("m3", at[0]): Registers(0, 0, 0, 0), ("m3", at[3]): Registers(120, 0, 0, 120)})
    settle(record, gates, END)
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 2
    settle(record, gates, now)
    hear(record, gates, {("m3", at[2]): Registers(10, 0, 0, 10)})
    estimates.heard([(at[2], "m3")])
    estimates = Estimates(record) if again else estimates
    assert estimates.fill(gates.rules, now + 60, gates.next_start) == 1
    assert Estimates(record).fill(gates.rules, now + 60, gates.next_start) == 0
    settle(record, gates, now + 60)
    assert [used_wh(record, "m3", start) for start in at] == [0, 5, 5, 110]
    whole(record)


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_a_reading_that_comes_into_a_gap_before_its_own_deadline_makes_the_estimates_again(
    record: Record, again: bool
) -> None:
    """Of two unknown ends the first is estimated; then the second becomes known, which was not due yet."""
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    at = [SINCE + 900 * step for step in range(4)]
    hear(record, gates, {("m3", at[0]): Registers(0, 0, 0, 0), ("m3", at[3]): Registers(120, 0, 0, 120)})
    settle(record, gates, END)
    now = at[1] + 900 + 3 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 1
    settle(record, gates, now)
    assert [used_wh(record, "m3", start) for start in at] == [0, 40, None, None]
    hear(record, gates, {("m3", at[2]): Registers(10, 0, 0, 10)})
    estimates.heard([(at[2], "m3")])
    estimates = Estimates(record) if again else estimates
    for later in (now + 1, now + 900, now + 1800):
        estimates.fill(gates.rules, later, gates.next_start)
        settle(record, gates, later)
    assert [used_wh(record, "m3", start) for start in at] == [0, 5, 5, 110]
    assert record.last_correction() == 2
    whole(record)


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_what_a_meter_measured_while_its_household_was_away_is_not_estimated(record: Record, again: bool) -> None:
    """It left after the first interval and came back for the last; both its readings are put right at once."""
    gates = Gates(record, grace_s=0.0)
    at = [SINCE + 900 * step for step in range(4)]
    truth = week(3)
    hear(record, gates, {key: truth[key] for key in truth if key[1] == at[0]})
    gates.tick(at[1], 0.0)
    close_all(gates, 0.0)
    others = [member for member in BODIES["members"] if member["household"] != "h3"]
    record.store_inputs({**BODIES, "members": others}, now=at[1])
    back = {"meter": "m3", "kid": 1, "since": at[3], **truth["m3", at[2]]._asdict()}
    h3 = {**BODIES["members"][3], "meters": [back]}
    record.store_inputs({**BODIES, "members": [*others, h3]}, now=at[3])
    gates.learn()
    hear(
        record, gates, {key: truth[key] for key in truth if (key[0] != "m3" and key[1] > at[0]) or key == ("m3", at[3])}
    )
    settle(record, gates, END)
    estimates = Estimates(record)
    now = END + 4 * DAY_S
    if not again:
        assert estimates.fill(gates.rules, now, gates.next_start) == 0
    for start in (at[0], at[3]):
        correct(record, "m3", start, truth["m3", start])
    assert estimates.fill(gates.rules, now, gates.next_start) == 0
    settle(record, gates, now)
    assert used_wh(record, "m3", at[3]) == truth["m3", at[3]].import_wh - truth["m3", at[2]].import_wh
    assert all("estimated" not in record.result(gate.number) for gate in record.gates())
    whole(record)


@pytest.mark.parametrize("again", [True, False], ids=["restarted", "running"])
def test_a_gap_between_registers_that_fell_is_estimated_once_its_side_is_put_right(record: Record, again: bool) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    at = [SINCE + 900 * step for step in range(4)]
    hear(record, gates, {("m3", at[0]): Registers(0, 0, 0, 0), ("m3", at[3]): Registers(120, 0, 0, 120)})
    settle(record, gates, END)
    correct(record, "m3", at[0], Registers(500, 0, 0, 500))
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 0
    correct(record, "m3", at[0], Registers(0, 0, 0, 0), "the correction was wrong")
    estimates = Estimates(record) if again else estimates
    assert estimates.fill(gates.rules, now + 60, gates.next_start) == 2
    settle(record, gates, now + 60)
    assert [used_wh(record, "m3", start) for start in at] == [0, 40, 40, 40]
    whole(record)


def test_a_gap_that_reaches_back_over_the_final_deadline_is_filled_whole(record: Record) -> None:
    """A market begins to look when the first of two unknown ends is final: no energy is lost."""
    gates = Gates(record, grace_s=0.0)
    at = [SINCE + 900 * step for step in range(4)]
    hear(record, gates, {("m3", at[0]): Registers(0, 0, 0, 0), ("m3", at[3]): Registers(120, 0, 0, 120)})
    settle(record, gates, END)
    now = at[1] + 900 + 120 * DAY_S
    assert Estimates(record).fill(gates.rules, now, gates.next_start) == 2
    settle(record, gates, now)
    assert [used_wh(record, "m3", start) for start in at] == [0, 40, 40, 40]
    states = {gate.start: gate.state for gate in record.gates()}
    assert [states[start] for start in at[1:3]] == [FINAL, CORRECTED]
    whole(record)


def test_what_could_not_be_stored_is_estimated_later(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    gap(record, gates, {("m3", SINCE + 900), ("m1", SINCE + 1800)})
    with monkeypatch.context() as full:
        full.setattr(record, "add_correction", Mock(side_effect=RecordFullError("no room")))
        with pytest.raises(RecordFullError):
            estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start)
    assert estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 2


def test_an_estimate_made_again_after_the_final_deadline_is_its_households_own(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    truth = gap(record, gates, {("m3", SINCE + 1800)})
    now = END + 4 * DAY_S
    assert estimates.fill(gates.rules, now, gates.next_start) == 1
    settle(record, gates, now)
    before = balances(record)
    late = END + 130 * DAY_S
    high = truth["m3", SINCE + 2700]
    correct(record, "m3", SINCE + 2700, high._replace(import_wh=high.import_wh + 100))
    assert estimates.fill(gates.rules, late, gates.next_start) == 1
    settle(record, gates, late)
    after = balances(record)
    moved = {key[1] for key in before | after if before.get(key, 0) != after.get(key, 0)}
    assert moved == {"household:h3", "supplier"}
    whole(record)


def test_a_gap_of_a_meter_that_has_left_is_estimated(record: Record) -> None:
    gates, estimates = Gates(record, grace_s=0.0), Estimates(record)
    gap(record, gates, {("m3", SINCE + 900)})
    settle(record, gates, END)
    others = {**BODIES, "members": [m for m in BODIES["members"] if m["household"] != "h3"]}
    record.store_inputs(others, now=END)
    gates.learn()
    assert estimates.fill(gates.rules, END + 4 * DAY_S, gates.next_start) == 1


def test_a_wrong_reading_that_was_put_right_keeps_no_other_out(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    truth = week(3)
    first, second = truth["m3", SINCE], truth["m3", SINCE + 900]
    hear(record, gates, {("m3", SINCE): Registers(first.import_wh + 100_000, *first[1:])})
    with pytest.raises(AssertionError, match="impossible"):
        hear(record, gates, {("m3", SINCE + 900): second})
    correct(record, "m3", SINCE, first)
    later = truth["m3", SINCE + 1800]
    hear(record, gates, {("m3", SINCE + 1800): later})


def test_an_interval_that_cannot_be_run_again_does_not_stop_the_others(record: Record) -> None:
    gates = Gates(record, grace_s=0.0)
    truth = week(3)
    hear(record, gates, truth)
    settle(record, gates, END)
    money = balances(record)
    correct(record, "m3", SINCE + 900, Registers(2**52, 0, 0, 2**52))
    correct(record, "m0", SINCE + 2700, truth["m0", SINCE + 2700]._replace(export_wh=2**20))
    told: list[str] = []
    again = [closed.gate.start for closed in gates.run_again(told.append)]
    assert again == [SINCE + 1800, SINCE + 2700]
    assert len(told) == 1 and "what is booked of it stands" in told[0]
    assert {key: value for key, value in balances(record).items() if key[0] == SINCE + 900} == {
        key: value for key, value in money.items() if key[0] == SINCE + 900
    }
    correct(record, "m3", SINCE + 900, truth["m3", SINCE + 900])
    assert SINCE + 900 in [closed.gate.start for closed in gates.run_again(told.append)]
    whole(record)


# the command


@pytest.fixture
def settled(tmp_path: Path) -> Path:
    record = Record(tmp_path)
    record.store_inputs(BODIES, now=0)
    gates = Gates(record, grace_s=0.0)
    gap(record, gates, {("m3", SINCE + 900)})
    record.close()
    return tmp_path


def local(start: int) -> str:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.fromtimestamp(start, ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%dT%H:%M")


def test_the_command_stores_what_a_person_says(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["correction", "add", "m3", local(SINCE), "--store", str(settled), "--reason", "read from the display"]
    stated = week(3)["m3", SINCE]
    assert main([*base, "--import-wh", str(stated.import_wh), "--author", "Kim"]) == 0
    assert "settles the interval and the one after it again" in capsys.readouterr().out
    assert main(["correction", "list", "--store", str(settled)]) == 0
    said = capsys.readouterr().out
    assert "read from the display" in said
    assert "(Kim)" in said
    record = Record(settled)
    (correction,) = record.corrections_to(1)
    assert correction.registers == stated
    record.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["m9", local(SINCE), "--import-wh", "1"], "m9: no meter of the community"),
        (["m3", local(SINCE + 60), "--import-wh", "1"], "no interval of 900 s starts then"),
        (["m3", local(SINCE + 90_000), "--import-wh", "1"], "has not been settled here"),
        (["m3", "yesterday", "--import-wh", "1"], "not a time"),
        (["m3", "0001-01-01T00:00", "--import-wh", "1"], "0001-01-01T00:00: this interval has not been settled here"),
        (["m3", "1970-01-01T00:45", "--import-wh", "1"], "this interval has not been settled here"),
        (["m3", "9999-12-31T23:45", "--import-wh", "1"], "this interval has not been settled here"),
        (["m3", local(SINCE)], "nothing is corrected"),
        (["m3", local(SINCE + 900), "--import-wh", "1"], "must be given too"),
        (["m3", local(SINCE + 2700), "--import-wh", "0"], "the register stood at"),
        (["m3", local(SINCE), "--import-wh", "999999"], "the register stood at"),
        (["m3", local(SINCE + 2700), "--import-wh", "999999"], "no connection carries more than 1 MW"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_stored(
    settled: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["correction", "add", *arguments, "--store", str(settled), "--reason", "why"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    record = Record(settled)
    assert record.last_correction() == 0
    record.close()


def test_a_final_interval_is_named_unless_it_is_meant(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Record(settled)
    gates = Gates(record, grace_s=0.0)
    correct(record, "m0", SINCE + 2700, week(3)["m0", SINCE + 2700])
    settle(record, gates, END + 121 * DAY_S)
    record.close()
    command = ["correction", "add", "m3", local(SINCE), "--import-wh", str(week(3)["m3", SINCE].import_wh)]
    command += ["--store", str(settled), "--reason", "why"]
    assert main(command) == 2
    assert "this interval is final since" in capsys.readouterr().err
    assert main([*command, "--final"]) == 0
    assert "only this household's residual energy" in capsys.readouterr().out
