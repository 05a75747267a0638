"""influxdb-client's `/api/v2/write` against a real endpoint of another maker: every figure arrives."""

from __future__ import annotations

import json

import pytest

from market.series import FlowPoint, HealthPoint, ReadingPoint, SeriesError
from market.series.influx import InfluxSeries
from tests.market.series.test_series import COMMUNITY, HOUSEHOLD, later, partner
from tests.servers import VictoriaServer

FLOW = FlowPoint(HOUSEHOLD.start, 900, "n12", -250, 19_000, 0)
READING = ReadingPoint(HOUSEHOLD.start, 900, "m001", "h001", 2**40, 5, 6, 7, 0)
HEALTH = HealthPoint(HOUSEHOLD.start, 900, 12, 11, 30, 4_711, 0)


def held(server: VictoriaServer, community: str) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(series, tags as text) -> (second, value), of all that a community wrote."""
    found = {}
    for text in server.export(f'{{community="{community}"}}').decode().splitlines():
        row = json.loads(text)
        metric = row["metric"]
        tags = ",".join(f"{k}={v}" for k, v in sorted(metric.items()) if k not in ("__name__", "community", "db"))
        values = zip(row["timestamps"], row["values"], strict=True)
        found[metric["__name__"], tags] = [(stamp // 1000, value) for stamp, value in values]
    return found


def test_every_kind_of_point_arrives(victoria: VictoriaServer) -> None:
    series = InfluxSeries.with_token(victoria.url, "any", "pumasi", "street", "kinds")
    series.write([HOUSEHOLD, later(HOUSEHOLD, 1), partner("h002", 1, 2), COMMUNITY, FLOW, READING, HEALTH])
    series.close()
    found = held(victoria, "kinds")
    start = HOUSEHOLD.start
    assert found["pumasi_household_trade_money", "household=h001,length=900"] == [
        (start, HOUSEHOLD.trade_money),
        (start + 900, HOUSEHOLD.trade_money),
    ]
    assert found["pumasi_partner_sold_wh", "household=h001,length=900,partner=h002"] == [(start, 2)]
    assert found["pumasi_flow_flow_wh", "length=900,node=n12"] == [(start, -250)]
    assert found["pumasi_flow_price_ticks", "length=900,node=n12"] == [(start, 19_000)]
    assert found["pumasi_reading_import_wh", "household=h001,length=900,meter=m001"] == [(start, 2**40)]
    assert found["pumasi_health_closed_after_s", "length=900"] == [(start, 30)]
    assert found["pumasi_community_welfare", "length=900"] == [(start, COMMUNITY.welfare)]


def test_what_it_refuses_is_one_line(victoria: VictoriaServer) -> None:
    series = InfluxSeries.with_token(f"{victoria.url}/nothing-here", "any", "pumasi", "street", "refused")
    with pytest.raises(SeriesError, match="InfluxDB at"):
        series.write([COMMUNITY])
    series.close()
