"""Months that are final: closed again for their household's sake, booked, replayed and audited; and until then anew."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from broker.keys import master_key
from market.record import Record
from market.record.rows import CORRECTED, FINAL, MONTH, PROVISIONAL
from market.service import months
from market.service.audit import audit
from market.service.chain import Chain
from market.service.gates import Gates
from market.service.market import MASTER_KEY_FILE
from market.service.replay import DifferenceError, replay
from market.statements.statement import statement
from tests.market.billed import (
    HOMES,
    JUNE,
    LENGTH_S,
    MAY,
    SINCE,
    STEPS,
    ZONE,
    community,
    hear,
    registers,
    settle_months,
)

DAY_S = 86_400
DEADLINE = 120 * DAY_S
MAY_FINAL, JUNE_FINAL = (month.end(ZONE) + DEADLINE for month in (MAY, JUNE))
BOTH = [community(), community(mechanism="monthly-netting")]
NAMES = ["mid-market", "monthly-netting"]
EXTERNAL = {"supplier", "network", "state", "pool"}


class Street:
    """A store with two months, and what may be done to it."""

    def __init__(self, store: Path, document: Any, late: frozenset[tuple[str, int]] = frozenset()) -> None:
        settle_months(store, late=late, document=document)
        self.store, self.record = store, Record(store)
        self.chain = Chain(self.record, store)
        self.close(JUNE.end(ZONE))

    def close(self, now: int) -> None:
        """The market closes what is due at ``now``."""
        touched = self.settle_again(now)
        first = next((month for month in (MAY, JUNE) if any(at < month.end(ZONE) for at in touched)), MAY)
        for month in (MAY, JUNE):
            if month >= first:
                months.close(self.record, month, now, lambda gate, *_: self.chain.add(gate))
        self.chain.write_heads()

    def settle_again(self, now: int) -> set[int]:
        """The intervals that are run again at ``now``."""
        gates = Gates(self.record, 0.0, chain=self.chain)
        gates.now = now
        return {closed.gate.start for closed in gates.run_again()}

    def correct(self, home: str, step: int, now: int, **more_wh: int) -> None:
        self.say(home, step, now, **more_wh)
        self.close(now)

    def say(self, home: str, step: int, now: int, **more_wh: int) -> None:
        """A person says that a register stood higher."""
        values = registers(home, step)
        values = values._replace(**{name: getattr(values, name) + more for name, more in more_wh.items()})
        at = SINCE + step * LENGTH_S
        with self.record.transaction():
            self.record.add_correction(f"m-{home}", at, LENGTH_S, values, reason="why", author="who", now=now)

    def hear(self, home: str, step: int, now: int) -> None:
        with self.record.transaction():
            hear(self.record, master_key(self.store / MASTER_KEY_FILE), home, step)
        self.close(now)

    def balances(self) -> dict[tuple[int, str, str], int]:
        """By start of an interval or month, account and reason."""
        found: dict[tuple[int, str, str], int] = defaultdict(int)
        for gate in self.record.gates(kind=None):
            for transfer in self.record.transfers(gate.number):
                found[gate.start, transfer.credit, transfer.reason] += transfer.amount
                found[gate.start, transfer.debit, transfer.reason] -= transfer.amount
        assert sum(found.values()) == 0
        return {key: value for key, value in found.items() if value}

    def bills(self, month: Any) -> dict[str, Any]:
        _, _, result = months.month_body(self.record, month)
        return {bill["household"]: bill for bill in result["bills"]}

    def states(self) -> list[str]:
        return [gate.state for gate in self.record.gates(kind=MONTH)]

    def check(self) -> None:
        gates = replay(self.record, lambda done, total: None).gates
        assert audit(self.record, self.store, lambda done, total: None).gates == gates


def moved(before: dict[Any, int], after: dict[Any, int]) -> set[str]:
    """The accounts of which something has another balance."""
    return {key[1] for key in before | after if before.get(key, 0) != after.get(key, 0)}


@pytest.mark.parametrize("document", BOTH, ids=NAMES)
@pytest.mark.parametrize(("home", "more_wh"), [("kim", 50_000), ("kim", -4_000), ("park", 900)])
def test_after_the_deadline_only_the_corrected_households_position_moves(
    tmp_path: Path, document: Any, home: str, more_wh: int
) -> None:
    """The last register of June: more or less was used, or, with Park, fed in."""
    street = Street(tmp_path, document)
    before, bills = street.balances(), street.bills(JUNE)
    name = "export_wh" if home == "park" else "import_wh"
    street.correct(home, STEPS - 1, JUNE_FINAL, **{name: more_wh})
    assert street.states() == [PROVISIONAL, PROVISIONAL, FINAL]
    assert moved(before, street.balances()) <= {f"household:{home}", *EXTERNAL}
    after = street.bills(JUNE)
    assert {one for one in HOMES if bills[one] != after[one]} == {home}
    assert after[home][name] == bills[home][name] + more_wh
    assert (after[home]["trades"], after[home]["true_up"]) == (bills[home]["trades"], bills[home]["true_up"])
    assert months.so_far(street.record, JUNE)[1]["bills"] == list(after.values())
    street.check()
    # And back again: everything is as it was.
    street.correct(home, STEPS - 1, JUNE_FINAL - DAY_S)
    assert street.balances() == before, "also by a market whose clock was set back"
    assert street.states() == [PROVISIONAL, PROVISIONAL, FINAL, FINAL]
    street.check()


def test_until_the_deadline_the_month_is_netted_anew(tmp_path: Path) -> None:
    street = Street(tmp_path, community(mechanism="monthly-netting"))
    before = street.balances()
    street.correct("kim", STEPS - 1, JUNE_FINAL - 1, import_wh=50_000)
    assert street.states() == [PROVISIONAL, PROVISIONAL, CORRECTED]
    assert "household:park" in moved(before, street.balances())
    street.check()


@pytest.mark.parametrize("document", BOTH, ids=NAMES)
def test_until_the_deadline_all_revisions_together_are_one_run_with_all_data(tmp_path: Path, document: Any) -> None:
    street = Street(tmp_path / "late", document, frozenset({("park", 10), ("kim", 40)}))
    for home, step in (("park", 10), ("kim", 40)):
        street.hear(home, step, SINCE + (step + 1) * LENGTH_S + DEADLINE - 1)
    whole = Street(tmp_path / "whole", document)
    assert street.balances() == whole.balances()
    for month in (MAY, JUNE):
        assert street.bills(month) == whole.bills(month)
    street.check()


@pytest.mark.parametrize("document", BOTH, ids=NAMES)
def test_credits_of_a_final_month_change_nobody_elses_later_months(tmp_path: Path, document: Any) -> None:
    """Park's two unknown days of May become known when May is final and June is not: June is another for Park only."""
    street = Street(tmp_path, document, frozenset({("park", 10)}))
    before, bills = street.balances(), {month: street.bills(month) for month in (MAY, JUNE)}
    street.hear("park", 10, MAY_FINAL)
    assert street.states() == [PROVISIONAL, PROVISIONAL, FINAL, FINAL]
    assert moved(before, street.balances()) <= {"household:park", *EXTERNAL}
    for month in (MAY, JUNE):
        after = street.bills(month)
        assert {one for one in HOMES if bills[month][one] != after[one]} == {"park"}
    assert street.bills(JUNE)["park"]["credits"]["before"] != bills[JUNE]["park"]["credits"]["before"]
    street.check()
    # June is not over: a correction of its own nets it anew, as long as its own deadline has not passed.
    street.say("kim", STEPS - 1, MAY_FINAL + DAY_S, import_wh=5_000)
    street.settle_again(MAY_FINAL + DAY_S)
    shown = months.so_far(street.record, JUNE)[1]["bills"]
    street.close(MAY_FINAL + DAY_S)
    assert street.states()[-1] == CORRECTED
    assert shown == list(street.bills(JUNE).values()), "what is shown before it is closed is what closing makes of it"
    street.check()


def test_a_month_is_final_no_earlier_than_any_of_its_intervals(tmp_path: Path) -> None:
    """From mid June on intervals are final after ten days; those before it are not until their 120 have passed."""
    shorter = community(deadlines={"estimate_after_days": 3, "bill_after_days": 5, "final_after_days": 10})
    record = Record(tmp_path)
    record.store_document(community(), 0)
    record.store_document(shorter, JUNE.start(ZONE) + 14 * DAY_S)
    record.close()
    street = Street(tmp_path, shorter)
    before = street.balances()
    early = MAY.days + 1
    for step, more_wh, now, state in (
        (early, -6_000, JUNE.end(ZONE) + 10 * DAY_S, CORRECTED),
        (STEPS - 1, 500, JUNE_FINAL - 1, CORRECTED),
        (STEPS - 1, 900, JUNE_FINAL, FINAL),
    ):
        street.correct("kim", step, now, import_wh=more_wh)
        assert street.states()[-1] == state
        after = street.balances()
        assert step != early or "household:lee" in moved(before, after), "who gets what the other did not need"
        assert state != FINAL or moved(before, after) <= {"household:kim", *EXTERNAL}
        before = after
        street.check()


def test_newer_words_of_a_tariff_do_not_make_a_final_month_another(tmp_path: Path) -> None:
    street = Street(tmp_path, community())
    bills = street.bills(JUNE)
    document = street.record.document()
    for tariff in document["tariffs"].values():
        tariff["versions"][0]["levies"][0]["percent"] = "20"
    street.record.store_document(document, JUNE.end(ZONE))
    street.correct("kim", STEPS - 1, JUNE_FINAL, import_wh=1_000)
    after = street.bills(JUNE)
    assert {one for one in HOMES if bills[one] != after[one]} == {"kim"}
    assert {line["rate"] for line in after["kim"]["own"]["lines"] if line["name"] == "vat"} == {"10"}
    street.check()


@pytest.mark.parametrize(("was", "said"), [(FINAL, CORRECTED), (CORRECTED, FINAL)])
def test_a_state_that_was_changed_is_noticed(tmp_path: Path, was: str, said: str) -> None:
    street = Street(tmp_path, community(mechanism="monthly-netting"))
    street.correct("kim", STEPS - 1, JUNE_FINAL - (was == CORRECTED), import_wh=50_000)
    assert street.states()[-1] == was
    street.record._db.execute("DROP TRIGGER gate_UPDATE_refused")
    street.record._db.execute(f"UPDATE gate SET state = '{said}' WHERE kind = 'month' AND revision = 1")
    with pytest.raises(DifferenceError, match=f"its state is {said}, expected {was}"):
        audit(street.record, tmp_path, lambda done, total: None)
    with pytest.raises(DifferenceError, match="comes out otherwise"):
        replay(street.record, lambda done, total: None)


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "This month is final. "), ("ko", "이번 달은 확정되었습니다. ")]
)
def test_the_bill_says_that_the_month_is_final(tmp_path: Path, language: str, sentence: str) -> None:
    street = Street(tmp_path, community(mechanism="monthly-netting"))
    said = []
    for more_wh in (0, 50_000):
        if more_wh:
            street.correct("kim", STEPS - 1, JUNE_FINAL, import_wh=more_wh)
        gate, rules, result = months.month_body(street.record, JUNE)
        made = statement(rules, result, "kim", language, revision=gate.revision, closed_at=gate.closed_at)
        said.append("\n".join(line for _, lines in made.texts for line in lines))
    assert [sentence in text for text in said] == [False, True]
