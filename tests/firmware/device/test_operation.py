"""Whole meters that are configured, rotated and updated from afar: compiled bundles, real broker, a hub over HTTPS."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from broker.keys import rotate
from firmware.host.bundle import compile_device, make_bundle, manifest, public_modulus
from tests.firmware.device.authority import issue, make_authority

DEVICE = Path(__file__).resolve().parents[3] / "firmware" / "device"
KEY = bytes(range(32))
NONCE = "00112233445566778899aabbccddeeff"
START = 1_468_180_800
WATTS = [(400, 0), (200, 900), (0, 5000)]
RESTART = 3
# TLS to the hub takes its buffers from this heap; an ESP32 has other memory for them
HEAP = "heapsize=160wK"
AUTHORITY = make_authority()
HUB = issue(AUTHORITY, "hub", ["localhost"])

Wait = Callable[..., None]


def compiled(folder: Path, version: str, *changes: tuple[str, str, str]) -> dict[str, bytes]:
    """The firmware's bundle, its patience shortened; `changes` are (file, text, new text)."""
    device = folder / f"device-{version}"
    shutil.copytree(DEVICE, device, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("trial.py", "HEALTHY_MS = 60_000", "HEALTHY_MS = 400"),
        ("update.py", "LOOK_S = 5", "LOOK_S = 0"),
        ("messages.py", 'VERSION = "', f'VERSION = "{version}" #'),
        *changes,
    ):
        text = (device / name).read_text()
        assert old in text, name
        (device / name).write_text(text.replace(old, new))
    return compile_device(device=device)


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("versions")
    return {
        "0.1.7": compiled(folder, "0.1.7"),
        "0.2.0": compiled(folder, "0.2.0"),
        "0.3.0": compiled(
            folder, "0.3.0", ("meter.py", "        self.config = config", "        raise RuntimeError('no good')")
        ),
    }


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


class Hub:
    """Bundles over HTTPS on loopback, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.bundles: dict[str, bytes] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                whole = hub.bundles.get(self.path)
                self.send_response(404 if whole is None else 200)
                self.send_header("Content-Length", str(len(whole or b"")))
                self.end_headers()
                self.wfile.write(whole or b"")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        HUB.write(folder, "hub")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "hub.pem", folder / "hub.key")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def offer(self, version: str, whole: bytes) -> dict[str, object]:
        """The member `firmware` of a configuration."""
        path = f"/firmware/{version}"
        self.bundles[path] = whole
        return {"version": version, "path": path, "size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    serving = Hub(tmp_path)
    yield serving
    serving.close()


@pytest.fixture
def slotted(
    make_meter: Callable[..., Any],
    broker: Any,
    hub: Hub,
    versions: dict[str, dict[str, bytes]],
    signing_key: rsa.RSAPrivateKey,
) -> Any:
    """A meter as it is flashed: the boot stage, and 0.1.7 compiled in slot a."""
    meter = make_meter(broker.port, WATTS, hub=hub.url, status_s=1)
    for name in ("main.py", "stage.py", "slots.py"):
        shutil.copy(DEVICE / name, meter.flash)
    lay(meter.flash / "a", "0.1.7", versions["0.1.7"])
    (meter.flash / "firmware.pub").write_bytes(public_modulus(signing_key))
    (meter.flash / "ca.der").write_bytes(AUTHORITY.der)
    meter.main = "main.py"
    return meter


def lay(slot: Path, version: str, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (slot / path).parent.mkdir(parents=True, exist_ok=True)
        (slot / path).write_bytes(content)
    (slot / "manifest.json").write_bytes(manifest(version, files))


class Street:
    """Drives one meter, interval by interval, and starts it again when it asks for it, as a board does."""

    def __init__(self, meter: Any, market: Any, wait: Wait) -> None:
        self.meter = meter
        self.market = market
        self.wait = wait
        self.now = 0
        self.statuses: list[int] = []
        meter.start(HEAP)
        meter.wait_ready()
        meter.tick(0)

    def interval(self) -> None:
        self.now += 1
        self.tell()
        self.wait(lambda: self.heard(self.now - 1), what=f"interval {self.now - 1}")

    def tell(self) -> None:
        try:
            self.meter.tick(self.now)
        except BrokenPipeError:
            # it has just ended; the boot that follows tells it
            return

    def heard(self, interval: int) -> bool:
        self.start_again_if_it_ended()
        return any(reading["start"] == START + 900 * interval for reading in self.market.first_heard.values())

    def start_again_if_it_ended(self) -> bool:
        if self.meter.process.poll() is None:
            return False
        self.statuses.append(self.meter.end())
        self.meter.start(HEAP)
        self.tell()
        return True

    def until_restarted(self) -> None:
        before = len(self.statuses)

        def restarted() -> bool:
            self.start_again_if_it_ended()
            return len(self.statuses) > before

        # time passes while it works: a meter is only healthy when it measures
        deadline = 60
        while not restarted() and deadline:
            self.interval()
            deadline -= 1
            threading.Event().wait(0.1)
        assert len(self.statuses) > before, self.meter.diagnostics()[-2000:]

    def status(self, **members: object) -> dict[str, Any]:
        """The first status from now on that has these members."""
        known = len(self.market.statuses)

        def found() -> list[dict[str, Any]]:
            return [
                status
                for status in self.market.statuses[known:]
                if all(status.get(name) == value for name, value in members.items())
            ]

        def came() -> bool:
            self.start_again_if_it_ended()
            return bool(found())

        self.wait(came, what=f"a status with {members}")
        return found()[0]

    def assert_complete(self) -> None:
        """No interval is missing, none is there twice, and energy is what the profile says."""
        readings = [self.market.first_heard[seq] for seq in sorted(self.market.first_heard)]
        assert [reading["seq"] for reading in readings] == list(range(len(readings)))
        assert [reading["start"] for reading in readings] == [START + 900 * i for i in range(self.now)]
        for interval, reading in enumerate(readings):
            steps = [WATTS[step % len(WATTS)] for step in range(interval + 1)]
            assert reading["import_wh"] == sum(max(0, load - made) for load, made in steps) // 4
            assert reading["export_wh"] == sum(max(0, made - load) for load, made in steps) // 4


@pytest.fixture
def run(market: Any, wait: Wait) -> Callable[[Any], Street]:
    return lambda meter: Street(meter, market, wait)


def boot_state(meter: Any) -> dict[str, Any]:
    copies = [path.read_bytes() for path in meter.flash.glob("boot.?")]
    newest: dict[str, Any] = json.loads(max(copies, key=lambda copy: int.from_bytes(copy[:4], "little"))[6:-4])
    return newest


def test_an_update_over_the_air(
    slotted: Any,
    run: Callable[[Any], Street],
    market: Any,
    hub: Hub,
    versions: dict[str, dict[str, bytes]],
    signing_key: rsa.RSAPrivateKey,
) -> None:
    street = run(slotted)
    street.interval()
    assert street.status(firmware="0.1.7")["config"] == 0
    market.publish_config(4, firmware=hub.offer("0.2.0", make_bundle("0.2.0", versions["0.2.0"], signing_key)))
    street.until_restarted()
    status = street.status(firmware="0.2.0")
    assert (status["boots"], status["config"], status["refused"]) == (1, 4, {})
    for _ in range(4):
        street.interval()
        threading.Event().wait(0.2)
    street.assert_complete()
    assert street.statuses == [RESTART] and hub.asked == ["/firmware/0.2.0"]
    assert boot_state(slotted) == {"slot": "b", "proven": True, "boots": 0, "failed": None, "offer": 4}
    assert (slotted.flash / "a" / "manifest.json").exists(), "what can be gone back to"


def test_a_version_that_does_not_run_gives_way_and_is_not_fetched_again(
    slotted: Any,
    run: Callable[[Any], Street],
    market: Any,
    hub: Hub,
    versions: dict[str, dict[str, bytes]],
    signing_key: rsa.RSAPrivateKey,
) -> None:
    street = run(slotted)
    street.interval()
    market.publish_config(4, firmware=hub.offer("0.3.0", make_bundle("0.3.0", versions["0.3.0"], signing_key)))
    street.until_restarted()
    status = street.status(firmware="0.1.7", refused={"failed": 1})
    assert status["boots"] == 1
    # the update itself, then three boots that end in a traceback
    assert street.statuses == [RESTART, 1, 1, 1]
    for _ in range(3):
        street.interval()
    street.assert_complete()
    assert hub.asked == ["/firmware/0.3.0"]
    assert boot_state(slotted)["failed"] == "0.3.0" and boot_state(slotted)["slot"] == "a"


def test_a_downgrade_and_a_forged_bundle_are_refused_counted_and_seen(
    slotted: Any,
    run: Callable[[Any], Street],
    market: Any,
    hub: Hub,
    versions: dict[str, dict[str, bytes]],
    signing_key: rsa.RSAPrivateKey,
) -> None:
    street = run(slotted)
    street.interval()
    another = rsa.generate_private_key(65537, 3072)
    market.publish_config(4, firmware=hub.offer("0.1.6", make_bundle("0.1.6", versions["0.1.7"], signing_key)))
    street.status(refused={"downgrade": 1})
    market.publish_config(5, firmware=hub.offer("0.2.0", make_bundle("0.2.0", versions["0.2.0"], another)))
    for _ in range(6):
        street.interval()
        threading.Event().wait(0.1)
    status = street.status(refused={"downgrade": 1, "signature": 1})
    assert (status["firmware"], status["config"]) == ("0.1.7", 5)
    assert hub.asked == ["/firmware/0.2.0"] and street.statuses == []
    assert not (slotted.flash / "b").exists()


def test_the_key_is_rotated_and_survives_a_power_cut(
    slotted: Any, run: Callable[[Any], Street], market: Any, wait: Wait
) -> None:
    street = run(slotted)
    for _ in range(3):
        street.interval()
    market.publish_config(4, nonce=NONCE)
    street.status(kid=2)
    market.kid, market.key = 2, rotate(KEY, "rural3", "m001", 2, NONCE)
    for _ in range(3):
        street.interval()
    # the retained message that led here is heard again, and is nobody's fault
    slotted.cut_power()
    slotted.start(HEAP)
    street.tell()
    assert street.status(kid=2)["refused"] == {}
    street.interval()
    assert market.forged == 0
    assert {reading["kid"] for reading in market.first_heard.values()} == {1, 2}
    wait(lambda: all(seq < market.next[outbox] for outbox in market.next for seq in market.first_heard), what="acks")
    street.assert_complete()


def test_another_interval_begins_where_the_last_one_ended(
    slotted: Any, run: Callable[[Any], Street], market: Any, wait: Wait
) -> None:
    street = run(slotted)
    street.interval()
    market.publish_config(4, interval_s=300)
    street.status(config=4)
    # what has begun is closed as it began
    street.interval()
    wait(lambda: street.start_again_if_it_ended() or bool(street.statuses), what="the restart")
    assert street.statuses == [RESTART]
    street.now += 1
    street.tell()
    wait(lambda: len(market.first_heard) == 5, what="three short intervals")
    readings = [market.first_heard[seq] for seq in range(5)]
    assert [(reading["start"] - START, reading["length"]) for reading in readings] == [
        (0, 900), (900, 900), (1800, 300), (2100, 300), (2400, 300),
    ]  # fmt: skip
    # 400 W are imported, then 700 W and 5 kW exported
    assert [reading["import_wh"] for reading in readings] == [100] * 5
    assert [reading["export_wh"] for reading in readings] == [0, 175, 591, 1008, 1425]


def test_sensors_that_cannot_be_do_not_cost_the_meter_its_senses(
    slotted: Any, run: Callable[[Any], Street], market: Any
) -> None:
    street = run(slotted)
    street.interval()
    market.publish_config(4, sensors=[{"role": "grid", "driver": "crystal ball"}])
    street.until_restarted()
    assert street.statuses == [RESTART]
    assert street.status(config=4)["refused"] == {"config": 1}
    street.interval()
    street.assert_complete()


def test_sensors_that_end_each_boot_are_given_up(
    slotted: Any, run: Callable[[Any], Street], market: Any, tmp_path: Path
) -> None:
    # as a pin does that the board's own flash hangs on
    made = 'super().__init__("grid", backwards)'
    dies = ("sensors/simulated.py", made, "assert not backwards; " + made)
    lay(slotted.flash / "a", "0.1.8", compiled(tmp_path, "0.1.8", dies))
    street = run(slotted)
    for _ in range(5):
        street.interval()
        threading.Event().wait(0.2)
    assert boot_state(slotted)["boots"] == 0
    market.publish_config(
        4, sensors=[{"role": "grid", "driver": "simulated", "profile": "profile.txt", "reversed": True}]
    )
    street.until_restarted()
    status = street.status(config=4)
    assert street.statuses == [RESTART, 1, 1, 1, 1, 1]
    assert (status["boots"], status["refused"]) == (6, {"config": 1})
    street.interval()
    street.assert_complete()


def test_a_meter_from_its_source_hears_its_configuration_too(
    make_meter: Callable[..., Any], broker: Any, run: Callable[[Any], Street], market: Any
) -> None:
    meter = make_meter(broker.port, WATTS, status_s=1)
    street = run(meter)
    market.publish_config(1, firmware={"version": "9.0.0", "path": "/x", "size": 1, "sha256": "00" * 32})
    status = street.status(config=1)
    assert (status["boots"], status["refused"], status["kid"]) == (0, {}, 1)
    market.publish_config(3, limits={"power_w": 9000})
    street.until_restarted()
    assert street.status(config=3)["refused"] == {}
