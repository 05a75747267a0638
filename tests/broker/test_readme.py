"""The commands of broker/README.md, in its order, on a store."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from market.commands.main import parser
from tests.broker.stores import document, pumasi

README = Path(__file__).parents[2] / "broker" / "README.md"
RUNS_FOR_EVER = ("broker run", "market run")


def commands() -> list[list[str]]:
    lines = [line.strip() for line in README.read_text().splitlines() if line.startswith("    pumasi ")]
    return [shlex.split(line)[1:] for line in lines]


def test_every_command_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("community.json").write_text(json.dumps(document(2)))
    Path("settings.json").write_text('{"limits": {"power_w": 11000}}')
    ran = 0
    for words in commands():
        if " ".join(words[:2]) in RUNS_FOR_EVER:
            parser().parse_args(words)
        else:
            done = pumasi(*words)
            assert (done.status, words) == (0, words), done.errors
            ran += 1
    assert ran >= 15
    assert {path.name for path in Path("labels").iterdir()} == {"m001.png", "m001.svg", "m002.png", "m002.svg"}


def test_links_lead_somewhere_and_files_are_there() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (README.parent / target).exists(), target
    table = text[text.index("## The files") :]
    named = set(re.findall(r"`(\w+\.(?:py|yaml|json))`", table)) - {"config.json"}
    kept = {path.name for path in README.parent.iterdir() if path.suffix in (".py", ".yaml", ".json")}
    assert named == kept - {"__init__.py"}
