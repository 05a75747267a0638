"""Which slot runs: boot loops, spoiled flash, and versions that are judged."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware.host.bundle import manifest

DEVICE = Path(__file__).resolve().parents[3] / "firmware" / "device"
MINUTE, HOUR = 60_000, 3_600_000

GOOD = """
def main(watchdog):
    print("{version} runs")
    return 0
"""
CRASHES = """
def main(watchdog):
    print("{version} runs")
    raise RuntimeError("no good")
"""
DOES_NOT_LOAD = "import nothing_of_that_name"
PROVES = """
import json, stage
from slots import Slots

def main(watchdog):
    print("{version} runs")
    state = stage.state()
    state["proven"], state["boots"] = True, 0
    stage.save(state)
    return 0
"""


class Board:
    """A flash as the host writes it: the boot stage at its root, versions in slots."""

    def __init__(self, micropython: Path, flash: Path) -> None:
        self.flash = flash
        self._micropython = micropython
        flash.mkdir()
        for name in ("main.py", "stage.py", "slots.py"):
            shutil.copy(DEVICE / name, flash)

    def lay(self, slot: str, version: str, meter: str) -> None:
        files = {"meter.py": meter.format(version=version).encode(), "slots.py": (DEVICE / "slots.py").read_bytes()}
        (self.flash / slot).mkdir()
        for path, content in files.items():
            (self.flash / slot / path).write_bytes(content)
        (self.flash / slot / "manifest.json").write_bytes(manifest(version, files))

    def state(self, **members: object) -> None:
        (self.flash / "state.py").write_text(f"import stage; stage.save({members!r})")
        subprocess.run([self._micropython, "state.py"], cwd=self.flash, check=True)

    def boot(self) -> tuple[str, int]:
        """The version that ran, "" for none, and the exit status."""
        done = subprocess.run(
            [self._micropython, "main.py"], cwd=self.flash, capture_output=True, text=True, timeout=20, check=False
        )
        self.says = done.stderr
        return done.stdout.removesuffix(" runs\n"), done.returncode


@pytest.fixture
def board(micropython: Path, tmp_path: Path) -> Board:
    return Board(micropython, tmp_path / "flash")


def test_a_fresh_flash_runs_its_only_slot(board: Board) -> None:
    board.lay("a", "0.1.0", GOOD)
    assert [board.boot() for _ in range(12)] == [("0.1.0", 0)] * 12


@pytest.mark.parametrize("meter", [CRASHES, DOES_NOT_LOAD, GOOD], ids=["crashes", "does not load", "is never healthy"])
def test_a_new_version_has_three_boots_to_prove_itself(board: Board, meter: str) -> None:
    board.lay("a", "0.1.0", PROVES)
    board.lay("b", "0.2.0", meter)
    board.state(slot="b", proven=False, boots=0, failed=None, offer=7)
    ran = [board.boot()[0] for _ in range(5)]
    assert ran == [*(["0.2.0" if meter != DOES_NOT_LOAD else ""] * 3), "0.1.0", "0.1.0"]
    assert '"failed": "0.2.0"' in newest_state(board.flash) and '"offer": 7' in newest_state(board.flash)


def newest_state(flash: Path) -> str:
    copies = [(flash / name).read_bytes() for name in ("boot.a", "boot.b")]
    return max(copies, key=lambda copy: int.from_bytes(copy[:4], "little"))[6:-4].decode()


def test_a_new_version_that_proves_itself_stays(board: Board) -> None:
    board.lay("a", "0.1.0", GOOD)
    board.lay("b", "0.2.0", PROVES)
    board.state(slot="b", proven=False, boots=0, failed=None, offer=7)
    assert [board.boot() for _ in range(15)] == [("0.2.0", 0)] * 15


def test_two_proven_versions_in_a_boot_loop_take_turns(board: Board) -> None:
    board.lay("a", "0.1.0", CRASHES)
    board.lay("b", "0.2.0", CRASHES)
    board.state(slot="b", proven=True, boots=0, failed=None, offer=0)
    ran = [board.boot() for _ in range(24)]
    assert ran == [("0.2.0", 1)] * 10 + [("0.1.0", 1)] * 10 + [("0.2.0", 1)] * 4
    assert "RuntimeError: no good" in board.says


@pytest.mark.parametrize("spoil", ["meter.py", "slots.py", "manifest.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_slot_that_is_not_whole_loses_its_turn_at_once(board: Board, spoil: str, how: str) -> None:
    board.lay("a", "0.1.0", GOOD)
    board.lay("b", "0.2.0", GOOD)
    board.state(slot="b", proven=True, boots=0, failed=None, offer=0)
    assert board.boot() == ("0.2.0", 0)
    spoiled = board.flash / "b" / spoil
    if how == "gone":
        spoiled.unlink()
    else:
        spoiled.write_bytes(b"\xff" + spoiled.read_bytes()[1:])
    assert board.boot() == ("0.1.0", 0)
    assert "boot: slot b gives way to slot a" in board.says
    assert board.boot() == ("0.1.0", 0)


def test_with_nothing_else_whole_the_spoiled_one_is_tried(board: Board) -> None:
    board.lay("a", "0.1.0", GOOD)
    (board.flash / "a" / "spare.txt").write_text("not in the manifest, and no matter")
    (board.flash / "a" / "meter.py").write_text(GOOD.format(version="0.1.0") + "# changed\n")
    assert [board.boot() for _ in range(12)] == [("0.1.0", 0)] * 12


def test_a_state_that_is_spoiled_twice_is_a_fresh_one(board: Board) -> None:
    board.lay("a", "0.1.0", GOOD)
    board.lay("b", "0.2.0", GOOD)
    board.state(slot="b", proven=True, boots=0, failed=None, offer=0)
    assert board.boot() == ("0.2.0", 0)
    for name in ("boot.a", "boot.b"):
        (board.flash / name).write_bytes(b"noise")
    assert board.boot() == ("0.1.0", 0)


def test_a_boot_that_cannot_be_counted_runs_all_the_same(board: Board) -> None:
    board.lay("a", "0.1.0", GOOD)
    for name in ("boot.a", "boot.b"):
        # a folder in the way cannot be written
        (board.flash / name).mkdir()
    version, status = board.boot()
    assert (version, status) == ("0.1.0", 0)


def judge(on_device: Callable[..., Any], flash: Path, proven: bool, boots: int, looks: list[list[int]]) -> Any:
    files = {"meter.py": b"pass"}
    for slot in ("a", "b"):
        (flash / slot).mkdir()
        (flash / slot / "meter.py").write_bytes(b"pass")
        (flash / slot / "manifest.json").write_bytes(manifest("0.1.0", files))
    state = {"slot": "b", "proven": proven, "boots": boots, "failed": None, "offer": 3}
    (flash / "lay.py").write_text(f"import stage; stage.save({state!r})\nprint('0')")
    on_device(flash / "lay.py")
    return on_device("try_version.py", json.dumps(looks))


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        pytest.param(
            [[1000, 1, 1], [MINUTE + 1, 9, 1], [HOUR, 900, 1]],
            [[False, False, False, 0], [True, True, False, 1], [True, True, False, 1]],
            id="measures for a minute and has reached its broker",
        ),
        pytest.param(
            [[MINUTE + 1, 9, 0], [HOUR - 1, 800, 0], [HOUR + 1, 900, 0], [HOUR + 2, 900, 1]],
            [[False, False, False, 0], [False, False, False, 0], [False, False, True, 0], [False, False, True, 0]],
            id="does not reach its broker in an hour",
        ),
        pytest.param([[MINUTE + 1, 0, 1], [HOUR + 1, 0, 1]], [[False, False, False, 0], [False, False, True, 0]],
                     id="no sensor answers"),
        pytest.param([[HOUR - 1, 9, 0], [HOUR, 9, 1]], [[False, False, False, 0], [True, True, False, 1]],
                     id="reaches it late"),
    ],
)  # fmt: skip
def test_a_new_version_is_judged(
    on_device: Callable[..., Any], tmp_path: Path, looks: list[list[int]], told: list[list[object]]
) -> None:
    found = judge(on_device, tmp_path, False, 1, looks)
    assert (found["slot"], found["boots"]) == ("b", 1)
    assert found["told"] == told
    assert found["state"]["proven"] == told[-1][0] and found["state"]["boots"] == (0 if told[-1][0] else 1)
    assert found["state"]["offer"] == 3


def test_a_proven_version_need_not_reach_anybody(on_device: Callable[..., Any], tmp_path: Path) -> None:
    found = judge(on_device, tmp_path, True, 4, [[1000, 1, 0], [MINUTE + 1, 9, 0], [2 * HOUR, 900, 0]])
    assert found["boots"] == 4
    assert found["told"] == [[True, False, False, 0], [True, True, False, 1], [True, True, False, 1]]
    assert found["state"]["boots"] == 0


def test_a_proven_version_without_sensors_is_never_restarted_for_it(
    on_device: Callable[..., Any], tmp_path: Path
) -> None:
    found = judge(on_device, tmp_path, True, 4, [[MINUTE + 1, 0, 0], [HOUR + 1, 0, 0]])
    assert found["told"] == [[True, False, False, 0], [True, True, False, 0]]
    assert found["state"]["boots"] == 4


def test_firmware_from_its_source_is_not_judged(on_device: Callable[..., Any]) -> None:
    found = on_device("try_version.py", json.dumps([[2 * HOUR, 0, 0]]))
    assert (found["slot"], found["boots"], found["told"]) == (None, 0, [[True, True, False, 0]])


@pytest.mark.parametrize(
    ("rounds", "fed"),
    [
        pytest.param([[1000, 1], [2000, 2], [3000, 3]], [1, 1, 1], id="progress"),
        pytest.param([[1000, 1], [60_000, 1], [900_000, 1], [901_000, 2]], [1, 1, 1, 1], id="a quarter of an hour"),
        pytest.param([[1000, 1], [901_001, 1], [902_000, 2]], [1, 0, 0], id="longer, and for good"),
        pytest.param([[n * 800_000, n] for n in range(400)], [1] * 400, id="ticks wrap"),
        pytest.param([[1000, 1], [901_001, 1], [1000 + (1 << 30), 1]], [1, 0, 0], id="ticks wrap and change nothing"),
    ],
)
def test_the_watchdog_is_fed_while_metering_makes_progress(
    on_device: Callable[..., Any], tmp_path: Path, rounds: list[list[int]], fed: list[int]
) -> None:
    (tmp_path / "rounds.json").write_text(json.dumps(rounds))
    assert on_device("guard.py", "rounds.json") == fed
