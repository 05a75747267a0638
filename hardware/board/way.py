"""A* from copper to copper, or to the next free place for a via, on a grid of two layers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

import numpy as np

_VIA_COST = 10
_STEPS = (
    (1, 0, 10), (-1, 0, 10), (0, 1, 10), (0, -1, 10), (1, 1, 14), (1, -1, 14), (-1, 1, 14), (-1, -1, 14),
)  # fmt: skip

Spot = tuple[int, int, int]
"""Layer (0 front, 1 back), column, row."""


class Way:
    """One net's view of the grid."""

    def __init__(
        self,
        columns: int,
        rows: int,
        closed: np.ndarray,
        closed_via: np.ndarray,
        dear: np.ndarray,
        dear_via: np.ndarray,
    ) -> None:
        self._columns, self._rows = columns, rows
        self._size = columns * rows
        self._closed = bytearray(closed.astype(np.uint8).tobytes())
        self._closed_via = bytearray(closed_via.astype(np.uint8).tobytes())
        self._dear: list[int] = dear.ravel().tolist()
        self._dear_via: list[int] = dear_via.ravel().tolist()

    def close_via(self, column: int, row: int) -> None:
        """Drills of one net may not meet either."""
        for y in range(max(row - 2, 0), min(row + 3, self._rows)):
            for x in range(max(column - 2, 0), min(column + 3, self._columns)):
                self._closed_via[y * self._columns + x] = 1

    def between(self, starts: Iterable[Spot], ends: Iterable[Spot], aim: tuple[float, float]) -> list[Spot] | None:
        goals = {self._index(spot) for spot in ends}
        aim_x, aim_y = aim
        slack = max(max(abs(spot[1] - aim_x), abs(spot[2] - aim_y)) for spot in ends) + 1

        def ahead(column: int, row: int) -> int:
            dx, dy = max(abs(column - aim_x) - slack, 0), max(abs(row - aim_y) - slack, 0)
            return int(10 * max(dx, dy) + 4 * min(dx, dy))

        return self._search(starts, goals.__contains__, ahead)

    def to_plane(self, starts: Iterable[Spot]) -> list[Spot] | None:
        def open_via(index: int) -> bool:
            flat = index % self._size
            return not self._closed_via[flat] and not self._dear_via[flat]

        found = self._search(starts, open_via, lambda column, row: 0)
        if found is None:
            found = self._search(starts, lambda index: not self._closed_via[index % self._size], lambda column, row: 0)
        return found

    def _search(
        self, starts: Iterable[Spot], reached: Callable[[int], bool], ahead: Callable[[int, int], int]
    ) -> list[Spot] | None:
        columns, size = self._columns, self._size
        closed, dear = self._closed, self._dear
        best: dict[int, int] = {}
        came: dict[int, int] = {}
        heap: list[tuple[int, int]] = []
        for order, spot in enumerate(starts):
            index = self._index(spot)
            if index not in best and not closed[index]:
                best[index] = min(order, 8)
                heapq.heappush(heap, (best[index] + ahead(spot[1], spot[2]), index))
        done = set()
        steps = [(dx + dy * columns, dx, dy * columns, cost) for dx, dy, cost in _STEPS]
        while heap:
            _, index = heapq.heappop(heap)
            if index in done:
                continue
            done.add(index)
            if reached(index):
                return self._trace(came, index)
            cost = best[index]
            for jump, aside, along, length in steps:
                other = index + jump
                if (
                    closed[other]
                    or other in done
                    or (aside and along and (closed[index + aside] or closed[index + along]))
                ):
                    continue
                total = cost + length + dear[other] * 10
                if total < best.get(other, 1 << 60):
                    best[other] = total
                    came[other] = index
                    flat = other % size
                    heapq.heappush(heap, (total + ahead(flat % columns, flat // columns), other))
            flat = index % size
            if not self._closed_via[flat]:
                other = index + size if index < size else index - size
                if not closed[other] and other not in done:
                    total = cost + 10 * (_VIA_COST + dear[other] + self._dear_via[flat])
                    if total < best.get(other, 1 << 60):
                        best[other] = total
                        came[other] = index
                        heapq.heappush(heap, (total + ahead(flat % columns, flat // columns), other))
        return None

    def _index(self, spot: Spot) -> int:
        return spot[0] * self._size + spot[2] * self._columns + spot[1]

    def _trace(self, came: dict[int, int], index: int) -> list[Spot]:
        path = []
        while True:
            flat = index % self._size
            path.append((index // self._size, flat % self._columns, flat // self._columns))
            if index not in came:
                return path[::-1]
            index = came[index]
