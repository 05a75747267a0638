"""The chain as everybody may see it: the newest head, the heads that were published, and the way between two."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from market.proof.head import Link, entry_hash, skip, way_back
from market.record import Record
from market.service.chain import HEADS_FILE, head_at, head_line
from market.service.chain_keys import stored_public_key

BLOCK_BYTES = 1 << 16
MOST_HEADS = 1000


@dataclass(frozen=True, slots=True)
class HeadView:
    """A signed head (docs/proofs.md): of which closure it is, the key's public half and its signature, hexadecimal."""

    community: str
    number: int
    kind: str
    start: int
    length_s: int
    revision: int
    head: str
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class LinkView:
    """Enough to compute one head again, in hexadecimal digits."""

    number: int
    previous: str
    skip: str
    entry: str


@dataclass(frozen=True, slots=True)
class WayView:
    """The heads that lead from ``newest`` back to ``number``; none when they are the same."""

    newest: int
    number: int
    links: Sequence[LinkView]


def newest_head(record: Record, store: Path) -> HeadView | None:
    """The newest closure's head; None before the first, or where there is no key to check it by."""
    row, key = record.last_chain(), stored_public_key(store)
    return None if row is None or key is None else _view(msgspec.json.decode(head_line(row, key)))


def published_heads(store: Path, after: int, most: int = MOST_HEADS) -> list[bytes]:
    """The lines of the published file with a number above ``after``: the last ``most`` of them, in their order.

    They are read from the file's end, for it grows by a line each interval.
    """
    try:
        file = (store / HEADS_FILE).open("rb")
    except FileNotFoundError:
        return []
    found: list[bytes] = []
    with file:
        end = file.seek(0, os.SEEK_END)
        rest = b""
        while end > 0 and len(found) < most:
            begin = max(0, end - BLOCK_BYTES)
            file.seek(begin)
            block = file.read(end - begin) + rest
            end = begin
            lines = block.split(b"\n")
            # What precedes the first line break began in the block before; what follows the last is not written yet.
            rest = lines.pop(0) if begin > 0 else b""
            for line in reversed([line for line in lines if line.endswith(b"}")]):
                if msgspec.json.decode(line)["number"] <= after or len(found) == most:
                    return found[::-1]
                found.append(line)
    return found[::-1]


def way(record: Record, newest: int, number: int) -> WayView | None:
    """None when the chain has no such heads."""
    last = record.last_chain()
    if last is None or not 1 <= number <= newest <= last.gate:
        return None
    links = way_back(newest, number, lambda n: _link(record, n))
    told = [LinkView(one.number, one.previous.hex(), one.skipped.hex(), one.entry.hex()) for one in links]
    return WayView(newest, number, told)


def _link(record: Record, number: int) -> Link:
    row = record.chain_row(number)
    assert row is not None
    return Link(number, head_at(record, number - 1), head_at(record, skip(number)), entry_hash(row.entry))


def _view(body: dict[str, Any]) -> HeadView:
    return HeadView(
        community=body["community"],
        number=body["number"],
        kind=body["kind"],
        start=body["start"],
        length_s=body["length"],
        revision=body["revision"],
        head=body["head"],
        key=body["key"],
        signature=body["signature"] or "",
    )
