"""What of settled figures is shown, gross, and shares that add up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.household import energy
from market.series import HouseholdPoint, HouseholdTotals
from market.series.points import totals

NOON = HouseholdPoint(
    start=1_468_234_800,
    length=900,
    household="h001",
    import_wh=60,
    export_wh=500,
    generation_wh=800,
    consumption_wh=360,
    bought_wh=40,
    sold_wh=200,
    heard=True,
    trade_money=3_000_000,
    residual_money=1_800_000,
    alone_money=2_200_000,
    revision=0,
    received_wh=10,
    given_wh=50,
)


def test_energy_is_gross_and_adds_up() -> None:
    found = energy.energy_of(NOON)
    assert found == energy.Energy(800, 360, 300, 40, 200, 20, 300, 10, 50)
    assert found.own_wh + found.bought_wh + found.from_grid_wh == found.use_wh
    assert found.own_wh + found.sold_wh + found.to_grid_wh == found.generation_wh
    assert (found.import_wh, found.export_wh) == (60, 500)
    assert energy.energy_of(totals([NOON, replace(NOON, start=NOON.start + 900)])).use_wh == 720


def test_flow_is_mean_power() -> None:
    assert energy.flow(NOON) == energy.Flow(3_200, 1_440, 160, 800, 80, 1_200, 40, 200)
    assert energy.flow(replace(NOON, length=3600)).generation_w == 800


def test_gauges_say_what_they_are_made_of() -> None:
    sufficiency = energy.self_sufficiency(energy.energy_of(NOON))
    consumption = energy.self_consumption(energy.energy_of(NOON))
    assert sufficiency is not None and consumption is not None
    assert (sufficiency.wh, sufficiency.whole_wh, sufficiency.percent) == (340, 360, 94)
    assert [(part.kind, part.wh, part.percent) for part in sufficiency.parts] == [
        ("own", 300, 83),
        ("bought", 40, 11),
        ("grid", 20, 6),
    ]
    assert (consumption.wh, consumption.whole_wh, consumption.percent) == (300, 800, 38)
    assert [(part.kind, part.wh) for part in consumption.parts] == [("own", 300), ("sold", 200), ("grid", 300)]


def test_nothing_has_no_share() -> None:
    nothing = energy.energy_of(HouseholdTotals())
    assert energy.self_sufficiency(nothing) is None
    assert energy.self_consumption(nothing) is None


@pytest.mark.parametrize("parts", [(1, 1, 1), (1, 0, 0), (999, 1, 0), (3, 5, 11), (1, 10**12, 1)])
def test_shares_add_up_to_the_whole(parts: tuple[int, ...]) -> None:
    found = energy.shares([(str(i), wh) for i, wh in enumerate(parts)])
    assert sum(share.percent for share in found) == 100
    assert sum(share.permille for share in found) == 1000
    assert [share.begin for share in found] == [sum(s.permille for s in found[:i]) for i in range(len(found))]
