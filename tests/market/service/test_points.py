"""The series' points of a settled interval: every figure of every kind, from a result that can be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.host.community import community_document
from firmware.host.street import load_street, with_homes
from market.record.record import Gate
from market.series import CommunityPoint, FlowPoint, HealthPoint, HouseholdPoint, PartnerPoint, ReadingPoint
from market.service.points import points
from market.settlement.rules import Registers, Rules, parse, split

START = 1_468_231_200
GATE = Gate(9, START, 900, 2, START + 930, 77, {}, {})
RESULT = {
    "price_ticks": 19_000,
    "welfare": 7_000,
    "fees": 350,
    "certificate": {"primal": 5, "dual": 5, "gap": 0},
    "nodes": [
        {"node": "n1", "price_ticks": 21_000, "price_low": 20_000, "price_high": 22_000, "flow_wh": -54},
        {"node": "n2", "price_ticks": None, "price_low": None, "price_high": None, "flow_wh": 0},
    ],
    "matches": [
        {"seller": "h001", "buyer": "h002", "energy_wh": 40},
        {"seller": "h001", "buyer": "h003", "energy_wh": 5},
    ],
    "partners": [
        {"seller": "h001", "buyer": "h002", "energy_wh": 30, "gift": True},
        {"seller": "h001", "buyer": "h002", "energy_wh": 10, "gift": False},
    ],
    "households": [
        {
            "household": "h001", "heard": True, "import_wh": 1, "export_wh": 46, "generation_wh": 70,
            "consumption_wh": 25, "bought_wh": 0, "sold_wh": 45, "trade_money": 874, "residual_money": 288,
            "alone_money": 325,
        },
        {
            "household": "h002", "heard": False, "import_wh": 61, "export_wh": 0, "generation_wh": 0,
            "consumption_wh": 61, "bought_wh": 40, "sold_wh": 0, "trade_money": -128, "residual_money": -63,
            "alone_money": -183,
        },
    ],
}  # fmt: skip
REGISTERS = {("m001", START): Registers(100, 200, 300, 200), ("m001", START - 900): Registers(1, 2, 3, 2)}


@pytest.fixture(scope="module")
def rules() -> Rules:
    street = with_homes(load_street(), 3)
    document = community_document(street, "c")
    for member, since in zip(document["members"], (START, START, START + 900), strict=True):
        member["meters"][0]["since"] = since
    return parse(split(document))


def test_every_kind_of_point_of_an_interval(rules: Rules) -> None:
    assert points(GATE, rules, RESULT, REGISTERS) == [
        HouseholdPoint(START, 900, "h001", 1, 46, 70, 25, 0, 45, True, 874, 288, 325, 2, received_wh=0, given_wh=30),
        HouseholdPoint(START, 900, "h002", 61, 0, 0, 61, 40, 0, False, -128, -63, -183, 2, received_wh=30, given_wh=0),
        PartnerPoint(START, 900, "h001", "h002", 0, 40, 2),
        PartnerPoint(START, 900, "h001", "h003", 0, 5, 2),
        PartnerPoint(START, 900, "h002", "h001", 40, 0, 2),
        PartnerPoint(START, 900, "h003", "h001", 5, 0, 2),
        CommunityPoint(
            START, 900, homes=2, heard=1, energy_traded_wh=45, import_wh=62, export_wh=46, generation_wh=70,
            consumption_wh=86, welfare=7_000, certificate_gap=0, price_ticks=19_000, retail_ticks=30_000,
            feed_in_ticks=8_000, fees=350, revision=2,
        ),
        FlowPoint(START, 900, "n1", -54, 21_000, 2),
        FlowPoint(START, 900, "n2", 0, None, 2),
        ReadingPoint(START, 900, "m001", "h001", 100, 200, 300, 200, 2),
        HealthPoint(START, 900, meters=2, meters_heard=1, closed_after_s=30, readings=77, revision=2),
    ]  # fmt: skip


def test_a_meter_counts_from_its_first_interval_on(rules: Rules) -> None:
    (health,) = (
        point
        for point in points(replace(GATE, start=START - 900, closed_at=START), rules, RESULT, REGISTERS)
        if isinstance(point, HealthPoint)
    )
    assert (health.meters, health.meters_heard, health.closed_after_s) == (0, 0, 0)
