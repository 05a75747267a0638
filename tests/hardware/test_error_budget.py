"""The error budget: its arithmetic by hand, and the committed page is what the script says."""

from __future__ import annotations

import math

import pytest

from firmware.host.fleet import DEVICE
from hardware import error_budget
from hardware.board.circuit import components
from hardware.error_budget import BUILDS, FACTORS, LOADS, Bound, Build, Term, everywhere, rows


def test_the_committed_page_is_current() -> None:
    assert error_budget.FILE.read_text(encoding="utf-8") == error_budget.document()


@pytest.mark.parametrize(
    ("bound", "factor", "error"),
    [
        (Bound(1.0, 60), 1.0, 1.0),
        (Bound(0.0, 60), 0.5, 100 * math.tan(math.radians(60)) * math.radians(1)),
        (Bound(0.5, 30), 0.5, 0.5 + 1.5115),
        (Bound(0.0, 10), 0.8, 0.2182),
    ],
)
def test_an_angle_counts_by_the_power_factor(bound: Bound, factor: float, error: float) -> None:
    assert bound.error(factor) == pytest.approx(error, rel=1e-3)


def test_bounds_are_added_up_in_both_ways() -> None:
    terms = [
        Term(name, "", everywhere(Bound(3 * ratio)), everywhere(Bound(ratio)))
        for name, ratio in (("a", 3.0), ("b", 4.0))
    ]
    found = list(rows(Build("x", tuple(terms))))
    assert len(found) == 2 * 2 * len(LOADS) * len(FACTORS)
    assert {(row.calibrated, row.rss, row.worst) for row in found} == {(False, 15.0, 21.0), (True, 5.0, 7.0)}


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_calibration_helps_and_warmth_does_not(build: Build) -> None:
    found = {(row.load, row.factor, row.warm, row.calibrated): row for row in rows(build)}
    for (load, factor, warm, calibrated), row in found.items():
        assert row.rss <= row.worst
        if calibrated:
            assert row.rss < found[load, factor, warm, False].rss
        if warm:
            assert row.rss >= found[load, factor, False, calibrated].rss


def test_what_is_claimed_holds() -> None:
    """The page's first sentence about each build."""
    aimed, _, hobby = (list(rows(build)) for build in BUILDS)
    assert all(row.limit is None or row.rss <= row.limit for row in aimed if row.calibrated)
    assert not all(row.limit is None or row.worst <= row.limit for row in aimed if row.calibrated)
    assert not all(row.limit is None or row.rss <= row.limit for row in hobby if row.calibrated)


@pytest.mark.parametrize(
    ("load", "factor", "limit"),
    [(0.05, 1.0, 1.5), (0.10, 1.0, 1.0), (1.00, 1.0, 1.0), (0.05, 0.5, None), (0.10, 0.5, 1.5), (1.00, 0.5, 1.0)],
)
def test_limits_of_class_1(load: float, factor: float, limit: float | None) -> None:
    assert error_budget.limit(load, factor) == limit


def test_the_inputs_take_the_rated_current() -> None:
    """What the burden makes of the transformer's secondary is below what the chip takes, with 20 % to spare."""
    assert error_budget.SECONDARY_A * error_budget.BURDEN_OHM * 1.2 < error_budget.INPUT_V


def ohm(name: str) -> float:
    """Of a part's name, such as "20k 0.1%"."""
    number = name.split()[0]
    return float(number[:-1]) * {"R": 1, "k": 1000}[number[-1]]


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_its_numbers_are_those_of_the_circuit(phase: int) -> None:
    between: dict[frozenset[str], list[str]] = {}
    for component in components():
        nets = frozenset(component.nets.values())
        between.setdefault(nets, []).append(component.part)
    halves = [between[frozenset((f"CT{phase}_{end}", "GND"))] for end in "KL"]
    burden = sum(1 / sum(1 / ohm(part) for part in half) for half in halves)
    assert burden == pytest.approx(error_budget.BURDEN_OHM)
    (top,) = between[frozenset((f"U{phase}_IN", f"V{phase}P"))]
    bottom, filtered = sorted(between[frozenset((f"V{phase}P", "GND"))])
    assert (ohm(top), ohm(bottom)) == error_budget.DIVIDER_OHM
    assert filtered == "33n C0G" and pytest.approx(33e-9) == error_budget.FILTER_F
    for end, side in (("K", "P"), ("L", "N")):
        assert between[frozenset((f"CT{phase}_{end}", f"I{phase}{side}"))] == ["1k 0.1%"]
        assert between[frozenset((f"I{phase}{side}", "GND"))] == ["33n C0G"]


def test_it_starts_as_the_firmware_says() -> None:
    """0x0AFC of 0.32 mW, in firmware/device/sensors/atm90e32.py."""
    source = (DEVICE / "sensors" / "atm90e32.py").read_text()
    assert "(register, 0x0AFC) for register in _START_TH" in source
    assert round(0x0AFC * 0.32e-3, 2) == error_budget.STARTS_W
