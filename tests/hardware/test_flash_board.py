"""`pumasi flash --board`: what the board is, is known from then on; what it is not is found before it is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import identities
from broker.initialise import initialise
from broker.keys import derive_key
from broker.site import Site
from firmware.host import esp, pins
from firmware.host.fleet import unix_port
from market.commands.errors import CommandError
from market.commands.issuing import read_settings
from tests.firmware.host.pty_board import PtyBoard
from tests.firmware.host.rom_loader import RomLoader
from tests.firmware.host.test_flash import image, pumasi

SDM = {"role": "grid", "driver": "sdm", "model": "sdm120"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    initialise(store, Site("c", 900, ["localhost"], port=28883, loopback_port=21883, hub_port=28443, bind="127.0.0.1"))
    said = {"sensors": [SDM], "ntp": []}
    identities.issue(store, "m001", "h001", 1, derive_key(bytes(32), "c", "m001", 1), said)
    return store


@pytest.fixture
def board(tmp_path: Path) -> Iterator[PtyBoard]:
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    (tmp_path / "flash").mkdir()
    one = PtyBoard(micropython, tmp_path / "flash", RomLoader())
    yield one
    one.close()


def test_the_meter_remembers_its_board(board: PtyBoard, store: Path, tmp_path: Path) -> None:
    there = ["--port", board.port, "--meter", "m001", "--store", store, "--skip-test"]
    done = pumasi("flash", *there, "--board", "pumasi-s3", "--image", image(tmp_path / "m.bin", 9))
    assert done.returncode == 0, done.stderr
    assert "erase the esp32s3" in done.stdout
    config = json.loads((board.flash / "config.json").read_text())
    assert (config["board"], config["sensors"]) == ("pumasi-s3", [SDM])
    assert (board.flash / "a" / "pins.json").read_bytes() == (ROOT / "hardware" / "pins.json").read_bytes()
    assert identities.load(store, "m001").settings["board"] == "pumasi-s3"
    # flashed again it need not be told, and nothing is erased
    done = pumasi("flash", *there)
    assert done.returncode == 0 and "erase" not in done.stdout, done.stderr
    assert json.loads((board.flash / "config.json").read_text())["board"] == "pumasi-s3"


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (
            ["--board", "pumasi-s4"],
            {},
            "--board pumasi-s4: not known; known are esp32-devkit, pumasi-s3, esp32, esp32c3",
        ),
        (
            ["--board", "pumasi-s3", "--image", "m.bin"],
            {},
            "m.bin: is for an esp32; --board pumasi-s3 has another chip",
        ),
        ([], {"board": "toaster"}, "m001: board 'toaster' is not known; known are esp32-devkit, pumasi-s3"),
        ([], {"board": "pumasi-s3", "sensors": [{**SDM, "port": "P1"}]}, "sensors[0]: port 'P1' is none of RS-485"),
        (
            [],
            {"board": "pumasi-s3", "display": {"driver": "e-ink"}},
            "display: a pumasi-s3 has no connector for 'e-ink'",
        ),
    ],
)
def test_what_is_wrong_is_found_before(
    board: PtyBoard, store: Path, tmp_path: Path, arguments: list[str], settings: dict[str, object], says: str
) -> None:
    image(tmp_path / "m.bin", 0)
    (tmp_path / "s.json").write_text(json.dumps(settings))
    given = [tmp_path / "m.bin" if one == "m.bin" else one for one in arguments]
    at = ["--port", board.port, "--meter", "m001", "--store", store, "--settings", tmp_path / "s.json"]
    done = pumasi("flash", *at, *given)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert list(board.flash.iterdir()) == []


def test_settings_of_an_unknown_board_are_refused_when_a_meter_is_added(tmp_path: Path) -> None:
    path = tmp_path / "m001.json"
    path.write_text(json.dumps({"board": "toaster", "sensors": [SDM]}))
    with pytest.raises(
        CommandError, match=r"m001\.json: board 'toaster' is not known; known are esp32-devkit, pumasi-s3"
    ):
        read_settings(path, identities.SETTINGS)
    path.write_text(json.dumps({"board": "pumasi-s3", "sensors": [SDM]}))
    assert read_settings(path, identities.SETTINGS)["sensors"] == [SDM]


def test_the_help_names_every_board() -> None:
    told = " ".join(pumasi("flash", "--help").stdout.split())
    for name in [*pins.boards(), *esp.CHIPS]:
        assert name in told
