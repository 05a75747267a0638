"""Enrolment's parts: HTTPS that trusts no length, time before TLS, files that change together."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device.authority import issue, make_authority

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z
AUTHORITY = make_authority()


def test_a_power_cut_while_an_identity_is_stored_leaves_the_old_or_the_new_one(on_device: Callable[..., Any]) -> None:
    found = on_device("cut_staging.py")
    *boots, left = found
    assert set(boots) == {"old", "new"}, boots
    # from one operation on it is the new one
    assert boots == sorted(boots, reverse=True) and boots.count("old") > 8 and boots.count("new") > 8
    assert left == []


@pytest.mark.parametrize(
    ("ntp", "date", "asked", "told", "error"),
    [
        (str(NOON), "", ["pool.example"], [NOON], None),
        ("no", "Sun, 22 Nov 2026 12:00:00 GMT", ["pool.example", "hub.example"], [NOON], None),
        ("no", "", ["pool.example", "hub.example"], [], "time"),
        ("no", "Sun, 22 Nov 1996 12:00:00 GMT", ["pool.example", "hub.example"], [], "time"),
        ("no", "yesterday", ["pool.example", "hub.example"], [], "time"),
        ("no", "Sun, xx Nov 2026 12:00:00 GMT", ["pool.example", "hub.example"], [], "time"),
    ],
)
def test_the_time_comes_before_certificates(
    on_device: Callable[..., Any], ntp: str, date: str, asked: list[str], told: list[int], error: str | None
) -> None:
    found_asked, found_told, found_error = on_device("set_time.py", ntp, date)
    assert (found_asked, found_error) == (asked, error)
    assert len(found_told) == len(told) and all(abs(a - b) <= 1 for a, b in zip(found_told, told, strict=True))


@contextlib.contextmanager
def answering(folder: Path, answer: bytes, hold: bool) -> Iterator[int]:
    """The port of a TLS server that says `answer` once; with `hold` it then stays silent instead of hanging up."""
    server_credential = issue(AUTHORITY, "hub", ["localhost"])
    server_credential.write(folder, "hub")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "hub.pem", folder / "hub.key")

    def serve() -> None:
        connection, _ = server.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4096)
            secured.sendall(answer)
            if hold:
                secured.settimeout(10)
                secured.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(15)


ANSWERS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False, [200, 3], id="whole"),
    pytest.param(b"HTTP/1.1 403 No\ncontent-length:2\n\n{}", True, [403, 2], id="only what was stated is waited for"),
    pytest.param(b"HTTP/1.1 204 None\r\n\r\n", False, [204, 0], id="nothing"),
    pytest.param(b"", False, "the connection was closed", id="hangs up"),
    pytest.param(b"", True, "no answer in time", id="says nothing"),
    pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", False, "not an answer of HTTP", id="something else"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", False, "the answer ends too early", id="short"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", True, "no answer in time", id="stops"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", False, "an answer of 99999999 bytes", id="huge"
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", False, "a length that is no number", id="no number"
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", False, "a length that is no number", id="negative"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", False, "a transfer encoding", id="chunks"
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 5000, False, "a head of more than 4096", id="a long head"),
    pytest.param(b"HTTP/1.1 200 OK\r\n\xff\xfe: 1\r\n\r\n", False, "bytes that are no text", id="noise"),
]


@pytest.mark.parametrize(("answer", "hold", "expected"), ANSWERS)
def test_answers(
    on_device: Callable[..., Any], tmp_path: Path, answer: bytes, hold: bool, expected: list[int] | str
) -> None:
    with answering(tmp_path, answer, hold) as port:
        found = on_device("ask_https.py", port, 400)
    if isinstance(expected, str):
        assert isinstance(found, str) and expected in found
    else:
        assert found == expected
