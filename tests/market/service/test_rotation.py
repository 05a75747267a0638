"""A meter's next key: good together with the one before until a reading under it is stored, over any restart."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import settings
from broker.contract import topic
from broker.keys import derive_key, rotate, sign, verify
from market.record import Record
from market.service.configs import Configs
from market.service.ingest import Ingest, Message
from tests.market.bodies import COMMUNITY, TARIFFS

MASTER = bytes(range(32))
SINCE, NOW = 900_000, 909_000
NONCE = "5a" * 16
FIRST = derive_key(MASTER, "c", "m1", 1)
SECOND = rotate(FIRST, "c", "m1", 2, NONCE)
ANEW = derive_key(MASTER, "c", "m1", 2)


def bodies(kid: int = 1, nonces: dict[str, str] | None = None) -> dict[str, Any]:
    meter: dict[str, Any] = {"meter": "m1", "kid": kid, "since": SINCE}
    if nonces:
        meter["nonces"] = nonces
    return {
        "community": COMMUNITY,
        "tariffs": TARIFFS,
        "network": [{"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"}],
        "members": [{"household": "h1", "node": "root", "tariff": "standard", "meters": [meter]}],
        "offers": {},
    }


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record(tmp_path)
    record.store_inputs(copy.deepcopy(bodies()), 0)
    yield record
    record.close()


class Meter:
    """Sends one reading after the other, each under the key it is told."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest, self._step = ingest, 0

    def send(self, kid: int, key: bytes, step: int | None = None) -> tuple[str, list[Message], list[str]]:
        """The outcome, the acks, and whether the market found it rotated."""
        step = self._step if step is None else step
        body = {
            "v": 1, "kid": kid, "outbox": "0123456789abcdef", "seq": step, "first": 0, "start": SINCE + 900 * step,
            "length": 900, "import_wh": 0, "export_wh": 0, "generation_wh": 0, "consumption_wh": 0, "flags": [],
        }  # fmt: skip
        name = topic("c", "m1", "reading")
        batch = self._ingest.store(
            [Message(name, sign(key, name, json.dumps(body).encode()))], now=NOW, closed_before=0
        )
        (outcome,) = batch.outcomes
        self._step += outcome == "stored"
        return outcome, batch.acks, batch.rotated


def kid_of(ack: Message) -> int:
    return int(json.loads(ack.payload)["kid"])


def test_both_keys_are_good_until_the_new_one_was_used(record: Record) -> None:
    ingest = Ingest(record, MASTER)
    meter = Meter(ingest)
    assert meter.send(1, FIRST)[0] == "stored"
    assert meter.send(2, SECOND)[0] == "unknown-key"
    record.store_inputs(bodies(2, {"2": NONCE}), 0)
    ingest.learn()
    assert ingest.keys.good("m1") == (2, 1)
    outcome, acks, rotated = meter.send(1, FIRST)
    assert (outcome, kid_of(acks[0]), rotated) == ("stored", 1, [])
    assert [kid_of(ack) for ack in ingest.acks()] == [1]
    outcome, acks, rotated = meter.send(2, SECOND)
    assert (outcome, kid_of(acks[0]), rotated) == ("stored", 2, ["m1"])
    assert verify(SECOND, acks[0].topic, acks[0].payload)
    assert [kid_of(ack) for ack in ingest.acks()] == [2]
    assert meter.send(1, FIRST)[0] == "unknown-key"
    assert meter.send(2, SECOND)[2] == []
    assert meter.send(2, ANEW)[0] == "forged"


def test_a_restart_forgets_nothing_of_it(record: Record) -> None:
    meter = Meter(Ingest(record, MASTER))
    meter.send(1, FIRST)
    record.store_inputs(bodies(2, {"2": NONCE}), 0)
    before = Ingest(record, MASTER)
    assert before.keys.good("m1") == (2, 1)
    assert before.keys.nonce("m1") == NONCE
    assert Meter(before).send(2, SECOND, step=1)[0] == "stored"
    after = Ingest(record, MASTER)
    assert after.keys.good("m1") == (2,)
    assert after.keys.nonce("m1") is None


def test_the_backlog_of_before_may_be_sealed_with_the_new_key(record: Record) -> None:
    """A meter seals when it sends: what it measured under the old key comes under the new one."""
    record.store_inputs(bodies(2, {"2": NONCE}), NOW - 900)
    ingest = Ingest(record, MASTER)
    assert Meter(ingest).send(2, SECOND)[0] == "stored"  # an interval that members of before apply to


def test_only_a_stored_reading_ends_the_old_key(record: Record) -> None:
    ingest = Ingest(record, MASTER)
    meter = Meter(ingest)
    meter.send(1, FIRST)
    record.store_inputs(bodies(2, {"2": NONCE}), 0)
    assert meter.send(2, bytes(32))[0] == "forged"
    assert meter.send(2, SECOND, step=0)[0] == "duplicate"
    assert ingest.keys.good("m1") == (2, 1)


def test_a_key_that_was_made_anew_ends_the_old_one_at_once(record: Record) -> None:
    ingest = Ingest(record, MASTER)
    meter = Meter(ingest)
    meter.send(1, FIRST)
    record.store_inputs(bodies(2), 0)
    assert meter.send(1, FIRST)[0] == "unknown-key"
    assert meter.send(2, SECOND)[0] == "forged"
    assert meter.send(2, ANEW)[0] == "stored"


def test_what_older_keys_have_sealed_can_be_checked_for_ever(record: Record) -> None:
    record.store_inputs(bodies(2, {"2": NONCE}), 0)
    record.store_inputs(bodies(3, {"2": NONCE}), 0)
    keys = Ingest(record, MASTER).keys
    assert keys.good("m1") == (3,)
    assert [keys.key("m1", kid) for kid in (1, 2, 3)] == [FIRST, SECOND, derive_key(MASTER, "c", "m1", 3)]


def test_a_replaced_meter_still_delivers_what_it_measured(record: Record) -> None:
    ingest = Ingest(record, MASTER)
    meter = Meter(ingest)
    meter.send(1, FIRST)
    without = bodies()
    without["members"][0]["meters"] = [{"meter": "m2", "kid": 1, "since": SINCE + 1800}]
    record.store_inputs(without, SINCE + 1800)
    assert meter.send(1, FIRST)[0] == "stored"
    assert meter.send(1, FIRST)[0] == "misaligned"


# config messages


def test_the_nonce_goes_out_until_the_meter_has_its_next_key(record: Record, tmp_path: Path) -> None:
    ingest = Ingest(record, MASTER)
    told: list[str] = []
    configs = Configs(tmp_path, "c", ingest.keys, told.append)
    assert configs.every() == []
    record.store_inputs(bodies(2, {"2": NONCE}), 0)
    settings.change(tmp_path, "m1")
    ingest.learn()
    assert configs.changed() and not configs.changed()
    (message,) = configs.changes()
    assert configs.changes() == []
    assert (message.topic, verify(FIRST, message.topic, message.payload)) == ("pumasi/1/c/m1/config", True)
    body = json.loads(message.payload)
    assert (body["kid"], body["version"], body["nonce"]) == (1, 1, NONCE)
    assert configs.every() == [message]
    assert Meter(ingest).send(2, SECOND)[2] == ["m1"]
    (message,) = configs.changes()
    assert verify(SECOND, message.topic, message.payload)
    body = json.loads(message.payload)
    assert (body["kid"], body["version"], "nonce" in body) == (2, 1, False)


def test_settings_that_cannot_be_read_are_told_and_the_old_ones_stay(record: Record, tmp_path: Path) -> None:
    ingest = Ingest(record, MASTER)
    told: list[str] = []
    settings.change(tmp_path, "m1", home_assistant=True)
    configs = Configs(tmp_path, "c", ingest.keys, told.append)
    before = configs.every()
    settings.path(tmp_path).write_text("{")
    assert not configs.changed()
    assert told and told[0].startswith("meters keep the settings they have: ")
    assert configs.every() == before
