"""A gate closure's place in the chain, derived from what the record holds and nothing else.

``entry`` is public: the proofs' tree, the interval's facts. ``sealed`` stays in the record: digests of every row that
was stored up to the closure, so that no table can be changed behind the chain's back. A salted hash ties it to the
entry, for a bare hash of the result could be guessed by a neighbour who knows all of it but one home.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from market.proof.file import entry_text, plain
from market.proof.head import sealed_hash
from market.proof.tree import Account, Closure, grow
from market.record import Gate, Record, Transfer
from market.record.rows import MONTH
from market.service.accounts import IntervalResult, interval_accounts, interval_facts, month_accounts, month_facts
from market.service.chain_keys import secret_name

NUMBERED = ("input", "reading", "quarantine", "correction")
"""Tables whose rows come in a numbered order, also between closures."""
BEGINNING = -(2**62)
ROWS_AT_A_TIME = 1_000
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Derived:
    """What a closure's row of the chain must say."""

    entry: str
    sealed: str


def closure_of(record: Record, gate: Gate) -> Closure:
    community = record.rules(gate.inputs).community
    return Closure(community, gate.kind, gate.start, gate.length, gate.revision)


def accounts_of(record: Record, gate: Gate, transfers: Sequence[Transfer]) -> tuple[list[Account], dict[str, Any]]:
    """The leaves' texts, and the facts that everybody may know; ``transfers`` are the closure's."""
    rules, text = record.rules(gate.inputs), record.result(gate.number)
    if gate.kind == MONTH:
        month = msgspec.json.decode(text)
        return month_accounts(month, transfers), month_facts(rules, month)
    result = msgspec.json.decode(text, type=IntervalResult)
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
    transfers = record.transfers(gate.number)
    newest = up_to(record)
    sealed = plain(sealed_of(record, gate, transfers, before, newest, record.outcomes()))
    return Derived(entry_of(record, gate, transfers, sealed, secret), sealed)


def entry_of(record: Record, gate: Gate, transfers: Sequence[Transfer], sealed: str, secret: bytes) -> str:
    closure = closure_of(record, gate)
    accounts, facts = accounts_of(record, gate, transfers)
    tree = grow(secret, closure, accounts)
    salt = hmac.digest(secret, f"pumasi/1 sealed\n{closure.community}\n{gate.number}".encode(), hashlib.sha256)
    tied = sealed_hash(salt, sealed)
    return entry_text(closure, gate.number, gate.closed_at, len(accounts), tree, facts, secret_name(secret), tied)


def up_to(record: Record) -> dict[str, int]:
    """The number of the newest row of each numbered table."""
    return {table: record.last_row(table) for table in NUMBERED}


def sealed_of(
    record: Record,
    gate: Gate,
    transfers: Sequence[Transfer],
    before: Mapping[str, Any],
    newest: Mapping[str, int],
    outcomes: Mapping[str, int],
) -> dict[str, Any]:
    """Digests of the closure's own rows, and of every row since the closure before, as far as ``newest``."""
    since = {table: before[table]["up_to"] if before else BEGINNING for table in NUMBERED}
    return {
        "gate": [gate.horizon, gate.corrections, gate.state, _sorted(gate.inputs), _sorted(gate.versions)],
        "result": hashlib.sha256(record.result(gate.number).encode()).hexdigest(),
        "transfers": _digest(transfers),
        **{
            table: {"up_to": newest[table], "digest": _digest(record.rows(table, since[table], newest[table]))}
            for table in NUMBERED
        },
        "outcomes": _sorted(outcomes),
    }


def _sorted(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: named[name] for name in sorted(named)}


def _digest(rows: Iterable[Transfer | tuple[object, ...]]) -> str:
    """SHA-256 over the rows, each a JSON array on a line of its own, bytes in base64."""
    digest, lines = hashlib.sha256(), iter(rows)
    while some := list(islice(lines, ROWS_AT_A_TIME)):
        digest.update(_encoder.encode_lines(some))
    return digest.hexdigest()
