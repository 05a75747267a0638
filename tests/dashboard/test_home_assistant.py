"""The Home Assistant example of docs/dashboard.md, against the real API: each request, each template."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pytest
import yaml

from tests.dashboard.signed import People

DOCS = Path(__file__).resolve().parents[2] / "docs" / "dashboard.md"
TOKEN = "Bearer from secrets.yaml"
KNOWN = {"name", "unique_id", "value_template", "availability", "unit_of_measurement", "device_class", "state_class"}


class Reader(yaml.SafeLoader):
    """Home Assistant's own tags."""


Reader.add_constructor("!secret", lambda loader, node: TOKEN if node.value == "pumasi" else None)


def example() -> list[dict[str, Any]]:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    found: list[dict[str, Any]] = yaml.load(block, Reader)["rest"]
    return found


def value(template: str, value_json: Any) -> str:
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(value_json=value_json)


def test_every_sensor_of_the_example_gets_its_value(settled_people: People) -> None:
    script = settled_people.token("household", "h001", ["household:read"])
    values: dict[str, str] = {}
    for resource in example():
        assert resource["headers"] == {"Authorization": TOKEN}
        assert resource["scan_interval"] >= 30
        answer = script.get(urlsplit(resource["resource"]).path)
        assert answer.status_code == 200
        body = answer.json()
        for sensor in resource["sensor"] + resource["binary_sensor"]:
            assert set(sensor) <= KNOWN
            assert value(sensor.get("availability", "True"), body) == "True", sensor["name"]
            assert sensor["unique_id"] not in values
            values[sensor["unique_id"]] = value(sensor["value_template"], body)
    now = script.get("/api/1/household/h001").json()
    flow = now["live"]["latest"]["flow"]
    assert values.pop("pumasi_covered") == str(flow["bought_w"] > 0 and flow["from_grid_w"] == 0)
    assert float(values["pumasi_price"]) == now["price"]["price_ticks"] / 1e5 == 0.19
    assert float(values["pumasi_sold_today"]) == now["live"]["today_energy"]["sold_wh"] / 1000 > 0
    assert float(values["pumasi_saved_month"]) == pytest.approx(now["month_worth"]["saved_money"] / 1e8, abs=0.005)
    assert all(float(found) >= 0 for found in values.values())


@pytest.mark.parametrize(
    ("bought_w", "from_grid_w", "covered"),
    [(0, 900, "False"), (400, 500, "False"), (0, 0, "False"), (900, 0, "True")],
    ids=["nobody sells", "some of it", "nothing needed", "all of it"],
)
def test_power_of_neighbours_counts_only_where_they_had_enough(
    settled_people: People, bought_w: int, from_grid_w: int, covered: str
) -> None:
    body = settled_people.household("h001").get("/api/1/household/h001").json()
    body["live"]["latest"]["flow"] |= {"bought_w": bought_w, "from_grid_w": from_grid_w}
    (sensor,) = (one for resource in example() for one in resource["binary_sensor"])
    assert value(sensor["value_template"], body) == covered


def test_before_the_first_interval_nothing_is_made_up(settled_people: People) -> None:
    body = settled_people.household("h001").get("/api/1/household/h001").json()
    body["live"]["latest"] = None
    body["live"]["today_self_sufficiency"] = None
    for resource in example():
        for sensor in resource["sensor"] + resource["binary_sensor"]:
            if "availability" in sensor:
                assert value(sensor["availability"], body) == "False"


def test_the_scopes_and_problems_of_the_page_are_those_there_are(settled_people: People) -> None:
    from dashboard.access import ALL_SCOPES

    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+:\w+)` \|", text, re.MULTILINE)) == set(ALL_SCOPES)
    script = settled_people.token("household", "h001", ["household:read"])
    for path, problem in (("/api/1/household/h002", "not-yours"), ("/api/1/nothing", "not-found")):
        assert script.get(path).json()["problem"] == problem
        assert f"`{problem}`" in text
