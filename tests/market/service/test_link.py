"""The market's connection beside a broker that takes nothing. Against a real one: tests/broker/test_serve.py."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from market.service import link as module
from market.service.ingest import Message
from market.service.link import Link

CONNACK = b"\x20\x02\x00\x00"


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a broker that lets one client in, grants its subscription, and then says nothing more."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(CONNACK)
                subscribe = connection.recv(4096)
                connection.sendall(b"\x90\x05" + subscribe[2:4] + b"\x01\x01\x00")
                while not ended.is_set() and connection.recv(65_536):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join(5)


def test_what_a_slow_broker_leaves_no_room_for_is_dropped_counted_and_told(
    deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 10)
    connected, told = threading.Event(), []
    link = Link(
        "c", "127.0.0.1", deaf, "x", None,
        deliver=lambda received: None, connected=connected.set, notice=told.append,
    )  # fmt: skip
    link.start()
    try:
        assert connected.wait(10)
        began = time.monotonic()
        for _ in range(10 + 5):
            link.publish(Message("pumasi/1/c/m1/ack", b"x"), retain=True)
        assert time.monotonic() - began < 10  # nobody waited for the broker
    finally:
        link.stop()
    assert told == [f"the broker takes too little: {count} messages to meters dropped so far" for count in (1, 2, 4)]
