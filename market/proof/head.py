"""The chain: each gate closure's head covers its own entry and, through two earlier heads, all that came before.

Besides the one before, each head covers an earlier one, so that the way from any head back to any other is some dozens
of hashes, not one for each closure between. Source: E. W. Myers, An applicative random-access stack, Information
Processing Letters 17(5), 1983.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from market.proof.tree import Closure

GENESIS = bytes(32)
"""What stands for the head of number 0."""


def skip(number: int) -> int:
    """The number of the earlier head that head ``number`` covers besides the one before.

    It lies as far back as the smallest term when ``number`` is written as a sum of terms 2^k - 1, greatest first.
    """
    rest, term = number, 0
    while rest:
        term = (1 << (rest + 1).bit_length() - 1) - 1
        rest -= term
    return number - term


def entry_hash(entry: str) -> bytes:
    return hashlib.sha256(b"pumasi/1 entry\n" + entry.encode()).digest()


def head_of(number: int, previous: bytes, skipped: bytes, entry: bytes) -> bytes:
    """The head of gate closure ``number``; ``entry`` is the entry's hash."""
    return hashlib.sha256(b"pumasi/1 head\n" + number.to_bytes(8, "big") + previous + skipped + entry).digest()


def signed_text(closure: Closure, number: int, head: str) -> bytes:
    """What the community's key signs. It says which closure it is: heads tell when there is a later revision."""
    which = f"{closure.kind}\n{closure.start}\n{closure.length}\n{closure.revision}"
    return f"pumasi/1 chain\n{closure.community}\n{number}\n{which}\n{head}".encode()


def sealed_hash(salt: bytes, text: str) -> bytes:
    """Ties to the head what only the record holds, so that nobody else can guess it by its hash."""
    return hashlib.sha256(b"pumasi/1 sealed\n" + salt + text.encode()).digest()


@dataclass(frozen=True)
class Link:
    """One head on the way back: enough to compute it again."""

    number: int
    previous: bytes
    skipped: bytes
    entry: bytes


def way_back(newest: int, number: int, link: Callable[[int], Link]) -> list[Link]:
    """The heads that lead from ``newest`` back to ``number``, which is not among them; none when they are the same."""
    links = []
    while newest > number:
        links.append(link(newest))
        newest = skip(newest) if skip(newest) >= number else newest - 1
    return links
