"""A board of our own, from flashing to calibrated: the real commands, the real firmware, a chip in software."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import identities, settings
from broker.initialise import initialise
from broker.keys import derive_key
from broker.site import Site
from firmware.host.fleet import unix_port
from tests.broker import stores
from tests.firmware.host.pty_board import PtyBoard

HERE = Path(__file__).parent
SENSOR = {"role": "grid", "driver": "atm90e32", "phases": 3}
RESISTIVE, INDUCTIVE = (230.12, 4.345, 0.0), (229.80, 4.402, 60.0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    initialise(store, Site("c", 900, ["localhost"], port=28883, loopback_port=21883, hub_port=28443, bind="127.0.0.1"))
    said = {"board": "pumasi-s3", "sensors": [SENSOR], "ntp": []}
    identities.issue(store, "m001", "h001", 1, derive_key(bytes(32), "c", "m001", 1), said)
    return store


@pytest.fixture
def board(tmp_path: Path) -> Iterator[PtyBoard]:
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    flash = tmp_path / "flash"
    flash.mkdir()
    shutil.copy(HERE / "bench_machine.py", flash / "machine.py")
    shutil.copy(HERE.parent / "firmware" / "device" / "scripts" / "fakes.py", flash / "fakes.py")
    (flash / "load.json").write_text(json.dumps(RESISTIVE))
    one = PtyBoard(micropython, flash)
    yield one
    one.close()


def reference(load: tuple[float, float, float]) -> list[str]:
    watts = load[0] * load[1] * math.cos(math.radians(load[2]))
    return ["--volts", f"{load[0]:.2f}", "--amps", f"{load[1]:.3f}", "--watts", f"{watts:.3f}"]


def config_of(board: PtyBoard) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((board.flash / "config.json").read_text())
    return found


def test_from_flashing_to_a_calibrated_phase(board: PtyBoard, store: Path) -> None:
    at = ["--port", board.port, "--store", store]
    done = stores.pumasi("flash", *at, "--meter", "m001")
    assert done.status == 1, done.errors
    assert "FAILS  answers, but nobody has calibrated it and it counts nothing" in done.out
    assert config_of(board)["sensors"] == [SENSOR]  # no pins: the firmware has them from pins.json

    done = stores.pumasi("meter", "calibrate", *at, "--phase", "L1", *reference(RESISTIVE))
    assert done.status == 0, done.errors
    assert "meter m001, sensor grid, L1" in done.out and "kept in the meter and in the store\n" in done.out
    (board.flash / "load.json").write_text(json.dumps(INDUCTIVE))
    done = stores.pumasi("meter", "calibrate", *at, "--phase", "L1", *reference(INDUCTIVE), "--inductive")
    assert done.status == 0, done.errors

    (sensor,) = config_of(board)["sensors"]
    assert sensor["voltage_gain"][0] == pytest.approx(32768 / 4.31, abs=2) and sensor["voltage_gain"][1:] == [32768] * 2
    assert sensor["current_gain"][0] == pytest.approx(32768 / 1.17, abs=16)
    assert sensor["phase_angle"] == [pytest.approx(1.9 / (360 * 50 / 2_048_000), abs=6), 0, 0]
    # what is flashed next knows them, and without Wi-Fi or market nothing was sent
    assert identities.load(store, "m001").settings["sensors"] == [sensor]
    assert settings.load(store).version == 0
    told = stores.pumasi("meter", "doctor", "--port", board.port)
    assert "nobody has calibrated it" in told.out  # L2 and L3 are new still

    # where the market has told the sensors it must tell the gains too, or its next message would undo them
    settings.change(store, "m001", sensors=[SENSOR])
    done = stores.pumasi("meter", "calibrate", *at, "--phase", "L2", *reference(INDUCTIVE)[:4])
    assert done.status == 0, done.errors
    assert "the market tells the meter (configuration 2)" in done.out
    assert settings.load(store).of("m001").members["sensors"] == config_of(board)["sensors"]

    done = stores.pumasi("meter", "calibrate", *at, "--phase", "L3", *reference(INDUCTIVE)[:4])
    assert done.status == 0, done.errors
    told = stores.pumasi("meter", "doctor", "--port", board.port)
    assert "nobody has calibrated it" not in told.out and "229 V, 229 V, 229 V" in told.out, told.out  # 229.8 V, cut


def test_what_cannot_be_calibrated(board: PtyBoard, store: Path, tmp_path: Path) -> None:
    at = ["--port", board.port, "--store", store]
    volts, amps, watts = reference(RESISTIVE)[:2], reference(RESISTIVE)[2:4], reference(RESISTIVE)[4:]

    def refused(*arguments: object) -> str:
        done = stores.pumasi("meter", "calibrate", *at, *arguments)
        assert done.status == 2 and done.out == "", done.out
        return done.errors

    assert "is no meter yet" in refused("--phase", "L1", *volts, *amps)
    assert stores.pumasi("flash", *at, "--meter", "m001", "--skip-test").status == 0
    before = config_of(board)
    assert "the power factor is not 0.3 to 0.8" in refused("--phase", "L1", *volts, *amps, *watts, "--inductive")
    (board.flash / "load.json").write_text(json.dumps([230.0, 0.0, 0.0]))
    assert "nothing was measured: is the load on" in refused("--phase", "L1", *volts, *amps)
    assert config_of(board) == before
    shutil.rmtree(identities.folder(store))
    assert "m001: no such meter" in refused("--phase", "L1", *volts, *amps)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--volts", "2,3", "--amps", "4"], "--volts 2,3: not a number up to 600 with at most three decimals"),
        (["--volts", "230", "--amps", "0"], "--amps 0: not a number up to 60 with"),
        (["--volts", "230", "--amps", "61"], "--amps 61: not a number up to 60 with"),
        (["--volts", "230", "--amps", "4", "--inductive"], "--inductive needs --watts"),
        (["--volts", "230", "--amps", "4", "--watts", "2000"], "--watts: more than volts times amps"),
        (["--volts", "230", "--amps", "4"], "/dev/ttyNONE9: there is no such port"),
    ],
)
def test_what_is_wrong_is_found_before_the_meter_is_asked(store: Path, arguments: list[str], says: str) -> None:
    at = ["--port", "/dev/ttyNONE9", "--store", store, "--phase", "L1"]
    done = stores.pumasi("meter", "calibrate", *at, *arguments)
    assert (done.status, done.out) == (2, "") and says in done.errors
