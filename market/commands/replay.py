"""``pumasi replay`` and ``pumasi audit``: what was settled, derived again."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from market.commands import broker
from market.commands.errors import CommandError
from market.commands.proof import heads_in, hex_key
from market.record import Record, RecordError
from market.service.audit import audit
from market.service.chain_check import Chained
from market.service.published import PublishedError, published_head
from market.service.replay import DifferenceError, replay


def told(difference: Exception) -> str:
    """The difference in one line; a changed record can lead to any other failure, which is a finding too."""
    if isinstance(difference, DifferenceError):
        return str(difference)
    plain = isinstance(difference, (RecordError, ValueError))
    return f"the record is damaged: {difference if plain else repr(difference)}"


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
        if name == "audit":
            parser.add_argument(
                "--heads", type=Path, metavar="FILE", help="published heads that the record must still contain"
            )
            parser.add_argument("--public-key", metavar="HEX", help="the key that signs heads (default: chain.pub)")
            broker.add_access(parser)
            parser.epilog = (
                "With --broker the head that was published last is asked for there; otherwise no network is used."
            )
        parser.set_defaults(run=run)


def run_replay(arguments: argparse.Namespace) -> int:
    record = Record(arguments.store, read_only=True)
    try:
        with record.snapshot():
            done = replay(record, _progress)
    except OSError:
        raise
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
        key = None if arguments.public_key is None else hex_key(arguments.public_key, "--public-key")
        heads = _heads(record, arguments)
        done = audit(record, arguments.store, _progress, heads=heads, public_key=key)
    except (CommandError, OSError):
        raise
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
        f"audit: {_chained(done.chain)}\n"
        "audit: OK"
    )
    return 0


def _heads(record: Record, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The published heads that were given. Raises CommandError."""
    heads = [] if arguments.heads is None else heads_in(arguments.heads)
    if arguments.broker is not None:
        reach = broker.access(arguments, os.environ, listen_only=True)
        community = record.rules(record.input_versions(2**62)).community
        user = os.environ.get("PUMASI_BROKER_USER", f"{community}/{reach.name}")
        try:
            heads.append(published_head(community, reach.host, reach.port, user, reach.password, reach.tls))
        except PublishedError as error:
            raise CommandError(str(error)) from None
    return heads


def _chained(chain: Chained | None) -> str:
    if chain is None:
        return "the closures are not chained yet: the market chains those of an older version when it starts"
    signed = "unsigned as far as can be told" if chain.public_key is None else f"signed by {chain.public_key}"
    tied = (
        ""
        if chain.tied == chain.closures
        else (
            f"; the contents of {chain.closures - chain.tied} are not tied to their heads, for their secret is not here"
        )
    )
    return f"{chain.closures} heads follow one another, {signed}{tied}; {chain.heads} published ones are among them"


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 20 == 0 or done == total):
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} gate closures", end=end, file=sys.stderr, flush=True)
