"""The wiring page says what the pin map says."""

from __future__ import annotations

from firmware.host.pins import boards
from hardware import wiring


def test_the_committed_page_is_current() -> None:
    assert wiring.FILE.read_text(encoding="utf-8") == wiring.document()


def test_every_pin_of_every_port_is_on_it() -> None:
    parts = wiring.document().split("\n## ")[1:]
    assert [part.split(":")[0] for part in parts] == list(boards())
    for part, board in zip(parts, boards().values(), strict=True):
        rows = {tuple(cell.strip() for cell in line.split("|")[1:4:2]) for line in part.splitlines() if "|" in line}
        for port, settings in board["ports"].items():
            for member, gpio in settings.items():
                assert member in wiring.NOT_PINS or (port, str(gpio)) in rows
