"""Provisioning by phone: the meter's page spoken to by a real HTTP client, and a hub over real TLS."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import http.server
import json
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device.authority import Credential, issue, make_authority
from tests.firmware.device.conftest import DEVICE, HEAP, KEY, SCRIPTS
from tests.servers import free_port

AUTHORITY = make_authority()
STRANGER = make_authority("another authority")
METER = issue(AUTHORITY, "rural3/m007")
TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWX22"
LABEL = {
    "password": "label-password",
    "board": "pumasi-s3",
    "sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}],
}
CONFIG = {
    "version": 1,
    "community": "rural3",
    "meter": "m007",
    "kid": 1,
    "key": KEY.hex(),
    "interval_s": 900,
    "broker": {"host": "broker.example", "port": 8883, "tls": True, "user": None, "password": None},
    "hub": "https://hub.example:8443",
    "clock": "ntp",
}


class Hub:
    """An enrolment server: the authority's certificate for anybody, an identity for the token."""

    def __init__(self, folder: Path, server: Credential, authority: Credential = AUTHORITY) -> None:
        self.asked: list[bytes] = []
        self.answer: tuple[int, object] = (
            200,
            {
                "config": CONFIG,
                "ca": base64.b64encode(AUTHORITY.der).decode(),
                "client": base64.b64encode(METER.der).decode(),
                "client_key": base64.b64encode(METER.key_der).decode(),
            },
        )
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.reply(200 if self.path == "/ca.der" else 404, authority.der)

            def do_POST(self) -> None:
                hub.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.reply(hub.answer[0], json.dumps(hub.answer[1]).encode())

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that does not like our certificate is expected here."""

        server.write(folder, "hub")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "hub.pem", folder / "hub.key")
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def code(self, authority: Credential = AUTHORITY, host: str = "localhost") -> str:
        digest = hashlib.sha256(authority.der).hexdigest()
        return f"PUMASI:1:{host}:{self.port}:{TOKEN}:{digest}".upper()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    running = Hub(tmp_path, issue(AUTHORITY, "hub", ["localhost"]))
    yield running
    running.close()


class Phone:
    """Joined to the meter's access point: every connection goes to the meter, whatever host it asks for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.home = f"127.0.0.1:{port}"

    def ask(
        self, method: str, path: str, body: str | None = None, host: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        fields = {"Host": host or self.home, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
        connection.close()
        return found

    def page(self, language: str = "en") -> str:
        status, _, page = self.ask("GET", f"/?lang={language}")
        assert status == 200
        return page

    def wait_served(self) -> None:
        """Until those who came before are gone."""
        end = time.monotonic() + 15
        while self.ask("GET", "/")[0] == 503:
            assert time.monotonic() < end
            time.sleep(0.1)

    def submit(self, **fields: str) -> str:
        """Fills the form and gives the page that stands when the meter has ended its attempt."""
        nonce = re.search(r'name="nonce" value="([0-9a-f]{16})"', self.page())
        assert nonce is not None
        form = {"nonce": nonce[1], "lang": "en", "other": "", "password": "", "code": "", **fields}
        status, headers, _ = self.ask("POST", "/", urllib.parse.urlencode(form), Origin=f"http://{self.home}")
        assert (status, headers["location"]) == (303, "/?lang=en")
        end = time.monotonic() + 15
        while 'http-equiv="refresh"' in (page := self.page()):
            assert time.monotonic() < end
            time.sleep(0.05)
        return page


class Window:
    """The device's side, in a process of its own."""

    def __init__(self, micropython: Path, flash: Path, open_s: int) -> None:
        self.flash = flash
        self.dns_port = free_port()
        self.phone = Phone(free_port())
        self.process = subprocess.Popen(
            [
                micropython,
                "-X",
                HEAP,
                SCRIPTS / "portal_window.py",
                str(self.phone.port),
                str(self.dns_port),
                str(open_s),
            ],
            cwd=flash,
            env={**os.environ, "MICROPYPATH": f"{DEVICE}:{SCRIPTS}/hardware:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if "portal: open" in line:
                return
        self.process.communicate()
        raise AssertionError("".join(self.log))

    def end(self) -> dict[str, Any]:
        output, errors = self.process.communicate(timeout=20)
        self.log.append(errors)
        assert self.process.returncode == 0, errors
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result


@pytest.fixture
def open_window(micropython: Path, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def open_it(open_s: int = 60, label: dict[str, Any] | None = LABEL, config: dict[str, Any] | None = None) -> Window:
        flash = tmp_path / "flash"
        flash.mkdir()
        if label is not None:
            (flash / "label.json").write_text(json.dumps(label))
        if config is not None:
            (flash / "config.json").write_text(json.dumps(config))
        opened.append(Window(micropython, flash, open_s))
        return opened[-1]

    yield open_it
    for window in opened:
        if window.process.poll() is None:
            window.process.kill()
            window.process.communicate()


def finish(on_device: Callable[..., Any], flash: Path) -> None:
    on_device("finish.py", flash)


def test_a_phone_puts_a_new_meter_into_wifi_and_community(
    open_window: Callable[..., Window], hub: Hub, on_device: Callable[..., Any]
) -> None:
    window = open_window()
    page = window.phone.page()
    assert "Caf\u00e9 &lt;1&gt; (-40 dBm)" in page and "Home (-50 dBm)" in page
    assert page.index("Caf\u00e9") < page.index("Home") and page.count("<option") == 3
    page = window.phone.submit(
        ssid="Home", password="correct horse", code=" " + hub.code()[:40] + "\n" + hub.code()[40:]
    )
    assert "The meter belongs to rural3 now" in page
    result = window.end()
    assert result["staged"] is True
    assert json.loads(hub.asked[0]) == {"token": TOKEN} and len(hub.asked) == 1
    told = result["told"]
    point = {"ssid": "pumasi-meter", "security": 3, "key": "label-password", "max_clients": 4}
    assert ["config", point] in told and ["connect", "Home", "correct horse"] in told
    assert told[-1] == ["point", False]
    assert not (window.flash / "config.json").exists()
    finish(on_device, window.flash)
    config = json.loads((window.flash / "config.json").read_text())
    assert config == {
        **CONFIG,
        "wifi": {"ssid": "Home", "password": "correct horse"},
        "board": "pumasi-s3",
        "sensors": LABEL["sensors"],
        "label_password": "label-password",
    }
    for name, content in (("ca.der", AUTHORITY.der), ("client.der", METER.der), ("client.key.der", METER.key_der)):
        assert (window.flash / name).read_bytes() == content
    assert sorted(path.name for path in window.flash.iterdir()) == [
        "ca.der", "client.der", "client.key.der", "config.json", "label.json",
    ]  # fmt: skip
    # secrets are not for the console
    assert "correct horse" not in "".join(window.log) and TOKEN not in "".join(window.log)
    assert result["least_free"] > 60_000, result["least_free"]


FAULTS: list[tuple[dict[str, str], str]] = [
    ({"ssid": "", "other": ""}, "Choose your Wi-Fi"),
    ({"ssid": "", "other": "x" * 33}, "at most 32"),
    ({"password": "short"}, "8 to 63 letters"),
    ({"password": "x" * 64}, "8 to 63 letters"),
    ({"code": ""}, "The enrolment code is missing"),
    ({"code": "PUMASI:1:localhost:1:AB"}, "not an enrolment code, or not all of it"),
    ({"code": "https://example.org/" + "x" * 490}, "not an enrolment code"),
    ({"code": f"PUMASI:2:h:1:AB:{'0' * 64}"}, "for a newer meter"),
    ({"code": f"PUMASI:1:a/b:1:AB:{'0' * 64}"}, "not an enrolment code"),
    ({"code": f"PUMASI:1:h:70000:AB:{'0' * 64}"}, "not an enrolment code"),
    ({"code": f"PUMASI:1:h:1:A<B:{'0' * 64}"}, "not an enrolment code"),
    ({"nonce": "0" * 16}, "too old"),
    ({"password": "wrong horse"}, "does not accept this password"),
    ({"ssid": "", "other": "Nowhere"}, "was not found"),
]


def test_what_is_wrong_is_said_on_the_page(open_window: Callable[..., Window], hub: Hub) -> None:
    window = open_window()
    for fields, sentence in FAULTS:
        page = window.phone.submit(**{"ssid": "Home", "password": "correct horse", "code": hub.code(), **fields})
        assert 'role="alert"' in page and sentence in page, (fields, page)
        # what was typed stays, but for the password
        assert "horse" not in page
        assert html.escape(fields.get("code", hub.code())[:40]) in page
    assert hub.asked == []
    # and the next attempt is a new one
    assert "belongs to rural3" in window.phone.submit(ssid="Home", password="correct horse", code=hub.code())
    window.end()


REFUSALS: list[tuple[int, object, str]] = [
    (403, {"problem": "token-used"}, "was used before"),
    (403, {"problem": "token-expired"}, "is too old"),
    (403, {"problem": "token-unknown"}, "does not know this code"),
    (429, {"problem": "too-many"}, "Too many attempts"),
    (500, {}, "answer was not understood"),
    (200, {}, "answer was not understood"),
    (200, [], "answer was not understood"),
    (200, {"config": [], "ca": "", "client": "", "client_key": ""}, "answer was not understood"),
    (200, {"config": {}, "ca": "AAAA", "client": "", "client_key": ""}, "answer was not understood"),
    (200, {"pad": "x" * 9000}, "did not give the identity"),
]


def test_a_hub_that_refuses(open_window: Callable[..., Window], hub: Hub) -> None:
    window = open_window(open_s=3)
    for status, answer, sentence in REFUSALS:
        hub.answer = (status, answer)
        page = window.phone.submit(ssid="Home", password="correct horse", code=hub.code())
        assert sentence in page, (answer, page)
    # what has begun when the time is over is waited for; then it closes
    assert window.end()["staged"] is False
    assert [path.name for path in window.flash.iterdir()] == ["label.json"]


def test_settings_this_firmware_cannot_work_with(open_window: Callable[..., Window], hub: Hub) -> None:
    body = hub.answer[1]
    assert isinstance(body, dict)
    hub.answer = (200, {**body, "config": {**CONFIG, "interval_s": 7}})
    window = open_window()
    page = window.phone.submit(ssid="Home", password="correct horse", code=hub.code())
    assert "settings this meter cannot work with" in page and "interval_s: 7 does not divide a day" in page


@pytest.mark.parametrize(
    ("server", "serves", "code", "host", "sentence"),
    [
        pytest.param(
            issue(AUTHORITY, "hub", ["localhost"]), STRANGER, AUTHORITY, "localhost", "not the one that made this code",
            id="another authority",
        ),
        pytest.param(
            issue(STRANGER, "hub", ["localhost"]), AUTHORITY, AUTHORITY, "localhost", "did not give the identity",
            id="somebody who knows the authority but does not belong to it",
        ),
        pytest.param(
            issue(AUTHORITY, "hub", ["other.example"]), AUTHORITY, AUTHORITY, "localhost", "did not give the identity",
            id="another server of the authority",
        ),
        pytest.param(
            issue(AUTHORITY, "hub", ["localhost"], (-3, -1)), AUTHORITY, AUTHORITY, "localhost", "has expired",
            id="an expired server",
        ),
        pytest.param(
            issue(AUTHORITY, "hub", ["localhost"]), AUTHORITY, AUTHORITY, "nowhere.invalid", "did not answer",
            id="no such host",
        ),
    ],
)  # fmt: skip
def test_the_token_goes_to_nobody_but_the_hub_of_the_code(
    open_window: Callable[..., Window],
    tmp_path: Path,
    server: Credential,
    serves: Credential,
    code: Credential,
    host: str,
    sentence: str,
) -> None:
    hub = Hub(tmp_path, server, serves)
    try:
        window = open_window()
        assert sentence in window.phone.submit(ssid="Home", password="correct horse", code=hub.code(code, host))
        assert hub.asked == []
    finally:
        hub.close()


def test_an_enrolled_meter_changes_its_wifi_only(
    open_window: Callable[..., Window], on_device: Callable[..., Any]
) -> None:
    before = {**CONFIG, "wifi": {"ssid": "Old", "password": "old password"}, "sensors": LABEL["sensors"]}
    window = open_window(label=None, config={**before, "label_password": "from-config"})
    assert "change the Wi-Fi only" in window.phone.page() and "m007" in window.phone.page()
    page = window.phone.submit(ssid="Caf\u00e9 <1>")
    assert "uses the Wi-Fi Caf\u00e9 &lt;1&gt; now" in page
    told = window.end()["told"]
    point = {"ssid": "pumasi-m007", "security": 3, "key": "from-config", "max_clients": 4}
    assert ["config", point] in told
    finish(on_device, window.flash)
    after = json.loads((window.flash / "config.json").read_text())
    assert after == {**before, "label_password": "from-config", "wifi": {"ssid": "Caf\u00e9 <1>", "password": None}}


@pytest.mark.parametrize(("meter", "kept"), [("m007", True), ("m001", False)])
def test_an_outbox_goes_with_its_meter(
    open_window: Callable[..., Window], hub: Hub, on_device: Callable[..., Any], meter: str, kept: bool
) -> None:
    window = open_window(config={**CONFIG, "meter": meter, "sensors": LABEL["sensors"]})
    (window.flash / "outbox").mkdir()
    (window.flash / "outbox" / "00000000.seg").write_bytes(b"records")
    window.phone.submit(ssid="Home", password="correct horse", code=hub.code())
    window.end()
    finish(on_device, window.flash)
    assert (window.flash / "outbox").exists() == kept


def test_a_meter_without_a_label_draws_a_password_and_keeps_it(open_window: Callable[..., Window]) -> None:
    window = open_window(open_s=1, label=None)
    drawn = json.loads((window.flash / "label.json").read_text())["password"]
    assert re.fullmatch("[a-z2-9]{10}", drawn) and f"password is {drawn}" in "".join(window.log)
    keys = [words[1]["key"] for words in window.end()["told"] if words[0] == "config"]
    assert keys == [drawn]


def test_it_closes_when_its_time_is_over(open_window: Callable[..., Window]) -> None:
    window = open_window(open_s=1)
    assert "closes in 1 min" in window.phone.page()
    result = window.end()
    assert result["staged"] is False and result["told"][-1] == ["point", False]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", window.phone.port), 1)


LOOKING_FOR_THE_INTERNET = (
    "connectivitycheck.gstatic.com/generate_204",
    "captive.apple.com/hotspot-detect.html",
    "www.msftconnecttest.com/connecttest.txt",
    "detectportal.firefox.com/canonical.html",
    "anything.example/",
)


def test_phones_learn_of_the_page_when_they_look_for_the_internet(open_window: Callable[..., Window]) -> None:
    phone = open_window().phone
    for url in LOOKING_FOR_THE_INTERNET:
        host, _, path = url.partition("/")
        status, headers, _ = phone.ask("GET", "/" + path, host=host)
        assert (status, headers["location"]) == (302, f"http://{phone.home}/")


def test_every_name_is_the_meter(open_window: Callable[..., Window]) -> None:
    window = open_window()

    def ask(name: str, kind: int = 1) -> bytes:
        labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.settimeout(5)
            question = struct.pack(">6H", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
            phone.sendto(b"noise", ("127.0.0.1", window.dns_port))
            phone.sendto(question, ("127.0.0.1", window.dns_port))
            reply = phone.recv(512)
        assert reply[12 : len(question)] == question[12:]
        return reply

    reply = ask("connectivitycheck.gstatic.com")
    assert struct.unpack(">6H", reply[:12]) == (0x1234, 0x8580, 1, 1, 0, 0)
    assert reply[-16:-10] == b"\xc0\x0c\0\x01\0\x01" and reply[-4:] == bytes((127, 0, 0, 1))
    # IPv6: there is such a name, with no such address
    assert struct.unpack(">6H", ask("example.org", 28)[:12]) == (0x1234, 0x8580, 1, 0, 0, 0)


def test_the_page_speaks_korean_and_holds_nothing_from_elsewhere(open_window: Callable[..., Window]) -> None:
    window = open_window()
    _, headers, page = window.phone.ask("GET", "/", Accept_Language="ko-KR,ko;q=0.9,en;q=0.8")
    assert '<html lang="ko">' in page and "우리 집 와이파이" in page
    assert '<html lang="en">' in window.phone.ask("GET", "/", Accept_Language="de-DE")[2]
    assert '<html lang="en">' in window.phone.page("en")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not re.findall(r"(?:src|href|action)=.(?!/)", page) and "<script" not in page and "url(" not in page


def test_other_pages_cannot_post(open_window: Callable[..., Window]) -> None:
    phone = open_window().phone
    for host, origin in (("evil.example", None), (None, "http://evil.example")):
        headers = {} if origin is None else {"Origin": origin}
        assert phone.ask("POST", "/", "ssid=Home", host=host, **headers)[0] == 403
    assert 'role="alert"' not in phone.page()


NOISE = {
    "not HTTP": (b"nonsense\r\n\r\n", b"400"),
    "not text": (b"\xff\xfe /\r\n\r\n", b"400"),
    "another method": (b"DELETE / HTTP/1.1\r\n\r\n", b"405"),
    "a long form": (b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", b"413"),
    "a length that is none": (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
    "chunks": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    "a form that is none": (b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n%zz=", b"400"),
    "a long head": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 800, b"400"),
    "a folded field": (b"GET / HTTP/1.1\r\n no name: x\r\n\r\n", b"400"),
}


def test_noise_gets_a_short_answer(open_window: Callable[..., Window]) -> None:
    window = open_window()
    for name, (sent, status) in NOISE.items():
        with socket.create_connection(("127.0.0.1", window.phone.port), 10) as raw:
            raw.sendall(sent)
            raw.settimeout(10)
            assert raw.recv(4096).startswith(b"HTTP/1.1 " + status), name
    draw = random.Random(5)
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", window.phone.port), 10) as raw:
            raw.sendall(draw.randbytes(draw.randrange(1, 400)))
    window.phone.wait_served()
    assert "Set up this meter" in window.phone.page()


def test_those_who_say_nothing_do_not_keep_others_out_for_long(open_window: Callable[..., Window]) -> None:
    window = open_window()
    idle = [socket.create_connection(("127.0.0.1", window.phone.port), 10) for _ in range(4)]
    time.sleep(0.3)
    assert window.phone.ask("GET", "/")[0] == 503
    window.phone.wait_served()
    for connection in idle:
        connection.close()
