"""SML: the escape sequences of its transport, and the nested lists inside.

A file lies between 1B1B1B1B 01010101 and 1B1B1B1B 1A pp crc crc, in words of four bytes; four escape bytes in the data
are sent twice; pp zero bytes are padding. Inside, each element begins with its kind and length: octet strings,
booleans, integers, lists. A GetList response holds one list of seven for each value: code, status, time, unit, scaler,
value, signature.
Source: BSI TR-03109-1, annex "Feinspezifikation der drahtgebundenen LMN-Schnittstelle, Teil b: SML". Holley's DTZ541
computes Kermit's CRC instead of X.25's and sends times without their list around (volkszaehler/libsml issue 75); both
are read.
"""

from sensors import crc16

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_START = _ESCAPE + b"\x01\x01\x01\x01"
_FILE_MOST = 2048
_DEPTH_MOST = 8
_GET_LIST_RESPONSE = 0x0701

_OCTETS, _INTEGER, _UNSIGNED, _LIST = 0, 5, 6, 7


class Files:
    """Finds whole files in pieces of a stream, whatever else is in it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> "bytes | None":
        """The content of the first file with a right CRC that ends in `chunk`."""
        self._rest += chunk
        while True:
            start = self._rest.find(_START)
            if start < 0:
                # the beginning of a start may be at the end
                self._rest = self._rest[-len(_START) + 1 :]
                return None
            self._rest = self._rest[start:]
            end, content = _enclosed(self._rest)
            if content is not None:
                self._rest = self._rest[end:]
                return content
            if end is None and len(self._rest) <= _FILE_MOST:
                return None
            # no file: look for the next start, inside what seemed to be one
            self._rest = self._rest[1:]


def _enclosed(data: bytes) -> "tuple[int | None, bytes | None]":
    """(where it ends, content) of the file at the beginning of `data`: no end yet, or no content where it is broken."""
    at = len(_START)
    content = []
    begun = at
    while True:
        # escapes lie on words of four bytes
        found = data.find(_ESCAPE, at)
        at = (found + 3) & ~3
        if found < 0 or at + 8 > len(data):
            return None, None
        if data[at : at + 4] != _ESCAPE:
            continue
        word = data[at + 4 : at + 8]
        if word == _ESCAPE:
            content.append(data[begun : at + 4])
            at += 8
            begun = at
            continue
        if word[0] != 0x1A or word[1] > 3:
            return at, None
        crc = word[2] | word[3] << 8
        checked = memoryview(data)[: at + 6]
        if crc != crc16.x25(checked) and crc != crc16.kermit(checked):
            return at, None
        content.append(data[begun:at])
        whole = b"".join(content)
        return at + 8, whole[: len(whole) - word[1]]


class _Reader:
    """Walks over elements. Raises ValueError where they do not fit together."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def more(self) -> bool:
        """Whether anything but ends of messages and padding follows."""
        while self.at < len(self._data) and self._data[self.at] == 0:
            self.at += 1
        return self.at < len(self._data)

    def head(self) -> "tuple[int, int]":
        """(kind, number of bytes, or of elements in a list)."""
        first = byte = self._byte()
        if first == 0:
            # the end of a message
            return _OCTETS, 0
        length = byte & 15
        head_bytes = 1
        while byte & 0x80:
            if head_bytes == 3:
                raise ValueError("a length of more than three bytes")
            byte = self._byte()
            length = length << 4 | byte & 15
            head_bytes += 1
        kind = first >> 4 & 7
        if kind != _LIST:
            length -= head_bytes
        if length < 0 or length > len(self._data) - self.at:
            raise ValueError("a length beyond the end")
        return kind, length

    def elements(self, least: int) -> int:
        kind, length = self.head()
        if kind != _LIST or length < least:
            raise ValueError("no list of %d" % least)
        return length

    def value(self):
        """bytes, an integer, or None for what is absent or a list."""
        begun = self.at
        kind, length = self.head()
        if kind == _LIST:
            self.at = begun
            self.skip(0)
            return None
        data = self._data[self.at : self.at + length]
        self.at += length
        if kind == _OCTETS:
            return data or None
        if kind not in (_INTEGER, _UNSIGNED) or not 1 <= length <= 8:
            return None
        number = int.from_bytes(data, "big")
        return number - (1 << 8 * length) if kind == _INTEGER and data[0] & 0x80 else number

    def skip(self, depth: int) -> None:
        if depth > _DEPTH_MOST:
            raise ValueError("nested too deep")
        kind, length = self.head()
        if kind == _LIST:
            for _ in range(length):
                self.skip(depth + 1)
        else:
            self.at += length

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise ValueError("broken off")
        self.at += 1
        return self._data[self.at - 1]


def entries(content: bytes) -> "tuple":
    """(server id, {code: (status, status' bytes, unit, scaler, value, value's bytes)}). Raises ValueError."""
    reader = _Reader(content)
    server = None
    found = {}
    while reader.more():
        rest = reader.elements(6) - 4
        for _ in range(3):
            reader.skip(0)
        reader.elements(2)
        if reader.value() != _GET_LIST_RESPONSE:
            reader.skip(0)
        else:
            after = reader.elements(5) - 5
            reader.skip(0)
            server = reader.value()
            reader.skip(0)
            reader.skip(0)
            for _ in range(reader.elements(0)):
                _entry(reader, found)
            for _ in range(after):
                reader.skip(0)
        for _ in range(rest):
            reader.skip(0)
    return server, found


def _entry(reader: _Reader, found: dict) -> None:
    extra = reader.elements(7) - 7
    code = reader.value()
    begun = reader.at
    status = reader.value()
    status_bytes = reader.at - begun - 1
    reader.skip(0)
    unit = reader.value()
    scaler = reader.value()
    begun = reader.at
    value = reader.value()
    value_bytes = reader.at - begun - 1
    for _ in range(1 + extra):
        reader.skip(0)
    if type(code) is bytes and type(value) is int:
        if code in found:
            raise ValueError("a code twice")
        found[code] = (status if type(status) is int else None, status_bytes, unit, scaler, value, value_bytes)
