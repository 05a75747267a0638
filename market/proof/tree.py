"""The tree of one gate closure: a leaf for each account, and at every node the sum of what lies under it, hidden.

A plain sum tree would show each account its neighbour's figures on the way to the root. Here a node carries a
commitment (``curve``), so the way shows points only; the root's is opened, and says that the sums are zero.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    name = f"{closure.community}\n{account}\n{closure.kind}\n{closure.start}\n{closure.length}\n{closure.revision}"
    return hmac.digest(secret, f"pumasi/1 salt\n{name}\n{kind}".encode(), hashlib.sha256)


def blinding(secret: bytes, closure: Closure, account: str) -> int:
    """The account's blinding, as good as uniform below the group's order."""
    return int.from_bytes(salt(secret, closure, account, "sum"), "big") % ORDER


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
    blindings = [blinding(secret, closure, account.name) for account in accounts]
    points: list[Point] = [
        commit(account.energy_wh, account.money, blind) for account, blind in zip(accounts, blindings, strict=True)
    ]
    sums = encode(points)
    hashes = [
        leaf_hash(
            [part_hash(kind, salt(secret, closure, account.name, kind), text) for kind, text in account.texts.items()],
            hidden,
        )
        for account, hidden in zip(accounts, sums, strict=True)
    ]
    levels = [tuple(zip(hashes, sums, strict=True))]
    while len(points) > 1:
        below = levels[-1]
        pairs = len(points) // 2
        odd = points[2 * pairs :]
        points = [add(points[2 * i], points[2 * i + 1]) for i in range(pairs)]
        hashes = [node_hash(below[2 * i], below[2 * i + 1]) for i in range(pairs)]
        # The last of an odd number goes up as it is: nothing is counted twice.
        levels.append((*zip(hashes, encode(points), strict=True), *below[2 * pairs :]))
        points += odd
    return Tree(tuple(levels), sum(blindings) % ORDER)


def _check_sums(accounts: Sequence[Account]) -> None:
    for what, total in (
        ("energies", sum(account.energy_wh for account in accounts)),
        ("money", sum(account.money for account in accounts)),
    ):
        if total:
            raise ValueError(f"the {what} of the accounts sum to {total}, not to zero")
