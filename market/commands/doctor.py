"""``pumasi meter doctor``: what a meter on this computer's serial port says of itself."""

from __future__ import annotations

import argparse
import json
from typing import Any

from firmware.host import doctor
from firmware.host.board import BoardError, connected
from market.commands.errors import CommandError
from market.commands.flash import told


def add(actions: Any) -> None:
    parser = actions.add_parser(
        "doctor",
        help="ask a meter on a serial port how it is",
        description="Interrupt the meter on a serial port, let it test itself (sensors, transformers, phases, clock,"
        " Wi-Fi, broker, certificate, memory), show the result and start it again. Exit status 1 when a check fails.",
    )
    parser.add_argument("--port", required=True, metavar="PORT", help="serial port, such as /dev/ttyUSB0 or COM3")
    parser.add_argument("--json", action="store_true", help="the meter's own line of JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        with connected(arguments.port) as board:
            board.hold_watchdog()
            said = board.self_test()
            board.reset()
    except BoardError as error:
        raise CommandError(told(error)) from None
    failed = doctor.fails(said)
    if arguments.json:
        print(json.dumps(said))
    else:
        print(f"meter {said.get('meter') or '(not provisioned)'}, firmware {said.get('firmware', '?')}")
        print("\n".join(doctor.table(said)))
        print(f"fails: {', '.join(failed)}" if failed else "nothing fails")
    return 1 if failed else 0
