"""Labels of meters: the enrolment code, drawn or printed, and the password of the meter's own access point."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import sys
import time
from pathlib import Path

import segno

from broker import enrolment
from broker.identities import Identity
from broker.private_files import write_private

LINE = 13
"""Height of a line of text under the code; the code's modules have 4."""


def add_qr(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--qr", type=Path, metavar="DIR", help="write METER.png and METER.svg here (default: draw it on the terminal)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with the code's text")


def tell_labels(arguments: argparse.Namespace, issued: list[Identity]) -> None:
    """Draw an enrolment token for each, and give its label: the code, and the access point's password."""
    now = int(time.time())
    enrolment.sweep(arguments.store, now)
    tokens = enrolment.new_tokens(arguments.store, [one.meter for one in issued], now)
    texts = {meter: enrolment.qr_text(arguments.store, token) for meter, token in tokens.items()}
    if arguments.qr is not None:
        arguments.qr.mkdir(parents=True, exist_ok=True)
        for one in issued:
            _draw(arguments.qr, one, texts[one.meter])
    until = dt.datetime.fromtimestamp(now + enrolment.LIFETIME_S, dt.UTC)
    if arguments.json:
        print(json.dumps([{
            "meter": one.meter, "household": one.household, "code": texts[one.meter],
            "label_password": one.label_password, "enrol_until": now + enrolment.LIFETIME_S,
        } for one in issued]))  # fmt: skip
        return
    for one in issued:
        if arguments.qr is None and sys.stdout.isatty() and len(issued) == 1:
            segno.make(texts[one.meter], error="m", boost_error=False).terminal(compact=True)
        print(
            f"{one.meter}: household {one.household}; Wi-Fi password of its access point {one.label_password};"
            f" enrols until {until:%Y-%m-%d %H:%M} UTC with {texts[one.meter]}"
        )


def _draw(folder: Path, identity: Identity, text: str) -> None:
    """The code as PNG, and as SVG with the rest of the label. Private: it lets the first who scans it enrol."""
    code = segno.make(text, error="m", mode="alphanumeric", boost_error=False)
    drawn = io.BytesIO()
    code.save(drawn, kind="png", scale=8)
    write_private(folder / f"{identity.meter}.png", drawn.getvalue())
    width, height = code.symbol_size(scale=4)
    lines = (identity.meter, f"Wi-Fi password {identity.label_password}")
    written = "".join(
        f'<text x="{width / 2:g}" y="{height + line * LINE:g}" text-anchor="middle" font-family="monospace"'
        f' font-size="{min(LINE - 3, 1.5 * width / len(content)):g}">{content}</text>'
        for line, content in enumerate(lines)
    )
    tall = height + LINE * len(lines)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{tall:g}">'
        f'<rect width="100%" height="100%" fill="#fff"/>{code.svg_inline(scale=4)}{written}</svg>\n'
    )
    write_private(folder / f"{identity.meter}.svg", svg.encode())
