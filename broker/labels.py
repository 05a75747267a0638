"""Labels of meters: the enrolment code as a picture, and the password of the meter's own access point."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import segno

from broker import enrolment
from broker.identities import Identity

LINE = 13
"""Height of a line of text under the code; the code's modules have 4."""
SCALE = 4


def new_codes(store: Path, meters: Collection[str], now: int) -> dict[str, str]:
    """For each meter the text of a QR code that enrols it within a week [``now`` is epoch s]; older ones end.

    Raises SiteError.
    """
    enrolment.sweep(store, now)
    tokens = enrolment.new_tokens(store, meters, now)
    return {meter: enrolment.qr_text(store, token) for meter, token in tokens.items()}


def code_png(text: str) -> bytes:
    drawn = io.BytesIO()
    _code(text).save(drawn, kind="png", scale=2 * SCALE)
    return drawn.getvalue()


def label_svg(identity: Identity, text: str) -> str:
    """The code with the rest of the label under it. Private: it lets the first who scans it enrol."""
    code = _code(text)
    width, height = code.symbol_size(scale=SCALE)
    lines = (identity.meter, f"Wi-Fi password {identity.label_password}")
    written = "".join(
        f'<text x="{width / 2:g}" y="{height + line * LINE:g}" text-anchor="middle" font-family="monospace"'
        f' font-size="{min(LINE - 3, 1.5 * width / len(content)):g}">{content}</text>'
        for line, content in enumerate(lines)
    )
    tall = height + LINE * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{tall:g}">'
        f'<rect width="100%" height="100%" fill="#fff"/>{code.svg_inline(scale=SCALE)}{written}</svg>\n'
    )


def _code(text: str) -> segno.QRCode:
    return segno.make(text, error="m", mode="alphanumeric", boost_error=False)
