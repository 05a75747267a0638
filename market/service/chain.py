"""The chain of gate closures: a row for each, written with it; its heads signed, kept in a file and published."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from broker.keys import KeyFileError
from broker.private_files import held
from market.proof.head import GENESIS, entry_hash, head_of, signed_text, skip
from market.record import Gate, Record
from market.record.rows import ChainRow
from market.service.chain_keys import KEY_FILE, chain_keys, signed_by
from market.service.closures import closure_of, derive

HEADS_FILE = "heads.jsonl"
TAIL_BYTES = 4096
"""Longer than a head's line."""


class Chain:
    """The chain of the record in ``directory``, for its one writer. Raises KeyFileError."""

    def __init__(self, record: Record, directory: Path) -> None:
        self._record = record
        self._keys = chain_keys(directory)
        self._directory = directory
        self._heads = directory / HEADS_FILE
        self._last: tuple[ChainRow, dict[str, Any]] | None = None

    @property
    def public_key(self) -> str:
        return self._keys.public_key

    def add(self, gate: Gate) -> None:
        """Chain a closure whose result and transfers are stored. To be called within its transaction."""
        before = self._before(gate.number)
        derived = derive(self._record, gate, {} if before is None else before[1], self._keys.secret)
        previous = GENESIS if before is None else bytes.fromhex(before[0].head)
        skipped = head_at(self._record, skip(gate.number))
        head = head_of(gate.number, previous, skipped, entry_hash(derived.entry)).hex()
        signature = self._keys.sign(signed_text(closure_of(self._record, gate), gate.number, head))
        row = ChainRow(gate.number, derived.entry, derived.sealed, head, signature)
        self._record.add_chain(row.gate, row.entry, row.sealed, row.head, row.signature)
        self._last = (row, msgspec.json.decode(row.sealed))

    def _before(self, number: int) -> tuple[ChainRow, dict[str, Any]] | None:
        """The row before; what was remembered may be of a transaction that came to nothing."""
        if number == 1:
            return None
        row = self._record.chain_row(number - 1)
        if row is None:
            raise ValueError(f"gate closure {number - 1} is not in the chain")
        if self._last is None or self._last[0] != row:
            self._last = (row, msgspec.json.decode(row.sealed))
        return self._last

    def catch_up(self, say: Callable[[str], None]) -> None:
        """Chain the closures of an older record, and write what the file of heads lacks.

        Raises KeyFileError where another key has signed what there is: no key would fit the whole chain any more.
        """
        last = self._record.last_chain()
        if last is not None and not self._signed(last):
            raise KeyFileError(
                f"{self._directory / KEY_FILE}: the newest head of {self._record.name} is not signed by this key;"
                " put back the chain.key and proof.secret of the store that began it"
            )
        count = 0
        for gate in self._record.gates(after=0 if last is None else last.gate, kind=None):
            with self._record.transaction():
                self.add(gate)
            count += 1
        if count:
            say(f"{count} gate closures of an older version are chained now")
        newest = self._record.last_chain()
        if self._last_written() > (0 if newest is None else newest.gate):
            say("a head was published that the record has not reached: is it an old copy? See pumasi audit")
        self.write_heads()

    def _signed(self, row: ChainRow) -> bool:
        gate = next(self._record.gates(after=row.gate - 1, kind=None))
        text = signed_text(closure_of(self._record, gate), row.gate, row.head)
        return signed_by(self._keys.public_key, text, row.signature or "")

    def newest(self) -> bytes | None:
        """The signed head of the newest closure, as it goes to the topic."""
        row = self._record.last_chain()
        return None if row is None else head_line(row, self.public_key)

    def write_heads(self) -> None:
        """Add to the file the heads that it lacks, durable when this returns; only what is committed stands there."""
        with held(self._heads.with_suffix(".lock")):
            written = self._last_written()
            lines = [head_line(row, self.public_key) + b"\n" for row in self._record.chain_rows(after=written)]
            if lines:
                with self._heads.open("ab") as file:
                    file.writelines(lines)
                    file.flush()
                    os.fsync(file.fileno())

    def _last_written(self) -> int:
        """The number of the file's last head; what a crash left of a line is cut off."""
        if not self._heads.exists():
            return 0
        with self._heads.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            file.truncate(size - len(tail) + len(whole))
        lines = whole.splitlines()
        return int(msgspec.json.decode(lines[-1])["number"]) if lines else 0


def head_at(record: Record, number: int) -> bytes:
    """The head of a closure; number 0 stands for the beginning."""
    if number == 0:
        return GENESIS
    row = record.chain_row(number)
    if row is None:
        raise ValueError(f"gate closure {number} is not in the chain")
    return bytes.fromhex(row.head)


def head_line(row: ChainRow, public_key: str) -> bytes:
    """A head as JSON: what the retained topic ``_chain`` and each line of the file hold."""
    entry = msgspec.json.decode(row.entry)
    return msgspec.json.encode(
        {
            "v": 1,
            "community": entry["community"],
            "number": row.gate,
            **{name: entry[name] for name in ("kind", "start", "length", "revision")},
            "head": row.head,
            "key": public_key,
            "signature": row.signature,
        }
    )


def read_heads(path: Path) -> Iterator[dict[str, Any]]:
    """The heads in a file of them. Raises ValueError naming the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield published(line)
            except ValueError:
                raise ValueError(f"{path}: line {number} is not a published head") from None


class _Published(msgspec.Struct):
    """What of a published head is looked at."""

    number: int
    head: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    revision: int = 0


def published(line: bytes) -> dict[str, Any]:
    """One published head. Raises ValueError for what is none."""
    try:
        msgspec.json.decode(line, type=_Published)
        row: dict[str, Any] = msgspec.json.decode(line)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return row
