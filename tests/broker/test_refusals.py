"""Lines that Mosquitto 2.0.11 really writes, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.refusals import Refusals, read
from broker.site import directory


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory(tmp_path).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "name", "who"),
    [
        (
            "Client connection from 127.0.0.1 failed: error:0A0000C7:SSL routines::peer did not return a certificate.",
            "no-certificate", "?",
        ),
        ("OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed", "bad-certificate", "?"),
        ("Client connection from 127.0.0.1 failed: error:0A00009C:SSL routines::http request.", "bad-tls", "?"),
        ("OpenSSL Error[0]: error:0A000102:SSL routines::unsupported protocol", "bad-tls", "?"),
        ("OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca", "distrusted", "?"),
        ("Client <unknown> disconnected, not authorised.", "bad-password", "<unknown>"),
        ("Bad socket read/write on client rural3/m001: Unknown error.", "forbidden", "rural3/m001"),
        (
            "Denied PUBLISH from rural3/m001 (d0, q1, r0, m1, 'pumasi/1/other/x', ... (1 bytes))",
            "forbidden", "rural3/m001",
        ),
        ("Outgoing messages are being dropped for client rural3/_market.", "dropped", "rural3/_market"),
    ],
)  # fmt: skip
def test_refusals_are_counted_with_who(store: Path, line: str, name: str, who: str) -> None:
    refusals = Refusals(store)
    assert refusals.read_line(line) is None
    refusals.save(now=True)
    assert {key: (one.count, one.who) for key, one in read(store).items()} == {name: (1, who)}


@pytest.mark.parametrize(
    "line",
    [
        "New connection from 127.0.0.1:54141 on port 18883.",
        "New client connected from 127.0.0.1:54141 as rural3/m001 (p2, c1, k60, u'rural3/m001').",
        "Client rural3/m001 disconnected.",
        "Client rural3/m001 closed its connection.",
        "Client rural3/m001 has exceeded timeout, disconnecting.",
        "Client <unknown> disconnected: Protocol error.",
        "OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading",
        "Note: It is recommended to replace `message_size_limit` with `max_packet_size`.",
    ],
)
def test_what_is_usual_is_neither_counted_nor_shown(store: Path, line: str) -> None:
    refusals = Refusals(store)
    assert refusals.read_line(line) is None
    refusals.save(now=True)
    assert read(store) == {}


def test_what_is_unusual_is_shown(store: Path) -> None:
    assert Refusals(store).read_line("Error: No space left on device.") == "Error: No space left on device."


def test_counts_go_on_after_a_restart(store: Path) -> None:
    for _ in range(2):
        refusals = Refusals(store)
        refusals.add("token-used", "192.0.2.1")
        refusals.save()
    assert read(store)["token-used"].count == 2


def test_a_damaged_file_of_counts_stops_nothing(store: Path) -> None:
    (directory(store) / "refusals.json").write_text("{")
    Refusals(store).add("forbidden", "x")
    assert read(store) == {}
