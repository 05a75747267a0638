"""A tariff that cannot be used is refused with its name, the place and the reason."""

from __future__ import annotations

from typing import Any

import pytest

from market.tariff_files import read_tariff, with_built_ins
from market.tariffs import TariffError, parse_tariff
from market.tariffs.amounts import Rounding, money, money_text, percent
from tests.market.tariffs.documents import blocks, document, tariff, version

FAR = {"level": "far", "percent": "20"}
VAT = {"name": "vat", "percent": "10", "base": ["energy"]}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [("2026-01-01", "2026-07-01"), ("2026-06-01", None)],
            r"tariff t: version 1 \(2026-01-01 to 2026-07-01\) and version 2 \(2026-06-01 on\) overlap",
        ),
        (
            [("2026-06-01", None), ("2026-01-01", "2026-07-01")],
            r"version 1 \(2026-06-01 on\) and version 2 \(2026-01-01 to 2026-07-01\) overlap",
        ),
        ([("2026-01-01", None), ("2026-06-01", None)], "overlap"),
        ([("2026-01-01", "2026-01-01")], "version 1 ends on 2026-01-01, not after it begins"),
        (
            [("2026-01-01", "2026-06-01"), ("2026-06-10", None)],
            "version 2 begins on 2026-06-10: a month is billed by one",
        ),
    ],
)
def test_dates_of_validity(rows: list[tuple[str, str | None]], reason: str) -> None:
    versions = [version(valid_from=begin, valid_until=end) for begin, end in rows]
    with pytest.raises(TariffError, match=reason):
        parse_tariff(document(*versions))


def test_a_gap_between_rows_is_no_fault() -> None:
    rows = [version(valid_until="2020-01-01"), version(valid_from="2021-01-01")]
    assert len(parse_tariff(document(*rows)).versions) == 2


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"colour": "green"}, "unknown field `colour`"),
        ({"energy": {"kind": "free"}}, "Invalid value 'free' - at `\\$.versions\\[0\\].energy.kind`"),
        ({"energy": {"kind": "flat", "per_kwh": 0.3}}, "Expected `str`, got `float`"),
        ({"energy": {"kind": "flat", "per_kwh": "0.123456"}}, "version 1: energy: '0.123456' has more than 5"),
        ({"rounding": {"to": "0.001"}}, "a bill in steps of 0.001 cannot be paid, the coin is 0.01"),
        ({"rounding": {"to": "0"}}, "rounding: steps of 0 are not above 0"),
        ({"rounding": {"to": "0.01", "mode": "up"}}, "Invalid enum value 'up'"),
        ({"charges": [{"name": "meter"}]}, "charge meter: it must have one of per_month, per_day and per_kwh"),
        ({"charges": [{"name": "m", "per_day": "1", "per_month": "1"}]}, "it must have one of"),
        ({"charges": [{"name": "meter\n", "per_day": "1"}]}, "charges"),
        ({"charges": [{"name": "vat", "per_day": "1"}], "levies": [VAT]}, "line vat stands twice"),
        ({"charges": [{"name": "energy", "per_day": "1"}]}, "or is a name that every bill has"),
        ({"levies": [{**VAT, "base": ["meter"]}]}, "levy vat: its base meter is no line before it; there are energy"),
        ({"levies": [{**VAT, "base": ["vat"]}]}, "its base vat is no line before it"),
        ({"levies": [{**VAT, "base": ["energy", "energy"]}]}, "its base names a line twice"),
        ({"levies": [{**VAT, "percent": "-1"}]}, "levy vat: -1 percent is below 0"),
        ({"levies": [{**VAT, "percent": "1e1"}]}, "'1e1' is not a decimal number"),
        ({"minimum": {"per_month": "-1"}}, "minimum: -1 is below 0"),
        ({"export": {"kind": "net-metering"}}, "net metering needs blocks"),
        (
            {
                "energy": blocks(),
                "export": {"kind": "net-metering", "expire_after_months": 12, "expire_each_year_after": 3},
            },
            "cannot both stand",
        ),
        ({"energy": blocks({"per_kwh": "1", "up_to_kwh": 10})}, "block 1: the last block has no end"),
        ({"energy": blocks({"per_kwh": "1"}, {"per_kwh": "2"})}, "block 1: up_to_kwh is missing"),
        (
            {"energy": blocks(*({"per_kwh": "1", "up_to_kwh": end} for end in (20, 10)), {"per_kwh": "1"})},
            "block 2 ends at 10 kWh, not above the block before it",
        ),
        ({"energy": blocks({"per_kwh": "1", "base": "-1"})}, "block 1: base -1 is below 0"),
        (
            {"energy": {"kind": "blocks", "seasons": [{"months": [7, 8], "blocks": [{"per_kwh": "1"}]}]}},
            "month 1 is in 0 seasons",
        ),
        (
            {"grid": {"per_kwh": "0.1", "reductions": [FAR, {"level": "near", "percent": "40"}]}},
            "reduction near: the nearest level comes first",
        ),
        ({"grid": {"per_kwh": "0.1", "reductions": [{"level": "near", "percent": "101"}]}}, "not from 0 to 100"),
    ],
)  # fmt: skip
def test_each_fault_is_named(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        tariff(**members)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"timezone": "Europe/Nowhere"}, "tariff t: timezone 'Europe/Nowhere' is unknown"),
        ({"name": "My Tariff"}, "name"),
        ({"currency": "euro"}, "currency"),
        ({"versions": []}, "versions"),
        ({"remark": "x"}, "unknown field `remark`"),
    ],
)
def test_faults_of_the_whole_document(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        parse_tariff(document(**members))


@pytest.mark.parametrize(
    ("mode", "rounded"),
    [
        ("half-up", {"1.005": "1.01", "-1.005": "-1", "1.004": "1", "1.015": "1.02"}),
        ("half-even", {"1.005": "1", "1.015": "1.02", "1.0051": "1.01", "-1.005": "-1"}),
        ("floor", {"1.009": "1", "-1.001": "-1.01"}),
        ("ceiling", {"1.001": "1.01", "-1.009": "-1", "1": "1"}),
    ],
)
def test_rounding(mode: str, rounded: dict[str, str]) -> None:
    rule = Rounding(money("0.01"), mode)
    assert {text: money_text(rule(money(text))) for text in rounded} == rounded


@pytest.mark.parametrize("text", ["", "1,5", "1.123456789", "12345678901", "NaN", "1e3", " 1"])
def test_amounts_are_plain_decimals(text: str) -> None:
    with pytest.raises(ValueError):
        money(text)


def test_a_percentage_is_exact() -> None:
    assert percent("3.7") * 1000 == 37


def test_a_file_that_is_no_tariff(tmp_path: Any) -> None:
    path = tmp_path / "mine.json"
    for text, reason in (("{", "not JSON"), ("[]", "Expected `object`")):
        path.write_text(text)
        with pytest.raises(TariffError, match=reason):
            read_tariff(str(path))


def test_names_of_built_in_tariffs_become_their_content() -> None:
    given = {"tariffs": {"a": "eu-flat", "b": {"retail_per_kwh": "1", "feed_in_per_kwh": "0"}}, "community": "c"}
    found = with_built_ins(given)
    assert found["tariffs"]["a"]["name"] == "eu-flat" and found["tariffs"]["b"] == given["tariffs"]["b"]
    assert given["tariffs"]["a"] == "eu-flat", "what was given is as it was"
    with pytest.raises(TariffError, match="tariffs: a: 'nothing' is no built-in tariff"):
        with_built_ins({"tariffs": {"a": "nothing"}})
