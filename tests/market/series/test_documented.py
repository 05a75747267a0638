"""docs/series.md names every measurement, tag and field; docs/grafana.json asks only for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from market.series import FlowPoint, HealthPoint, ReadingPoint
from market.series.influx import InfluxSeries
from market.series.lines import MEASUREMENT, field_names, tag_names
from tests.market.series.test_series import COMMUNITY, HOUSEHOLD, partner
from tests.servers import InfluxDatabase, InfluxServer

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_is_what_is_written() -> None:
    table = {}
    for row in re.findall(r"^\| `(pumasi_\w+)` \|(.*)\|(.*)\|$", (DOCS / "series.md").read_text(), re.MULTILINE):
        name, tags, fields = row
        table[name] = (set(re.findall(r"`(\w+)`", tags)), set(re.findall(r"`(\w+)`", fields)))
    assert table == {
        measurement: (set(tag_names(kind)) - {"length"}, set(field_names(kind)))
        for kind, measurement in MEASUREMENT.items()
    }


def test_every_query_of_the_grafana_dashboard_finds_something(
    influxdb: InfluxDatabase, influxdb_server: InfluxServer
) -> None:
    start = HOUSEHOLD.start
    series = InfluxSeries.with_password(influxdb.url, influxdb.user, influxdb.password, influxdb.database, "rural3")
    flow, reading = FlowPoint(start, 900, "n1", 5, 1, 0), ReadingPoint(start, 900, "m001", "h001", 1, 2, 3, 4, 0)
    series.write(
        [HOUSEHOLD, COMMUNITY, partner("h002", 1, 2), flow, reading, HealthPoint(start, 900, 12, 11, 30, 9, 0)]
    )
    series.close()
    board = json.loads((DOCS / "grafana.json").read_text())
    queries = [target["query"] for panel in board["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in board["templating"]["list"]]
    assert len(queries) > 15
    given = {"$community": "rural3", "$household": "h001", "$node": "n1", "$__interval": "1h"}
    given["$timeFilter"] = f"time >= {start}s AND time < {start + 900}s"
    for query in queries:
        for name, value in given.items():
            query = query.replace(name, value)
        assert "$" not in query
        use = {"db": influxdb.database}
        found = json.loads(influxdb_server.query(query, **use))["results"][0]
        assert found.get("series"), query
        assert any(value is not None for row in found["series"][0]["values"] for value in row[1:]), query
