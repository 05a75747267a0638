"""``python -m hardware.enclosure``: base.stl, lid.stl and their picture, from box.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hardware.board import outline
from hardware.enclosure import box, picture, stl

if TYPE_CHECKING:
    from manifold3d import Manifold

HERE = Path(__file__).parent
GREY, BLUE, GREEN, SILVER = (200, 204, 210), (120, 150, 200), (40, 120, 70), (150, 150, 155)


def triangles(solid: Manifold) -> stl.Triangles:
    """Of a solid, in an order that does not depend on the machine."""
    mesh = solid.to_mesh()
    corners = np.asarray(mesh.vert_properties, np.float32)[:, :3].round(4) + np.float32(0)
    found = corners[np.asarray(mesh.tri_verts)]
    # each triangle begins with its least corner, then all are sorted
    first = np.array([min(range(3), key=lambda k, t=t: tuple(t[k])) for t in found])  # type: ignore[misc]
    turned = np.stack([found[np.arange(len(found)), (first + k) % 3] for k in range(3)], axis=1)
    order = np.lexsort(turned.reshape(len(turned), 9).T[::-1])
    return turned[order]


def board() -> list[tuple[Manifold, picture.Colour]]:
    """The board and what stands at its edges, as boxes, for the picture only."""
    x, y = box.on_board(0, 0)
    low, top = box.BOARD_TOP - outline.THICKNESS_MM, box.BOARD_TOP
    plate = box.box((x, x + outline.WIDTH_MM), (y, y + outline.HEIGHT_MM), (low, top))
    plate -= box.union(box.rod(*hole, (low - 1, top + 1), outline.HOLE_MM) for hole in box.HOLES)
    parts = []
    for one in outline.CONNECTORS:
        x, y = box.on_board(one.x, one.y)
        half_x, half_y = one.width / 2, one.depth / 2
        parts.append(box.box((x - half_x, x + half_x), (y - half_y, y + half_y), (top, top + one.height)))
    return [(plate, GREEN), (box.union(parts), SILVER)]


def write(folder: Path = HERE) -> None:
    """Writes base.stl, lid.stl and enclosure.png into the folder."""
    base, lid = box.base(), box.lid()
    for name, solid in (("base", base), ("lid", lid)):
        stl.write(folder / f"{name}.stl", triangles(solid), f"Pumasi meter, {name}; CERN-OHL-S-2.0")
    inside = [(triangles(solid.translate((0, 0, 18))), colour) for solid, colour in board()]
    parts = [(triangles(base), GREY), *inside, (triangles(lid.translate((0, 0, 50))), BLUE)]
    picture.draw(folder / "enclosure.png", parts, picture.view(28, -58))
    closed = [(triangles(base), GREY), (triangles(lid), BLUE)]
    picture.draw(folder / "closed.png", closed, picture.view(28, -50), width=900)
    # upside down: the rail's hooks
    picture.draw(folder / "back.png", [(triangles(base), GREY)], picture.view(-28, 130), width=900)


def main() -> None:
    argparse.ArgumentParser(prog="python -m hardware.enclosure", description="Write the enclosure.").parse_args()
    write()
    for name in ("base", "lid"):
        found = stl.read(HERE / f"{name}.stl")
        size = found.reshape(-1, 3).max(axis=0) - found.reshape(-1, 3).min(axis=0)
        shown = " x ".join(f"{length:.1f}" for length in size)
        print(f"{name}.stl: {shown} mm, {stl.volume_mm3(found) / 1000:.1f} cm³, {len(found)} triangles")


if __name__ == "__main__":
    main()
