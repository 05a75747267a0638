"""``pumasi market run``: the market service of one community."""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from market.commands.errors import CommandError
from market.commands.progress import progress_line
from market.record import Record
from market.record.lock import sole
from market.record.record import FILE_NAME
from market.series.environment import series_from_environment
from market.series.position import series_name
from market.service.gates import ClockError
from market.service.market import Market, run_market, say_json
from market.settlement.rules import RulesError, parse, split

LOCK_FILE = "market.lock"
OUTBOX_S = 30 * 86_400
"""A meter's outbox holds this much: what a new record's meters measured before that can no longer come."""


def add(commands: Any) -> None:
    text = "run the market of a community: store readings, close gates, clear, settle"
    parser = commands.add_parser("market", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    run = actions.add_parser(
        "run",
        help="run the service until Ctrl-C",
        description="Run the market service until Ctrl-C. The broker password is read from PUMASI_BROKER_PASSWORD;"
        " the time series goes to InfluxDB when PUMASI_INFLUX_URL and credentials are set.",
    )
    run.add_argument(
        "--store", type=Path, required=True, metavar="DIR", help="where the record lies; made when it is new"
    )
    run.add_argument(
        "--community",
        type=Path,
        metavar="FILE",
        help="community.json: members, tariffs, network, offers; a change applies to intervals that start from now",
    )
    run.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT", help="default: %(default)s")
    run.add_argument(
        "--grace",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long a gate waits for meters that have not been heard (default: %(default)s)",
    )
    run.add_argument(
        "--clock",
        choices=("system", "conductor"),
        default="system",
        help="conductor: ticks come over standard input, events go out as JSON (default: %(default)s)",
    )
    run.set_defaults(run=run_service)


def run_service(arguments: argparse.Namespace) -> int:
    host, _, port = arguments.broker.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandError(f"--broker {arguments.broker}: not HOST:PORT")
    if not 0 < int(port) < 65_536:
        raise CommandError(f"--broker {arguments.broker}: {port} is no port")
    if not 0 <= arguments.grace < math.inf:
        raise CommandError(f"--grace {arguments.grace}: not a time")
    conducted = arguments.clock == "conductor"
    if arguments.community is None and not (arguments.store / FILE_NAME).exists():
        raise CommandError(f"{arguments.store}: there is no store here; give --community FILE to begin one")
    bodies = None if arguments.community is None else read_community(arguments.community)
    with sole(arguments.store / LOCK_FILE, "another market"):
        _run(arguments, bodies, host, int(port), conducted)
    return 0


def _run(
    arguments: argparse.Namespace, bodies: Mapping[str, Any] | None, host: str, port: int, conducted: bool
) -> None:
    record = Record(arguments.store)
    try:
        if bodies is not None:
            store_community(record, bodies, None if conducted else int(time.time()))
        community = record.rules(record.input_versions(2**62)).community
    finally:
        record.close()
    series = series_from_environment(os.environ, arguments.store, community=community)
    market = Market(
        arguments.store,
        series,
        series_name(os.environ),
        host=host,
        port=port,
        password=os.environ.get("PUMASI_BROKER_PASSWORD"),
        grace_s=arguments.grace,
        begin_at=0 if conducted else int(time.time()) - OUTBOX_S,
        say=say_json if conducted else _say,
    )
    try:
        run_market(market, conductor=sys.stdin if conducted else None)
    except (ClockError, OSError, sqlite3.Error) as error:
        raise CommandError(f"{arguments.store}: the market ends: {error}") from error
    finally:
        series.close()


def store_community(record: Record, bodies: Mapping[str, Any], now: int | None) -> None:
    """Store what has changed, to apply from ``now`` on; None: from the end of the last interval that was settled."""
    last = record.last_gate()
    if now is None:
        now = 0 if last is None else last.start + last.length
    changed = record.store_inputs(bodies, now)
    if changed and last is not None:
        print(f"new versions of {', '.join(changed)} apply to intervals that start from now on", file=sys.stderr)


def read_community(path: Path) -> Mapping[str, Any]:
    """The input bodies of a community file, checked. Raises CommandError naming the file, the place and the reason."""
    try:
        bodies = split(json.loads(path.read_text()))
        parse(bodies)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        kind = "" if isinstance(error, RulesError) else "not JSON: "
        raise CommandError(f"{path}: {kind}{error}") from None
    return bodies


def _say(event: dict[str, Any]) -> None:
    if event["event"] == "gate":
        print(progress_line(event), flush=True)
    elif event["event"] == "connected":
        print(f"connected to the broker; {event['meters']} meters are members", flush=True)
    else:
        print(event["text"], flush=True)
