"""A picture of solids without a graphics card: every triangle into a depth buffer, shaded by where it faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hardware.enclosure.stl import Triangles, normals

Colour = tuple[int, int, int]
LIGHT = np.array([-0.3, 0.75, 0.6])
"""Where the light comes from, as who looks sees it."""
WHITE = 255


def view(turn_deg: float, tilt_deg: float) -> NDArray[np.float64]:
    """Rows: to the right, up, and towards who looks; turned about z first, then tilted."""
    turn, tilt = np.radians([turn_deg, tilt_deg])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    found: NDArray[np.float64] = about_x @ about_z
    return found


def draw(
    path: Path, solids: list[tuple[Triangles, Colour]], seen: NDArray[np.float64], width: int = 1200, twice: int = 2
) -> None:
    """Writes a PNG of the solids in their places. `twice` the size is drawn, then made smaller: smooth edges."""
    turned = [(triangles.astype(np.float64) @ seen.T, colour) for triangles, colour in solids]
    corners = np.concatenate([triangles.reshape(-1, 3) for triangles, _ in turned])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 4.0
    scale = twice * width / (high[0] - low[0] + 2 * margin)
    size = twice * width, int((high[1] - low[1] + 2 * margin) * scale)
    image = np.full((size[1], size[0], 3), WHITE, np.uint8)
    depth = np.full((size[1], size[0]), -np.inf)
    light = LIGHT / np.linalg.norm(LIGHT)
    for triangles, colour in turned:
        facing = normals(triangles.astype(np.float32)).astype(np.float64)
        shade = 0.4 + 0.6 * np.clip(facing @ light, 0, 1)
        flat = triangles.copy()
        flat[:, :, 0] = (flat[:, :, 0] - low[0] + margin) * scale
        flat[:, :, 1] = size[1] - (flat[:, :, 1] - low[1] + margin) * scale
        for corner, towards, strength in zip(flat, facing[:, 2], shade, strict=True):
            if towards > 0:
                _fill(image, depth, corner, (np.array(colour) * strength).astype(np.uint8))
    picture = Image.fromarray(image).resize((width, size[1] // twice), Image.Resampling.LANCZOS)
    picture.quantize(64).save(path, optimize=True)


def _fill(
    image: NDArray[np.uint8], depth: NDArray[np.float64], corner: NDArray[np.float64], colour: NDArray[np.uint8]
) -> None:
    """One triangle, by its barycentric coordinates over the pixels around it."""
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corner
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if abs(area) < 1e-9:
        return
    left, right = int(max(min(x0, x1, x2), 0)), int(min(max(x0, x1, x2) + 1, image.shape[1] - 1))
    top, bottom = int(max(min(y0, y1, y2), 0)), int(min(max(y0, y1, y2) + 1, image.shape[0] - 1))
    x, y = np.meshgrid(np.arange(left, right + 1), np.arange(top, bottom + 1))
    b = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
    c = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
    z = z0 + b * (z1 - z0) + c * (z2 - z0)
    place = (slice(top, bottom + 1), slice(left, right + 1))
    nearer = (b >= -1e-9) & (c >= -1e-9) & (b + c <= 1 + 1e-9) & (z > depth[place])
    depth[place][nearer] = z[nearer]
    image[place][nearer] = colour
