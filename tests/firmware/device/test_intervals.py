"""Intervals of sensors that only tell what is now: absences, silences, power cuts, new clocks and new meters."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

START = 1_800_000_000
GRID = [{"role": "grid"}]
ROOF = [{"role": "grid"}, {"role": "generation"}]
PULSES = [{"role": "grid"}, {"role": "load", "volatile": True}]


def at(second: int, *said: list[int | None] | None, **more: Any) -> dict[str, Any]:
    return {"now": START + second, "say": list(said), **more}


def grid(imported: int, exported: int = 0) -> list[int | None]:
    return [imported, exported, None, None]


def roof(generated: int) -> list[int | None]:
    return [None, None, generated, None]


def load(consumed: int) -> list[int | None]:
    return [None, None, None, consumed]


@pytest.fixture
def live(on_device: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def run(sensors: list[Any], steps: list[Any], **config: Any) -> Any:
        (tmp_path / "steps.json").write_text(json.dumps([sensors, config, steps]))
        return on_device("close.py", "steps.json", heap="heapsize=8M")

    return run


def imports(answer: Any) -> list[list[Any]]:
    """Of each record: the second its interval began, import [mWh], and flags."""
    return [[start - START, registers[0], *flags] for start, _, registers, flags in answer["records"]]


def test_an_interval_is_what_the_sensor_shows_at_its_end(live: Callable[..., Any]) -> None:
    steps = [at(5, grid(5000)), at(600, grid(5600)), at(899, grid(5800)), at(900, grid(5900)), at(905, grid(6000))]
    answer = live(GRID, [*steps, at(1801, grid(7000, 50))])
    assert answer["closed"] == [[], [], [], [START], [], [START + 900]]
    # the grid sensor alone: what was exported must have been generated, what was imported consumed
    assert [record[2:] for record in answer["records"]] == [[[900, 0, 0, 900], []], [[2000, 50, 50, 2000], []]]


def test_before_the_clock_is_right_the_meter_counts_and_says_nothing(live: Callable[..., Any]) -> None:
    unknown = [{"now": 0, "say": [grid(1000 + 100 * step)]} for step in range(5)]
    answer = live(GRID, [*unknown, at(450, grid(1500)), at(900, grid(1700))])
    assert imports(answer) == [[0, 700]]
    assert answer["closed"][:6] == [[]] * 6


@pytest.mark.parametrize("cut", [False, True])
def test_a_new_meter_goes_on_where_the_old_one_ended(live: Callable[..., Any], cut: bool) -> None:
    seed = {"import_wh": 2**33, "export_wh": 7, "consumption_wh": 1}
    steps = [at(0, grid(500)), *([{"cut": {}}] if cut else []), at(900, grid(1500))]
    record = live(GRID, steps, seed=seed)["records"][0]
    assert record[2] == [2**33 * 1000 + 1000, 7000, 0, 2000]
    # and only at the very beginning
    assert live(GRID, [at(0, grid(0))], seed={"import_wh": 99})["registers"][0] == 2**33 * 1000 + 1000


def test_an_absence_is_spread_evenly_and_said(live: Callable[..., Any]) -> None:
    steps = [at(0, grid(0)), at(900, grid(900_000)), {"cut": {}}, at(4501, grid(2_100_001)), at(5400, grid(2_200_000))]
    # nobody looked for 3,600 s, at whose end 1,200,001 mWh more were shown
    assert imports(live(GRID, steps)) == [
        [0, 900_000],
        [900, 1_200_000, "estimated"],
        [1800, 1_500_000, "estimated"],
        [2700, 1_800_000, "estimated"],
        [3600, 2_100_001, "estimated"],
        [4500, 2_200_000],
    ]


def test_a_late_look_is_divided_at_the_end(live: Callable[..., Any]) -> None:
    steps = [
        at(0, grid(0)),
        at(900, grid(900)),
        {"cut": {}},
        at(2100, grid(2100)),
        at(2700, grid(2700)),
        at(3600, grid(2800)),
    ]
    assert imports(live(GRID, steps)) == [
        [0, 900],
        [900, 1800, "estimated"],
        # its energy, too, rests on a guess
        [1800, 2700, "estimated"],
        [2700, 2800],
    ]


def test_a_month_away_is_what_the_outbox_holds_and_no_energy_is_lost(live: Callable[..., Any]) -> None:
    answer = live(GRID, [at(0, grid(0)), at(900, grid(900)), {"cut": {}}, at(31 * 86_400, grid(10**9))])
    records = imports(answer)
    assert len(records) == len(answer["records"]) >= 2880
    assert records[-1] == [31 * 86_400 - 900, 10**9, "estimated"]
    assert all(later[1] >= earlier[1] for earlier, later in itertools.pairwise(records))


def test_a_sensor_that_is_silent_at_the_end_leaves_its_registers(live: Callable[..., Any]) -> None:
    steps = [
        at(0, grid(0), roof(0)),
        at(895, grid(0, 100), roof(400)),
        at(900, grid(0, 110), None),
        at(1800, grid(0, 200), None),
        at(2700, grid(0, 300), roof(1000)),
        at(3600, grid(0, 400), roof(1200)),
    ]
    answer = live(ROOF, steps)
    assert [record[2:] for record in answer["records"]] == [
        [[0, 110, 400, 300], ["estimated"]],
        [[0, 200, 400, 300], ["estimated"]],
        [[0, 300, 1000, 700], ["estimated"]],
        [[0, 400, 1200, 800], []],
    ]
    assert answer["states"] == {"grid": "ok", "generation": "ok"}
    assert (answer["progress"], answer["answers"]) == (6, 10)


def test_a_silent_sensor_is_named(live: Callable[..., Any]) -> None:
    answer = live([*ROOF, {"role": "generation"}], [at(0, grid(0), None, roof(5)), at(7, grid(0), None, roof(5))])
    assert answer["states"] == {"grid": "ok", "generation": "no answer", "generation2": "ok"}
    assert [view[3] for view in answer["views"]] == [None, "no answer", None]
    assert answer["views"][1] == ["generation", "told", None, "no answer"]


@pytest.mark.parametrize("before", ["cut", "spoil"])
def test_silence_is_said_after_a_power_cut_too(live: Callable[..., Any], before: str) -> None:
    steps = [at(0, grid(0)), at(900, None), {"cut": {}}, at(1800, grid(500)), at(2700, grid(600))]
    assert imports(live(GRID, steps)) == [[0, 0, "estimated"], [900, 500, "estimated"], [1800, 600]]


def test_a_power_cut_loses_nothing_that_a_sensor_counts(live: Callable[..., Any]) -> None:
    cut = {"cut": {}}
    steps = [at(0, grid(0)), cut, at(300, grid(300)), cut, at(900, grid(900)), cut, cut, at(1000, grid(1000)), cut]
    assert imports(live(GRID, [*steps, at(1800, grid(1800))])) == [[0, 900], [900, 1800]]


def test_a_power_cut_between_state_and_record_tells_the_same_once(live: Callable[..., Any]) -> None:
    # the sensor is set back, the record of it finds no room, and the power goes
    steps = [at(0, grid(9_000_000_000)), at(900, grid(9_000_000_900)), "full", at(1800, grid(5))]
    answer = live(GRID, [*steps, {"cut": {}}, at(1801, grid(6)), at(2700, grid(10)), at(3600, grid(20))])
    assert "28" in answer["closed"][2]
    assert imports(answer) == [[0, 900], [900, 906, "reset"], [1800, 910], [2700, 920]]


def test_a_restart_for_other_sensors_keeps_what_the_old_ones_counted(live: Callable[..., Any]) -> None:
    steps = [at(0, grid(0)), at(600, grid(600)), {"restart": 7}, at(605, grid(10**7)), at(900, grid(10**7 + 5))]
    assert imports(live(GRID, steps)) == [[0, 605, "reset"]]


@pytest.mark.parametrize(("end", "counted"), [({"cut": {}}, 0), ({"restart": 1000}, 50)])
def test_a_restart_loses_no_pulse(live: Callable[..., Any], end: dict[str, Any], counted: int) -> None:
    steps = [at(0, load(0)), at(50, load(50)), end, at(55, load(0)), at(900, load(0))]
    assert live(PULSES[1:], steps)["records"][0][2][3] == counted


def test_a_clock_that_gave_up_a_wrong_time_closes_intervals_again(live: Callable[..., Any]) -> None:
    year = 365 * 86_400
    steps = [at(0, grid(0)), at(900, grid(900)), at(year, grid(1000)), at(1900, grid(1900)), at(2700, grid(2700))]
    answer = live(GRID, [*steps, at(3600, grid(3600))])
    assert answer["closed"][-3:] == [[], [START + 1800], [START + 2700]]
    assert imports(answer)[-2:] == [[1800, 2700, "estimated"], [2700, 3600]]


def test_a_clock_that_is_a_day_back_is_waited_for(live: Callable[..., Any]) -> None:
    steps = [at(0, grid(0)), at(86_400, grid(1000)), at(900, grid(1900)), at(1800, grid(2700))]
    assert live(GRID, steps)["closed"][-2:] == [[], []]


def test_what_only_this_processor_counts_is_saved_every_minute(live: Callable[..., Any]) -> None:
    # 10 mWh each five seconds; the power goes after 897 s
    ticks = [at(5 * tick, grid(tick), load(10 * tick)) for tick in range(180)]
    lost = [{"cut": {}}, at(900, grid(180), load(0)), at(1800, grid(200), load(3))]
    answer = live(PULSES, ticks + lost)
    first, second = answer["records"]
    assert first[3] == ["estimated"] and second[3] == []
    # at most a minute's 120 mWh are gone
    assert 1790 - 120 <= first[2][3] <= 1790
    assert second[2][3] == first[2][3] + 3
    assert answer["saves"] <= 900 // 60 + 5


def test_sensors_that_count_themselves_need_no_saving_between_intervals(live: Callable[..., Any]) -> None:
    ticks = [at(5 * tick, grid(10 * tick)) for tick in range(360)]
    # one at the beginning, and one before each record
    assert live(GRID, ticks)["saves"] == 2


def test_a_state_that_is_lost_begins_anew_and_says_so(live: Callable[..., Any]) -> None:
    steps = [at(0, grid(100)), at(900, grid(1000)), "spoil", {"cut": {}}, at(1800, grid(2000)), at(2700, grid(2500))]
    assert imports(live(GRID, steps)) == [[0, 900], [900, 900, "reset"], [1800, 1400]]


@pytest.mark.parametrize(
    ("limits", "wrap", "counters", "records"),
    [
        pytest.param(None, None, [5_000_000_000, 100, 200], [[0, 100, "reset"], [900, 200]], id="a reset"),
        pytest.param(
            None, 2**32 * 100, [2**32 * 100 - 40, 60, 100], [[0, 100], [900, 140]], id="a counter of 32 bits that wraps"
        ),
        pytest.param(
            None, None, [1000, 900_000_000_000, 900_000_000_500], [[0, 0, "reset"], [900, 500]], id="another meter"
        ),
        pytest.param(
            None, None, [2**30 - 1, 2**30 + 1, 2**30 + 2], [[0, 2], [900, 3]], id="past the end of small integers"
        ),
        pytest.param(None, None, [2**32 - 1, 2**32 + 1, 2**32 + 2], [[0, 2], [900, 3]], id="past 32 bits"),
        # 26 kWh in a quarter of an hour are 105 kW
        pytest.param(None, None, [0, 28_000_000, 28_000_001], [[0, 0, "reset"], [900, 1]], id="more than 100 kW"),
        pytest.param(
            {"power_w": 200_000}, None, [0, 28_000_000, 28_000_001], [[0, 28_000_000], [900, 28_000_001]], id="allowed"
        ),
    ],
)
def test_counters_that_do_not_just_rise(
    live: Callable[..., Any], limits: Any, wrap: int | None, counters: list[int], records: list[Any]
) -> None:
    steps = [at(900 * index, grid(counter), ms=900_000) for index, counter in enumerate(counters)]
    assert imports(live([{"role": "grid", "wrap": wrap}], steps, limits=limits)) == records


@pytest.mark.parametrize("noise", [77, 4_000_000_000_000, 2**62])
def test_a_value_that_is_not_repeated_is_not_believed(live: Callable[..., Any], noise: int) -> None:
    steps = [at(0, grid(1000)), at(900, grid(1010), disturbed=grid(noise)), at(1800, grid(1100))]
    assert imports(live(GRID, steps)) == [[0, 10], [900, 100]]


def test_the_doubt_of_the_clock_is_in_the_record(live: Callable[..., Any]) -> None:
    steps = [at(0, grid(0)), at(900, grid(1), doubtful=True), at(1800, grid(2))]
    assert imports(live(GRID, steps)) == [[0, 1, "clock"], [900, 2]]


@pytest.mark.parametrize(
    ("length_s", "starts"),
    [(3600, [0, 3600]), (300, [0, 900, 1200, 1500, 1800])],
)
def test_another_interval_begins_after_what_is_closed(
    live: Callable[..., Any], length_s: int, starts: list[int]
) -> None:
    last = starts[-1] + length_s
    steps = [at(0, grid(0)), at(900, grid(900)), {"cut": {"interval_s": length_s}}]
    steps += [at(second, grid(second)) for second in range(1200, last + 1, 300)]
    answer = live(GRID, steps)
    assert [record[0] - START for record in answer["records"]] == starts
    assert [record[1] for record in answer["records"]] == [900] + [length_s] * (len(starts) - 1)
    assert answer["records"][-1][2][0] == last
    # nothing was missed, so nothing is guessed, but what lay before the first new interval is in it
    assert answer["registers"][0] == last


def test_a_sensor_with_other_settings_begins_anew_and_says_so(live: Callable[..., Any]) -> None:
    first = live([{"role": "grid", "tag": 1}], [at(0, grid(10)), at(900, grid(500))])
    assert imports(first) == [[0, 490]]
    second = live([{"role": "grid", "tag": 2}], [at(1000, grid(90_000)), at(1800, grid(90_007))])
    assert imports(second)[-1] == [900, 497, "reset"]
