"""The real parts themselves: they start here, refuse what they must, and a missing one says why."""

import socket
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import sync_playwright

from tests import parts
from tests.servers import InfluxDatabase, InfluxServer, MosquittoServer


def test_mosquitto_keeps_retained_messages_over_an_outage(mosquitto: MosquittoServer) -> None:
    def connected() -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect(mosquitto.host, mosquitto.port)
        client.loop_start()
        return client

    writer = connected()
    writer.publish("kept", b"1", qos=1, retain=True).wait_for_publish(5)
    writer.disconnect()
    writer.loop_stop()
    mosquitto.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((mosquitto.host, mosquitto.port), timeout=1)
    mosquitto.start()
    received: list[bytes] = []

    def keep(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        received.append(bytes(message.payload))
        client.disconnect()

    reader = connected()
    reader.on_message = keep
    reader.subscribe("kept", qos=1)
    thread = reader._thread
    assert thread is not None
    thread.join(5)
    assert received == [b"1"]


def test_influxdb_asks_for_a_password(influxdb_server: InfluxServer, influxdb: InfluxDatabase) -> None:
    assert influxdb.database.encode() in influxdb_server.query("SHOW DATABASES")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"{influxdb.url}/query?q=SHOW+DATABASES", timeout=5)
    refused.value.close()


def test_chromium_draws_a_page(chromium_path: Path, tmp_path: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write("<p>?</p><script>document.querySelector('p').textContent='품앗이'</script>".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    picture = tmp_path / "page.png"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path, args=list(parts.CHROMIUM_ARGUMENTS))
            page = browser.new_page()
            page.goto(f"http://localhost:{server.server_port}/")
            assert page.inner_text("p") == "품앗이"
            page.screenshot(path=picture)
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_part_that_cannot_be_had_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, ci: str, status: int
) -> None:
    nothing = parts.Part("no-such-program", ("no-such-package",), "usr/bin/no-such-program", ("--version",))
    monkeypatch.setitem(parts.PARTS, "nothing", nothing)
    monkeypatch.setattr(parts, "ROOT", tmp_path / ".parts")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    assert parts.main(["nothing"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("nothing: cannot be had: not on this machine, and there is no apt-get")
