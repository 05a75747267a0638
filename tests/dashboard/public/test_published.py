"""What is published, and that nothing can be learnt of one home by subtracting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.public.published import (
    LEAST_HOMES,
    MANY_HOMES,
    WAITED_S,
    OpenSums,
    Published,
    may_be_published,
    open_row,
)
from market.series import CommunityPoint


def point(start: int = 0, homes: int = 12, heard: int | None = None, **figures: int) -> CommunityPoint:
    sums = {
        "energy_traded_wh": 100, "import_wh": 300, "export_wh": 150, "generation_wh": 400, "consumption_wh": 550,
        "welfare": 1, "certificate_gap": 0, "price_ticks": 19_000, "retail_ticks": 30_000, "feed_in_ticks": 8_000,
        "fees": 0, "revision": 0,
    }  # fmt: skip
    return CommunityPoint(start, 900, homes, homes if heard is None else heard, **{**sums, **figures})


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


@pytest.mark.parametrize(
    ("homes", "heard", "may"),
    [
        (12, 12, True),
        (12, 11, False),  # the difference to the intervals beside it would be one home
        (5, 5, True),
        (4, 4, False),
        (60, 59, True),  # the change of the others hides it
        (60, 50, True),
        (60, 49, False),
        (0, 0, False),
    ],
)
def test_which_intervals(homes: int, heard: int, may: bool) -> None:
    assert may_be_published(point(homes=homes, heard=heard)) is may


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_no_figure_ever_covers_fewer_than_five_homes(homes: int, heard: int, roofs: int) -> None:
    found = point(homes=homes, heard=min(heard, homes))
    if may_be_published(found):
        row = open_row(found, min(roofs, homes))
        assert row.homes >= LEAST_HOMES
        assert row.homes == homes or row.homes >= MANY_HOMES
        hidden = {row.shared_wh, row.export_wh, row.generation_wh, row.consumption_wh}
        assert (hidden == {None}) == (min(roofs, homes) < LEAST_HOMES), "one of them would tell the others"


def test_a_published_interval_stands(published: Published) -> None:
    """A corrected reading changes the sum by what one home did: the two versions are never both to be had."""
    published.publish([point()], 6)
    published.publish([point(import_wh=999, revision=1), point(900)], 6)
    assert [row.import_wh for row in published.rows(0, 10**9)] == [300, 300]


def test_a_late_home_makes_its_interval_wait(published: Published) -> None:
    published.publish([point(0), point(900, heard=11), point(1800)], 6)
    assert [row.start for row in published.rows(0, 10**9)] == [0, 1800]
    published.publish([point(900, revision=1)], 6)
    assert [row.start for row in published.rows(0, 10**9)] == [0, 900, 1800]


def test_how_long_is_waited(published: Published) -> None:
    assert published.wanted_from() == 0
    published.publish([point(0)], 6)
    assert published.wanted_from() == 0
    published.publish([point(WAITED_S + 900)], 6)
    assert published.wanted_from() == 900


def test_sums_are_of_published_rows_only(published: Published) -> None:
    assert published.sums(0, 10**9) == OpenSums(0, None, None, None, None)
    published.publish([point(0), point(900, heard=11), point(1800), point(2700)], 6)
    assert published.sums(0, 2700) == OpenSums(2, 200, 600, 800, 1100)
    published.publish([point(3600)], 4)
    sums = published.sums(0, 10**9)
    assert sums.intervals == 4 and sums.import_wh == 1200
    assert sums.shared_wh is None, "a sum with a part left out would read as the whole"


def test_spans_are_half_open_and_the_file_is_kept(published: Published, tmp_path: Path) -> None:
    published.publish([point(0), point(900)], 6)
    assert [row.start for row in published.rows(0, 900)] == [0]
    published.close()
    again = Published(tmp_path)
    assert [row.start for row in again.rows(0, 1800)] == [0, 900]
    assert again.first() == 0
    again.publish([replace(point(0), import_wh=7)], 6)
    assert again.rows(0, 900)[0].import_wh == 300
    again.close()
