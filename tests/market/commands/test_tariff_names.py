"""A community's file may name a built-in tariff; what is stored is its content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from market.commands.community import read_community
from market.commands.errors import CommandError
from tests.market.billed import community


def test_a_built_in_tariff_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "community.json"
    document = community(timezone="Asia/Seoul", interval_s=3600)
    document["tariffs"] = {"home": "kr-residential-low-2024", "solar": "kr-residential-low-2024-net"}
    for member in document["members"]:
        member["meters"][0]["since"] = 3600
    path.write_text(json.dumps(document))
    assert read_community(path)["tariffs"]["home"]["name"] == "kr-residential-low-2024"
    path.write_text(json.dumps(document | {"tariffs": {"home": "moon", "solar": "moon"}}))
    with pytest.raises(
        CommandError, match=r"community.json: tariffs: home: 'moon' is no built-in tariff; there are at-"
    ):
        read_community(path)
    path.write_text(json.dumps(document | {"promise": "interval"}))
    with pytest.raises(CommandError, match="tariffs: solar: from 300 kWh a month on the base charge steps from 910"):
        read_community(path)
