"""The dashboard as a process: events over the wire, and an end within two seconds."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path

import pytest

from dashboard.accounts import Accounts
from dashboard.serve import serve
from market.series import EmbeddedSeries
from tests.dashboard.conftest import Served
from tests.dashboard.street import Street


class Events:
    """An open event stream."""

    def __init__(self, served: Served) -> None:
        self.connection = http.client.HTTPConnection(served.host, timeout=10)
        headers = {"Accept-Encoding": "gzip", "Cookie": f"pumasi={served.session}"}
        self.connection.request("GET", "/household/h003/events", headers=headers)
        self.answer = self.connection.getresponse()

    def next(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            found[name] = value
        return found


def test_events_follow_changes_unbuffered(served: Served) -> None:
    events = Events(served)
    assert events.answer.headers["Content-Type"].startswith("text/event-stream")
    assert events.answer.headers["Content-Encoding"] is None
    assert events.next() == {"retry": "1000"}
    assert events.next() == {"event": "change", "id": "1", "data": "1"}
    for counter in ("2", "3"):
        served.settle()
        assert events.next()["data"] == counter
    events.connection.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_by_itself_with_pages_open(served: Served, sent: signal.Signals) -> None:
    streams = [Events(served) for _ in range(3)]
    for events in streams:
        events.next()
        events.next()
    served.process.send_signal(sent)
    # uvicorn by itself would wait for the streams for ever.
    assert served.process.wait(timeout=30) == 0
    for events in streams:
        assert events.next() == {}
        events.connection.close()
    assert served.process.stderr is not None
    assert served.process.stderr.read() == ""


def test_a_taken_port_is_one_line_and_status_2(
    street: Street, series: EmbeddedSeries, accounts: Accounts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert serve(street, series, accounts, store=tmp_path, port=port) == 2
    assert capsys.readouterr().err == f"pumasi dashboard: 127.0.0.1 port {port} is taken by another program\n"


def test_names_that_are_not_ours_are_refused(served: Served) -> None:
    for name, status in ((served.host, 200), ("localhost", 200), ("127.0.0.1", 200), ("pumasi.example", 400)):
        connection = http.client.HTTPConnection(served.host, timeout=10)
        connection.request("GET", "/health", headers={"Host": name})
        assert connection.getresponse().status == status
        connection.close()


def test_the_port_is_free_again_at_once(served: Served, tmp_path: Path) -> None:
    events = Events(served)
    events.next()
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(timeout=10)
    port = served.host.rpartition(":")[2]
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(port)))
    events.connection.close()
