"""``pumasi influx``: the time series' database set up, made again from the record, and looked at."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from market.commands.errors import CommandError
from market.record import Record
from market.series import setup
from market.series.environment import URL, series_from_environment
from market.series.influx import InfluxSeries
from market.series.position import read_position, series_name
from market.service.projection import rebuild


def add(commands: Any, store: Path) -> None:
    text = "the time series' database: set it up, make it again from the record, see how far it is"
    parser = commands.add_parser(
        "influx",
        help=text,
        description=f"{text.capitalize()}. Which database is read from PUMASI_INFLUX_URL with _USER, _PASSWORD and"
        " _DATABASE, or with _TOKEN, _ORG and _BUCKET; without a URL it is the embedded series beside the record.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make database, retention and downsampling, as far as the version can")
    init.add_argument(
        "--keep-days", type=_days, metavar="N", help="how long interval points are kept (default: for ever)"
    )
    init.set_defaults(run=run_init)
    again = actions.add_parser("rebuild", help="write the whole series again from the record")
    again.add_argument("--store", type=Path, default=store, metavar="DIR", help="default: %(default)s")
    again.set_defaults(run=run_rebuild)
    status = actions.add_parser("status", help="how far the series is behind the record")
    status.add_argument("--store", type=Path, default=store, metavar="DIR", help="default: %(default)s")
    status.set_defaults(run=run_status)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 36500 days")
    return int(text)


def run_init(arguments: argparse.Namespace) -> int:
    if not os.environ.get(URL):
        raise CommandError(f"{URL} is not set: the embedded series needs no setting up")
    # Complete credentials or a sentence that says what is missing.
    series_from_environment(os.environ, Path(), community="none", read_only=True).close()
    for line in setup.prepare(os.environ, arguments.keep_days):
        print(line, flush=True)
    return 0


def run_rebuild(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        community = record.rules(record.input_versions(2**62)).community
        series = series_from_environment(os.environ, arguments.store, community=community)
        try:
            gates, points = rebuild(record, arguments.store, series, series_name(os.environ), _progress)
            first, last = next(record.gates(), None), record.last_gate()
            hourly = False
            if isinstance(series, InfluxSeries) and first is not None and last is not None:
                if sys.stderr.isatty():
                    print("\nhourly sums", end="", file=sys.stderr, flush=True)
                hourly = series.sum_hours(first.start, last.start)
        finally:
            series.close()
    finally:
        record.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    sums = ", with hourly sums" * hourly
    print(f"{points} points of {gates} gate closures are written to {series_name(os.environ)}{sums}")
    return 0


def run_status(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        last = record.last_gate_number()
        community = record.rules(record.input_versions(2**62)).community
    finally:
        record.close()
    series = series_from_environment(os.environ, arguments.store, community=community, read_only=True)
    try:
        series.community(0, 1)  # what was written is of no use where the database does not answer
    finally:
        series.close()
    position = read_position(arguments.store, series_name(os.environ))
    print(f"{series_name(os.environ)} holds {position} of {last} gate closures, {last - position} behind")
    return 0


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 96 == 0 or done == total):
        print(f"\r{done} of {total} gate closures", end="", file=sys.stderr, flush=True)
