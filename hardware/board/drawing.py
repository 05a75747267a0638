"""Makes KiCad's SVG a quarter of its size: strokes that follow each other become one path, to a hundredth of a mm."""

from __future__ import annotations

import re

_STROKE = r'<path d="M([-\d.]+) ([-\d.]+)\s*L([-\d.]+) ([-\d.]+)\s*" />\s*'


def shrink(svg: str) -> str:
    joined = re.sub(rf"(?:{_STROKE})+", lambda match: _join(match[0]), svg)
    # what a group of strokes says is written in its <desc> too
    joined = re.sub(r'<text [^>]*opacity="0"[^>]*>[^<]*</text>\s*', "", joined)
    return re.sub(r"(\d\.\d\d)\d+\b", r"\1", joined)


def _join(strokes: str) -> str:
    path: list[str] = []
    end: tuple[int, int] | None = None
    for figures in re.findall(_STROKE, strokes):
        x1, y1, x2, y2 = (round(100 * float(figure)) for figure in figures)
        if end is None or abs(x1 - end[0]) + abs(y1 - end[1]) > 1:
            path.append(f"M{_short(x1)} {_short(y1)}")
            end = (x1, y1)
        path.append(f"l{_short(x2 - end[0])} {_short(y2 - end[1])}")
        end = (x2, y2)
    return f'<path d="{"".join(path)}"/>\n'


def _short(hundredths: int) -> str:
    """As SVG writes it at its shortest: 1.5, -.05, 0."""
    text = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0\.", r"\1.", text)
