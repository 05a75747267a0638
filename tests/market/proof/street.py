"""A small settled street with its chain, made without a record: what the tests of proofs begin with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from market.proof.file import Newest, Shown, entry_text, proof_text, which
from market.proof.head import GENESIS, Link, entry_hash, head_of, signed_text, skip, way_back
from market.proof.tree import Account, Closure, Tree, grow
from market.record.record import Gate
from market.service.accounts import IntervalResult, interval_accounts, interval_facts
from market.service.gates import result_text, transfers_to
from market.settlement.interval import settle
from market.settlement.rules import Registers, Rules, parse
from tests.market.bodies import COMMUNITY, TARIFFS

SECRET = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()
LENGTH = 900
SINCE = 900_000
HOMES = 7
LEFT_OUT = object()
"""A member that is taken out of a text."""
BODIES: dict[str, Any] = {
    "community": COMMUNITY,
    "tariffs": TARIFFS,
    "network": [
        {"node": "root", "parent": None, "limit_wh": None, "fee_per_kwh": "0"},
        {"node": "left", "parent": "root", "limit_wh": None, "fee_per_kwh": "0.01"},
        {"node": "right", "parent": "root", "limit_wh": None, "fee_per_kwh": "0.01"},
    ],
    "members": [
        {
            "household": f"h{i}",
            "node": "left" if i < 4 else "right",
            "tariff": "standard",
            "meters": [{"meter": f"m{i}", "kid": 1, "since": SINCE}],
        }
        for i in range(HOMES)
    ],
    # One that trades at no price the community posts.
    "offers": {"h6": {"max_buy_per_kwh": "0.1"}},
}
ENERGY = [(0, 340), (0, 120), (35, 0), (210, 0), (0, 0), (510, 40), (90, 0)]
"""(import, export) [Wh] of each home in every interval: h0 and h1 sell; there is less than the others want."""


@dataclass
class Chain:
    """The public part of a chain, and what each of its closures was made of."""

    heads: list[bytes] = field(default_factory=lambda: [GENESIS])
    entries: list[str] = field(default_factory=lambda: [""])
    accounts: list[list[Account]] = field(default_factory=lambda: [[]])
    trees: list[Tree | None] = field(default_factory=lambda: [None])
    closures: list[Closure | None] = field(default_factory=lambda: [None])

    @property
    def number(self) -> int:
        return len(self.heads) - 1

    def close(self, closure: Closure, accounts: list[Account], facts: dict[str, Any]) -> None:
        tree = grow(SECRET, closure, accounts)
        number = len(self.heads)
        entry = entry_text(
            closure,
            number,
            closure.start + LENGTH,
            len(accounts),
            tree,
            facts,
            "5ec2e7" * 2 + "0000",
            hashlib.sha256(b"sealed").digest(),
        )
        head = head_of(number, self.heads[-1], self.heads[skip(number)], entry_hash(entry))
        for rows, row in (
            (self.heads, head),
            (self.entries, entry),
            (self.accounts, accounts),
            (self.trees, tree),
            (self.closures, closure),
        ):
            rows.append(row)

    def reopen(self) -> tuple[Closure, list[Account], dict[str, Any]]:
        """Take the newest closure out: what it was closed with."""
        closure, facts = self.closures[-1], json.loads(self.entries[-1])["facts"]
        assert closure is not None
        accounts = list(self.accounts[-1])
        for rows in (self.heads, self.entries, self.accounts, self.trees, self.closures):
            rows.pop()
        return closure, accounts, facts

    def link(self, number: int) -> Link:
        return Link(number, self.heads[number - 1], self.heads[skip(number)], entry_hash(self.entries[number]))

    def shown(self, number: int, name: str, newest: int) -> Shown:
        accounts, tree, closure = self.accounts[number], self.trees[number], self.closures[number]
        assert tree is not None and closure is not None
        place = [account.name for account in accounts].index(name)
        link = self.link(number)
        links = way_back(newest, number, self.link)
        return Shown(closure, accounts, place, tree, self.entries[number], link.previous, link.skipped, links)

    def published(self, number: int) -> dict[str, Any]:
        closure = self.closures[number]
        assert closure is not None
        return {"number": number, **which(closure), "head": self.heads[number].hex()}

    def cheat(self, name: str, part: str, change: Mapping[str, Any]) -> None:
        """Close the newest closure again with a text of the account changed; signed and chained all the same."""
        closure, accounts, facts = self.reopen()
        place = [account.name for account in accounts].index(name)
        body = json.loads(accounts[place].texts[part]) | change
        text = json.dumps(
            {member: value for member, value in body.items() if value is not LEFT_OUT}, separators=(",", ":")
        )
        accounts[place] = replace(accounts[place], texts={**accounts[place].texts, part: text})
        if part == "transfers":
            # The money that the household did not get is another's, so that it sums to zero still.
            accounts[-1] = replace(accounts[-1], money=accounts[-1].money + accounts[place].money)
            accounts[place] = replace(accounts[place], money=0)
        self.close(closure, accounts, facts)

    def proof(self, name: str, start: int) -> str:
        numbers = [
            number for number, closure in enumerate(self.closures) if closure is not None and closure.start == start
        ]
        head, closure = self.heads[-1].hex(), self.closures[-1]
        assert closure is not None
        newest = Newest(self.number, closure, head, KEY.sign(signed_text(closure, self.number, head)).hex())
        return proof_text(SECRET, [self.shown(number, name, self.number) for number in numbers], newest, PUBLIC_KEY)


def registers_of(interval: int, missing: frozenset[str]) -> dict[tuple[str, int], Registers]:
    """What the meters say at the end of an interval and of the one before."""
    found = {}
    for i, (imported, exported) in enumerate(ENERGY):
        for at in (interval - 1, interval):
            if at >= 0 and not (at == interval and f"m{i}" in missing):
                times = at + 1
                found[f"m{i}", SINCE + at * LENGTH] = Registers(
                    imported * times, exported * times, exported * times, imported * times
                )
    return found


def payload(meter: str, start: int, registers: Registers) -> bytes:
    body = {"v": 1, "meter": meter, "start": start, "length": LENGTH, **registers._asdict(), "mac": "00" * 32}
    return msgspec.json.encode(body)


def settle_into(
    chain: Chain,
    rules: Rules,
    interval: int,
    booked: dict[tuple[str, str], int],
    *,
    missing: frozenset[str] = frozenset(),
) -> None:
    """Settle one interval as its next revision and chain it; ``booked`` is kept up to date."""
    start = SINCE + interval * LENGTH
    revision = sum(closure is not None and closure.start == start for closure in chain.closures)
    registers = registers_of(interval, missing)
    settled = settle(rules, start, registers, "curve")
    gate = Gate(chain.number + 1, start, LENGTH, revision, start + LENGTH, 0, {}, {})
    transfers = transfers_to("c", gate, settled.postings, booked)
    for posting in settled.postings:
        booked[posting.account, posting.reason] = posting.money
    published = msgspec.json.decode(result_text(settled), type=IntervalResult)
    sent = {meter: payload(meter, start, row) for (meter, at), row in registers.items() if at == start}
    accounts = interval_accounts(rules, start, registers, sent, [], published, transfers)
    chain.close(Closure("c", "interval", start, LENGTH, revision), accounts, interval_facts(rules, published))


def make_chain(intervals: int = 5, revised: int = 1, offers: Mapping[str, Any] = {}) -> Chain:
    """A chain over some intervals; in the one numbered ``revised`` the reading of m2 came late.

    ``offers`` are by household, beside those of the street.
    """
    chain, rules = Chain(), parse(BODIES | {"offers": {**BODIES["offers"], **offers}})
    for interval in range(intervals):
        booked: dict[tuple[str, str], int] = {}
        if interval == revised:
            settle_into(chain, rules, interval, booked, missing=frozenset({"m2"}))
        settle_into(chain, rules, interval, booked)
    return chain
