"""Labels of meters: the enrolment code, drawn or printed, and the password of the meter's own access point."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from pathlib import Path

import segno

from broker import enrolment, labels
from broker.identities import Identity
from broker.private_files import write_private


def add_qr(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--qr", type=Path, metavar="DIR", help="write METER.png and METER.svg here (default: draw it on the terminal)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with the code's text")


def tell_labels(arguments: argparse.Namespace, issued: list[Identity]) -> None:
    """Draw an enrolment token for each, and give its label: the code, and the access point's password."""
    now = int(time.time())
    texts = labels.new_codes(arguments.store, [one.meter for one in issued], now)
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
    write_private(folder / f"{identity.meter}.png", labels.code_png(text))
    write_private(folder / f"{identity.meter}.svg", labels.label_svg(identity, text).encode())
