"""A market that settles for the first time says when its meters cannot have what it would settle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.commands import main


def test_meters_that_count_since_long_ago_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the file that a demo leaves: its summer was years ago."""
    file = tmp_path / "community.json"
    file.write_text(json.dumps(community_document(with_homes(load_street(), 2), "c")))
    command = ["market", "run", "--store", str(tmp_path / "store"), "--community", str(file), "--broker", "127.0.0.1:9"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "nothing has been settled here yet, and meter m" in said
    assert "a meter holds 30 days" in said
