"""A gate closure's place in the chain, derived from what the record holds and nothing else.

``entry`` is public: the proofs' tree, the interval's facts. ``sealed`` stays in the record: digests of every row that
was stored up to the closure, so that no table can be changed behind the chain's back. A salted hash ties it to the
entry, for a bare hash of the result could be guessed by a neighbour who knows all of it but one home.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from market.proof.file import entry_text, plain
from market.proof.head import sealed_hash
from market.proof.tree import Account, Closure, grow
from market.record import Gate, Record
from market.record.rows import MONTH
from market.service.accounts import interval_accounts, interval_facts, month_accounts, month_facts
from market.service.chain_keys import secret_name

NUMBERED = ("input", "reading", "quarantine", "correction")
"""Tables whose rows come in a numbered order, also between closures."""
BEGINNING = -(2**62)


@dataclass(frozen=True)
class Derived:
    """What a closure's row of the chain must say."""

    entry: str
    sealed: str


def closure_of(record: Record, gate: Gate) -> Closure:
    community = record.rules(gate.inputs).community
    return Closure(community, gate.kind, gate.start, gate.length, gate.revision)


def accounts_of(record: Record, gate: Gate) -> tuple[list[Account], dict[str, Any]]:
    """The leaves' texts, and the facts that everybody may know."""
    rules, result = record.rules(gate.inputs), msgspec.json.decode(record.result(gate.number))
    transfers = record.transfers(gate.number)
    if gate.kind == MONTH:
        return month_accounts(result, transfers), month_facts(rules, result)
    at = (gate.start, gate.length)
    accounts = interval_accounts(
        rules,
        gate.start,
        record.registers(*at, gate.horizon, gate.corrections),
        record.sent(*at, gate.horizon),
        record.standing(*at, gate.horizon, gate.corrections),
        result,
        transfers,
    )
    return accounts, interval_facts(rules, result)


def derive(record: Record, gate: Gate, before: Mapping[str, Any], secret: bytes) -> Derived:
    """The closure's entry and what is sealed in it; ``before`` is what was sealed one closure earlier."""
    sealed = plain(sealed_of(record, gate, before, up_to(record), secret_name(secret), record.outcomes()))
    return Derived(entry_of(record, gate, sealed, secret), sealed)


def entry_of(record: Record, gate: Gate, sealed: str, secret: bytes) -> str:
    closure = closure_of(record, gate)
    accounts, facts = accounts_of(record, gate)
    tree = grow(secret, closure, accounts)
    salt = hmac.digest(secret, f"pumasi/1 sealed\n{closure.community}\n{gate.number}".encode(), hashlib.sha256)
    tied = sealed_hash(salt, sealed)
    return entry_text(closure, gate.number, gate.closed_at, len(accounts), tree, facts, tied)


def up_to(record: Record) -> dict[str, int]:
    """The number of the newest row of each numbered table."""
    return {table: record.last_row(table) for table in NUMBERED}


def sealed_of(
    record: Record,
    gate: Gate,
    before: Mapping[str, Any],
    newest: Mapping[str, int],
    secret: str,
    outcomes: Mapping[str, int],
) -> dict[str, Any]:
    """Digests of the closure's own rows, and of every row since the closure before, as far as ``newest``."""
    since = {table: before[table]["up_to"] if before else BEGINNING for table in NUMBERED}
    return {
        "secret": secret,
        "gate": [gate.horizon, gate.corrections, gate.state, _sorted(gate.inputs), _sorted(gate.versions)],
        "result": hashlib.sha256(record.result(gate.number).encode()).hexdigest(),
        "transfers": _digest(record.transfers(gate.number)),
        **{
            table: {"up_to": newest[table], "digest": _digest(record.rows(table, since[table], newest[table]))}
            for table in NUMBERED
        },
        "outcomes": _sorted(outcomes),
    }


def _sorted(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: named[name] for name in sorted(named)}


def _digest(rows: Iterable[tuple[object, ...]]) -> str:
    """SHA-256 over the rows, each a JSON array on a line of its own, bytes in base64."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(msgspec.json.encode(row))
        digest.update(b"\n")
    return digest.hexdigest()
