"""Published bills, to the coin; each case names its source. Where a number needs more than a tariff, it says so."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from market.commands.main import main
from market.tariff_files import built_in, read_tariff
from market.tariffs import Amount, Bill, Usage, bill, exact_total, month_of
from market.tariffs.amounts import money, money_text
from tests.market.tariffs.documents import document, version

KOREA_2016, KOREA_2024 = "kr-residential-low-2016", "kr-residential-low-2024"


def month_bill(name: str, month: str, kwh: int, exported: int = 0) -> Bill:
    usage = Usage({"": Amount(kwh * 1000, 0)}, {"": Amount(exported * 1000, 0)})
    return bill(read_tariff(name), month_of(month), usage)


def test_225_kwh_in_2016() -> None:
    """28,370 won: Aju Business Daily, 9 August 2016, on KEPCO's neighbour-trading pilot."""
    made = month_bill(KOREA_2016, "2016-07", 225)
    assert money_text(made.total) == "28370"
    assert [(line.name, line.detail, money_text(line.money)) for line in made.lines] == [
        ("energy", "0-100", "6070"),
        ("energy", "100-200", "12590"),
        ("energy", "200-300", "4697.5"),
        ("base", "", "1600"),
        ("vat", "", "2496"),  # 2,495.75 to the won
        ("fund", "", "920"),  # 923.4 to ten won below
        ("rounding", "", "-3.5"),
    ]


def test_the_pilots_seller() -> None:
    """39,050 won before and 9,050 won after selling: JoongAng Ilbo, 2016.

    The first is the bill of 275 kWh. No whole number of kWh costs 9,050 won, before flooring or after: the second is
    the same bill less the 30,000 won that the neighbour paid, which the article gives only as this difference.
    """
    made = month_bill(KOREA_2016, "2016-07", 275)
    assert money_text(made.total) == "39050"
    assert money_text(made.total - money("30000")) == "9050"
    assert all(money_text(month_bill(KOREA_2016, "2016-07", kwh).total) != "9050" for kwh in range(500))


def test_350_kwh_in_2024() -> None:
    """71,269 won before flooring: KEPCO's blocks from May 2023, in a month outside July and August."""
    made = month_bill(KOREA_2024, "2024-05", 350)
    assert money_text(made.before_rounding) == "71269"
    assert money_text(made.total) == "71260"


@pytest.mark.parametrize(("energy_wh", "base"), [(0, "910"), (200_000, "910"), (200_001, "1600"), (400_001, "7300")])
def test_the_base_charge_is_that_of_the_highest_block_reached(energy_wh: int, base: str) -> None:
    """KEPCO's blocks: up to and including 200 kWh, up to and including 400, and above."""
    made = bill(read_tariff(KOREA_2024), month_of("2024-05"), Usage({"": Amount(energy_wh, 0)}))
    assert [money_text(line.money) for line in made.lines if line.name == "base"] == [base]


def test_what_was_bought_and_then_not_used_is_given_back() -> None:
    """A correction of a final month leaves 20 kWh less import than was bought: at the first block's price, by hand.

    Base, tax and fund are the tariff's own on less than nothing, each with its own rounding.
    """
    made = bill(read_tariff(KOREA_2016), month_of("2016-07"), Usage({"": Amount(-20_000, 0)}, bought_wh=120_000))
    assert [(line.name, line.detail, money_text(line.money)) for line in made.lines] == [
        ("energy", "0-100", "-1214"),
        ("base", "", "410"),
        ("vat", "", "-80"),  # -80.4 to the won
        ("fund", "", "-30"),  # -29.748 to ten won below
        ("rounding", "", "-6"),
    ]
    assert money_text(made.total) == "-920"
    assert money_text(month_bill(KOREA_2016, "2016-07", 0).total) == "460", "410, 41 and 10, to ten won below"


def test_a_trade_of_40_kwh_in_2024() -> None:
    """A buyer whose month is 190 kWh saves 6,090 won by 40 of them; a net-metered seller at 430 loses 14,620.

    Both before the price that goes from one to the other: whatever it is, the two together lose 8,530 won.
    """
    saved = month_bill(KOREA_2024, "2024-05", 190).total - month_bill(KOREA_2024, "2024-05", 150).total
    net = f"{KOREA_2024}-net"
    lost = month_bill(net, "2024-05", 530, 60).total - month_bill(net, "2024-05", 530, 100).total
    assert month_bill(net, "2024-05", 530, 100).total == month_bill(KOREA_2024, "2024-05", 430).total
    assert (money_text(saved), money_text(lost)) == ("6090", "14620")


@pytest.mark.parametrize(
    ("month", "kwh", "energy", "fund"),
    [
        ("2024-06", 310, "47606", "1980"),  # (1,600 + 24,000 + 110 x 214.6 + 310 x 14) x 3.7 %, ten won below
        ("2024-08", 310, "38146", "1410"),  # summer's first block ends at 300 kWh; the fund is 3.2 %
        ("2025-09", 310, "47606", "1440"),  # 2.7 %
    ],
)
def test_seasons_and_rows_of_validity(month: str, kwh: int, energy: str, fund: str) -> None:
    made = month_bill(KOREA_2024, month, kwh)
    assert money_text(sum(line.money for line in made.lines if line.name == "energy")) == energy
    assert [money_text(line.money) for line in made.lines if line.name == "fund"] == [fund]


@pytest.mark.parametrize(
    ("name", "month", "reduced"),
    [
        ("ch-local-community", "2026-03", {"transformer": "6.3", "beyond": "8.4"}),  # 40 and 20 % off 10.50
        ("at-energy-community", "2025-03", {"local": "3.354", "regional": "5.616"}),  # 57 and 28 % off 7.80
    ],
)
def test_the_grid_fee_of_traded_energy_is_reduced_by_level(name: str, month: str, reduced: dict[str, str]) -> None:
    """Switzerland: StromVV article 19h; Austria: Systemnutzungsentgelte-Verordnung 2018, amendment of 2021."""
    from dataclasses import replace

    usage = Usage({"": Amount(200_000, 0)}, bought_wh=100_000)
    for level, fee in reduced.items():
        made = bill(replace(read_tariff(name), level=level), month_of(month), usage)
        assert [money_text(line.money) for line in made.lines if line.name == "grid-traded"] == [fee]
        assert {line.account for line in made.lines if line.name.startswith("grid")} == {"network"}


def test_every_built_in_tariff_parses_and_names_its_source() -> None:
    assert {KOREA_2016, KOREA_2024, "eu-flat"} <= set(built_in())
    for name in built_in():
        tariff = read_tariff(name)
        assert tariff.name == name and len(tariff.source) > 20
        assert set(tariff.title) == {"en", "ko"}


def test_nothing_is_rounded_but_by_a_rule() -> None:
    usage = Usage({"": Amount(333_333, 0)})
    tariff, month = read_tariff(KOREA_2024), month_of("2024-05")
    exact = exact_total(tariff, month, usage)
    subtotal = Fraction(money("1600") + 200_000 * 12_000_000 + 133_333 * 21_460_000 + 333_333 * 1_400_000)
    assert exact == subtotal * (1 + Fraction(137, 1000))
    assert 0 < exact - bill(tariff, month, usage).total < money("21")


def test_the_quote_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tariff", "quote", KOREA_2016, "--kwh", "225", "--month", "2016-07", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["total"] == 28370 and said["month"] == "2016-07" and said["currency"] == "KRW"
    assert {"name": "vat", "detail": "", "amount": 2496} in said["lines"]
    assert sum(line["amount"] for line in said["lines"]) == said["total"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["list"], "kr-residential-low-2024-net"),
        (["show", "eu-flat"], '"per_kwh": "0.30"'),
        (["quote", "eu-time-of-use", "--kwh", "night=80", "--kwh", "day=20.5"], "energy Night: 80 kWh x 0.2"),
        (["quote", f"{KOREA_2024}-net", "--kwh", "10", "--exported", "40"], "30 kWh are left for later months"),
        (["quote", "ch-local-community", "--kwh", "30", "--bought", "10"], "60 % of 1.05"),
        (["quote", KOREA_2024, "--kwh", "350"], "2023-06"),
    ],
)
def test_what_the_command_says(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert main(["tariff", *arguments]) == 0
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "nothing"], "'nothing' is unknown; built in are at-energy-community"),
        (["show", "./nothing.json"], "./nothing.json: No such file"),
        (["quote", "eu-flat", "--kwh", "many"], "--kwh many: not a number of kWh"),
        (["quote", "eu-flat", "--kwh", "night=3"], "--kwh night=3: this tariff has no windows: give --kwh KWH"),
        (["quote", "eu-time-of-use", "--kwh", "3"], "give --kwh night=KWH or --kwh day=KWH"),
        (["quote", "eu-time-of-use", "--kwh", "day=3", "--kwh", "day=4"], "it stands twice"),
        (["quote", "eu-dynamic", "--kwh", "3"], "a price series needs to know when"),
        (["quote", "eu-flat", "--kwh", "3", "--bought", "4"], "--bought: more than was imported"),
        (["quote", KOREA_2016, "--kwh", "3", "--month", "2016-12"], "is not valid in all of 2016-12"),
        (["quote", KOREA_2016, "--kwh", "3", "--month", "2013-11"], "is not valid in all of 2013-11"),
        (["quote", KOREA_2016, "--kwh", "3", "--month", "July"], "'July' is not a month"),
        (["quote", KOREA_2016, "--kwh", "3", "--month", ""], "--month: '' is not a month"),
    ],
)
def test_what_cannot_be_quoted_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert main(["tariff", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and line in said.err


def test_a_tariff_whose_first_month_is_beyond_the_calendar(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "late.json"
    path.write_text(json.dumps(document(version(valid_from="9999-12-15"))))
    assert main(["tariff", "quote", str(path), "--kwh", "3"]) == 2
    assert capsys.readouterr().err == "pumasi: --month: '10000-01' is not a month such as 2016-07\n"
