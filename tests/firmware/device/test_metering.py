"""Registers from counters: what is derived, what is a reset, a wrap or another meter, and what is not believed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BIG = 2**32 * 1000
# what 100 kW move in a minute
MINUTE = 1_666_666
IMPORT, EXPORT, GENERATION, CONSUMPTION = range(4)
HOUSE = [IMPORT, EXPORT, GENERATION]


@pytest.fixture
def feed(on_device: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def run(measured: list[int], steps: list[list[Any]], **limits: int) -> Any:
        said = [[None if counters is None else {**limits, "counters": counters} for counters in step] for step in steps]
        (tmp_path / "steps.json").write_text(json.dumps([measured, len(steps[0]), said]))
        return on_device("meter.py", "steps.json", heap="heapsize=64M")

    return run


def simulated(*counters: tuple[int, int, int]) -> list[list[Any]]:
    """What one sensor says that measures all but consumption."""
    return [[[*one, None]] for one in counters]


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        pytest.param([(0, 0, 0), (250, 0, 0)], [[[250, 0, 0, 250], False]], id="import is consumed"),
        pytest.param([(7, 8, 9), (7, 8, 9)], [[[0, 0, 0, 0], False]], id="what was counted before is not ours"),
        pytest.param([(0, 0, 0), (0, 300, 1000)], [[[0, 300, 1000, 700], False]], id="own generation is consumed"),
        pytest.param(
            [(0, 0, 0), (900, 0, 0), (40, 0, 0), (50, 0, 0)],
            [[[900, 0, 0, 900], False], [[940, 0, 0, 940], True], [[950, 0, 0, 950], False]],
            id="a decreasing counter is a reset and counts from zero",
        ),
        pytest.param(
            [(-100, 0, 0), (-40, 0, 0), (-90, 0, 0)],
            [[[60, 0, 0, 60], False], [[60, 0, 0, 60], True]],
            id="a reset never moves a register back",
        ),
        pytest.param(
            [(0, 0, 0), (0, 100, 70), (0, 100, 120), (0, 100, 130)],
            [[[0, 100, 70, 0], False], [[0, 100, 120, 20], False], [[0, 100, 130, 30], False]],
            id="consumption waits for a sensor that lags and owes nothing afterwards",
        ),
        pytest.param(
            [(BIG - 1, 0, 2**30 - 1), (BIG + 2**33, 0, 2**30 + 5)],
            [[[2**33 + 1, 0, 6, 2**33 + 7], False]],
            id="registers pass 2^30, 2^32 and 2^33",
        ),
    ],
)
def test_a_sensor_that_is_trusted(
    feed: Callable[..., Any], counters: list[tuple[int, int, int]], expected: list[object]
) -> None:
    assert [step[:2] for step in feed(HOUSE, simulated(*counters))[1:]] == expected


@pytest.mark.parametrize(
    ("measured", "steps", "expected"),
    [
        pytest.param(
            [IMPORT, EXPORT],
            [[[0, 0, None, None]], [[900, 400, None, None]]],
            [900, 400, 400, 900],
            id="a grid sensor alone: what was exported was generated, what was imported consumed",
        ),
        pytest.param(
            HOUSE,
            [[[0, 0, None, None], [None, None, 0, None]], [[900, 400, None, None], [None, None, 1000, None]]],
            [900, 400, 1000, 1500],
            id="grid and roof",
        ),
        pytest.param(
            [IMPORT, EXPORT, CONSUMPTION],
            [[[0, 0, None, None], [None, None, None, 0]], [[900, 400, None, None], [None, None, None, 1500]]],
            [900, 400, 1000, 1500],
            id="grid and load: generation follows",
        ),
        pytest.param(
            [IMPORT, EXPORT, GENERATION, CONSUMPTION],
            [
                [[0, 0, None, None], [None, None, 0, None], [None, None, None, 0]],
                [[900, 400, None, None], [None, None, 1000, None], [None, None, None, 1498]],
            ],
            [900, 400, 1000, 1498],
            id="everything is measured",
        ),
        pytest.param(
            HOUSE,
            [
                [[0, 0, None, None], [5, 7, None, None], [None, None, 0, None], [None, None, 50, None]],
                [[10, 1, None, None], [25, 7, None, None], [None, None, 3, None], [None, None, 54, None]],
            ],
            [30, 1, 7, 36],
            id="several of a role are summed",
        ),
        pytest.param(
            HOUSE,
            [
                [[0, 0, None, None], [None, None, 0, None]],
                [[0, 1000, None, None], None],
                [[0, 1500, None, None], [None, None, 2000, None]],
            ],
            [0, 1500, 2000, 500],
            id="a roof that is silent for a while",
        ),
    ],
)
def test_roles(feed: Callable[..., Any], measured: list[int], steps: list[list[Any]], expected: list[int]) -> None:
    assert feed(measured, steps)[-1][0] == expected


def grid(*imported: int) -> list[list[Any]]:
    return [[[one, 0, None, None]] for one in imported]


@pytest.mark.parametrize(
    ("imported", "limits", "registers", "resets", "believed"),
    [
        pytest.param([5000, 5100], {}, [0, 100], [0, 0], [1, 1], id="a step"),
        pytest.param([9e9, 9e9 + 1.6e6], {}, [0, 1.6e6], [0, 0], [1, 1], id="as much as is believed at once"),
        pytest.param(
            [9e9, 4e15, 9e9 + 50], {}, [0, 0, 50], [0, 0, 0], [1, 0, 1], id="a disturbed value, once, moves nothing"
        ),
        pytest.param(
            [9e9, 50, 9e9 + 50], {}, [0, 0, 50], [0, 0, 0], [1, 0, 1], id="a disturbed value, once, is no reset"
        ),
        pytest.param(
            [9e9, 4e12, 4e12 + 70, 4e12 + 90],
            {},
            [0, 0, 0, 20],
            [0, 0, 1, 0],
            [1, 0, 1, 1],
            id="another meter's counter, twice, is a declared reset and no energy",
        ),
        pytest.param(
            [9e9, 300, 400, 450],
            {},
            [0, 0, 400, 450],
            [0, 0, 1, 0],
            [1, 0, 1, 1],
            id="a reset, said twice, counts from zero",
        ),
        pytest.param(
            [9e9, 7e9, 7e9, 7e9 + 5],
            {},
            [0, 0, 0, 5],
            [0, 0, 1, 0],
            [1, 0, 1, 1],
            id="another meter with a smaller counter is no energy either",
        ),
        pytest.param(
            [9e9, 9e9 + 5e8, 9e9 + 5e8],
            {"most": 10**9},
            [0, 0, 5e8],
            [0, 0, 0],
            [1, 0, 1],
            id="after a long silence much is possible",
        ),
        pytest.param(
            [2**32 * 100 - 300, 500, 600],
            {"wrap": 2**32 * 100},
            [0, 0, 900],
            [0, 0, 0],
            [1, 0, 1],
            id="a counter of 32 bits that wraps is no reset",
        ),
        pytest.param(
            [2**31 * 100, 500, 600],
            {"wrap": 2**32 * 100},
            [0, 0, 600],
            [0, 0, 1],
            [1, 0, 1],
            id="one that was set back is, though its kind wraps",
        ),
        pytest.param(
            [2**32 * 100 - 300, 500, 600],
            {},
            [0, 0, 600],
            [0, 0, 1],
            [1, 0, 1],
            id="and without wrapping it is a reset",
        ),
        pytest.param(
            [9e9, 5e13, 6e13, 7e13, 9e9],
            {},
            [0] * 5,
            [0] * 5,
            [1, 0, 0, 0, 1],
            id="noise that goes on is never believed",
        ),
    ],
)
def test_a_sensor_that_is_not_trusted_in_everything(
    feed: Callable[..., Any],
    imported: list[float],
    limits: dict[str, int],
    registers: list[float],
    resets: list[int],
    believed: list[int],
) -> None:
    out = feed([IMPORT, EXPORT], grid(*map(int, imported)), **{"most": MINUTE, **limits})
    assert [step[0][IMPORT] for step in out] == [int(one) for one in registers]
    assert [step[1] for step in out] == [bool(one) for one in resets]
    assert [step[2] for step in out] == [[bool(one)] for one in believed]


def test_an_exchanged_meter_begins_anew_even_where_its_counter_would_fit(
    on_device: Callable[..., Any], tmp_path: Path
) -> None:
    said = [(1000, 7), (1100, 7), (1200, 8), (1250, 8), (1400, 8), (1500, 0), (1600, 8)]
    steps = [[{"counters": [counter, 0, None, None], "most": MINUTE, "serial": serial}] for counter, serial in said]
    (tmp_path / "steps.json").write_text(json.dumps([[0, 1], 1, steps]))
    out = on_device("meter.py", "steps.json")
    assert [step[0][IMPORT] for step in out] == [0, 100, 100, 100, 250, 350, 450]
    assert [step[1] for step in out] == [False, False, False, True, False, False, False]


def test_noise_among_true_counters_never_moves_a_register(feed: Callable[..., Any]) -> None:
    draw = random.Random(11)
    truth = start = 5 * 10**9
    last = None
    expected = []
    steps: list[list[Any]] = [grid(truth)[0]]
    for _ in range(3000):
        truth += draw.randrange(2000)
        disturbed = [draw.getrandbits(60), truth ^ 1 << draw.randrange(24, 60), 10 * truth, truth // 10, -truth, 0]
        # the same disturbance twice in a row is what a telegram's checksum and asking again are for
        kind = None if draw.random() < 0.6 else draw.randrange(len(disturbed))
        kind = None if kind == last else kind
        last = kind
        steps.append(grid(truth if kind is None else disturbed[kind])[0])
        expected.append(truth - start if kind is None else expected[-1] if expected else 0)
    assert [step[0][IMPORT] for step in feed([IMPORT, EXPORT], steps, most=MINUTE)[1:]] == expected
