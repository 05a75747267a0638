"""A small HTTP/1.1 server for a page or two: one request for each connection, and a bound on everything.

A handler is awaited with a Request and gives (status, type, pieces): text or bytes, one after the other, so that no
page need be held whole. For a redirection the type is the location.
"""

import asyncio
import gc

from headers import HeadError, content_length, read_head

HTML = "text/html; charset=utf-8"
JSON = "application/json"

CLIENTS_MOST = 4
BODY_MOST = 2048
TIMEOUT_MS = 8000

_REASONS = {
    200: "OK", 302: "Found", 303: "See Other", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 411: "Length Required", 413: "Content Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip
# nothing from elsewhere, nothing that runs, nothing that is kept
_SAFETY = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'\r\nConnection: close\r\n"
)


class Request:
    """`path` without its query; `query` and `form` by name; `peer` is the other side's address."""

    def __init__(self, method: str, target: str, fields: "dict[str, str]", body: bytes, peer: str) -> None:
        self.method = method
        self.path, _, query = target.partition("?")
        self.query = decode(query)
        self.host = fields.get("host", "")
        self.origin = fields.get("origin")
        self.language = fields.get("accept-language", "")
        self.form = decode(str(body, "utf-8")) if body else {}
        self.peer = peer


class Server:
    """Serves until closed."""

    def __init__(self, handler) -> None:
        self._handler = handler
        self._clients = 0
        self._server = None

    async def open(self, address: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, address, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader, writer) -> None:
        self._clients += 1
        try:
            if self._clients > CLIENTS_MOST:
                await asyncio.wait_for_ms(_answer(writer, 503, "text/plain", ("busy",)), TIMEOUT_MS)
            else:
                await asyncio.wait_for_ms(self._exchange(reader, writer), TIMEOUT_MS)
        except (OSError, EOFError, asyncio.TimeoutError):
            # whoever asked has gone, or is too slow
            pass
        finally:
            self._clients -= 1
            writer.close()
            await writer.wait_closed()

    async def _exchange(self, reader, writer) -> None:
        try:
            status, kind, pieces = await self._handler(await _read(reader, writer.get_extra_info("peername")))
        except RefusedError as refusal:
            status, kind, pieces = refusal.status, "text/plain", (_REASONS[refusal.status],)
        except MemoryError:
            # metering comes first
            gc.collect()
            status, kind, pieces = 503, "text/plain", ("no memory for this now",)
        await _answer(writer, status, kind, pieces)


class RefusedError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


async def _read(reader, peer) -> Request:
    try:
        first, fields, body = await read_head(reader)
        length = content_length(fields) or 0
    except HeadError:
        raise RefusedError(400)
    words = first.split()
    if len(words) != 3 or words[2][:7] != "HTTP/1." or words[1][:1] not in "/h":
        raise RefusedError(400)
    if words[0] not in ("GET", "HEAD", "POST"):
        raise RefusedError(405)
    if length > BODY_MOST:
        raise RefusedError(413)
    if len(body) < length:
        body += await reader.readexactly(length - len(body))
    body = body[:length]
    try:
        return Request(words[0], words[1], fields, body, _address(peer))
    except ValueError:
        # bytes that are no text
        raise RefusedError(400)


async def _answer(writer, status: int, kind: str, pieces) -> None:
    head = "HTTP/1.1 %d %s\r\n%s" % (status, _REASONS[status], _SAFETY)
    if 300 <= status < 400:
        writer.write(("%sLocation: %s\r\nContent-Length: 0\r\n\r\n" % (head, kind)).encode())
        await writer.drain()
        return
    writer.write(("%sContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % (head, kind)).encode())
    for piece in pieces:
        content = piece if isinstance(piece, bytes) else piece.encode()
        if content:
            writer.write(b"%x\r\n" % len(content) + content + b"\r\n")
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _address(peer) -> str:
    """The ESP32 gives ("192.168.4.2", 51234), the unix port the bytes of a sockaddr."""
    if isinstance(peer, tuple):
        return peer[0]
    return ".".join(str(byte) for byte in bytes(peer)[4:8])


def decode(text: str) -> "dict[str, str]":
    """Of `application/x-www-form-urlencoded`. Raises ValueError for bytes that are no UTF-8."""
    found = {}
    for part in text.split("&")[:16]:
        name, _, value = part.partition("=")
        if name:
            found[_unquote(name)] = _unquote(value)
    return found


def _unquote(text: str) -> str:
    pieces = text.replace("+", " ").split("%")
    content = pieces[0].encode()
    for piece in pieces[1:]:
        content += bytes((int(piece[:2], 16),)) + piece[2:].encode()
    return str(content, "utf-8")


def escape(text: str) -> str:
    """Text as it may stand in HTML, in attributes too."""
    for letter, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        text = text.replace(letter, "&" + name + ";")
    return text
