import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

START = 1_468_180_800


def counters_mwh(step_s: int, watts: list[tuple[int, int]], since_s: int) -> list[int]:
    """Second by second, the slow way."""
    import_j = export_j = generation_j = 0
    for second in range(since_s):
        load, generation = watts[second // step_s % len(watts)]
        import_j += max(0, load - generation)
        export_j += max(0, generation - load)
        generation_j += generation
    return [joules * 5 // 18 for joules in (import_j, export_j, generation_j)]


def write(folder: Path, step_s: int, watts: list[tuple[int, int]]) -> Path:
    profile = folder / "profile.txt"
    profile.write_text(f"{START} {step_s}\n" + "".join(f"{load} {generation}\n" for load, generation in watts))
    return profile


def test_one_watt_for_a_quarter_hour_is_250_mwh(on_device: Callable[..., Any], tmp_path: Path) -> None:
    profile = write(tmp_path, 900, [(1, 0), (0, 1)])
    assert on_device("replay.py", profile, [START, START + 900, START + 1800, START + 3600]) == [
        [0, 0, 0],
        [250, 0, 0],
        [250, 250, 250],
        [500, 500, 500],
    ]


def test_a_reversed_transformer_swaps_import_and_export(on_device: Callable[..., Any], tmp_path: Path) -> None:
    profile = write(tmp_path, 900, [(4, 0), (0, 8)])
    assert on_device("replay.py", profile, [START + 900, START + 1800], "reversed") == [
        [[0, 1000, 0, None], [8]],
        [[2000, 1000, 2000, None], [-4]],
    ]


def test_counters_are_a_function_of_time_alone(on_device: Callable[..., Any], tmp_path: Path) -> None:
    draw = random.Random(7)
    watts = [(draw.randrange(4000), draw.choice([0, draw.randrange(9000)])) for _ in range(9)]
    profile = write(tmp_path, 60, watts)
    # in order, backwards and over several rounds of the profile
    times = [0, 1, 59, 60, 61, 539, 540, 541, 1800, 3, 600, 2700, 539]
    answer = on_device("replay.py", profile, json.dumps([START + since for since in times]))
    assert answer == [counters_mwh(60, watts, since) for since in times]


def test_before_the_start_the_profile_has_been_repeating_too(on_device: Callable[..., Any], tmp_path: Path) -> None:
    profile = write(tmp_path, 900, [(1, 0), (0, 2)])
    assert on_device("replay.py", profile, [START - 1800, START - 900]) == [[-250, -500, -500], [0, -500, -500]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "first line"),
        (f"{START}\n1 2\n", "first line"),
        (f"{START} 0\n1 2\n", "step is not positive"),
        (f"{START} 900\n", "no steps"),
        (f"{START} 900\n1 2\n3\n", "step 1 is not"),
        (f"{START} 900\n-1 2\n", "step 0 is negative"),
    ],
)
def test_a_broken_profile_is_refused(on_device: Callable[..., Any], tmp_path: Path, text: str, complaint: str) -> None:
    profile = tmp_path / "profile.txt"
    profile.write_text(text)
    assert complaint in on_device("replay.py", profile, [START])
