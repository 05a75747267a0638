"""The chain checked: every closure derived again from the record, every head by its signature, every published head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from market.proof.file import plain
from market.proof.head import GENESIS, entry_hash, head_of, signed_text, skip
from market.record import Gate, Record
from market.record.rows import ChainRow
from market.service.chain import HEADS_FILE, read_heads
from market.service.chain_keys import secret_name, signed_by, stored_public_key, stored_secret
from market.service.closures import NUMBERED, closure_of, entry_of, sealed_of


class ChainError(Exception):
    """The first thing in the chain that is not as it should be; the message names it."""


@dataclass(frozen=True)
class Chained:
    """What was checked: closures, those whose content is tied to its head, published heads, and by which key."""

    closures: int
    tied: int
    heads: int
    public_key: str | None


class ChainCheck:
    """Checks the record's chain, closure by closure.

    ``published`` are heads from elsewhere (``number`` and ``head``), beside those in the store's own file.
    """

    def __init__(
        self,
        record: Record,
        directory: Path,
        published: Iterable[Mapping[str, Any]] = (),
        public_key: str | None = None,
    ) -> None:
        self._record = record
        self._secret = stored_secret(directory)
        self._public_key = public_key or stored_public_key(directory)
        own = directory / HEADS_FILE
        self._published = [*published, *(read_heads(own) if own.exists() else ())]
        self._heads: list[bytes] = [GENESIS]
        self._before: dict[str, Any] = {}
        self._tied = 0
        self._begun = self._public_key is not None or bool(self._published) or record.last_chain() is not None

    @property
    def outcomes(self) -> dict[str, int]:
        """What the newest closure saw of the outcomes."""
        counted: dict[str, int] = self._before.get("outcomes", {})
        return counted

    def check(self, gate: Gate) -> None:
        """The next closure. Raises ChainError."""
        if not self._begun:
            return
        where = f"closure {gate.number}"
        row = self._record.chain_row(gate.number)
        if row is None:
            raise ChainError(f"{where}: it is not in the chain")
        head = head_of(gate.number, self._heads[-1], self._heads[skip(gate.number)], entry_hash(row.entry))
        if row.head != head.hex():
            raise ChainError(f"{where}: its head is not what its entry and the heads before it make")
        self._heads.append(head)
        self._check_signature(where, gate, row)
        self._check_content(where, gate, row)

    def finish(self) -> Chained | None:
        """After the last closure: nothing more is in the chain, and every published head stands in it."""
        if not self._begun:
            return None
        last = self._record.last_chain()
        if last is not None and last.gate != len(self._heads) - 1:
            raise ChainError(f"closure {last.gate}: it is in the chain, and there is none of that number")
        for row in self._published:
            number, head = row.get("number"), row["head"]
            if number is None:
                if bytes.fromhex(head) not in self._heads:
                    raise ChainError(f"the published head {head} is not in the record")
            elif not 0 < number < len(self._heads):
                raise ChainError(f"head {number} was published, the record ends with {len(self._heads) - 1}")
            elif self._heads[number].hex() != head:
                raise ChainError(f"head {number} was published as {head}, the record has {self._heads[number].hex()}")
        return Chained(len(self._heads) - 1, self._tied, len(self._published), self._public_key)

    def _check_signature(self, where: str, gate: Gate, row: ChainRow) -> None:
        if self._public_key is None:
            return
        text = signed_text(closure_of(self._record, gate), gate.number, row.head)
        if not signed_by(self._public_key, text, row.signature or ""):
            raise ChainError(f"{where}: the signature on its head is not good")

    def _check_content(self, where: str, gate: Gate, row: ChainRow) -> None:
        """What is sealed follows from the record's rows; with the secret, so does the entry."""
        stored = msgspec.json.decode(row.sealed)
        newest = {table: stored[table]["up_to"] for table in NUMBERED}
        transfers = self._record.transfers(gate.number)
        due = plain(sealed_of(self._record, gate, transfers, self._before, newest, stored["outcomes"]))
        if row.sealed != due:
            raise ChainError(f"{where}: {_parting(row.sealed, due)} is not as it was chained")
        self._before = stored
        # Its entry says under which secret it was made, and the head covers that: nothing here can be passed off as
        # made under one that was destroyed.
        if self._secret is not None and secret_name(self._secret) == msgspec.json.decode(row.entry)["secret"]:
            entry = entry_of(self._record, gate, transfers, row.sealed, self._secret)
            if row.entry != entry:
                raise ChainError(f"{where}: {_parting(row.entry, entry)} is not as it was chained")
            self._tied += 1
        elif (told := _told(row.entry)) != (due_told := _gate(gate)):
            raise ChainError(f"{where}: its entry is of {told}, the record has {due_told}")


def _told(entry: str) -> tuple[object, ...]:
    body = msgspec.json.decode(entry)
    return tuple(body[name] for name in ("number", "kind", "start", "length", "revision", "closed_at"))


def _gate(gate: Gate) -> tuple[object, ...]:
    return gate.number, gate.kind, gate.start, gate.length, gate.revision, gate.closed_at


def _parting(stored: str, derived: str) -> str:
    """The first member in which two texts part."""
    for one, other in zip_longest(*(msgspec.json.decode(text).items() for text in (stored, derived))):
        if one != other:
            return str((one or other)[0])
    return "the text"
