"""Two real grids, a year: the published figures (SimBench, ODbL-1.0), and the file against the package."""

from __future__ import annotations

import time
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from market.backtest import archive
from market.backtest.figures import figures
from market.backtest.grid import Element, Grid, Home, Node, meters_of, tree_of
from market.backtest.meters import Meters, between
from market.backtest.rules import agreement, rule
from market.backtest.run import Prices, settle
from market.backtest.simbench import GridError, read_grid
from market.clearing.problem import Network

PRICES = Prices(30_000, 8_000)
BERLIN = ZoneInfo("Europe/Berlin")
SECONDS = 15


@pytest.fixture(scope="module", params=archive.CODES)
def code(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def year(code: str) -> Meters:
    return meters_of(archive.read_archived(code))


PUBLISHED = {
    # grid: self-sufficiency alone -> together, change of cost [percent]. Retail 0.30, feed-in 0.08, no fees.
    "1-LV-rural3--2-sw": (4.7, 24.2, -16.4),
    "1-LV-semiurb4--2-sw": (6.1, 25.0, -15.7),
}


def test_the_published_year(code: str, year: Meters) -> None:
    assert year.intervals == 35_136
    node = np.zeros(len(year.households), np.int64)
    mid_market = rule("mid-market", agreement(year, BERLIN))
    done = settle(year, Network([-1], [-1], [0]), node, PRICES, mid_market, time.perf_counter, lambda rows: None)
    row = figures(year, PRICES, done)
    told = (100 * row.self_sufficiency_alone, 100 * row.self_sufficiency, -100 * row.saved)
    assert tuple(round(value, 1) for value in told) == PUBLISHED[code]
    assert (row.better_off, row.worse_off) == (1, 0)
    assert row.seconds < SECONDS


def test_every_kwh_that_can_be_traded_is(code: str, year: Meters) -> None:
    """The published numbers once more, without any market: the lesser of what is offered and wanted trades."""
    traded = int(np.minimum(year.import_wh.sum(axis=1), year.export_wh.sum(axis=1)).sum())
    used, own = int(year.consumption_wh.sum()), int((year.generation_wh - year.export_wh).sum())
    alone = int(year.import_wh.sum()) * 30 - int(year.export_wh.sum()) * 8
    told = (own / used, (own + traded) / used, -traded * 22 / alone)
    assert tuple(round(100 * value, 1) for value in told) == PUBLISHED[code]


def test_meters_balance(year: Meters) -> None:
    assert (year.consumption_wh + year.export_wh == year.import_wh + year.generation_wh).all()
    assert not (year.import_wh & year.export_wh).any() or not ((year.import_wh > 0) & (year.export_wh > 0)).any()
    assert min(year.import_wh.min(), year.export_wh.min(), year.generation_wh.min(), year.consumption_wh.min()) == 0


def test_the_file_is_small_and_its_tree_is_whole(code: str) -> None:
    assert archive.FILE.stat().st_size < 1_000_000
    grid = archive.read_archived(code)
    names, network = tree_of(grid, {"substation": 1_000, "feeder": 1_000})
    assert names[network.root] == "substation"
    assert {home.node for home in grid.homes} <= set(names)
    assert int(network.fee_ticks.sum()) == 1_000 * sum(node.level == "feeder" for node in grid.nodes)


def test_the_file_says_what_the_package_says(code: str) -> None:
    pytest.importorskip("simbench", reason="the package simbench (91 MB) is not installed: pip install '.[simbench]'")
    ours, theirs = archive.read_archived(code), read_grid(code)
    assert (ours.start, ours.step_s, ours.timezone) == (theirs.start, theirs.step_s, theirs.timezone)
    assert ours.nodes == theirs.nodes
    assert ours.homes == theirs.homes
    assert ours.shapes.keys() == theirs.shapes.keys()
    for name, shape in theirs.shapes.items():
        assert (ours.shapes[name] == shape).all(), name


def test_a_grid_survives_packing() -> None:
    steps = np.arange(8, dtype=np.int64)
    home = Home("home-1", "n1", (Element("H0-A", 3_000),), (Element("PV1", 5_000),))
    nodes = (Node("substation", None, "substation"), Node("n1", "substation", "feeder"))
    grid = Grid("x", "Europe/Berlin", 0, 900, nodes, (home,), {"H0-A": steps * 7, "PV1": 1_000_000 - steps})
    assert archive.packed([grid]) == archive.packed([grid])


def test_powers_add_up_before_they_are_rounded() -> None:
    # 2 x 1.5 W for a quarter-hour are 0.75 Wh: one Wh, where 0.375 Wh twice would be none. A negative shape is none.
    half = np.array([500_000, -12], np.int64)
    home = Home("home-1", "n1", (Element("a", 3), Element("a", 3)), ())
    grid = Grid("x", "UTC", 0, 900, (Node("n1", None, "substation"),), (home,), {"a": half})
    assert meters_of(grid).import_wh.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1-MV-rural--2-sw", "is not the code of a low-voltage SimBench grid"),
        ("../../etc", "is not the code of a low-voltage SimBench grid"),
        ("9-LV-nowhere1--2-sw", "SimBench has no grid|needs the package simbench"),
    ],
)
def test_an_unknown_grid_is_named(code: str, reason: str) -> None:
    with pytest.raises(GridError, match=reason):
        read_grid(code)


@pytest.mark.parametrize(
    ("first", "last", "intervals"),
    [
        (None, None, 35_136),
        (date(2016, 3, 27), date(2016, 3, 27), 92),  # the short day in spring
        (date(2016, 10, 30), date(2016, 10, 30), 100),  # the long day in autumn
        (date(2016, 12, 31), None, 96),
        (None, date(2016, 1, 7), 7 * 96),
    ],
)
def test_days_are_local(year: Meters, first: date | None, last: date | None, intervals: int) -> None:
    assert between(year, first, last, BERLIN).intervals == intervals


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (date(2016, 5, 2), date(2016, 5, 1), "--from 2016-05-02 is after --to 2016-05-01"),
        (date(2015, 12, 31), None, "the data cover 2016-01-01 to 2016-12-31, not 2015-12-31 to 2016-12-31"),
        (None, date(2017, 1, 1), "not 2016-01-01 to 2017-01-01"),
    ],
)
def test_days_that_are_not_there_are_named(year: Meters, first: date | None, last: date | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        between(year, first, last, BERLIN)
