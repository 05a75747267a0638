"""From the sheet with the QR code to the first reading: a community's real broker and hub, and a phone."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker import enrolment, site
from broker.contract import market_user
from tests.broker.stores import COMMUNITY, BrokerProcess, Client, issue, make_site
from tests.firmware.device.conftest import DEVICE, HEAP, SCRIPTS
from tests.firmware.device.test_display import CONFIG
from tests.firmware.device.test_meter import START
from tests.firmware.device.test_portal import Phone, Window
from tests.servers import free_port

# the exit status that stands for a board's restart
RESTART = 3
SETTINGS = {
    "sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}],
    # the operating system keeps the clock here, and no port of this machine is wanted
    "ntp": [],
    "page": False,
}


def test_a_meter_joins_by_phone_and_reports(
    mosquitto: Path, micropython: Path, tmp_path: Path, wait: Callable[..., None]
) -> None:
    store, flash = tmp_path / "store", tmp_path / "flash"
    store.mkdir()
    flash.mkdir()
    place = make_site(store)
    issue(store, "m001", settings=SETTINGS)
    code = enrolment.qr_text(store, enrolment.new_tokens(store, ["m001"], int(time.time()))["m001"])
    (flash / "label.json").write_text(json.dumps({"password": "label-password"}))
    (flash / "profile.txt").write_text("1468180800 900\n400 0\n")
    with BrokerProcess(store) as broker:
        market = Client(place.loopback_port, market_user(COMMUNITY), site.accounts(store).market)
        with market:
            market.subscribe(f"pumasi/1/{COMMUNITY}/m001/status")
            window = Window(micropython, flash, 60)
            page = window.phone.submit(ssid="Home", password="correct horse", code=code)
            assert f"belongs to {COMMUNITY} now" in page
            assert window.end()["staged"] is True
            broker.wait_for("m001 has enrolled")
            # what the restart finds: the staged files are put in place, and the meter goes on with them
            meter = subprocess.Popen(
                [micropython, "-X", HEAP, DEVICE / "main.py"],
                cwd=flash,
                env={**os.environ, "MICROPYPATH": f"{SCRIPTS}/hardware:.frozen"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            try:
                _, payload = market.received.get(timeout=20)
                status = json.loads(payload)
                assert (status["online"], status["rssi"], status["outbox"]) == (True, -55, 0)
            finally:
                meter.kill()
                meter.communicate()
            assert json.loads(market.received.get(timeout=20)[1]) == {"v": 1, "online": False}
            # the token was for once
            again = Window(micropython, _fresh(tmp_path), 60)
            assert "was used before" in again.phone.submit(ssid="Home", password="correct horse", code=code)
            again.process.kill()
            again.process.communicate()


def test_the_button_opens_the_window_beside_a_running_meter(
    micropython: Path, broker: Any, market: Any, tmp_path: Path, wait: Callable[..., None]
) -> None:
    """In the memory of an ESP32, with metering and link going on; afterwards it restarts into the other Wi-Fi."""
    flash = tmp_path / "flash"
    flash.mkdir()
    settings = {
        **CONFIG,
        "broker": {"host": "127.0.0.1", "port": broker.port},
        "wifi": {"ssid": "Home", "password": "correct horse"},
        "label_password": "label-password",
        "page": False,
        "status_s": 1,
    }
    (flash / "config.json").write_text(json.dumps(settings))
    (flash / "profile.txt").write_text(f"{START} 900\n400 0\n")
    phone = Phone(free_port())
    meter = subprocess.Popen(
        [micropython, "-X", HEAP, SCRIPTS / "hardware" / "meter_with_button.py", str(phone.port), str(free_port())],
        cwd=flash,
        env={**os.environ, "MICROPYPATH": f"{DEVICE}:.frozen"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert meter.stdin is not None and meter.stderr is not None
        wait(lambda: [status for status in market.statuses if status["online"]], what="online")
        before = market.statuses[-1]["free_memory"]
        (flash / "button").write_text("pressed")
        wait(lambda: _answers(phone), what="the window")
        for now in (0, 900, 1800):
            meter.stdin.write(f"tick {START + now}\n")
            meter.stdin.flush()
        wait(lambda: len(market.first_heard) == 2, what="readings meanwhile")
        known = len(market.statuses)
        wait(lambda: len(market.statuses) > known, what="a status")
        during = market.statuses[-1]["free_memory"]
        assert "uses the Wi-Fi Caf\u00e9 &lt;1&gt; now" in phone.submit(ssid="Caf\u00e9 <1>")
        # in lock step it looks at each tick
        while meter.poll() is None:
            now += 1
            with contextlib.suppress(BrokenPipeError):
                meter.stdin.write(f"tick {START + now}\n")
                meter.stdin.flush()
            time.sleep(0.1)
        said = meter.stderr.read()
    finally:
        meter.kill()
        meter.communicate()
    assert "Traceback" not in said, said
    assert meter.returncode == RESTART and (flash / "enrolled.new").exists()
    assert during > 20_000, (before, during)


def _answers(phone: Phone) -> bool:
    try:
        return phone.ask("GET", "/")[0] == 200
    except OSError:
        return False


def _fresh(folder: Path) -> Path:
    other = folder / "other"
    other.mkdir()
    (other / "label.json").write_text(json.dumps({"password": "label-password"}))
    return other
