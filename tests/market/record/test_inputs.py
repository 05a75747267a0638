"""Inputs come from any process; a change applies only to intervals that start after it is stored."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from market.record import Record, RecordError
from market.settlement.rules import RulesError, parse, split
from tests.market.record.killed import document
from tests.market.service.test_gates import BODIES as BEGUN
from tests.market.service.test_gates import SINCE

ROOT = Path(__file__).parents[3]


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    record.store_document(document(), now=5_000, author="first")
    yield record
    record.close()


def changed(**members: Any) -> dict[str, Any]:
    return document() | members


def test_the_document_is_what_was_stored(record: Record) -> None:
    stored = record.document()
    assert split(stored) == split(document())
    assert split(json.loads(json.dumps(stored))) == split(document())
    assert record.store_document(stored, now=9_000, author="again") == [], "what show prints is no change"


def test_offers_are_a_kind_of_their_own_and_come_back_with_their_member(record: Record) -> None:
    wanted = document()
    wanted["members"][1]["offer"] = {"max_buy_per_kwh": "0.20"}
    assert record.store_document(wanted, now=9_000, author="h2") == ["offers"]
    offers = {row["household"]: row["offer"]["max_buy_per_kwh"] for row in record.document()["members"]}
    assert offers == {"h1": None, "h2": "0.20", "h3": None}


def test_each_moment_has_its_document(record: Record) -> None:
    record.store_document(document("0.32"), now=9_000, author="a")
    record.store_document(document("0.34"), now=9_900, author="a")
    prices = [record.document(at)["tariffs"]["standard"]["retail_per_kwh"] for at in (0, 8_999, 9_000, 9_900)]
    assert prices == ["0.30", "0.30", "0.32", "0.34"]
    assert record.document() == record.document(9_900)


def test_an_order_of_tariffs_is_no_change(record: Record) -> None:
    two = {"b": {"retail_per_kwh": "0.31", "feed_in_per_kwh": "0.08"}}
    one = document()["tariffs"]
    assert record.store_document(changed(tariffs=one | two), now=9_000, author="a") == ["tariffs"]
    assert record.store_document(changed(tariffs=two | one), now=9_000, author="a") == []


def test_who_stored_what_and_from_when_it_applies(record: Record) -> None:
    before = record.inputs_version()
    assert before == 5
    record.store_document(document("0.32"), now=9_000, author="anna")
    *first, last = record.input_history()
    assert {(row.version, row.stored_at, row.author) for row in first} == {(1, 0, "first")}
    assert (last.number, last.kind, last.version, last.stored_at, last.author) == (6, "tariffs", 2, 9_000, "anna")
    assert record.inputs_version() == 6


def test_a_clock_set_back_reaches_no_interval_that_was_settled(record: Record) -> None:
    with record.transaction():
        record.close_gate(9_000, 900, now=9_900, versions={}, horizon=0, inputs=record.input_versions(9_000))
    record.store_document(document("0.32"), now=100, author="a")
    assert record.input_versions(9_000)["tariffs"] == 1
    assert record.input_versions(9_900)["tariffs"] == 2
    record.store_document(document("0.34"), now=20_000, author="a")
    record.store_document(document("0.36"), now=200, author="a")
    assert [row.stored_at for row in record.input_history()[-3:]] == [9_900, 20_000, 20_000], "nor an older change"


def test_a_clock_far_ahead_is_refused_by_name(record: Record) -> None:
    with record.transaction():
        record.close_gate(9_000, 900, now=9_900, versions={}, horizon=0, inputs=record.input_versions(9_000))
    said = r"the clock stands at 2036.*more than 400 days; set the clock right .*--simulated"
    with pytest.raises(RecordError, match=said):
        record.store_document(document("0.32"), now=2_100_000_000, author="a")
    with pytest.raises(RecordError, match="the clock stands at 9999"):
        record.store_document(document("0.32"), now=2**62, author="a")
    assert record.inputs_version() == 5


@pytest.mark.parametrize(
    ("member", "value"),
    [("community", "d"), ("currency", "KRW"), ("timezone", "UTC"), ("interval_s", 300)],
    ids=lambda v: str(v),
)
def test_another_community_needs_another_store(record: Record, member: str, value: object) -> None:
    with pytest.raises(RecordError, match=f"{member} {value}: this store is for"):
        record.store_document(changed(**{member: value}), now=9_000, author="a")
    assert record.inputs_version() == 5


def test_a_document_with_anything_wrong_stores_nothing(record: Record) -> None:
    wrong = copy.deepcopy(document("0.32"))
    wrong["members"][2]["tariff"] = "unknown"
    with pytest.raises(RulesError, match="h3: its tariff unknown is unknown"):
        record.store_document(wrong, now=9_000, author="a")
    assert record.inputs_version() == 5


WRITER = """
import sys
from pathlib import Path
from market.record import Record
from tests.market.record.killed import document
from tests.market.service.test_gates import BODIES as BEGUN
from tests.market.service.test_gates import SINCE
name = sys.argv[2]
record = Record(Path(sys.argv[1]))
for i in range(8):
    record.store_document(document(f"0.{name}{i}"), now=9_000 + i, author=name)
record.close()
"""


def test_processes_that_store_at_once_wait_for_each_other(record: Record, store: Path) -> None:
    names = ("31", "32", "33")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(store), name], cwd=ROOT) for name in names]
    with record.transaction():
        # The market settles meanwhile: what it reads inside stands still.
        versions = record.input_versions(2**40)
        assert record.input_versions(2**40) == versions
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    history = record.input_history()[5:]
    assert [row.number for row in history] == list(range(6, 6 + 24))
    assert [row.version for row in history] == list(range(2, 2 + 24))
    assert [row.stored_at for row in history] == sorted(row.stored_at for row in history)
    for name in names:
        assert sum(row.author == name for row in history) == 8


def test_an_interval_that_is_being_settled_keeps_its_inputs(record: Record, store: Path) -> None:
    """A change that is stored while its interval is settled waits, and then applies to the next."""
    started = threading.Event()

    def change() -> None:
        other = Record(store)
        started.set()
        other.store_document(document("0.32"), now=9_000, author="a")
        other.close()

    thread = threading.Thread(target=change)
    with record.transaction():
        inputs = record.input_versions(9_000)
        thread.start()
        assert started.wait(30)
        thread.join(0.2)
        assert thread.is_alive(), "it waits for the settlement"
        record.close_gate(9_000, 900, now=9_900, versions={}, horizon=0, inputs=inputs)
    thread.join(30)
    assert not thread.is_alive()
    assert record.input_versions(9_000) == inputs
    assert record.input_versions(9_900)["tariffs"] == 2


def test_rules_are_parsed_once_for_each_set_of_versions(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr("market.record.inputs.parse", lambda bodies: parsed.append(1) or parse(bodies))
    record.store_document(document("0.32"), now=9_000, author="a")
    parsed.clear()
    for _ in range(3):
        for start in (0, 9_000):
            record.rules(record.input_versions(start))
    assert len(parsed) == 2


def test_a_new_meter_of_a_community_at_work_counts_from_when_it_is_a_member(store: Path) -> None:
    record = Record(store)
    record.store_inputs(BEGUN, now=0)
    with record.transaction():
        record.close_gate(SINCE, 900, now=SINCE + 900, versions={}, horizon=0, inputs=record.input_versions(SINCE))
    applies = SINCE + 3600
    more = {"household": "h9", "node": "left", "tariff": "standard"}
    early, later = ([{"meter": "m9", "kid": 1, "since": since}] for since in (applies - 900, applies))
    with pytest.raises(RecordError, match=r"meter m9 counts since .* give it a later since"):
        record.store_inputs({**BEGUN, "members": [*BEGUN["members"], {**more, "meters": early}]}, now=applies)
    assert record.store_inputs({**BEGUN, "members": [*BEGUN["members"], {**more, "meters": later}]}, now=applies) == [
        "members"
    ]
    record.close()


NONCES = {"2": "5a" * 16}


def keyed(record: Record, kid: int, nonces: dict[str, str], name: str = "m1") -> dict[str, Any]:
    """The document with this key for h1's only meter."""
    wanted = record.document()
    wanted["members"][0]["meters"] = [{"meter": name, "kid": kid, "since": 900_000, "nonces": nonces}]
    return wanted


@pytest.mark.parametrize(
    ("kid", "nonces", "reason"),
    [
        (1, {}, "meter m1: kid 1, and 3 is stored: "),
        (2, NONCES, "meter m1: kid 2, and 3 is stored: "),
        (3, {}, "meter m1: the nonce of key 2 is not the stored one: "),
        (3, {"2": "5b" * 16}, "meter m1: the nonce of key 2 is not the stored one: "),
        (3, NONCES | {"3": "5c" * 16}, "meter m1: the nonce of key 3 is not the stored one: "),
    ],
)
@pytest.mark.parametrize("gone", [False, True], ids=["stays", "comes back"])
def test_a_key_that_ended_does_not_come_back(
    record: Record, kid: int, nonces: dict[str, str], reason: str, gone: bool
) -> None:
    record.store_document(keyed(record, 2, NONCES), now=9_000)
    record.store_document(keyed(record, 3, NONCES), now=9_000)
    if gone:
        record.store_document(keyed(record, 1, {}, "m8"), now=9_000)
    before = record.inputs_version()
    with pytest.raises(RecordError, match=f"{reason}the file is older than what is stored"):
        record.store_document(keyed(record, kid, nonces), now=9_900)
    assert record.inputs_version() == before
    assert record.store_document(keyed(record, 4, NONCES | {"4": "5d" * 16}), now=9_900) == ["members"]


def test_meters_go_and_come_back_only_when_that_is_meant(record: Record) -> None:
    first = record.document()
    replaced = keyed(record, 1, {}, "m8")
    with pytest.raises(RecordError, match="meter m1: is stored and not in the file"):
        record.store_document(replaced, now=9_000, keep_meters=True)
    record.store_document(replaced, now=9_000)
    more = record.document()
    more["members"][0]["meters"] += first["members"][0]["meters"]
    with pytest.raises(RecordError, match="meter m1: was taken out, the file has it"):
        record.store_document(more, now=9_000, keep_meters=True)
    assert record.store_document(more, now=9_000) == ["members"]
    more["members"][1]["meters"] += [{"meter": "m7", "kid": 1, "since": 900_000}]
    assert record.store_document(more, now=9_000, keep_meters=True) == ["members"], "a new meter is nobody's loss"
