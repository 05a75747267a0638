"""Somebody without an account who tries the broker's door."""

from __future__ import annotations

import socket
from contextlib import suppress

TIMEOUT_S = 5.0
CONNACK = 0x20


def refused(host: str, port: int) -> bool:
    """True when the broker does not let in a client that only guesses a name and a password."""
    fields = [b"a/stranger", b"a/stranger", b"let-me-in"]
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + b"".join(len(f).to_bytes(2, "big") + f for f in fields)
    with suppress(OSError), socket.create_connection((host, port), TIMEOUT_S) as connection:
        connection.sendall(bytes((0x10, len(body))) + body)
        answer = connection.recv(4)
        return len(answer) < 4 or answer[0] != CONNACK or answer[3] != 0
    return True
