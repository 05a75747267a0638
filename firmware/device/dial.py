"""Opens a TCP connection, with TLS or without. Every wait has an end, and whoever gives up loses no socket.

asyncio.open_connection is not used: when it is given up it forgets its socket, and an ESP32 has few.
"""

import asyncio
import errno
import select
import socket
import time

_STEP_MS = 20


async def dial(host: str, port: int, context=None, timeout_ms: int = 10_000):
    """The connection's layers, outermost first; `layers[0]` is the one to speak through, and all are to be closed.

    With an `ssl.SSLContext` the handshake happens with the first bytes written. Raises OSError. The name's lookup
    blocks: MicroPython has no other.
    """
    address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    opened = socket.socket(address[0], address[1], address[2])
    try:
        opened.setblocking(False)
        try:
            opened.connect(address[-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        await _writable(opened, timeout_ms)
        if context is not None:
            return (context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False), opened)
        return (opened,)
    except BaseException:
        # a cancelled wait too
        opened.close()
        raise


def close(layers) -> None:
    """Every layer by itself: a TLS layer that has failed does not close the socket below it."""
    for layer in layers:
        try:
            layer.close()
        except OSError:
            # closed through the layer above
            continue


async def _writable(opened, timeout_ms: int) -> None:
    poller = select.poll()
    poller.register(opened, select.POLLOUT)
    began_ms = time.ticks_ms()
    while True:
        events = poller.poll(0)
        if events:
            if events[0][1] & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.ECONNREFUSED)
            return
        if time.ticks_diff(time.ticks_ms(), began_ms) > timeout_ms:
            raise OSError(errno.ETIMEDOUT)
        await asyncio.sleep_ms(_STEP_MS)


def why(error: BaseException) -> str:
    """A failed connection in a few words, for people."""
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the connection was closed"
    if isinstance(error, ValueError):
        # how mbedtls says that a certificate is not to be trusted, in lines of its own
        return " ".join(str(error).split())
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(number, int):
        return _SYSTEM.get(number) or ("error %d" % number if number > -0x1000 else "TLS error -0x%x" % -number)
    return str(error)


# mbedtls's numbers are ssl.h's: a fatal alert is what a broker sends that does not accept our certificate
_SYSTEM = {
    errno.ECONNREFUSED: "nobody listens there",
    errno.ETIMEDOUT: "no answer in time",
    errno.ECONNRESET: "the connection was cut",
    32: "the connection was cut",
    errno.EHOSTUNREACH: "no way there",
    -2: "the name is not known",
    -202: "the name is not known",
    -0x7780: "TLS: the other side refused our certificate",
    -0x7880: "TLS: closed by the other side",
    -0x7280: "the connection was cut",
}
