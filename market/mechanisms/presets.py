"""What the law of a country prescribes, as data: the sharing rule and what part of the grid fee is due.

``fee_part`` is the part of the regular grid fee due on shared energy [percent], by the highest level of the tree
its way touches; the last entry holds for all levels beyond. Sources: the acts named, as of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

PERIOD_S = {"quarter-hour": 900, "half-hour": 1800, "hour": 3600}
"""The periods of fixed length [s]."""
WHOLE_FEE = 100
"""All of the grid fee [percent]."""


@dataclass(frozen=True)
class Preset:
    """One country's rules.

    Attributes:
        country: ISO 3166 code.
        law: the act or programme.
        rules: sharing rules it knows, the usual one first; names of mechanisms.
        period: what the rule is applied to.
        fee_part: part of the grid fee due [percent], from the nearest level outwards.
    """

    country: str
    law: str
    rules: tuple[str, ...]
    period: str
    fee_part: tuple[int, ...] = (WHOLE_FEE,)


PRESETS = {
    "austria": Preset("AT", "ElWOG 2010 section 16e, EAG 2021", ("proportional", "static"), "quarter-hour"),
    "france": Preset("FR", "Code de l'energie L315-2", ("proportional", "static", "per-pair"), "half-hour"),
    "spain": Preset("ES", "RD 244/2019, TED/1247/2021", ("ex-ante", "static"), "hour"),
    "switzerland": Preset(
        "CH", "StromVG 2025, local electricity community", ("proportional",), "quarter-hour", (60, 80)
    ),
    "luxembourg": Preset(
        "LU", "Loi modifiee du 1er aout 2007", ("static", "proportional", "hierarchical"), "quarter-hour"
    ),
    "germany": Preset("DE", "EnWG section 42c", ("static", "proportional"), "quarter-hour"),
    "korea-2016": Preset("KR", "KEPCO neighbour-trading pilot, 2016", ("per-pair",), "month"),
}


def fee_ticks(preset: Preset, grid_fee_ticks: int, level: int) -> int:
    """Fee due per Wh when the way's highest level is ``level`` (0 is the nearest), floored [ticks]."""
    part = preset.fee_part[min(level, len(preset.fee_part) - 1)]
    return grid_fee_ticks * part // WHOLE_FEE
