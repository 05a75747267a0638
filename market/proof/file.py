"""The proof file: what one household is given of the gate closures of one interval or month."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from market.proof.head import Link
from market.proof.tree import Account, Closure, Tree, blinding, salt

FORMAT = 1


@dataclass(frozen=True)
class Shown:
    """One revision as it is shown to the account at ``place``: its own leaf, the way to the root and the chain."""

    closure: Closure
    accounts: Sequence[Account]
    place: int
    tree: Tree
    entry: str
    previous: bytes
    skipped: bytes
    links: Sequence[Link]


@dataclass(frozen=True)
class Newest:
    """The signed head that all the revisions lead to, and which closure's it is."""

    number: int
    closure: Closure
    head: str
    signature: str


def plain(value: Mapping[str, Any]) -> str:
    """JSON in the one way that verifiers accept: no spaces, members in their order, ASCII."""
    return json.dumps(value, separators=(",", ":"))


def entry_text(
    closure: Closure,
    number: int,
    closed_at: int,
    accounts: int,
    tree: Tree,
    facts: Mapping[str, Any],
    secret_name: str,
    sealed: bytes,
) -> str:
    """The public text of a gate closure; its hash goes into the head."""
    return plain(
        {
            "community": closure.community,
            "number": number,
            **which(closure),
            "closed_at": closed_at,
            "accounts": accounts,
            "root": tree.root.hex(),
            "blinding": f"{tree.blinding:064x}",
            "facts": dict(facts),
            "secret": secret_name,
            "sealed": sealed.hex(),
        }
    )


def proof_text(secret: bytes, shown: Sequence[Shown], newest: Newest, public_key: str) -> str:
    """The proof file of one account over all revisions so far, the first one first."""
    closure, account = shown[0].closure, shown[0].accounts[shown[0].place]
    proof = {
        "pumasi_proof": FORMAT,
        "community": closure.community,
        "account": account.name,
        "kind": closure.kind,
        "start": closure.start,
        "length": closure.length,
        "public_key": public_key,
        "newest": {
            "number": newest.number,
            **which(newest.closure),
            "head": newest.head,
            "signature": newest.signature,
        },
        "revisions": [_revision(secret, one) for one in shown],
    }
    return json.dumps(proof, indent=1) + "\n"


def which(closure: Closure) -> dict[str, Any]:
    """The closure's own place, as the proof, the entry and the published head tell it."""
    return {
        "kind": closure.kind,
        "start": closure.start,
        "length": closure.length,
        "revision": closure.revision,
    }


def _revision(secret: bytes, shown: Shown) -> dict[str, Any]:
    account = shown.accounts[shown.place]
    return {
        "entry": shown.entry,
        "previous": shown.previous.hex(),
        "skip": shown.skipped.hex(),
        "parts": [
            {"kind": kind, "salt": salt(secret, shown.closure, account.name, kind).hex(), "text": text}
            for kind, text in account.texts.items()
        ],
        "blinding": f"{blinding(secret, shown.closure, account.name):064x}",
        "way": [[step.side, step.hash.hex(), step.sum.hex()] for step in shown.tree.way(shown.place)],
        "link": [[link.number, link.previous.hex(), link.skipped.hex(), link.entry.hex()] for link in shown.links],
    }
