"""How far off the meter's energy can be, from the tolerances of its parts: ``python -m hardware.error_budget``.

Every contribution is a bound: an error of the ratio [%] and an error of the angle between voltage and current
[minutes of arc]. An angle counts with the tangent of the load's own angle: nothing at power factor 1, 1.73 times at
0.5. Bounds are added up in two ways: all at their worst together, and as the root of the sum of squares (RSS), which
is what independent parts come to. Nothing of this has been measured on a built meter.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("error-budget.md")
CALIBRATED_AT_C = 23.0
RANGE_C = (-10.0, 45.0)
"""Where an indoor meter is to work (IEC 62052-11)."""
SPAN_K = max(abs(end - CALIBRATED_AT_C) for end in RANGE_C)
LOADS = (0.05, 0.10, 1.00)
"""Parts of the rated current."""
FACTORS = (1.0, 0.5)
CALIBRATED_LOAD = 0.20
FREQUENCY_HZ = 50.0
RATED_A, SECONDARY_A = 100.0, 0.050
BURDEN_OHM = 10.0
DIVIDER_OHM = (20_000.0, 1_000.0)
FILTER_F = 33e-9
STARTS_W = 0.9
"""What the firmware sets as the threshold of all phases together."""
INPUT_V = 0.72
"""What the chip's inputs take [V rms]."""


@dataclass(frozen=True)
class Bound:
    """Of a ratio [%] and of an angle [minutes]."""

    ratio: float = 0.0
    angle: float = 0.0

    def error(self, factor: float) -> float:
        """[%] of the active power at the power factor."""
        tangent = math.sqrt(1 / factor**2 - 1)
        return self.ratio + 100 * tangent * math.radians(self.angle / 60)


@dataclass(frozen=True)
class Term:
    """One part's contribution: as it is bought, what calibration leaves of it, and per kelvin.

    ``after`` maps a load to its bound where it depends on it; otherwise ``rest`` holds for all.
    """

    name: str
    source: str
    before: dict[float, Bound]
    after: dict[float, Bound]
    per_k: Bound = field(default_factory=Bound)

    def bound(self, load: float, calibrated: bool, warm: bool) -> Bound:
        base = (self.after if calibrated else self.before)[load]
        more = SPAN_K if warm else 0.0
        return Bound(base.ratio + more * self.per_k.ratio, base.angle + more * self.per_k.angle)


def everywhere(bound: Bound) -> dict[float, Bound]:
    return dict.fromkeys(LOADS, bound)


# IEC 61869-2, tables of ratio error [%] and phase displacement [minutes] at 5, 20 and 100 % of the rated current.
CURRENT_CLASSES = {
    "0.5S": {0.05: Bound(0.75, 45), 0.20: Bound(0.5, 30), 1.00: Bound(0.5, 30)},
    "1": {0.05: Bound(3.0, 180), 0.20: Bound(1.5, 90), 1.00: Bound(1.0, 60)},
}


def current_transformer(accuracy: str) -> Term:
    """A transformer of a class; between the class's points its limits are interpolated.

    A magnetising current only falls, as a part of the whole, when the load grows: errors at two loads have the same
    sign, and calibration at one leaves the difference of the limits, and what opening and closing a core brings.
    """
    limits = CURRENT_CLASSES[accuracy]
    reopened = Bound(0.1, 5)

    def limit(load: float) -> Bound:
        low, high = (0.05, 0.20) if load < 0.20 else (0.20, 1.00)
        part = (load - low) / (high - low)
        a, b = limits[low], limits[high]
        return Bound(a.ratio + part * (b.ratio - a.ratio), a.angle + part * (b.angle - a.angle))

    at = limit(CALIBRATED_LOAD)
    after = {
        load: Bound(
            abs(limit(load).ratio - at.ratio) + reopened.ratio, abs(limit(load).angle - at.angle) + reopened.angle
        )
        for load in LOADS
    }
    source = f"IEC 61869-2 class {accuracy}; calibration leaves the limits' difference; 0.1 % and 5′ for the split core"
    per_k = Bound(0.003, 0.15)
    return Term(f"current transformer, class {accuracy}", source, {x: limit(x) for x in LOADS}, after, per_k)


UNRATED_TRANSFORMER = Term(
    "current transformer without a class (SCT-013-000 kind)",
    "maker's ±3 % over the range; angle 4° and its change with the load by half of it are assumptions",
    everywhere(Bound(3.0, 240)),
    {0.05: Bound(1.5, 120), 0.10: Bound(1.0, 60), 1.00: Bound(1.0, 60)},
    Bound(0.005, 0.5),
)
MEASURING_TRANSFORMER = Term(
    "voltage transformer, class 0.5 (230 V : 9 V, for measuring)",
    "IEC 61869-3 class 0.5: 0.5 %, 20′ from 80 to 120 % of the voltage; a quarter of that is left at ±10 %",
    everywhere(Bound(0.5, 20)),
    everywhere(Bound(0.125, 5)),
    Bound(0.002, 0.08),
)
PLUG_IN_TRANSFORMER = Term(
    "voltage transformer, plug-in 9 V AC adapter",
    "assumptions: no-load voltage ±5 %, angle 3°; with ±10 % voltage 0.3 % and 15′; copper 0.39 %/K turns the angle",
    everywhere(Bound(5.0, 180)),
    everywhere(Bound(0.3, 15)),
    Bound(0.003, 180 * 0.0039),
)


def metering_chip() -> Term:
    """Its gain comes from one reference: voltage and current both count by it, so twice in power."""
    return Term(
        "metering chip ATM90E32AS",
        "data sheet: ±0.1 % over 6,000:1; reference 6 ppm/K typical, tripled as a bound, counted twice; its absolute"
        " value ±1 % is an assumption",
        everywhere(Bound(0.1 + 2 * 1.0, 0.0)),
        everywhere(Bound(0.1, 0.0)),
        Bound(2 * 3 * 6e-4, 0.0),
    )


def burden() -> Term:
    """Two halves of two equal resistors: all of one value, so one tolerance."""
    before, after = _calibrated(0.1)
    return Term("burden, 4 x 10 Ω", "ERA-6A data sheet: 0.1 %, 25 ppm/K", before, after, Bound(25e-4, 0.0))


def divider() -> Term:
    top, bottom = DIVIDER_OHM
    share = top / (top + bottom)
    before, after = _calibrated(2 * 0.1 * share)
    return Term(
        "voltage divider 20 kΩ : 1 kΩ",
        "ERA-6A data sheet: 0.1 %, 25 ppm/K; both resistors at opposite ends of it",
        before,
        after,
        Bound(2 * 25e-4 * share, 0.0),
    )


def filters() -> Term:
    """Voltage and current pass equal low-passes; their difference is an angle, which calibration takes away."""
    top, bottom = DIVIDER_OHM
    voltage_s = FILTER_F / (1 / top + 1 / bottom)
    current_s = FILTER_F * bottom
    apart_s = abs(current_s - voltage_s) + 0.05 * (current_s + voltage_s)
    minutes = 60 * math.degrees(2 * math.pi * FREQUENCY_HZ * apart_s)
    drift = 60 * math.degrees(2 * math.pi * FREQUENCY_HZ * (current_s + voltage_s)) * (30e-6 + 25e-6)
    return Term(
        "input filters 33 nF",
        "C0G 5 %, 30 ppm/K (data sheet); 952 Ω against 1 kΩ",
        everywhere(Bound(0.0, minutes)),
        everywhere(Bound()),
        Bound(0.0, drift),
    )


def _calibrated(percent: float) -> tuple[dict[float, Bound], dict[float, Bound]]:
    """What calibration takes away altogether."""
    return everywhere(Bound(percent)), everywhere(Bound())


CRYSTAL = Term("crystal", "data sheet ±20 ppm", everywhere(Bound(20e-4)), everywhere(Bound(20e-4)))
COUNTING = Term(
    "registers and gains as integers",
    "25/8 mWh per count, power gain 1/32,768, half a unit of 0.0088° of the angle",
    everywhere(Bound(0.002)),
    everywhere(Bound(0.005, 0.27)),
)
CONDUCTOR = Term(
    "conductor off the middle of the core, neighbours",
    "assumption; keep the others a core's width away",
    everywhere(Bound(0.1)),
    everywhere(Bound(0.1)),
)


def reference(ratio: float, angle: float, says: str) -> Term:
    """The instrument that calibration believes; of no matter before."""
    return Term(f"reference instrument, {says}", says, everywhere(Bound()), everywhere(Bound(ratio, angle)))


@dataclass(frozen=True)
class Build:
    name: str
    terms: tuple[Term, ...]


def _on_board() -> tuple[Term, ...]:
    return metering_chip(), burden(), divider(), filters(), CRYSTAL, COUNTING, CONDUCTOR


BUILDS = (
    Build(
        "aimed at class 1",
        (
            current_transformer("0.5S"),
            MEASURING_TRANSFORMER,
            *_on_board(),
            reference(0.2, 5, "class 0.2 power analyser"),
        ),
    ),
    Build(
        "class 1 current transformer",
        (current_transformer("1"), MEASURING_TRANSFORMER, *_on_board(), reference(0.2, 5, "class 0.2 power analyser")),
    ),
    Build(
        "hobby",
        (UNRATED_TRANSFORMER, PLUG_IN_TRANSFORMER, *_on_board(), reference(1.0, 20, "class B meter of the household")),
    ),
)


def limit(load: float, factor: float) -> float | None:
    """[%] IEC 62053-21 class 1, direct connection (its transformers are the meter's own), at 23 °C."""
    if factor == 1.0:
        return 1.5 if load < 0.10 else 1.0
    if load < 0.10:
        return None
    return 1.5 if load < 0.20 else 1.0


def limit_over_temperature(load: float, factor: float) -> float | None:
    """[%] with the mean temperature coefficient that the standard allows class 1: 0.05 or 0.07 % per kelvin."""
    base = limit(load, factor)
    return None if base is None else base + SPAN_K * (0.05 if factor == 1.0 else 0.07)


@dataclass(frozen=True)
class Row:
    """[%] of the active energy."""

    load: float
    factor: float
    warm: bool
    calibrated: bool
    rss: float
    worst: float
    limit: float | None


def rows(build: Build) -> Iterator[Row]:
    for calibrated in (False, True):
        for warm in (False, True):
            for load in LOADS:
                for factor in FACTORS:
                    errors = [term.bound(load, calibrated, warm).error(factor) for term in build.terms]
                    rss = math.sqrt(sum(error**2 for error in errors))
                    allowed = (limit_over_temperature if warm else limit)(load, factor)
                    yield Row(load, factor, warm, calibrated, rss, sum(errors), allowed)


def table(build: Build) -> list[str]:
    lines = [
        "| load | power factor | temperature | before calibration: RSS | worst | after calibration: RSS | worst"
        " | class 1 allows | RSS within |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = list(rows(build))
    for after in found:
        if not after.calibrated:
            continue
        (before,) = [
            row
            for row in found
            if not row.calibrated and (row.load, row.factor, row.warm) == (after.load, after.factor, after.warm)
        ]
        place = f"{RANGE_C[0]:.0f} to {RANGE_C[1]:.0f} °C" if after.warm else f"{CALIBRATED_AT_C:.0f} °C"
        factor = "1" if after.factor == 1.0 else f"{after.factor} ind."
        allowed = "not said" if after.limit is None else f"{after.limit:.1f} %"
        within = "–" if after.limit is None else "yes" if after.rss <= after.limit else "**no**"
        lines.append(
            f"| {100 * after.load:.0f} % | {factor} | {place} | {before.rss:.1f} % | {before.worst:.1f} %"
            f" | {after.rss:.2f} % | {after.worst:.2f} % | {allowed} | {within} |"
        )
    return lines


def contributions(build: Build, load: float = 0.10) -> list[str]:
    """What each part adds after calibration, at one load: where the next euro goes."""
    lines = [
        "| part | after calibration, 23 °C: ratio | angle | per kelvin: ratio | angle | source |",
        "|---|---|---|---|---|---|",
    ]
    for term in build.terms:
        left = term.bound(load, True, False)
        lines.append(
            f"| {term.name} | {left.ratio:.3f} % | {left.angle:.1f}′ | {1e4 * term.per_k.ratio:.0f} ppm"
            f" | {term.per_k.angle:.3f}′ | {term.source} |"
        )
    return lines


def document() -> str:
    """The whole page, the same for the same numbers."""
    full_scale_a = INPUT_V / BURDEN_OHM / SECONDARY_A * RATED_A
    text = [
        "# Error budget",
        "",
        "Made by `python -m hardware.error_budget`; do not edit. The tolerances and their sources are in",
        "`hardware/error_budget.py`. **Nothing here has been measured**: these are sums of data sheets, standards and",
        "assumptions, and the assumptions are named.",
        "",
        f"Rated current {RATED_A:.0f} A (transformer {RATED_A:.0f} A : {1000 * SECONDARY_A:.0f} mA, burden"
        f" {BURDEN_OHM:.0f} Ω); the chip's input is full at {full_scale_a:.0f} A.",
        f"Calibrated at {100 * CALIBRATED_LOAD:.0f} % of it and {CALIBRATED_AT_C:.0f} °C. Before calibration means:"
        " with gains computed from the parts' names.",
        "RSS is the root of the sum of squares of the bounds; worst is all of them at their ends, with the same sign.",
        "",
        "The limits are those of IEC 62053-21 class 1, directly connected: the transformers are parts of this meter.",
        "(EN 50470-3 class B: 1.0 % from the transitional current on, 1.5 % below; the MID allows 2 % from 5 to 30 °C",
        "with temperature, voltage and frequency together, 2.5 and 3.5 % beyond.) Over temperature the coefficient",
        "that class 1 may have is added: 0.05 %/K, 0.07 %/K at 0.5 inductive. At 5 % and 0.5 inductive the class",
        "demands nothing. Harmonics, unbalance, voltage beyond ±10 %, magnets and ageing are not in it.",
        "",
        "**The meter is not approved under the MID or any national law, whatever this table says.**",
    ]
    for build in BUILDS:
        text += ["", f"## {build.name[0].upper()}{build.name[1:]}", "", *table(build), "", *contributions(build)]
        text += ["", "(The lower table is at 10 % of the rated current.)"]
    return "\n".join([*text, "", "## What it says", "", *findings(), ""])


def findings() -> list[str]:
    """Sentences whose numbers are computed."""
    said = []
    for build in BUILDS:
        judged = [row for row in rows(build) if row.calibrated and row.limit is not None]
        within = [row for row in judged if row.limit is not None and row.rss <= row.limit]
        sure = [row for row in judged if row.limit is not None and row.worst <= row.limit]
        said.append(
            f"- *{build.name}*: within class 1 at {len(within)} of {len(judged)} points by RSS, at {len(sure)} in the"
            " worst case."
        )
    return [
        *said,
        "- What limits it is not the chip: it is the angle of the transformers, at power factor 0.5.",
        f"- It begins to count at {STARTS_W} W; class 1 asks for {0.004 * RATED_A * 230:.0f} W"
        " (0.4 % of the rated current).",
        "- Without calibration the firmware counts nothing at all; the self-test says so.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hardware.error_budget", description="Write the error budget.")
    parser.add_argument("--print", action="store_true", help="show it instead of writing hardware/error-budget.md")
    if parser.parse_args().print:
        print(document(), end="")
    else:
        FILE.write_text(document(), encoding="utf-8")
        print(f"{FILE.name}: written")


if __name__ == "__main__":
    main()
