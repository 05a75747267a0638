"""The head of an HTTP message (RFC 9112), read within a bound."""

MOST_BYTES = 4096

_PIECE_BYTES = 256


class HeadError(Exception):
    """Not a head of HTTP, or one that is too long."""


async def read_head(stream, most_bytes: int = MOST_BYTES) -> "tuple[str, dict[str, str], bytes]":
    """(first line, fields by lower-case name, what has come of the body already).

    Raises HeadError, EOFError or OSError; the caller bounds the time.
    """
    # MicroPython's readline knows no bound, and byte by byte would take a board seconds
    data = b""
    while True:
        piece = await stream.read(_PIECE_BYTES)
        if not piece:
            raise EOFError
        # where the end may have been cut in two
        seen = max(0, len(data) - 3)
        data += piece
        for mark in (b"\r\n\r\n", b"\n\n"):
            end = data.find(mark, seen)
            if 0 <= end <= most_bytes:
                first, fields = _parse(data[:end])
                return first, fields, data[end + len(mark) :]
        if len(data) > most_bytes:
            raise HeadError("a head of more than %d bytes" % most_bytes)


def content_length(fields: "dict[str, str]") -> "int | None":
    """The stated length; None when nothing is said. Raises HeadError for what cannot be."""
    value = fields.get("content-length")
    if "transfer-encoding" in fields:
        raise HeadError("a transfer encoding")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 9:
        raise HeadError("a length that is no number")
    return int(value)


def _parse(head: bytes) -> "tuple[str, dict[str, str]]":
    try:
        lines = str(head, "utf-8").split("\n")
    except UnicodeError:
        raise HeadError("bytes that are no text")
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.rstrip("\r").partition(":")
        if not colon or not name or name[0] in " \t":
            raise HeadError("a field without a name")
        fields[name.lower()] = value.strip()
    return lines[0].rstrip("\r"), fields
