"""Every kind of message has its named outcome, and none stops ingest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.contract import Reading, topic
from broker.keys import derive_key, sign, verify
from market.record import MeterStatus, Record
from market.service.ingest import Ingest, Message
from tests.market.bodies import COMMUNITY, TARIFFS

MASTER = bytes(range(32))
SINCE, NOW = 900_000, 909_000
BODIES: dict[str, Any] = {
    "community": COMMUNITY,
    "tariffs": TARIFFS,
    "network": [{"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"}],
    "members": [
        {
            "household": "h1",
            "node": "root",
            "tariff": "standard",
            "meters": [{"meter": "m1", "kid": 1, "since": SINCE, "import_wh": 1_000}],
        },
        {
            "household": "h2",
            "node": "root",
            "tariff": "standard",
            "meters": [{"meter": "m2", "kid": 3, "since": SINCE}],
        },
    ],
    "offers": {},
}


def message(meter: str = "m1", kid: int = 1, key: bytes | None = None, **members: Any) -> Message:
    body: dict[str, Any] = {
        "v": 1,
        "kid": kid,
        "outbox": "0123456789abcdef",
        "seq": 0,
        "first": 0,
        "start": SINCE,
        "length": 900,
        "import_wh": 1_000,
        "export_wh": 0,
        "generation_wh": 0,
        "consumption_wh": 0,
        "flags": [],
    } | members
    name = topic("c", meter, "reading")
    return Message(name, sign(key or derive_key(MASTER, "c", meter, kid), name, json.dumps(body).encode()))


@pytest.fixture
def record(store: Path) -> Iterator[Record]:
    record = Record(store)
    record.store_inputs(BODIES, now=0)
    yield record
    record.close()


@pytest.fixture
def ingest(record: Record) -> Ingest:
    return Ingest(record, MASTER)


def outcomes(ingest: Ingest, *messages: Message, closed_before: int = SINCE) -> list[str]:
    return [
        name
        for one in messages
        for name in ingest.store([one], now=NOW, closed_before=closed_before).outcomes.elements()
    ]


REFUSED = [
    (Message("pumasi/1/c/m1/reading", b"{" + b" " * 1024), "oversized"),
    (Message("pumasi/1/c/m1/reading", b"{"), "malformed"),
    (Message("pumasi/1/c/m1/reading", b"\xff\xfe"), "malformed"),
    (Message("pumasi/1/c/m1/reading", b""), "malformed"),
    (Message("pumasi/1/c/m1/elsewhere", message().payload), "malformed"),
    (Message("nonsense", message().payload), "malformed"),
    (message(import_wh=-1), "malformed"),
    (message(import_wh=float("nan")), "malformed"),
    (message(surprise=1), "malformed"),
    (message("m9"), "unknown-meter"),
    (Message("pumasi/1/d/m1/reading", message().payload), "unknown-meter"),
    (message("m2", kid=1), "unknown-key"),
    (message(key=bytes(32)), "forged"),
    (Message("pumasi/1/c/m2/reading", message(kid=3).payload), "forged"),
    (message(seq=3, first=4), "malformed"),
    (message(seq=4096), "too-far-ahead"),
    (message(seq=2**53 - 1), "too-far-ahead"),
    (message(start=SINCE + 1), "misaligned"),
    (message(length=300), "misaligned"),
    (message(start=SINCE - 900), "misaligned"),
    (message(start=NOW + 900), "early"),
    (message(import_wh=999), "impossible"),
    (message(import_wh=1_000 + 250_001), "impossible"),
]


@pytest.mark.parametrize(("refused", "name"), REFUSED, ids=lambda v: v if isinstance(v, str) else None)
def test_each_bad_message_has_its_name_and_is_kept_raw(
    ingest: Ingest, record: Record, refused: Message, name: str
) -> None:
    assert outcomes(ingest, refused) == [name]
    assert record.outcomes() == {name: 1}
    assert record.reading_count() == 0
    kept = record._db.execute("SELECT outcome, payload FROM quarantine").fetchall()
    assert kept == [(name, refused.payload[:1024])]
    assert outcomes(ingest, message()) == ["stored"], "ingest goes on"


def test_only_a_good_seal_moves_the_outbox(ingest: Ingest) -> None:
    for refused, name in REFUSED:
        authentic = name in ("misaligned", "impossible")
        batch = ingest.store([refused], now=NOW, closed_before=SINCE)
        assert bool(batch.acks) == authentic, name


def test_the_ack_is_for_the_meter_and_sealed(ingest: Ingest) -> None:
    batch = ingest.store([message(), message(start=SINCE + 900, seq=1)], now=NOW, closed_before=SINCE)
    (ack,) = batch.acks
    assert ack.topic == "pumasi/1/c/m1/ack"
    assert verify(derive_key(MASTER, "c", "m1", 1), ack.topic, ack.payload)
    body = json.loads(ack.payload)
    assert {name: body[name] for name in ("v", "kid", "outbox", "next")} == {
        "v": 1,
        "kid": 1,
        "outbox": "0123456789abcdef",
        "next": 2,
    }
    assert batch.stored == [(SINCE, "m1"), (SINCE + 900, "m1")]


def test_a_duplicate_is_acknowledged_again_and_stored_once(ingest: Ingest, record: Record) -> None:
    again = message(seq=4, first=4)
    assert outcomes(ingest, message(seq=4), message(seq=4), again) == ["stored", "duplicate", "duplicate"]
    assert record.reading_count() == 1
    assert len(ingest.store([again], now=NOW, closed_before=SINCE).acks) == 1


def test_a_second_reading_for_an_interval_is_kept_beside_the_first(ingest: Ingest, record: Record) -> None:
    assert outcomes(ingest, message(), message(import_wh=1_001, seq=1)) == ["stored", "conflicting"]
    assert record.registers(SINCE, 900, record.horizon())["m1", SINCE].import_wh == 1_000


def test_registers_never_run_backwards_between_their_neighbours(ingest: Ingest) -> None:
    got = outcomes(
        ingest,
        message(start=SINCE, import_wh=1_100),
        message(start=SINCE + 1800, import_wh=1_300, seq=2),
        message(start=SINCE + 900, import_wh=1_301, seq=1),
        message(start=SINCE + 2700, import_wh=1_299, seq=3),
        message(start=SINCE + 900, import_wh=1_300, seq=4),
    )
    assert got == ["stored", "stored", "impossible", "impossible", "stored"]


def test_a_reading_after_its_gate_is_late_and_stored(ingest: Ingest, record: Record) -> None:
    assert outcomes(ingest, message(), closed_before=SINCE + 900) == ["late"]
    assert record.reading_count() == 1


def test_acks_are_published_again_for_the_outbox_in_use(ingest: Ingest) -> None:
    outcomes(ingest, message(), message(outbox="f" * 16, start=SINCE + 900, import_wh=1_500))
    (ack,) = ingest.acks()
    assert json.loads(ack.payload)["outbox"] == "f" * 16


def test_what_is_stored_is_what_was_sent(ingest: Ingest, record: Record) -> None:
    sent = message(import_wh=1_234, export_wh=5, generation_wh=6, consumption_wh=7, flags=["reset"])
    outcomes(ingest, sent)
    ((meter, columns, payload),) = record.payloads()
    raw = msgspec.json.decode(payload, type=Reading)
    assert (meter, payload) == ("m1", sent.payload)
    assert (columns.import_wh, columns.export_wh, columns.generation_wh, columns.consumption_wh) == (1_234, 5, 6, 7)
    assert raw.flags == ["reset"]


def test_registers_may_run_as_long_as_the_meter_was_silent(ingest: Ingest) -> None:
    """A megawatt for a quarter of an hour is 250 kWh: more is not believed, unless it had more time."""
    assert outcomes(ingest, message(import_wh=251_000)) == ["stored"]
    after_three = message(start=SINCE + 2700, seq=1, import_wh=251_000 + 3 * 250_000)
    assert outcomes(ingest, message(start=SINCE + 900, seq=1, import_wh=501_001), after_three) == [
        "impossible",
        "stored",
    ]


def test_members_change_for_the_intervals_that_start_after_it(ingest: Ingest, record: Record) -> None:
    """h1's meter is replaced and h2 leaves at SINCE + 1800; what the old meters measured before still counts."""
    later = {
        "members": [
            {
                "household": "h1",
                "node": "root",
                "tariff": "standard",
                "meters": [{"meter": "m3", "kid": 1, "since": SINCE + 1800}],
            }
        ]
    }
    record.store_inputs(BODIES | later, now=SINCE + 1800)
    ingest.learn()
    assert outcomes(
        ingest,
        message("m1", start=SINCE + 900),
        message("m3", start=SINCE + 1800),
        message("m2", kid=3, start=SINCE),
        message("m1", start=SINCE + 1800, seq=1),
        message("m3", start=SINCE + 900),
    ) == ["stored", "stored", "stored", "misaligned", "misaligned"]
    assert {json.loads(ack.payload)["next"] for ack in ingest.acks()} == {1, 2}


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        (b'{"v":1,"online":true,"firmware":"\xff"}', "malformed"),
        (b'{"v":1,"online":true,"x":' + b"[" * 900, "malformed"),
        (b"\x00", "malformed"),
        (b" " * 1025, "oversized"),
    ],
)
def test_a_bad_status_is_counted_and_harmless(ingest: Ingest, record: Record, payload: bytes, outcome: str) -> None:
    assert ingest.status(Message("pumasi/1/c/m1/status", payload)) is None
    assert ingest.status(Message("pumasi/1/c/m9/status", b'{"v":1,"online":true}')) is None
    ingest.store_statuses(NOW)
    assert record.outcomes() == {outcome: 1, "unknown-meter": 1}
    assert record.statuses() == {}
    assert ingest.status(Message("pumasi/1/c/m1/status", b'{"v":1,"online":false}')) == ("m1", False)


def test_what_meters_say_of_themselves_is_kept(ingest: Ingest, record: Record, store: Path) -> None:
    def say(meter: str, now: int, *saids: dict[str, Any]) -> None:
        for said in saids:
            payload = json.dumps({"v": 1, **said}).encode()
            assert ingest.status(Message(f"pumasi/1/c/{meter}/status", payload)) == (meter, said["online"])
        ingest.store_statuses(now)

    healthy = {"online": True, "firmware": "0.2.0", "rssi": -61, "outbox": 2, "boots": 3, "odd": [1]}
    say("m1", NOW, healthy)
    say("m2", NOW, {"online": False})
    reader = Record(store, read_only=True)
    found = reader.statuses()
    assert found.keys() == {"m1", "m2"}
    assert (found["m1"].received_at, found["m1"].online) == (NOW, True)
    assert {"firmware": "0.2.0", "rssi": -61, "outbox": 2, "boots": 3}.items() <= found["m1"].said.items()
    assert "odd" not in found["m1"].said
    assert found["m2"] == MeterStatus(NOW, False, {})
    # What the broker kept comes again at every connection: it is no news.
    say("m1", NOW + 60, healthy)
    say("m2", NOW + 60, {"online": False})
    assert reader.statuses() == found
    # Its last will does not undo what it said; one that says both within a second has said both.
    say("m1", NOW + 120, {"online": False})
    say("m2", NOW + 120, {"online": True, "firmware": "0.1.7"}, {"online": False})
    assert reader.statuses()["m1"] == MeterStatus(NOW + 120, False, found["m1"].said)
    assert reader.statuses()["m2"].said["firmware"] == "0.1.7"
    assert not reader.statuses()["m2"].online
    say("m1", NOW + 180, healthy)
    assert reader.statuses()["m1"] == MeterStatus(NOW + 180, True, found["m1"].said)
    reader.close()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=1100), name=st.sampled_from(["pumasi/1/c/m1/reading", "x", "pumasi/1//m1/reading"]))
def test_no_bytes_stop_ingest(ingest: Ingest, data: bytes, name: str) -> None:
    batch = ingest.store([Message(name, data)], now=NOW, closed_before=SINCE)
    assert sum(batch.outcomes.values()) == 1
    assert not batch.acks and not batch.stored


def test_a_meter_begins_no_more_outboxes_than_its_bound(
    ingest: Ingest, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flash is initialised a few times in its life; a stolen key cannot fill the record with outboxes."""
    monkeypatch.setattr("market.record.messages.OUTBOX_BOUND", 3)
    sent = [message(outbox=f"{i:016x}", start=SINCE + 900 * i, import_wh=1_000 + i) for i in range(5)]
    batch = ingest.store(sent, now=NOW, closed_before=SINCE)
    assert batch.outcomes == {"stored": 3, "too-many-outboxes": 2}
    assert len(batch.acks) == 3, "what is not kept is not acknowledged"
    known = message(outbox=f"{2:016x}", start=SINCE + 900 * 3, seq=1, import_wh=1_003)
    assert outcomes(ingest, known, message("m2", kid=3, import_wh=0)) == ["stored", "stored"]
    assert record.outcomes() == {"stored": 5, "too-many-outboxes": 2}


def test_a_meters_refused_readings_are_kept_up_to_its_bound(
    ingest: Ingest, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past it they are counted, neither kept nor acknowledged; good ones are stored as ever, of others too."""
    monkeypatch.setattr("market.record.messages.QUARANTINE_BOUND", 3)
    refused = [message(length=300, seq=seq) for seq in range(5)]
    batch = ingest.store(refused, now=NOW, closed_before=SINCE)
    assert batch.outcomes == {"misaligned": 3, "quarantine-full": 2}
    assert json.loads(batch.acks[0].payload)["next"] == 3
    assert record._db.one("SELECT count(*) FROM quarantine")[0] == 3
    assert outcomes(ingest, message("m2", kid=3, length=300), message(seq=3)) == ["misaligned", "stored"]
    assert outcomes(ingest, message(start=SINCE - 900, seq=4)) == ["quarantine-full"]


def test_a_refused_reading_that_comes_again_is_kept_once(ingest: Ingest, record: Record) -> None:
    wrong = message(length=300)
    assert outcomes(ingest, wrong, wrong, wrong) == ["misaligned"] * 3
    assert record._db.one("SELECT count(*) FROM quarantine")[0] == 1


def test_members_that_another_process_stores_are_known_at_the_next_batch(
    ingest: Ingest, record: Record, store: Path
) -> None:
    other = Record(store)
    joined = {
        "household": "h3",
        "node": "root",
        "tariff": "standard",
        "meters": [{"meter": "m3", "kid": 1, "since": SINCE}],
    }
    assert outcomes(ingest, message("m3")) == ["unknown-meter"]
    other.store_inputs(BODIES | {"members": [*BODIES["members"], joined]}, now=SINCE + 900)
    other.close()
    assert outcomes(ingest, message("m3", start=SINCE + 900)) == ["stored"]
    assert outcomes(ingest, message("m3")) == ["misaligned"], "it was no member then"
