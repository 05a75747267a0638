"""HTTPS requests: enrolment, and the bundles of firmware. One request for each connection."""

import asyncio
import gc

from dial import close, dial, why
from headers import HeadError, content_length, read_head

TIMEOUT_MS = 15_000


class HttpsError(OSError):
    """One line: why there is no answer."""


class Response:
    """The answer's `status`, its `length` in bytes, and what follows."""

    def __init__(self, layers, stream, status: int, fields: "dict[str, str]", begun: bytes, timeout_ms: int) -> None:
        self._layers = layers
        self._stream = stream
        self._timeout_ms = timeout_ms
        self.status = status
        self.fields = fields
        self.length = content_length(fields) or 0
        self._left = self.length
        # what came together with the head
        self._begun = begun[: self.length]

    async def readinto(self, buffer) -> int:
        """Fills some of `buffer`; 0 at the end. Raises HttpsError when the rest does not come."""
        if not self._left or not len(buffer):
            return 0
        view = memoryview(buffer)[: min(len(buffer), self._left)]
        if self._begun:
            size = min(len(view), len(self._begun))
            view[:size] = self._begun[:size]
            self._begun = self._begun[size:]
            self._left -= size
            return size
        size = await _bounded(self._stream.readinto(view), self._timeout_ms)
        if not size:
            raise HttpsError("the answer ends too early")
        self._left -= size
        return size

    async def close(self) -> None:
        close(self._layers)
        self._layers = ()


async def open(
    host: str, port: int, context, method: str, path: str, body: "bytes | None" = None, timeout_ms: int = TIMEOUT_MS
) -> Response:
    """Asks and reads the answer's head. Raises HttpsError; the response is to be closed by the caller."""
    # the certificates of the other side are large
    gc.collect()
    request = "%s %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n" % (method, path, host, port)
    if body is not None:
        request += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    layers = ()
    try:
        layers = await dial(host, port, context, timeout_ms)
        stream = asyncio.StreamReader(layers[0])
        writer = asyncio.StreamWriter(layers[0], {})
        writer.write((request + "\r\n").encode() + (body or b""))
        await _bounded(writer.drain(), timeout_ms)
        first, fields, begun = await _bounded(read_head(stream), timeout_ms)
        words = first.split(None, 2)
        if len(words) < 2 or words[0][:7] != "HTTP/1." or not words[1].isdigit():
            raise HttpsError("not an answer of HTTP")
        return Response(layers, stream, int(words[1]), fields, begun, timeout_ms)
    except HttpsError:
        close(layers)
        raise
    except (OSError, EOFError, ValueError) as error:
        close(layers)
        raise HttpsError(why(error))
    except HeadError as error:
        close(layers)
        raise HttpsError("the answer has %s" % error)
    except BaseException:
        # given up by whoever waited
        close(layers)
        raise


async def request(
    host: str, port: int, context, method: str, path: str, body: "bytes | None" = None, most_bytes: int = 8192
) -> "tuple[int, bytes, dict[str, str]]":
    """(status, body, fields). Raises HttpsError, also for a body of more than `most_bytes`."""
    response = await open(host, port, context, method, path, body)
    try:
        if response.length > most_bytes:
            raise HttpsError("an answer of %d bytes" % response.length)
        whole = bytearray(response.length)
        view = memoryview(whole)
        filled = 0
        while filled < response.length:
            filled += await response.readinto(view[filled:])
        return response.status, bytes(whole), response.fields
    finally:
        await response.close()


async def _bounded(work, timeout_ms: int):
    try:
        return await asyncio.wait_for_ms(work, timeout_ms)
    except asyncio.TimeoutError as error:
        raise HttpsError(why(error))
