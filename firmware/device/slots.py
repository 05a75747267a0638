"""Two files written in turn: whatever byte the power is cut at, one whole older copy remains."""

import binascii
import os
import struct

# serial number of the write, length of the content; the checksum follows the content
_HEAD = "<IH"
_HEAD_BYTES = 6
_SUFFIXES = (".a", ".b")


class Slots:
    """A small durable value kept as `<path>.a` and `<path>.b`; the newest whole copy counts."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._serial = 0
        self._next = 0
        self.content = None  # type: bytes | None
        for index in range(2):
            found = _read(path + _SUFFIXES[index])
            if found is not None and (self.content is None or found[0] > self._serial):
                self._serial, self.content = found
                self._next = 1 - index

    def save(self, content: bytes) -> None:
        """Durable when it returns. Raises OSError when the flash is full or broken."""
        whole = struct.pack(_HEAD, self._serial + 1, len(content)) + content
        with open(self._path + _SUFFIXES[self._next], "wb") as file:
            file.write(whole)
            file.write(struct.pack("<I", binascii.crc32(whole)))
            file.flush()
        self._serial += 1
        self._next = 1 - self._next
        self.content = content


def _read(path: str) -> "tuple[int, bytes] | None":
    try:
        with open(path, "rb") as file:
            whole = file.read()
    except OSError:
        # not there, or flash that cannot be read: as good as spoiled
        return None
    if len(whole) < _HEAD_BYTES + 4:
        return None
    serial, length = struct.unpack_from(_HEAD, whole, 0)
    end = _HEAD_BYTES + length
    if len(whole) != end + 4 or struct.unpack_from("<I", whole, end)[0] != binascii.crc32(whole[:end]):
        return None
    return serial, whole[_HEAD_BYTES:end]


def exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True
