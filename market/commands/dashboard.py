"""``pumasi dashboard run``: the pages that households open."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from market.series.environment import series_from_environment
from market.series.position import read_position, series_name


def add(commands: Any, store: Path) -> None:
    text = "serve the household pages from a store"
    parser = commands.add_parser("dashboard", help=text, description=text.capitalize() + ".")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    run_parser = actions.add_parser("run", help="serve until Ctrl-C", description="Serve the pages until Ctrl-C.")
    run_parser.add_argument(
        "--store", type=Path, default=store, metavar="DIR", help="the store to read (default: %(default)s)"
    )
    run_parser.add_argument("--port", type=int, default=8000, help="on loopback (default: %(default)s)")
    run_parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported here so that the commands without pages start without a web framework.
    from dashboard.serve import serve
    from dashboard.stored import StoredRecord

    name = series_name(os.environ)
    record = StoredRecord(arguments.store, lambda: read_position(arguments.store, name))
    series = series_from_environment(os.environ, arguments.store, community=record.community().name, read_only=True)
    try:
        return serve(record, series, port=arguments.port, ready=lambda page: print(f"the page is {page}", flush=True))
    finally:
        series.close()
