"""``pumasi replay`` and ``pumasi audit``: what was settled, derived again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from market.record import Record
from market.service.audit import audit
from market.service.replay import DifferenceError, replay


def told(difference: Exception) -> str:
    """The difference in one line; a changed record can lead to any other failure, which is a finding too."""
    return str(difference) if isinstance(difference, DifferenceError) else f"the record is damaged: {difference!r}"


def add(commands: Any, store: Path) -> None:
    for name, run, text in (
        (
            "replay",
            run_replay,
            "run every stored gate closure again; identical, byte for byte, or the first difference",
        ),
        (
            "audit",
            run_audit,
            "check every reading, certificate and transfer without solving; OK or the first difference",
        ),
    ):
        parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        parser.add_argument(
            "--store", type=Path, default=store, metavar="DIR", help="the store to read (default: %(default)s)"
        )
        parser.set_defaults(run=run)


def run_replay(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            done = replay(record, _progress)
    except Exception as difference:
        print(f"replay: {told(difference)}")
        return 1
    finally:
        record.close()
    print(
        f"replay: {done.gates} gate closures ({done.revisions} of them revisions) and {done.transfers} transfers"
        f" come out identical, byte for byte\nreplay: SHA-256 of all results and transfers {done.digest}"
    )
    return 0


def run_audit(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        done = audit(record, arguments.store, _progress)
    except Exception as difference:
        print(f"audit: {told(difference)}")
        return 1
    finally:
        record.close()
    seals = (
        "their seals are good" if done.seals_checked else "their seals were not checked (no master.key in the store)"
    )
    print(
        f"audit: {done.readings} readings are as the meters sent them; {seals}\n"
        f"audit: {done.gates} certificates have gap 0, {done.transfers} transfers follow the rules and sum to zero\n"
        "audit: OK"
    )
    return 0


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 20 == 0 or done == total):
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} gate closures", end=end, file=sys.stderr, flush=True)
