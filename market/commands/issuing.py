"""What ``pumasi meter`` does alike for new, replaced and renewed meters: the members' document, keys, identities."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker import certificates, identities, site
from broker.contract import is_identifier, user
from broker.identities import Identity
from broker.keys import master_key, meter_key
from market.commands import members
from market.commands.community import author
from market.commands.errors import CommandError
from market.record import Record
from market.service.keys import Keys, Known
from market.service.market import MASTER_KEY_FILE
from market.settlement.rules import RulesError


@contextmanager
def writing(store: Path) -> Iterator[Record]:
    site.load(store)
    site.authority(store)  # whoever changes members here signs for them next: better not to begin without
    record = Record(store)
    try:
        yield record
    finally:
        record.close()


def store_document(record: Record, document: Any, now: int) -> None:
    """Store the document, to apply to intervals that start from ``now`` [epoch s] on. Raises CommandError."""
    try:
        record.store_document(document, now, author())
    except RulesError as error:
        raise CommandError(str(error)) from None


def check_name(name: str, document: Any) -> None:
    """Raises CommandError for a name that no meter can have."""
    if not is_identifier(name):
        raise CommandError(f"{name}: not a meter's name: 1 to 32 of a-z, 0-9 and the hyphen")
    if len(user(document["community"], name)) > certificates.MAX_NAME:
        most = certificates.MAX_NAME - len(document["community"]) - 1
        raise CommandError(f"{name}: too long for a certificate beside the community's name: at most {most}")


def unused_key(record: Record, name: str) -> Known:
    """A key that no meter of this name ever had."""
    newest = Keys(record, b"").known(name)
    return Known(1, {}) if newest is None else Known(newest.kid + 1, newest.nonces)


def applies_at(arguments: argparse.Namespace) -> int:
    """From when a change of the members applies: the moment, or the interval that was named."""
    return int(time.time()) if arguments.since is None else int(arguments.since)


def first_interval(arguments: argparse.Namespace, document: Any) -> int:
    length_s = int(document["interval_s"])
    if arguments.since is None:
        return (int(time.time()) // length_s + 1) * length_s
    return int(arguments.since)


def issue(store: Path, document: Any, name: str, said: dict[str, Any]) -> Identity:
    entry = members.meter(document, name)
    kid = int(entry["kid"])
    return identities.issue(store, name, members.meters(document)[name], kid, key_of(store, document, entry, kid), said)


def key_of(store: Path, document: Any, entry: Any, kid: int) -> bytes:
    nonces = {int(number): nonce for number, nonce in entry.get("nonces", {}).items()}
    return meter_key(master_key(store / MASTER_KEY_FILE), document["community"], entry["meter"], kid, nonces)


def read_settings(path: Path | None, allowed: frozenset[str]) -> dict[str, Any]:
    """The members of a settings file. Raises CommandError."""
    if path is None:
        return {}
    try:
        said = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict):
        raise CommandError(f"{path}: not a JSON object")
    for name in said:
        if name not in allowed:
            raise CommandError(f"{path}: {name} cannot be set; known: {', '.join(sorted(allowed))}")
    return said
