"""A meter's configuration version only rises, and no message is longer than the contract allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker import settings
from broker.keys import verify
from broker.settings import Part
from broker.site import SiteError

KEY = bytes(32)
FIRMWARE = {"version": "0.2.0", "path": "/firmware/0.2.0", "size": 180_000, "sha256": "0" * 64}


def test_nothing_is_said_before_anything_was_set(tmp_path: Path) -> None:
    assert settings.load(tmp_path).of("m001") == Part()
    assert settings.config_message(Part(), "rural3", "m001", 1, KEY, None) is None


def test_versions_rise_for_whom_something_changed_and_no_one_else(tmp_path: Path) -> None:
    def versions() -> tuple[int, int]:
        now = settings.load(tmp_path)
        return now.of("m001").version, now.of("m002").version

    assert settings.change(tmp_path, "m001", limits={"power_w": 9_000}) == 1
    assert versions() == (1, 0)
    assert settings.change(tmp_path, None, firmware=FIRMWARE) == 2
    assert versions() == (2, 2)
    assert settings.change(tmp_path, "m002", home_assistant=True) == 3
    assert versions() == (2, 3)
    assert settings.change(tmp_path, "m001") == 4  # says the same once more
    assert versions() == (4, 3)


def test_a_meters_own_settings_win_and_can_be_taken_out(tmp_path: Path) -> None:
    settings.change(tmp_path, None, home_assistant=False, limits={"power_w": 1})
    settings.change(tmp_path, "m001", home_assistant=True)
    assert settings.load(tmp_path).of("m001").members == {"home_assistant": True, "limits": {"power_w": 1}}
    settings.change(tmp_path, "m001", home_assistant=None)
    assert settings.load(tmp_path).of("m001").members == {"home_assistant": False, "limits": {"power_w": 1}}


def test_the_message_is_sealed_under_the_meters_key(tmp_path: Path) -> None:
    settings.change(tmp_path, "m001", firmware=FIRMWARE)
    part = settings.load(tmp_path).of("m001")
    message = settings.config_message(part, "rural3", "m001", 3, KEY, "ab" * 16)
    assert message is not None
    name, payload = message
    assert name == "pumasi/1/rural3/m001/config"
    assert verify(KEY, name, payload)
    body = json.loads(payload)
    del body["mac"]
    assert body == {"v": 1, "kid": 3, "version": 1, "nonce": "ab" * 16, "firmware": FIRMWARE}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"kid": 2}, "kid: no member of a config message"),
        ({"interval_s": 0}, r"Expected `int` >= 1 - at `\$.interval_s`"),
        ({"firmware": {**FIRMWARE, "path": "/firmware/../key"}}, r"at `\$.firmware.path`"),
        ({"firmware": {**FIRMWARE, "extra": 1}}, r"unknown field `extra`"),
        ({"sensors": []}, r"at `\$.sensors`"),
        ({"limits": {"power_w": -1}}, r"at `\$.limits"),
        ({"sensors": [{"role": "grid", "text": "x" * 900}]}, r"of m001 would be \d+ bytes; 1024 are allowed"),
    ],
)
def test_what_meters_cannot_take_is_refused_and_not_stored(
    tmp_path: Path, members: dict[str, Any], reason: str
) -> None:
    settings.change(tmp_path, "m001", limits={"power_w": 2})
    before = settings.path(tmp_path).read_bytes()
    with pytest.raises(SiteError, match=reason):
        settings.change(tmp_path, "m001", **members)
    assert settings.path(tmp_path).read_bytes() == before


def test_a_change_for_all_is_refused_when_it_is_too_long_for_one(tmp_path: Path) -> None:
    settings.change(tmp_path, "m001", sensors=[{"role": "grid", "text": "x" * 600}])
    with pytest.raises(SiteError, match="of m001 would be"):
        settings.change(tmp_path, None, firmware={**FIRMWARE}, limits={f"limit_{n}": 2**31 - 1 for n in range(8)})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    settings.change(tmp_path, "m001")
    settings.path(tmp_path).write_text("{")
    with pytest.raises(SiteError, match=r"settings\.json: "):
        settings.load(tmp_path)
