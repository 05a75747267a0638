"""The tree of one gate closure: a leaf for each account, and at every node the sum of what lies under it, hidden.

A plain sum tree would show each account its neighbour's figures on the way to the root. Here a node carries a
commitment (``curve``), so the way shows points only; the root's is opened, and says that the sums are zero.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from market.proof import columns
from market.proof.curve import ORDER, Point, add, commit, encode


@dataclass(frozen=True)
class Closure:
    """Which gate closure a salt is for; no two share one."""

    community: str
    kind: str
    start: int
    length: int
    revision: int


@dataclass(frozen=True)
class Account:
    """What an account's leaf says: its texts by kind, in their order, and the figures that are summed.

    ``energy_wh`` is what it sold less what it bought, ``money`` [Wh x tick] what it received less what it paid.
    """

    name: str
    texts: Mapping[str, str]
    energy_wh: int
    money: int


@dataclass(frozen=True)
class Step:
    """A neighbour on the way to the root: on which side it stands, its hash and its hidden sum."""

    side: str
    hash: bytes
    sum: bytes


@dataclass(frozen=True)
class Tree:
    """All nodes, level by level from the leaves; ``blinding`` opens the root's sum."""

    levels: tuple[tuple[tuple[bytes, bytes], ...], ...]
    blinding: int

    @property
    def root(self) -> bytes:
        return self.levels[-1][0][0]

    def way(self, place: int) -> list[Step]:
        """The neighbours that lead from the leaf at ``place`` to the root."""
        steps = []
        for level in self.levels[:-1]:
            beside = place ^ 1
            if beside < len(level):
                steps.append(Step("left" if beside < place else "right", *level[beside]))
            place //= 2
        return steps


def salt(secret: bytes, closure: Closure, account: str, kind: str) -> bytes:
    """32 bytes that only the owner of the secret can derive, and nobody without them can guess a text by its hash."""
    return hmac.digest(secret, _salted(closure, account, kind), "sha256")


def _salted(closure: Closure, account: str, kind: str) -> bytes:
    name = f"{closure.community}\n{account}\n{closure.kind}\n{closure.start}\n{closure.length}\n{closure.revision}"
    return f"pumasi/1 salt\n{name}\n{kind}".encode()


class _Salts:
    """``salt`` for many accounts and kinds of one closure: what HMAC (RFC 2104) makes of its key is hashed once."""

    def __init__(self, secret: bytes, closure: Closure) -> None:
        assert len(secret) <= 64, "HMAC would hash it first"
        key = secret.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
        self._closure = closure

    def of(self, account: str, kinds: Iterable[str]) -> list[bytes]:
        """The salt of each kind."""
        found, begun = [], _salted(self._closure, account, "")
        for kind in kinds:
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(begun + kind.encode())
            outer.update(inner.digest())
            found.append(outer.digest())
        return found


def blinding(secret: bytes, closure: Closure, account: str) -> int:
    """The account's blinding, as good as uniform below the group's order."""
    return _below_order(salt(secret, closure, account, SUM))


SUM = "sum"
"""The kind whose salt blinds an account's figures."""


def _below_order(salt: bytes) -> int:
    return int.from_bytes(salt, "big") % ORDER


def part_hash(kind: str, salt: bytes, text: str) -> bytes:
    return hashlib.sha256(f"pumasi/1 part\n{kind}\n".encode() + salt + text.encode()).digest()


def leaf_hash(parts: Sequence[bytes], hidden: bytes) -> bytes:
    return hashlib.sha256(b"pumasi/1 leaf\n" + b"".join(parts) + hidden).digest()


def node_hash(left: tuple[bytes, bytes], right: tuple[bytes, bytes]) -> bytes:
    return hashlib.sha256(b"pumasi/1 node\n" + b"".join((*left, *right))).digest()


def grow(secret: bytes, closure: Closure, accounts: Sequence[Account]) -> Tree:
    """The tree over the accounts in the order given; there is at least one.

    Raises ValueError when energies or money do not sum to zero: nothing could be proven.
    """
    _check_sums(accounts)
    salts = _Salts(secret, closure)
    blindings, parts = [], []
    for account in accounts:
        own, *others = salts.of(account.name, (SUM, *account.texts))
        blindings.append(_below_order(own))
        rows = zip(account.texts.items(), others, strict=True)
        parts.append([part_hash(kind, one, text) for (kind, text), one in rows])
    lowest, *above = _hidden(accounts, blindings)
    hashes = [leaf_hash(own, hidden) for own, hidden in zip(parts, lowest, strict=True)]
    levels = [tuple(zip(hashes, lowest, strict=True))]
    for sums in above:
        below = levels[-1]
        hashes = [node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
        # The last of an odd number goes up as it is: nothing is counted twice.
        levels.append((*zip(hashes, sums, strict=False), *below[2 * len(hashes) :]))
    return Tree(tuple(levels), sum(blindings) % ORDER)


MANY = 100
"""From so many accounts on, arithmetic in columns is the faster one; both come to the same."""


def _hidden(accounts: Sequence[Account], blindings: Sequence[int]) -> list[list[bytes]]:
    """The hidden sum of every node, level by level from the leaves."""
    if len(accounts) >= MANY:
        energy_wh, money = [account.energy_wh for account in accounts], [account.money for account in accounts]
        return columns.encoded(columns.sums(columns.commitments(energy_wh, money, blindings)))
    levels: list[list[Point]] = [
        [commit(account.energy_wh, account.money, blind) for account, blind in zip(accounts, blindings, strict=True)]
    ]
    while (count := len(levels[-1])) > 1:
        below = levels[-1]
        levels.append([add(below[i], below[i + 1]) for i in range(0, count - 1, 2)] + below[count - count % 2 :])
    data = iter(encode([point for level in levels for point in level]))
    return [[next(data) for _ in level] for level in levels]


def _check_sums(accounts: Sequence[Account]) -> None:
    for what, total in (
        ("energies", sum(account.energy_wh for account in accounts)),
        ("money", sum(account.money for account in accounts)),
    ):
        if total:
            raise ValueError(f"the {what} of the accounts sum to {total}, not to zero")
