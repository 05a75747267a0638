"""Triangles, and the binary file that printers take; and what a test or a maker may ask of such a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 80
RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])

Triangles = NDArray[np.float32]
"""(triangles, 3 corners, 3 coordinates) [mm], corners counterclockwise as seen from outside."""


def write(path: Path, triangles: Triangles, name: str) -> None:
    records = np.zeros(len(triangles), RECORD)
    records["corners"] = triangles
    records["normal"] = normals(triangles)
    head = name.encode("ascii").ljust(HEADER_BYTES)[:HEADER_BYTES]
    path.write_bytes(head + len(triangles).to_bytes(4, "little") + records.tobytes())


def read(path: Path) -> Triangles:
    """Raises ValueError for what is no binary STL."""
    content = path.read_bytes()
    count = int.from_bytes(content[HEADER_BYTES : HEADER_BYTES + 4], "little")
    if len(content) != HEADER_BYTES + 4 + count * RECORD.itemsize:
        raise ValueError(f"{path}: not a binary STL")
    found: Triangles = np.frombuffer(content, RECORD, count, HEADER_BYTES + 4)["corners"].copy()
    return found


def normals(triangles: Triangles) -> Triangles:
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    found: Triangles = (across / np.where(length == 0, 1, length)).astype(np.float32)
    return found


def is_watertight(triangles: Triangles) -> bool:
    """Every edge of a triangle is run through exactly once in each direction."""
    _, corner = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    corners = corner.reshape(-1, 3)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    there, counts = np.unique(edges, axis=0, return_counts=True)
    back = np.unique(edges[:, ::-1], axis=0)
    return bool((counts == 1).all() and np.array_equal(there, back) and (edges[:, 0] != edges[:, 1]).all())


def volume_mm3(triangles: Triangles) -> float:
    a, b, c = (triangles[:, corner].astype(np.float64) for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
