"""``pumasi market run``: the market service of one community."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from market.commands import broker
from market.commands.community import begin_community, read_community
from market.commands.errors import CommandError
from market.commands.progress import progress_line
from market.record import Record, RecordError
from market.record.place import FILE_NAME, URL_FILE
from market.series.environment import series_from_environment
from market.series.position import series_name
from market.service.gates import ClockError
from market.service.market import Market, run_market, say_json
from market.settlement.rules import Rules

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
    broker.add_store(run)
    run.add_argument(
        "--record",
        metavar="URL",
        help="where a new store's record lies, postgresql://user@host/database (default: PUMASI_RECORD, else a SQLite"
        " file in the store); the store remembers it",
    )
    run.add_argument(
        "--community",
        type=Path,
        metavar="FILE",
        help="begin the store with it: members, tariffs, network, offers; changes later: pumasi community apply",
    )
    broker.add_access(run)
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
    reach = broker.access(arguments, os.environ)
    if not 0 <= arguments.grace < math.inf:
        raise CommandError(f"--grace {arguments.grace}: not a time")
    conducted = arguments.clock == "conductor"
    is_new = not any((arguments.store / name).exists() for name in (FILE_NAME, URL_FILE))
    url = arguments.record or (os.environ.get("PUMASI_RECORD") if is_new else None)
    if arguments.community is None and url is None and is_new:
        raise CommandError(f"{arguments.store}: there is no store here; give --community FILE to begin one")
    bodies = None if arguments.community is None else read_community(arguments.community)
    record = Record(arguments.store, url=url, sole=True, say=lambda text: print(text, file=sys.stderr))
    try:
        _run(record, arguments, bodies, reach, conducted)
    finally:
        record.close()
    return 0


def _run(
    record: Record,
    arguments: argparse.Namespace,
    bodies: Mapping[str, Any] | None,
    reach: broker.Access,
    conducted: bool,
) -> None:
    if bodies is not None:
        begin_community(record, bodies, arguments.community)
    rules = record.rules(record.input_versions(2**62))
    community = rules.community
    if not conducted and record.last_gate() is None:
        _check_beginning(rules, int(time.time()))
    series = series_from_environment(os.environ, arguments.store, community=community)
    market = Market(
        record,
        arguments.store,
        series,
        series_name(os.environ),
        host=reach.host,
        port=reach.port,
        password=reach.password,
        tls=reach.tls,
        grace_s=arguments.grace,
        begin_at=0 if conducted else int(time.time()) - OUTBOX_S,
        say=say_json if conducted else partial(_say, ZoneInfo(rules.timezone), rules.currency),
    )
    if not conducted:
        print(f"chain heads are signed by {market.public_key}; times are {rules.timezone}", flush=True)
    try:
        run_market(market, conductor=sys.stdin if conducted else None)
    except (ClockError, OSError, RecordError) as error:
        raise CommandError(f"{arguments.store}: the market ends: {error}") from error
    finally:
        series.close()


def _check_beginning(rules: Rules, now: int) -> None:
    """A market that settles for the first time can settle what meters still hold, and nothing before."""
    for meter in (meter for member in rules.members for meter in member.meters):
        if meter.since < now - OUTBOX_S:
            since = datetime.fromtimestamp(meter.since, UTC)
            raise CommandError(
                f"nothing has been settled here yet, and meter {meter.meter} counts since {since:%Y-%m-%d %H:%M} UTC:"
                f" a meter holds {OUTBOX_S // 86_400} days; give it a later since, a multiple of {rules.interval_s} s"
                " (pumasi community show, apply)"
            )


def _say(zone: ZoneInfo, currency: str, event: dict[str, Any]) -> None:
    if event["event"] == "gate":
        print(progress_line(event, zone, currency), flush=True)
    elif event["event"] == "connected":
        print(f"connected to the broker; {event['meters']} meters are members", flush=True)
    else:
        print(event["text"], flush=True)
