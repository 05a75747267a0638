"""What ``pumasi`` can do, one line each; every subcommand has a module of its own."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from broker.keys import KeyFileError
from market.commands import (
    backtest,
    bill,
    broker,
    clear,
    community,
    correction,
    dashboard,
    demo,
    export,
    firmware,
    flash,
    fleet,
    influx,
    market,
    meter,
    proof,
    replay,
    tariff,
)
from market.commands.errors import CommandError
from market.record import RecordError
from market.series import SeriesError
from market.settlement.rules import RulesError

DESCRIPTION = """\
Pumasi: homes with solar panels sell what they do not use to the neighbours who need it.
Meters measure, a market clears every quarter-hour with a proof, a ledger settles, and every
household sees what it earned and can check it.
"""
EPILOG = """\
first steps:
  pumasi demo                        a street of twelve homes trades for a simulated week
  pumasi replay                      run every interval of it again: identical, byte for byte
  pumasi audit                       check every transfer and every proof

Exit status: 0 done, 1 a check found a difference, 2 the input cannot be used.
"""


def parser() -> argparse.ArgumentParser:
    """The command line; ``PUMASI_STORE`` is where checks and pages look when no --store is given."""
    top = argparse.ArgumentParser(
        prog="pumasi", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"pumasi {version('pumasi')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    store = Path(os.environ.get("PUMASI_STORE", ".pumasi/demo"))
    demo.add(commands)
    flash.add(commands)
    firmware.add(commands)
    fleet.add(commands)
    clear.add(commands)
    backtest.add(commands)
    tariff.add(commands)
    bill.add(commands, store)
    export.add(commands, store)
    replay.add(commands, store)
    proof.add(commands, store)
    market.add(commands)
    broker.add(commands)
    meter.add(commands)
    community.add(commands, store)
    correction.add(commands, store)
    influx.add(commands, store)
    dashboard.add(commands, store)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    if getattr(arguments, "store", "") is None:
        print("pumasi: which store? give --store DIR or set PUMASI_STORE", file=sys.stderr)
        return 2
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough (a pager, head).
        sys.stdout = sys.__stderr__
        return 0
    except (CommandError, KeyFileError, RecordError, RulesError, SeriesError, sqlite3.Error, OSError) as error:
        print(f"pumasi: {told(error)}", file=sys.stderr)
        return 2


def told(error: Exception) -> str:
    """The error without Python's way of writing those of the operating system."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)
