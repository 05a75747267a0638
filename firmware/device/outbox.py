"""The outbox: readings wait here, on flash, until the market says that it has stored them.

Records of 64 bytes, each with a checksum, are appended to segment files of 127 records; a segment is named by its first
sequence number. A record also carries the acknowledged mark and the count of what was dropped, so that one append makes
all of the outbox durable. A power cut can spoil only the record being written, which nobody was told about: its
sequence number is used again. Segments below the acknowledged mark are erased, but for the newest of them.
"""

import binascii
import os
import struct
from collections import namedtuple

from slots import Slots, exists

# with littlefs's own pointers, 127 records are what fits two flash blocks of 4 KiB
RECORDS_PER_SEGMENT = 127
# 23 full segments and one being filled: at least 2,921 records, 30 days of 900 s are 2,880
SEGMENTS = 24

# version, flags, spare, seq, acknowledged, dropped, start, length, 4 registers [mWh]; then the checksum
_LAYOUT = "<BBHIIIqI4q"
_BODY_BYTES = 60
RECORD_BYTES = 64
_VERSION = 2
_SUFFIX = ".seg"

Record = namedtuple("Record", ("seq", "flags", "acknowledged", "dropped", "start", "length", "registers"))


class Outbox:
    """Durable records with consecutive sequence numbers.

    Everything public is an integer: `next_seq` (of the next record), `acknowledged` (every record below it is stored by
    the market), `dropped` (records lost to age or to worn flash before they were acknowledged).
    """

    def __init__(self, folder: str, segments: int = SEGMENTS, records_per_segment: int = RECORDS_PER_SEGMENT) -> None:
        self._folder = folder
        self._segments_most = segments
        self._per_segment = records_per_segment
        self._buffer = bytearray(RECORD_BYTES)
        self._view = memoryview(self._buffer)
        self._gone = 0
        self._torn = False
        self.next_seq = 0
        self.acknowledged = 0
        self.dropped = 0
        self.last = None  # type: Record | None
        _make_folder(folder)
        self.id = _identity(folder + "/identity")
        self._segments = _segments(folder)
        self._recover()

    @property
    def first(self) -> int:
        """The oldest sequence number still held."""
        return max(self._segments[0] if self._segments else self.next_seq, self._gone)

    @property
    def capacity(self) -> int:
        """Records held at least before the oldest is dropped."""
        return (self._segments_most - 1) * self._per_segment

    def __len__(self) -> int:
        return self.next_seq - self.acknowledged

    def append(self, start: int, length: int, registers: "list[int]", flags: int) -> int:
        """Stores one record and gives its sequence number; durable when it returns.

        A full flash costs the oldest records. Raises OSError when even that makes no room.
        """
        seq = self.next_seq
        crowded = False
        if not self._segments or seq - self._segments[-1] >= self._per_segment:
            crowded = len(self._segments) >= self._segments_most
            if crowded:
                # the record that makes it too much also tells what it costs; only then the oldest goes
                self._give_up_oldest()
            self._segments.append(seq)
        while True:
            try:
                if self._torn:
                    self._cut(self._segments[-1], seq - self._segments[-1])
                self._torn = True
                self._write(seq, start, length, registers, flags)
                self._torn = False
                break
            except OSError:
                if len(self._segments) < 2:
                    raise
                if not crowded:
                    self._give_up_oldest()
                crowded = False
                self._erase_oldest()
        if crowded:
            self._erase_oldest()
        self.next_seq = seq + 1
        self.last = Record(seq, flags, self.acknowledged, self.dropped, start, length, tuple(registers))
        return seq

    def read(self, seq: int) -> "Record | None":
        """The record, or None when it is not held or its bytes are spoiled."""
        for index in range(len(self._segments) - 1, -1, -1):
            if self._segments[index] <= seq < self.next_seq:
                return self._read(self._segments[index], seq)
        return None

    def acknowledge(self, next_seq: int) -> bool:
        """The market has stored everything below `next_seq`; False when that cannot be about our records.

        A mark that moves back (a market restored from a backup) is followed as far as records are still held.
        """
        if next_seq > self.next_seq:
            return False
        self.acknowledged = max(next_seq, self.first)
        # one whole segment stays behind the newest: the household's page shows what was lately measured
        while len(self._segments) > 2 and self._segments[2] <= self.acknowledged:
            self._erase_oldest()
        return True

    def skip(self, seq: int) -> None:
        """Gives up the spoiled record `seq`, so that it does not hold up those behind it."""
        if seq >= self._gone:
            self._gone = seq + 1
            self.dropped += 1
        self.acknowledged = max(self.acknowledged, seq + 1)

    def _write(self, seq: int, start: int, length: int, registers: "list[int]", flags: int) -> None:
        buffer = self._buffer
        struct.pack_into(
            _LAYOUT, buffer, 0, _VERSION, flags, 0, seq, self.acknowledged, self.dropped, start, length,
            registers[0], registers[1], registers[2], registers[3],
        )  # fmt: skip
        struct.pack_into("<I", buffer, _BODY_BYTES, binascii.crc32(self._view[:_BODY_BYTES]))
        with open(self._path(self._segments[-1]), "ab") as file:
            file.write(buffer)
            file.flush()

    def _read(self, segment: int, seq: int) -> "Record | None":
        try:
            with open(self._path(segment), "rb") as file:
                file.seek((seq - segment) * RECORD_BYTES)
                if file.readinto(self._buffer) != RECORD_BYTES:
                    return None
        except OSError:
            return None
        checksum = struct.unpack_from("<I", self._buffer, _BODY_BYTES)[0]
        fields = struct.unpack_from(_LAYOUT, self._buffer, 0)
        if checksum != binascii.crc32(self._view[:_BODY_BYTES]) or fields[0] != _VERSION or fields[3] != seq:
            return None
        return Record(seq, fields[1], fields[4], fields[5], fields[6], fields[7], tuple(fields[8:12]))

    def _recover(self) -> None:
        """Finds the end of the log. Only its last record can have been cut short by a power cut."""
        if self._segments:
            segment = self._segments[-1]
            size = os.stat(self._path(segment))[6]
            held = (size + RECORD_BYTES - 1) // RECORD_BYTES
            self.next_seq = segment + held
            if held and self.read(self.next_seq - 1) is None:
                held -= 1
                self.next_seq -= 1
            if held == 0:
                os.remove(self._path(segment))
                self._segments.pop()
            elif held * RECORD_BYTES != size:
                self._cut(segment, held)
        seq = self.next_seq - 1
        while seq >= self.first and self.last is None:
            self.last = self.read(seq)
            seq -= 1
        if self.last is not None:
            self.dropped = self.last.dropped
            self.acknowledged = self.last.acknowledged
        while len(self._segments) > self._segments_most:
            # it was to go, and the newest record says so already
            self._erase_oldest()
        self.acknowledged = max(self.acknowledged, self.first)

    def _cut(self, segment: int, held: int) -> None:
        """Shortens a segment to its first `held` records (MicroPython has no truncate)."""
        path = self._path(segment)
        if not exists(path):
            return
        shorter = self._folder + "/cut"
        with open(path, "rb") as old, open(shorter, "wb") as new:
            for _ in range(held):
                old.readinto(self._buffer)
                new.write(self._buffer)
            new.flush()
        os.rename(shorter, path)

    def _give_up_oldest(self) -> None:
        end = self._segments[1] if len(self._segments) > 1 else self.next_seq
        self.dropped += max(0, end - max(self.acknowledged, self.first))
        self.acknowledged = max(self.acknowledged, end)

    def _erase_oldest(self) -> None:
        os.remove(self._path(self._segments.pop(0)))

    def _path(self, segment: int) -> str:
        return "%s/%08x%s" % (self._folder, segment, _SUFFIX)


def _make_folder(folder: str) -> None:
    if not exists(folder):
        os.mkdir(folder)


def _identity(path: str) -> str:
    slots = Slots(path)
    if slots.content is None or len(slots.content) != 8:
        slots.save(os.urandom(8))
    return binascii.hexlify(slots.content or b"").decode()


def _segments(folder: str) -> "list[int]":
    found = []
    for entry in os.ilistdir(folder):
        name = entry[0]
        if name.endswith(_SUFFIX) and len(name) == 8 + len(_SUFFIX):
            found.append(int(name[:8], 16))
    found.sort()
    return found
