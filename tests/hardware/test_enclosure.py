"""The printed box: whole, of a rail's size, and made for this board."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hardware.board import outline
from hardware.enclosure import stl

FOLDER = Path(stl.__file__).parent
MODULE_MM = 17.5
# the board's place in the box: 6 modules around 100 mm, 90 mm around 84 mm, as the box says of itself in box.py
AT_X, AT_Y = (6 * MODULE_MM - outline.WIDTH_MM) / 2, (90 - outline.HEIGHT_MM) / 2
BOARD_BOTTOM, BOARD_TOP = 7.4, 7.4 + outline.THICKNESS_MM


@pytest.fixture(scope="module", params=["base", "lid"])
def part(request: pytest.FixtureRequest) -> tuple[str, stl.Triangles]:
    return request.param, stl.read(FOLDER / f"{request.param}.stl")


def solid_along(triangles: stl.Triangles, axis: int, at: tuple[float, float]) -> list[tuple[float, float]]:
    """From where to where a straight line along the axis, through the other two coordinates, runs in material."""
    others = [place for place in range(3) if place != axis]
    # off the grid, so that no line runs along an edge
    point = np.add(at, (0.00137, 0.00071))
    a, b, c = (triangles[:, corner].astype(np.float64) for corner in range(3))
    a2, b2, c2 = a[:, others], b[:, others], c[:, others]
    area = (b2 - a2)[:, 0] * (c2 - a2)[:, 1] - (c2 - a2)[:, 0] * (b2 - a2)[:, 1]
    flat = np.abs(area) < 1e-9
    safe = np.where(flat, 1, area)
    to = point - a2
    u = (to[:, 0] * (c2 - a2)[:, 1] - (c2 - a2)[:, 0] * to[:, 1]) / safe
    v = ((b2 - a2)[:, 0] * to[:, 1] - to[:, 0] * (b2 - a2)[:, 1]) / safe
    hit = ~flat & (u >= 0) & (v >= 0) & (u + v <= 1)
    crossings = np.sort((a + u[:, None] * (b - a) + v[:, None] * (c - a))[hit, axis])
    assert len(crossings) % 2 == 0
    return [(float(crossings[i]), float(crossings[i + 1])) for i in range(0, len(crossings), 2)]


def test_it_is_watertight_and_small(part: tuple[str, stl.Triangles]) -> None:
    name, triangles = part
    assert stl.is_watertight(triangles)
    assert 30_000 < stl.volume_mm3(triangles) < 50_000  # [mm³]; inside out would be negative
    assert (FOLDER / f"{name}.stl").stat().st_size < 300_000


def test_a_hole_in_it_would_be_found(part: tuple[str, stl.Triangles]) -> None:
    _, triangles = part
    assert not stl.is_watertight(triangles[1:])
    assert not stl.is_watertight(np.concatenate([triangles[:1, ::-1], triangles[1:]]))


def test_it_is_six_modules_wide_and_looks_through_a_cover(part: tuple[str, stl.Triangles]) -> None:
    name, triangles = part
    corners = triangles.reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert (low[0], high[0], high[1]) == (0, 6 * MODULE_MM, 90)
    if name == "lid":
        nose = corners[corners[:, 2] > 50]
        assert (nose[:, 1].min(), nose[:, 1].max()) == (22.5, 67.5)  # 45 mm
        assert high[2] == 53
    else:
        assert low[1] == -4 and low[2] > -7.5  # the screwdriver's tongue; the rail is 7.5 mm deep


@pytest.mark.parametrize(("x", "y"), outline.HOLES)
def test_screws_go_through_lid_and_board_into_the_base(x: float, y: float) -> None:
    lid, base = (stl.read(FOLDER / f"{name}.stl") for name in ("lid", "base"))
    place = AT_X + x, AT_Y + y
    assert solid_along(lid, 2, place) == []
    assert solid_along(base, 2, place) == [(pytest.approx(0), pytest.approx(0.8))]
    # beside the screw the board lies on the base, and the lid holds it down
    beside = place[0] + outline.HOLE_MM / 2 + 0.9, place[1]
    assert solid_along(base, 2, beside)[-1][1] == pytest.approx(BOARD_BOTTOM)
    assert solid_along(lid, 2, beside)[0][0] == pytest.approx(BOARD_TOP)


def test_a_usb_plug_reaches_its_socket() -> None:
    """Its handle, up to 12.35 x 6.5 mm (USB Type-C specification), enters the wall."""
    base = stl.read(FOLDER / "base.stl")
    (usb,) = [one for one in outline.CONNECTORS if one.name == "USB-C"]
    for side in (-1, 1):
        for up in (-1, 1):
            at = AT_X + usb.x + side * 6.17, BOARD_TOP + usb.height / 2 + up * 3.25
            assert not [run for run in solid_along(base, 1, at) if run[0] < 1.5]


@pytest.mark.parametrize("connector", outline.CONNECTORS, ids=lambda one: one.name)
def test_what_is_plugged_in_finds_an_opening(connector: outline.Connector) -> None:
    """Over its whole width and height the wall in front of it is open; beside it, it is not."""
    parts = [stl.read(FOLDER / f"{name}.stl") for name in ("lid", "base")]
    x = AT_X + connector.x
    far = connector.edge == "top"
    for side in (-0.49, 0.0, 0.49):
        for height in (0.02, 0.5, 0.98):
            at = x + side * connector.width, BOARD_TOP + height * connector.height
            runs = [run for solid in parts for run in solid_along(solid, 1, at)]
            assert not [run for run in runs if (run[1] > 88.5 if far else run[0] < 1.5)], (side, height, runs)
    below = x, BOARD_TOP - 4
    assert [run for run in solid_along(parts[1], 1, below) if (run[1] > 88.5 if far else run[0] < 1.5)]


def test_no_wall_is_too_thin_to_print() -> None:
    """Along both long walls, at the height of the wires: openings and walls, and no wall below 2 mm."""
    base = stl.read(FOLDER / "base.stl")
    for y in (1.0, 89.0):
        runs = solid_along(base, 0, (y, BOARD_TOP + 5))
        assert len(runs) > 1
        assert min(end - begin for begin, end in runs) > 2, runs


@pytest.mark.parametrize("name", [*outline.LEDS, *outline.BUTTONS])
def test_lights_and_buttons_are_below_holes(name: str) -> None:
    x, y = {**outline.LEDS, **outline.BUTTONS}[name]
    assert solid_along(stl.read(FOLDER / "lid.stl"), 2, (AT_X + x, AT_Y + y)) == []


def test_the_board_has_room() -> None:
    """Nothing of the box, but the standoffs, is where board and parts are."""
    base, lid = (stl.read(FOLDER / f"{name}.stl") for name in ("base", "lid"))
    for x in (1.0, 20.0, 50.0, 80.0, 99.0):
        for y in (15.0, 42.0, 70.0):
            place = AT_X + x, AT_Y + y
            assert solid_along(base, 2, place)[-1][1] <= BOARD_BOTTOM
            roofs = solid_along(lid, 2, place)
            assert not roofs or roofs[0][0] >= BOARD_TOP + outline.COMPONENT_HEIGHT_MAX_MM


def test_the_committed_box_is_what_its_source_makes(tmp_path: Path) -> None:
    if find_spec("manifold3d") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("manifold3d is not installed")
    from hardware.enclosure import __main__ as enclosure
    from hardware.enclosure import box

    for name, solid in (("base", box.base()), ("lid", box.lid())):
        made, there = enclosure.triangles(solid), stl.read(FOLDER / f"{name}.stl")
        assert stl.volume_mm3(made) == pytest.approx(stl.volume_mm3(there), rel=1e-5)
        for end in ("min", "max"):
            assert np.allclose(getattr(made, end)((0, 1)), getattr(there, end)((0, 1)), atol=1e-3)
