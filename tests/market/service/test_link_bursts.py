"""What comes in one burst is handed over in order, and acknowledged when the market says so, not before."""

from __future__ import annotations

import queue
import socket
import struct
from collections.abc import Iterator

import pytest

from market.service import link as module
from market.service.link import Link, Received

CONNACK = b"\x20\x02\x00\x00"
TOPIC = b"pumasi/1/c/m1/reading"
WAIT_S = 10.0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        yield server


def let_in(server: socket.socket) -> socket.socket:
    """The market's connection, subscribed."""
    connection, _ = server.accept()
    connection.settimeout(WAIT_S)
    connection.recv(4096)
    connection.sendall(CONNACK)
    subscribe = connection.recv(4096)
    connection.sendall(b"\x90\x05" + subscribe[2:4] + b"\x01\x01\x00")
    return connection


def published(mid: int) -> bytes:
    body = struct.pack(">H", len(TOPIC)) + TOPIC + struct.pack(">H", mid) + b"%d" % mid
    return b"\x32" + bytes([len(body)]) + body


def pubacks(connection: socket.socket, count: int) -> list[int]:
    heard = b""
    while len(heard) < 4 * count:
        heard += connection.recv(4096)
    return [mid for _, mid in struct.iter_unpack(">2sH", heard)]


def test_a_burst_is_handed_over_in_order_and_acknowledged_when_told(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is to wait until the client looks after itself: who acknowledges wakes the thread.
    monkeypatch.setattr(module, "WAIT_S", 600.0)
    monkeypatch.setattr(module, "MOST_READ", 10)
    handed: queue.Queue[list[Received]] = queue.Queue()
    told: list[str] = []
    link = Link(
        "c", "127.0.0.1", server.getsockname()[1], "x", None,
        deliver=lambda burst: handed.put(list(burst)), connected=lambda: None, notice=told.append,
    )  # fmt: skip
    link.start()
    try:
        with let_in(server) as connection:
            mids = list(range(1, 36))
            connection.sendall(b"".join(published(mid) for mid in mids))
            received: list[Received] = []
            while len(received) < len(mids):
                burst = handed.get(timeout=WAIT_S)
                assert 0 < len(burst) <= 10
                received += burst
            assert [one.message.payload for one in received] == [b"%d" % mid for mid in mids]
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)  # the market has not said that anything is durable
            connection.settimeout(WAIT_S)
            for one in received:
                link.acknowledge(one)
            assert pubacks(connection, len(mids)) == mids
        with let_in(server) as connection:
            link.acknowledge(received[0])  # of the connection before: it is for the broker to send it again
            connection.sendall(published(7))
            (again,) = handed.get(timeout=WAIT_S)
            link.acknowledge(again)
            assert pubacks(connection, 1) == [7]
            link.stop()
            assert connection.recv(16) == b"\xe0\x00"
    finally:
        link.stop()
    assert told == ["the broker is away; readings wait in the meters"]
