"""`config.json`: what it may say, and the one line that names what it may not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEAST = {
    "version": 1,
    "community": "rural3",
    "meter": "m001",
    "kid": 1,
    "key": "0a" * 32,
    "interval_s": 900,
    "broker": {"host": "broker.local", "port": 8883},
    "clock": "ntp",
    "sensors": [{"role": "grid", "driver": "sdm", "address": 1}],
}
MOST = {
    **LEAST,
    "broker": {"host": "broker.local", "port": 8883, "tls": True, "user": "u", "password": "p"},
    "hub": "https://hub.local:8443",
    "ntp": ["ntp.local", "10.0.0.1:1123"],
    "wifi": {"ssid": "home", "password": "12345678"},
    "board": "pumasi-s3",
    "display": {"driver": "ssd1306", "scl": 5, "sda": 4},
    "page": 8080,
    "home_assistant": True,
    "label_password": "abcdefgh",
    "seed": {"import_wh": 2**33},
    "limits": {"power_w": 24_000},
    "status_s": 5,
    "colour": "green",
}


@pytest.fixture
def read(on_device: Callable[..., Any], tmp_path: Path) -> Callable[[object], Any]:
    def run(document: object) -> Any:
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "config.json").write_text(text)
        return on_device("read_configuration.py")

    return run


def test_what_nobody_said_has_a_default(read: Callable[[object], Any]) -> None:
    found = read(LEAST)
    assert (found["host"], found["port"], found["tls"], found["user"]) == ("broker.local", 8883, False, None)
    assert (found["hub"], found["ntp"], found["wifi"], found["page"], found["seed"]) == (None, None, None, 0, None)
    assert (found["home_assistant"], found["limits"], found["status_s"], found["unknown"]) == (False, {}, 60, [])
    assert found["topic"] == "pumasi/1/rural3/m001/reading"


def test_everything_that_can_be_said(read: Callable[[object], Any]) -> None:
    found = read(MOST)
    for name in ("wifi", "sensors", "board", "display", "page", "home_assistant", "seed", "limits", "ntp", "status_s"):
        assert found[name] == MOST[name], name
    assert (found["tls"], found["user"], found["password"]) == (True, "u", "p")
    assert found["hub"] == ["hub.local", 8443]
    assert found["key"] == "0a" * 32
    # an older firmware reads it after an update that failed
    assert found["unknown"] == ["colour"]


@pytest.mark.parametrize(
    ("changes", "page", "hub"),
    [
        ({"wifi": {"ssid": "home"}}, 80, None),
        ({"wifi": {"ssid": "home"}, "page": False}, 0, None),
        ({"page": True, "hub": "https://hub.local/"}, 80, ["hub.local", 443]),
    ],
)
def test_what_follows_from_the_rest(
    read: Callable[[object], Any], changes: dict[str, object], page: int, hub: object
) -> None:
    found = read({**LEAST, **changes})
    assert (found["page"], found["hub"]) == (page, hub)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 2}, "version: not 1"),
        ({"version": None}, "version: not 1"),
        ({"community": "Rural"}, "community: not 1 to 32 of a-z, 0-9 and '-'"),
        ({"meter": "m" * 33}, "meter: not 1 to 32 of a-z, 0-9 and '-'"),
        ({"meter": 7}, "meter: missing, or not a text of at most 1024 characters"),
        ({"kid": 0}, "kid: not an integer from 1 to 2147483647"),
        ({"key": "0a"}, "key: not 64 hexadecimal digits"),
        ({"key": "zz" * 32}, "key: not 64 hexadecimal digits"),
        ({"interval_s": 900.0}, "interval_s: not an integer from 1 to 86400"),
        ({"interval_s": 7000}, "interval_s: 7000 does not divide a day"),
        ({"broker": []}, "broker: missing, or not an object"),
        ({"broker": {"host": "b", "port": 0}}, "broker.port: not an integer from 1 to 65535"),
        ({"broker": {"port": 1}}, "broker.host: missing, or not a text of at most 255 characters"),
        ({"broker": {"host": "b", "port": 1, "tls": "yes"}}, "broker.tls: neither true nor false"),
        ({"hub": "http://hub.local"}, "hub: not https://<host>:<port>"),
        ({"hub": "https://hub.local:x"}, "hub: not https://<host>:<port>"),
        ({"hub": "https://hub.local:1/firmware"}, "hub: not https://<host>:<port>"),
        ({"clock": "sundial"}, "clock: neither 'conductor' nor 'ntp'"),
        ({"ntp": "ntp.local"}, "ntp: not a list of at most 8 hosts"),
        ({"ntp": ["ntp.local:x"]}, "ntp: 'ntp.local:x' is not <host> or <host>:<port>"),
        ({"wifi": {"ssid": ""}}, "wifi.ssid: missing, or not a text of at most 32 characters"),
        ({"wifi": {"ssid": "s", "password": 1}}, "wifi.password: missing, or not a text of at most 63 characters"),
        ({"sensors": []}, "sensors: missing, or not a list of 1 to 8 objects"),
        ({"sensors": [{"driver": "sdm"}]}, "sensors[0].role: not one of grid, generation, load"),
        ({"sensors": [{"role": "grid"}]}, "sensors[0].driver: missing, or not a text of at most 1024 characters"),
        ({"sensors": ["sdm"]}, "sensors[0]: not an object"),
        ({"display": "ssd1306"}, "display: missing, or not an object"),
        ({"page": 70_000}, "page: not an integer from 1 to 65535"),
        ({"home_assistant": 1}, "home_assistant: neither true nor false"),
        ({"label_password": "short"}, "label_password: not 8 to 63 characters"),
        ({"seed": {"import": 1}}, "seed.import: not one of import_wh, export_wh, generation_wh, consumption_wh"),
        ({"seed": {"import_wh": -1}}, "seed.import_wh: not an integer from 0 to 9007199254740991"),
        ({"limits": {"power_w": "much"}}, "limits.power_w: not an integer from 0 to 2147483647"),
        ({"status_s": 0}, "status_s: not an integer from 1 to 86400"),
    ],
)
def test_a_fault_is_one_line_that_names_it(
    read: Callable[[object], Any], changes: dict[str, object], complaint: str
) -> None:
    assert read({**LEAST, **changes}) == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "config.json: not JSON"),
        ("{", "config.json: not JSON"),
        ("[]", "config.json: not a JSON object"),
    ],
)
def test_a_file_that_is_none(read: Callable[[object], Any], text: str, complaint: str) -> None:
    assert read(text) == complaint


def test_no_file(on_device: Callable[..., Any]) -> None:
    assert on_device("read_configuration.py") == "config.json: cannot be read (error 2)"
