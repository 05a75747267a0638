"""Whoever begins a request and does not finish it is hung up on; whoever waits for an answer is not."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from dashboard.connections import OPEN_FILES, Connection, allow_open_files

PATIENCE_S, ANSWER_S = 0.3, 1.0
LONGEST_S = 20


class Hasty(Connection):
    request_s = PATIENCE_S


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole request and answers after several times the patience."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(ANSWER_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port() -> Iterator[int]:
    config = uvicorn.Config(slow, http=Hasty, ws="none", lifespan="off", log_level="error", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def reached(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S)


def answered(connection: socket.socket) -> bool:
    got = b""
    while not got.endswith(b"ok") and (more := connection.recv(1000)):
        got += more
    return got.endswith(b"ok")


WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "part",
    [b"", b"GET / HT", WHOLE[:-2], b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc"],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_a_request_that_never_ends_is_hung_up_on(port: int, part: bytes) -> None:
    with reached(port) as connection:
        connection.sendall(part)
        assert connection.recv(1000) == b""


def test_so_is_one_that_drips(port: int) -> None:
    with reached(port) as connection:
        deadline = time.monotonic() + LONGEST_S
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                connection.sendall(b"G")
                time.sleep(PATIENCE_S / 10)


def test_and_one_that_begins_after_an_answer(port: int) -> None:
    with reached(port) as connection:
        connection.sendall(WHOLE)
        assert answered(connection)
        connection.sendall(WHOLE[:10])
        assert connection.recv(1000) == b""


def test_an_answer_may_take_longer_and_the_connection_is_used_again(port: int) -> None:
    with reached(port) as connection:
        for _ in range(2):
            connection.sendall(WHOLE)
            assert answered(connection)


def test_a_process_may_hold_more_files_than_it_began_with() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = (256, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, lowered)
    try:
        allow_open_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == (OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard))
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
