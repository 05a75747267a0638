import os
import random
import subprocess
from pathlib import Path

import pytest

from firmware.host.fleet import unix_port
from firmware.host.profile import Profile, Registers

START = 1_468_188_000
DEVICE = Path(__file__).parents[3] / "firmware" / "device"


@pytest.mark.parametrize(
    ("load_w", "generation_w", "quarters", "registers_wh"),
    [
        (1, 0, 1, (0, 0, 0, 0)),  # 1 W for 900 s is 250 mWh, rounded down
        (1, 0, 3, (0, 0, 0, 0)),
        (1, 0, 4, (1, 0, 0, 1)),
        (4, 0, 1, (1, 0, 0, 1)),
        (0, 4, 1, (0, 1, 1, 0)),
        (1000, 400, 4, (600, 0, 400, 1000)),  # more use than generation: import
        (400, 1000, 4, (0, 600, 1000, 400)),  # more generation than use: export
        (700, 700, 4, (0, 0, 700, 700)),
        (0, 0, 4, (0, 0, 0, 0)),
    ],
)
def test_registers(load_w: int, generation_w: int, quarters: int, registers_wh: tuple[int, ...]) -> None:
    registers = Registers(Profile(START, 900, [load_w], [generation_w]), START)
    assert registers.at(START) == (0, 0, 0, 0)
    assert registers.at(START + 900 * quarters) == registers_wh


def test_registers_start_at_zero_wherever_the_clock_does() -> None:
    profile = Profile(START, 900, [100, 2000, 300], [50, 0, 900])
    assert Registers(profile, START + 1234).at(START + 1234) == (0, 0, 0, 0)
    assert Registers(profile, START - 1234).at(START - 1234) == (0, 0, 0, 0)


def test_the_profile_repeats() -> None:
    profile = Profile(START, 900, [400, 800], [0, 4000])
    once, twice = (Registers(profile, START).at(START + rounds * 1800) for rounds in (1, 2))
    assert once == (100, 800, 1000, 300)
    assert twice == tuple(2 * register for register in once)


@pytest.mark.parametrize(
    ("step_s", "load_w", "generation_w", "message"),
    [
        (0, [1], [1], "the step is not positive"),
        (900, [], [], "empty"),
        (900, [1, 2], [1], "not of the same length"),
        (900, [1], [-1], "a power is negative"),
    ],
)
def test_a_profile_that_is_none(step_s: int, load_w: list[int], generation_w: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Profile(START, step_s, load_w, generation_w)


FIRMWARE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from metering import Metering
from sensors.simulated import Simulated
sensor = Simulated("profile.txt", sys.argv[2] == "reversed")
with open("times.txt") as file:
    times = [int(line) for line in file]
metering = Metering(1, set(sensor.measures()))
for epoch_s in times:
    metering.take(0, asyncio.run(sensor.read(epoch_s)).counters_mwh)
    metering.settle()
    if epoch_s != times[0]:
        print(" ".join(str(register // 1000) for register in metering.registers))
"""


@pytest.mark.parametrize("seed", range(8))
def test_the_firmware_measures_the_same(tmp_path: Path, seed: int) -> None:
    """The same profile, tick for tick, in the firmware's own sensor and registers, run by MicroPython."""
    micropython = unix_port()
    if micropython is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no MicroPython unix port here")
    draw = random.Random(seed)
    reversed_ct = seed % 2 == 1
    step_s = draw.choice([60, 300, 900, 1000])
    count = draw.randint(1, 9)
    load_w = [draw.choice([0, 0, 1, draw.randint(0, 9000)]) for _ in range(count)]
    generation_w = [draw.choice([0, 1, draw.randint(0, 9000)]) for _ in range(count)]
    interval_s = draw.choice([60, 300, 900, 7])
    first = START + draw.randint(-3000, 3000)
    times = [first, *(first - first % interval_s + interval_s * n for n in range(1, 40))]
    (tmp_path / "profile.txt").write_text(
        f"{START} {step_s}\n" + "".join(f"{a} {b}\n" for a, b in zip(load_w, generation_w, strict=True))
    )
    (tmp_path / "run.py").write_text(FIRMWARE)
    (tmp_path / "times.txt").write_text("".join(f"{epoch_s}\n" for epoch_s in times))
    done = subprocess.run(
        [micropython, "run.py", DEVICE, "reversed" if reversed_ct else "right"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    registers = Registers(Profile(START, step_s, load_w, generation_w), first, reversed_ct=reversed_ct)
    ours = [registers.at(epoch_s) for epoch_s in times[1:]]
    assert ours == [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
