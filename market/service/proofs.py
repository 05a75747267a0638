"""A household's proof, made from the record and the secret of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from market.proof.file import Newest, Shown, proof_text
from market.proof.head import Link, entry_hash, skip, way_back
from market.proof.tree import grow
from market.record import Gate, Record
from market.record.rows import ChainRow
from market.service.chain import head_at
from market.service.chain_keys import secret_name, stored_public_key, stored_secret
from market.service.closures import accounts_of, closure_of
from market.settlement.interval import household_account


class ProofError(ValueError):
    """There is nothing that could be proven; the message says why."""


def proof_of(
    record: Record, directory: Path, household: str, start: int, length: int, kind: str, up_to: int | None = None
) -> str:
    """The proof file of a household over every revision of an interval or month so far.

    It leads to the newest head, or to head ``up_to``. Raises ProofError.
    """
    if record.last_chain() is None:
        raise ProofError("nothing has been settled here yet")
    secret, public_key = stored_secret(directory), stored_public_key(directory)
    if secret is None or public_key is None:
        raise ProofError(f"{directory}: the files proof.secret and chain.pub are not here: nothing can be proven")
    with record.snapshot():
        last = record.last_chain()
        assert last is not None  # a chain only grows
        number = last.gate if up_to is None else up_to
        row = record.chain_row(number)
        if row is None:
            raise ProofError(f"there is no head {number}: the chain ends with {last.gate}")
        shown = [
            _shown(record, gate, household, secret, number)
            for gate in _revisions(record, start, length, kind)
            if gate.number <= number
        ]
        if not shown:
            raise ProofError(f"the {kind} that starts at {start} had not been settled when head {number} was made")
        newest = next(record.gates(after=number - 1, kind=None))
        signed = Newest(number, closure_of(record, newest), row.head, row.signature or "")
        return proof_text(secret, shown, signed, public_key)


def _revisions(record: Record, start: int, length: int, kind: str) -> Iterator[Gate]:
    revision = 0
    while (gate := record.gate_of(start, length, revision, kind)) is not None:
        yield gate
        revision += 1


def _shown(record: Record, gate: Gate, household: str, secret: bytes, newest: int) -> Shown:
    row = _row(record, gate.number)
    if secret_name(secret) != msgspec.json.decode(row.entry)["secret"]:
        raise ProofError(f"closure {gate.number} was made under a secret that is no longer here: it cannot be proven")
    accounts, _ = accounts_of(record, gate, record.transfers(gate.number))
    names = [account.name for account in accounts]
    if household_account(household) not in names:
        raise ProofError(f"{household} has no account in closure {gate.number}")
    closure = closure_of(record, gate)
    link = _link(record, gate.number)
    return Shown(
        closure,
        accounts,
        names.index(household_account(household)),
        grow(secret, closure, accounts),
        row.entry,
        link.previous,
        link.skipped,
        way_back(newest, gate.number, lambda number: _link(record, number)),
    )


def _link(record: Record, number: int) -> Link:
    return Link(
        number,
        head_at(record, number - 1),
        head_at(record, skip(number)),
        entry_hash(_row(record, number).entry),
    )


def _row(record: Record, number: int) -> ChainRow:
    row = record.chain_row(number)
    if row is None:
        raise ProofError(f"closure {number} is not in the chain: run the market once, it chains what is older")
    return row
