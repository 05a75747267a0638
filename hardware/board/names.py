"""Where each part's reference is printed: the first free place around it, so that no text lies on a pad or another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIZE_MM = 0.8
_LETTER_MM = 0.82
"""Width of one letter of the stroke font, with its gap."""
_GAP_MM = 0.18


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: Box, gap: float = _GAP_MM) -> bool:
        return (
            self.left < other.right + gap and other.left < self.right + gap
            and self.top < other.bottom + gap and other.top < self.bottom + gap
        )  # fmt: skip


@dataclass(frozen=True)
class Name:
    """A text's middle [mm] and angle."""

    x: float
    y: float
    angle: int


def text_box(text: str, x: float, y: float, size: float, angle: int = 0, justify: str = "") -> Box:
    width, height = _LETTER_MM * size / SIZE_MM * len(text), size * 1.25
    if angle in (90, 270):
        return Box(x - height / 2, y - width / 2, x + height / 2, y + width / 2)
    left = {"left": x, "right": x - width}.get(justify, x - width / 2)
    return Box(left, y - height / 2, left + width, y + height / 2)


def name_places(parts: Sequence[tuple[str, Box]], taken: Sequence[Box], board: Box) -> dict[str, Name]:
    """`parts`: reference and body of each; `taken`: pads, printed lines and texts. A name without room is left out."""
    found: dict[str, Name] = {}
    busy = list(taken)
    for reference, body in parts:
        for place in _around(reference, body):
            box = text_box(reference, place.x, place.y, SIZE_MM, place.angle)
            inside = (
                board.left < box.left and board.top < box.top and box.right < board.right and box.bottom < board.bottom
            )
            if inside and not any(box.touches(other) for other in busy):
                found[reference] = place
                busy.append(box)
                break
    return found


def _around(reference: str, body: Box) -> Iterator[Name]:
    middle_x, middle_y = (body.left + body.right) / 2, (body.top + body.bottom) / 2
    half = _LETTER_MM * len(reference) / 2
    for away in (0.75, 1.0, 1.4, 1.9):
        flat = [
            Name(middle_x, body.top - away, 0), Name(middle_x, body.bottom + away, 0),
            Name(body.right + half + away - 0.45, middle_y, 0), Name(body.left - half - away + 0.45, middle_y, 0),
        ]  # fmt: skip
        upright = [
            Name(body.right + away, middle_y, 90), Name(body.left - away, middle_y, 90),
            Name(middle_x, body.top - half - away + 0.45, 90), Name(middle_x, body.bottom + half + away - 0.45, 90),
        ]  # fmt: skip
        yield from (*flat, *upright)
    for step in (1.0, -1.0, 2.0, -2.0, 3.0, -3.0):
        yield Name(middle_x + step, body.top - 0.75, 0)
        yield Name(middle_x + step, body.bottom + 0.75, 0)
        yield Name(body.right + 0.75, middle_y + step, 90)
        yield Name(body.left - 0.75, middle_y + step, 90)
    yield Name(middle_x, middle_y, 0)
    yield Name(middle_x, middle_y, 90)
