"""Faults are drawn from a seed, stay within the run, and come in the number that was asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from firmware.host.faults import DAY_S, LONGEST_OUTAGE, Faults, clock_error_s, plan

METERS = [f"m{number:03}" for number in range(1, 21)]


@pytest.mark.parametrize("seed", range(20))
def test_a_plan(seed: int) -> None:
    faults = Faults(outages=6, power_cuts=50, clock_drift_ppm=100, reversed_ct=3, seed=seed)
    drawn = plan(faults, METERS, 96)
    assert drawn == plan(faults, METERS, 96)
    assert len(drawn.outages) == 6
    away = [range(start, start + length) for start, length in sorted(drawn.outages.items())]
    assert all(1 <= len(one) <= LONGEST_OUTAGE and one.start >= 1 and one.stop <= 96 for one in away)
    assert all(before.stop < after.start for before, after in pairwise(away))
    assert sum(len(cut) for cut in drawn.power_cuts.values()) == 50
    assert all(1 <= step <= 96 and set(cut) <= set(METERS) for step, cut in drawn.power_cuts.items())
    assert set(drawn.drift_ppm) == set(METERS)
    assert all(abs(ppm) <= 100 for ppm in drawn.drift_ppm.values()) and any(drawn.drift_ppm.values())
    assert len(drawn.reversed_ct) == 3 and drawn.reversed_ct < set(METERS)


def test_another_seed_is_another_plan() -> None:
    assert plan(Faults(power_cuts=50, seed=1), METERS, 96) != plan(Faults(power_cuts=50, seed=2), METERS, 96)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(reversed_ct=21), "--reversed-ct 21: there are 20 homes"),
        (Faults(outages=6), "--outage 6: 10 intervals have no room"),
        (Faults(power_cuts=201), "--power-cuts 201: more than one for each meter in each interval"),
    ],
)
def test_plans_that_cannot_be(faults: Faults, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plan(faults, METERS, 10)


@pytest.mark.parametrize(
    ("ppm", "since_midnight_s", "error_s"),
    [(100, 0, 0), (100, 43_200, 4), (100, DAY_S - 1, 8), (-100, DAY_S - 1, -8), (100, DAY_S, 0), (0, 50_000, 0)],
)
def test_a_clock_drifts_until_midnight(ppm: int, since_midnight_s: int, error_s: int) -> None:
    assert clock_error_s(ppm, 20_000 * DAY_S + since_midnight_s) == error_s
