"""docs/community.md: every example is a community that can be settled, and every member is described."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from market.commands.community import VERSION
from market.settlement import document as written
from market.settlement.rules import parse, split
from market.tariff_files import with_built_ins

PAGE = (Path(__file__).parents[3] / "docs/community.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
SECTIONS = {
    "The community": written.Document,
    "deadlines": written.Deadlines,
    "network": written.Node,
    "members": written.Member,
    "meters": written.Meter,
}


def test_the_smallest_is_a_whole_community() -> None:
    rules = parse(split(EXAMPLES[0]))
    assert [member.household for member in rules.members] == ["h001", "h002"]
    assert msgspec.json.decode(msgspec.json.encode(EXAMPLES[0]), type=written.Document).interval_s == 900


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=lambda example: ", ".join(example))
def test_every_other_example_may_be_put_into_it(example: dict[str, Any]) -> None:
    bodies = split(with_built_ins(EXAMPLES[0] | example))
    assert parse(bodies).community == "lindenweg"
    assert bodies != split(EXAMPLES[0])


@pytest.mark.parametrize(("section", "body"), SECTIONS.items())
def test_every_member_is_described_and_no_other(section: str, body: type[msgspec.Struct]) -> None:
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    described = {
        name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    known = set(body.__struct_fields__) | ({VERSION} if body is written.Document else set())
    assert described == known


def test_what_is_said_of_defaults_is_so() -> None:
    deadlines = written.Deadlines()
    for name in written.Deadlines.__struct_fields__:
        (row,) = re.findall(rf"^\| `{name}` \| .*; (\d+)(?: unless stated)? \|$", PAGE, re.MULTILINE)
        assert getattr(deadlines, name) == int(row)
