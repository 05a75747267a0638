"""Random tariffs, as documents: every kind of energy price, export, charge, levy and rounding."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.market.tariffs.documents import document, version

PRICES = st.integers(0, 60_000).map(lambda ticks: f"{ticks // 100_000}.{ticks % 100_000:05d}")
MONEY = st.integers(0, 2_000).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")
PERCENT = st.integers(0, 3_000).map(lambda hundredths: f"{hundredths // 100}.{hundredths % 100:02d}")
MODES = st.sampled_from(["half-up", "half-even", "floor", "ceiling"])
ROUNDINGS = st.builds(lambda to, mode: {"to": to, "mode": mode}, st.sampled_from(["0.01", "0.05", "1"]), MODES)


@st.composite
def block_prices(draw: st.DrawFn, *, steps: bool = True) -> dict[str, Any]:
    """Blocks of one or two seasons; with ``steps`` the base charge may differ between blocks."""

    def season(**members: Any) -> dict[str, Any]:
        ends = sorted(draw(st.sets(st.integers(1, 300), max_size=3)))
        base = draw(MONEY)
        rows = [
            {"per_kwh": draw(PRICES), "base": draw(MONEY) if steps else base, **({"up_to_kwh": end} if end else {})}
            for end in (*ends, 0)
        ]
        return {**members, "blocks": rows}

    if draw(st.booleans()):
        return {"kind": "blocks", "seasons": [season()]}
    seasons = [season(months=[7, 8]), season(months=[1, 2, 3, 4, 5, 6, 9, 10, 11, 12])]
    return {"kind": "blocks", "seasons": seasons}


@st.composite
def timed_prices(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["flat", "time-of-use", "dynamic"]))
    if kind == "flat":
        return {"kind": kind, "per_kwh": draw(PRICES)}
    if kind == "dynamic":
        return {"kind": kind, "otherwise_per_kwh": draw(PRICES), "markup_per_kwh": draw(PRICES)}
    return {
        "kind": kind,
        "windows": [
            {"name": "night", "from": "21:00", "to": "06:00", "per_kwh": draw(PRICES)},
            {"name": "day", "from": "06:00", "to": "21:00", "per_kwh": draw(PRICES)},
        ],
    }


@st.composite
def rows(draw: st.DrawFn, *, steps: bool = True) -> dict[str, Any]:
    """One row of validity."""
    by_month = draw(st.booleans())
    energy = draw(block_prices(steps=steps) if by_month else timed_prices())
    export: dict[str, Any] | None = draw(st.none() | st.builds(lambda text: {"kind": "flat", "per_kwh": text}, PRICES))
    if by_month and draw(st.booleans()):
        ended = draw(st.sampled_from([{}, {"expire_after_months": 1}, {"expire_each_year_after": 7}]))
        export = {"kind": "net-metering", "expired_per_kwh": draw(PRICES), **ended}
    kinds = draw(st.lists(st.sampled_from(["billed", "supplied", "bought", "import", "fed-in", "sold", "export"])))
    charges = [
        {"name": f"c{i}", "per_kwh": draw(PRICES), "on": on, "account": draw(st.sampled_from(["supplier", "network"]))}
        for i, on in enumerate(kinds[:2])
    ]
    charges.append({"name": "fixed", "per_month": draw(MONEY), "account": "network"})
    names = ["energy", "base", "export", "grid", "grid-traded", "minimum", *(charge["name"] for charge in charges)]
    levies = []
    for i in range(draw(st.integers(0, 2))):
        base = draw(st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True))
        levies.append({"name": f"l{i}", "percent": draw(PERCENT), "base": base, "rounding": draw(ROUNDINGS)})
        names.append(f"l{i}")
    members: dict[str, Any] = {"energy": energy, "charges": charges, "levies": levies, "rounding": draw(ROUNDINGS)}
    if export is not None:
        members["export"] = export
    if draw(st.booleans()):
        members["grid"] = {"per_kwh": draw(PRICES), "reductions": [{"level": "near", "percent": draw(PERCENT)}]}
    if draw(st.integers(0, 3)) == 0:
        members["minimum"] = {"per_month": draw(MONEY)}
    return version(**members)


@st.composite
def documents(draw: st.DrawFn, *, steps: bool = True, zone: str = "Europe/Berlin") -> dict[str, Any]:
    """A tariff document of one row."""
    return document(draw(rows(steps=steps)), timezone=zone)
