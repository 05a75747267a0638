"""From a bare board to a meter, up to the serial port: real esptool, real mpremote, the real REPL behind a terminal."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from broker import identities
from broker.initialise import initialise
from broker.keys import derive_key
from broker.site import Site
from firmware.host import board, esp, flash
from firmware.host.board import BoardError, connected
from firmware.host.fleet import DEVICE, unix_port
from tests.broker import stores
from tests.broker.stores import document
from tests.broker.test_commands import reading
from tests.firmware.host.pty_board import PtyBoard
from tests.firmware.host.rom_loader import RomLoader

SENSORS = {"sensors": [{"role": "grid", "driver": "simulated", "profile": "profile.txt"}], "ntp": []}
PUMASI = [sys.executable, "-m", "market.commands"]


@pytest.fixture
def make_board(tmp_path: Path) -> Iterator[Callable[..., PtyBoard]]:
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    made: list[PtyBoard] = []

    def make(loader: RomLoader | None = None) -> PtyBoard:
        folder = tmp_path / f"flash-{len(made)}"
        folder.mkdir()
        made.append(PtyBoard(micropython, folder, loader))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    initialise(store, Site("c", 900, ["localhost"], port=28883, loopback_port=21883, hub_port=28443, bind="127.0.0.1"))
    identities.issue(store, "m001", "h001", 1, derive_key(bytes(32), "c", "m001", 1), SENSORS)
    return store


def image(path: Path, chip: int) -> Path:
    """What has an image's head, and noise for a body."""
    head = bytearray(24)
    head[0], head[2], head[3], head[12] = esp.IMAGE_MAGIC, 2, 0x20, chip
    path.write_bytes(bytes(head) + hashlib.shake_128(b"image").digest(esp.MIN_IMAGE_BYTES))
    return path


def pumasi(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PUMASI, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def test_a_boards_files(make_board: Callable[..., PtyBoard]) -> None:
    with connected(make_board().port) as there:
        assert there.version >= (1, 24)
        there.write("a/b/c.bin", bytes(range(256)) * 5)
        assert there.files() == ["a/b/c.bin"]
        assert there.read("a/b/c.bin") == bytes(range(256)) * 5
        assert there.read("nothing") is None
        there.remove("a")
        there.remove("nothing")
        assert there.files() == []
        with pytest.raises(BoardError, match="the board says: ZeroDivisionError"):
            there.run("1 / 0")


def test_what_is_said_when_flash_is_full_or_micropython_too_old(make_board: Callable[..., PtyBoard]) -> None:
    with connected(make_board().port) as there:
        for code, advice in (
            ("raise OSError(28)", "flash is full"),
            ("raise ValueError('incompatible .mpy file')", "write a newer one"),
        ):
            with pytest.raises(BoardError) as told:
                there.run(code)
            assert advice in " ".join(told.value.advice)


def test_a_bare_board_becomes_a_meter(make_board: Callable[..., PtyBoard], store: Path, tmp_path: Path) -> None:
    """Erased and written by esptool; then MicroPython answers, is given firmware and identity, tests itself, starts."""
    loader = RomLoader()
    bare = make_board(loader)
    micropython = image(tmp_path / "micropython.bin", 9)
    (bare.flash / "profile.txt").write_text("1468188000 900\n400 0\n")
    done = pumasi("flash", "--port", bare.port, "--meter", "m001", "--store", store, "--image", micropython)
    assert done.stderr == "" and done.returncode == 1, done.stderr  # nobody runs the broker: the self-test says so
    assert loader.erased
    content = micropython.read_bytes()
    assert loader.flash[: len(content)] == content
    for step in ("[1/5] MicroPython: erase the esp32s3", "[2/5]", "[3/5] firmware", "[4/5] self-test", "[5/5] start"):
        assert step in done.stdout
    assert "sensor grid" in done.stdout and "400 W" in done.stdout
    assert "broker" in done.stdout and "FAILS" in done.stdout
    assert "m001 is written and has been started, but fails its self-test" in done.stdout
    issued = identities.flash_files(store, "m001")
    assert json.loads(issued["label.json"])["password"] in done.stdout
    for name in ("main.py", "stage.py", "slots.py"):
        assert (bare.flash / name).read_bytes() == (DEVICE / name).read_bytes()
    manifest = json.loads((bare.flash / "a" / "manifest.json").read_text())
    for row in manifest["files"]:
        assert hashlib.sha256((bare.flash / "a" / row["path"]).read_bytes()).hexdigest() == row["sha256"]
    assert (bare.flash / "client.key.der").read_bytes() == issued["client.key.der"]
    assert json.loads((bare.flash / "config.json").read_text())["meter"] == "m001"
    assert identities.load(store, "m001").handed_over_at is not None


def test_flashing_again_keeps_readings_unless_they_are_anothers(
    make_board: Callable[..., PtyBoard], store: Path
) -> None:
    new = flash.Program("0.1.0", {"main.py": b"", "a/manifest.json": b"{}"})
    given = flash.identity(identities.flash_files(store, "m001"), ("Home", "12345678"), {}, "m001")
    assert json.loads(given["config.json"])["wifi"] == {"ssid": "Home", "password": "12345678"}
    quiet: Callable[[str], None] = lambda _: None  # noqa: E731
    one = make_board()
    with connected(one.port) as there:
        flash.write_meter(there, new, given, quiet)
        there.write("outbox/00000000.seg", b"readings")
        there.write("b/old.mpy", b"old")
        there.write("boot.a", b"whose turn it was")
        flash.write_meter(there, new, given, quiet)
        assert there.read("outbox/00000000.seg") == b"readings"
        assert there.read("b/old.mpy") is None and there.read("boot.a") is None
        other = dict(given, **{"config.json": given["config.json"].replace(b'"m001"', b'"m002"')})
        flash.write_meter(there, new, other, quiet)
        assert there.read("outbox/00000000.seg") is None


def test_an_erased_board_goes_on_counting_where_its_readings_end(
    make_board: Callable[..., PtyBoard], tmp_path: Path
) -> None:
    store = tmp_path / "community"
    (tmp_path / "community.json").write_text(json.dumps(document(1)))
    assert (
        stores.pumasi(
            "broker", "init", "--store", store, "--host", "localhost", "--community", tmp_path / "community.json"
        ).status
        == 0
    )
    (tmp_path / "m001.json").write_text(json.dumps(SENSORS))
    assert stores.pumasi("meter", "add", "m001", "--store", store, "--settings", tmp_path / "m001.json").status == 0
    one = make_board()

    def seed() -> object:
        done = pumasi("flash", "--port", one.port, "--meter", "m001", "--store", store, "--skip-test")
        assert done.returncode == 0, done.stderr
        return json.loads((one.flash / "config.json").read_text()).get("seed")

    assert seed() is None
    reading(store, "m001", import_wh=5_000, export_wh=70)
    assert seed() == {"import_wh": 5_000, "export_wh": 70, "generation_wh": 0, "consumption_wh": 0}


def test_a_running_meter_is_interrupted_by_the_doctor_and_goes_on(
    make_board: Callable[..., PtyBoard], store: Path
) -> None:
    meter = make_board()
    (meter.flash / "profile.txt").write_text("1468188000 900\n400 0\n")
    done = pumasi("flash", "--port", meter.port, "--meter", "m001", "--store", store, "--skip-test")
    assert done.returncode == 0, done.stderr
    told = pumasi("meter", "doctor", "--port", meter.port)
    assert told.returncode == 1, told.stderr
    assert told.stdout.startswith("meter m001, firmware ")
    assert "fails: " in told.stdout and "broker" in told.stdout
    assert meter.boots >= 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--meter", "m009"], "m009: no such meter; see pumasi meter list"),
        (["--meter", "m001", "--store", "STORE"], "STORE: there is no store here; make one: pumasi broker"),
        (["--meter", "m001", "--image", "absent.bin"], "absent.bin: No such file"),
        (["--meter", "m001", "--wifi-ssid", "x" * 33], "1 to 32 bytes"),
        (["--meter", "m001", "--settings", "absent.json"], "absent.json: No such file"),
        (["--meter", "m001", "--port", "/dev/ttyNONE9"], "there is no such port"),
        (["--meter", "m001", "--port", "/dev/null/x"], "there is no such port"),
    ],
)
def test_what_is_wrong_is_found_before_the_board_is_touched(
    make_board: Callable[..., PtyBoard], store: Path, arguments: list[str], says: str
) -> None:
    untouched = make_board()
    given = [] if "--port" in arguments else ["--port", untouched.port]
    done = pumasi("flash", "--store", store, *given, *arguments, PUMASI_WIFI_PASSWORD="12345678")
    assert done.returncode == 2 and says in done.stderr
    assert list(untouched.flash.iterdir()) == []


def test_no_password_on_the_command_line(store: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PUMASI_WIFI_PASSWORD"}
    command = [*PUMASI, "flash", "--port", "/dev/null", "--meter", "m001", "--store", str(store), "--wifi-ssid", "Home"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "set PUMASI_WIFI_PASSWORD" in done.stderr


def test_a_meter_needs_to_know_what_it_measures_with(store: Path) -> None:
    issued = identities.flash_files(store, "m001")
    config = json.loads(issued["config.json"])
    del config["sensors"]
    with pytest.raises(BoardError, match="measures with") as told:
        flash.identity({**issued, "config.json": json.dumps(config).encode()}, None, {}, "m001")
    assert "--settings" in told.value.advice[0]


def test_a_board_in_no_boot_mode(make_board: Callable[..., PtyBoard], tmp_path: Path) -> None:
    silent = make_board(RomLoader(silent=True))
    with pytest.raises(BoardError, match="Failed to connect") as told:
        esp.write_image(silent.port, esp.CHIPS["esp32s3"], image(tmp_path / "i.bin", 9), esp.run_shown)
    assert "hold the board's BOOT button" in told.value.advice[0]


def test_what_does_not_answer_is_no_micropython(
    make_board: Callable[..., PtyBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "TRIES", 1)
    silent = make_board(RomLoader(silent=True))
    with pytest.raises(BoardError, match="does not answer as MicroPython") as told, connected(silent.port):
        pass
    assert any("--board" in line for line in told.value.advice)


def test_a_port_that_another_program_has_open(make_board: Callable[..., PtyBoard]) -> None:
    busy = make_board()
    with connected(busy.port), pytest.raises(BoardError, match="used by another program"), connected(busy.port):
        pass


def test_a_port_that_one_may_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    monkeypatch.setattr(stat, "S_ISCHR", lambda mode: True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may everything
    with pytest.raises(BoardError, match="you may not use this port") as told:
        board.check_port(str(port))
    assert "usermod -aG" in told.value.advice[0]


def test_what_is_no_serial_port(tmp_path: Path) -> None:
    port = tmp_path / "file"
    port.touch()
    with pytest.raises(BoardError, match="is no serial port"):
        board.check_port(str(port))


@pytest.mark.parametrize(("chip", "name"), [(0, "esp32"), (9, "esp32s3"), (5, "esp32c3")])
def test_an_images_chip(tmp_path: Path, chip: int, name: str) -> None:
    assert esp.image_chip(image(tmp_path / "i.bin", chip)).name == name


def test_images_that_are_none(tmp_path: Path) -> None:
    path = image(tmp_path / "i.bin", 13)
    with pytest.raises(BoardError, match="another chip"):
        esp.image_chip(path)
    path.write_bytes(b"\xe9" + bytes(100))
    with pytest.raises(BoardError, match="no image"):
        esp.image_chip(path)
    path.write_bytes(b"UF2\n" + bytes(esp.MIN_IMAGE_BYTES))
    with pytest.raises(BoardError, match="no image") as told:
        esp.image_chip(path)
    assert ".uf2" in told.value.advice[0]


def test_command_lines() -> None:
    """What esptool is told, for the chip whose image does not begin at 0 too."""
    erase = esp.erase_command("/dev/ttyUSB0", esp.CHIPS["esp32"], 115_200)
    assert erase[1:8] == ["-m", "esptool", "--chip", "esp32", "--port", "/dev/ttyUSB0", "--baud"]
    assert erase[8:] == ["115200", "erase-flash"]
    for name, offset in (("esp32", "0x1000"), ("esp32s3", "0x0"), ("esp32c3", "0x0")):
        written = esp.write_command("COM3", esp.CHIPS[name], Path("i.bin"))
        assert written[-3:] == ["write-flash", offset, "i.bin"]


def test_an_image_is_fetched_once(tmp_path: Path) -> None:
    """mpflash is not run here, it needs the internet: what it is told is recorded, and what it leaves is found."""
    told: list[tuple[Sequence[str], Mapping[str, str]]] = []

    def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
        told.append((command, environment))
        folder = tmp_path / "esp32"
        folder.mkdir()
        for name in ("ESP32_GENERIC_S3-v1.28.0", "ESP32_GENERIC_S3-v1.29.0", "ESP32_GENERIC_S3-SPIRAM_OCT-v1.30.0"):
            (folder / f"{name}.bin").touch()
        return ""

    for _ in range(2):
        assert esp.fetch_image(esp.CHIPS["esp32s3"], tmp_path, run).name == "ESP32_GENERIC_S3-v1.29.0.bin"
    (command, environment), *more = told
    assert command[1:] == ["-m", "mpflash", "download", "--board", "ESP32_GENERIC_S3", "--version", "stable"]
    assert environment == {"MPFLASH_FIRMWARE": str(tmp_path)} and not more
    with pytest.raises(BoardError, match="could be fetched") as offline:
        esp.fetch_image(esp.CHIPS["esp32c3"], tmp_path, lambda *_: "")
    assert "--image FILE" in offline.value.advice[0]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("A fatal error occurred: Failed to connect to ESP32: Wrong boot mode detected (0x13)!", "BOOT button"),
        ("This chip is ESP32-C3, not ESP32-S3. Wrong chip argument?", "another chip"),
        ("Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n([Errno 13] Permission denied)", "dialout"),
        ("Could not open /dev/ttyUSB0, the port is busy or doesn't exist.", "close the serial monitor"),
        ("A serial exception error occurred: Write timed out", "--baud 115200"),
    ],
)
def test_what_to_do_when_esptool_fails(tmp_path: Path, said: str, advice: str) -> None:
    script = f"print({said!r}); raise SystemExit(2)"
    with pytest.raises(BoardError) as told:
        esp.run_shown([sys.executable, "-c", script], {})
    assert any(advice in line for line in told.value.advice)
