"""Every payload that must be refused, refused for the right reason."""

from __future__ import annotations

import json

import msgspec
import pytest

from broker.contract import Reading, Status, parse_topic, topic

GOOD = {
    "v": 1,
    "kid": 1,
    "outbox": "0123456789abcdef",
    "seq": 0,
    "first": 0,
    "start": 1468180800,
    "length": 900,
    "import_wh": 1,
    "export_wh": 2,
    "generation_wh": 3,
    "consumption_wh": 2**53 - 1,
    "flags": [],
    "mac": "0" * 64,
}


def test_a_good_reading_is_read() -> None:
    reading = msgspec.json.decode(json.dumps(GOOD), type=Reading)
    assert (reading.import_wh, reading.consumption_wh) == (1, 2**53 - 1)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("v", 2),
        ("kid", 0),
        ("outbox", "ABCDEF0123456789"),
        ("seq", -1),
        ("start", 1.5),
        ("start", "1468180800"),
        ("length", 0),
        ("import_wh", -1),
        ("import_wh", 2**53),
        ("import_wh", True),
        ("import_wh", float("nan")),
        ("flags", ["a" * 17]),
        ("flags", ["x"] * 9),
        ("mac", "0" * 63),
        ("mac", "0" * 64 + "\n"),
        ("flags", ["estimated\n"]),
        ("surprise", 1),
    ],
)
def test_a_bad_member_is_refused(member: str, value: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(json.dumps(GOOD | {member: value}), type=Reading)


def test_a_newer_status_is_still_read() -> None:
    assert msgspec.json.decode(b'{"v":1,"online":true,"uptime_s":5}', type=Status).online


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (topic("rural3", "m001", "reading"), ("rural3", "m001", "reading")),
        ("pumasi/1/rural3/m001", None),
        ("pumasi/2/rural3/m001/reading", None),
        ("pumasi/1/Rural/m001/reading", None),
        ("pumasi/1/rural3/" + "m" * 33 + "/reading", None),
        ("pumasi/1/rural3/_price/reading", None),
    ],
)
def test_topics(name: str, parts: tuple[str, str, str] | None) -> None:
    assert parse_topic(name) == parts
