"""``pumasi tariff``: the tariffs there are, and what a month's energy costs under one."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from market.commands.errors import CommandError

if TYPE_CHECKING:
    from market.tariffs import Amount, Bill, Line, Month, Tariff
    from market.tariffs.pricing import Priced, Progressive

EPILOG = """\
NAME is a built-in tariff or the path of a document (docs/tariffs.md describes it).

examples:
  pumasi tariff list
  pumasi tariff quote kr-residential-low-2016 --kwh 225 --month 2016-07
  pumasi tariff quote kr-residential-low-2024-net --kwh 470 --exported 40
  pumasi tariff quote eu-time-of-use --kwh night=80 --kwh day=120 --kwh evening=60 --json
"""
_KWH = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "tariff",
        help="the tariffs there are, and what a month's energy costs under one",
        description="Tariffs are data: rows of validity with prices, charges, levies and rounding rules.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the built-in tariffs", description="The built-in tariffs.")
    listing.set_defaults(run=run_list)
    show = actions.add_parser(
        "show", help="a tariff's document", description="A tariff's document, checked, as it can be copied and changed."
    )
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=run_show)
    quote = actions.add_parser(
        "quote", help="a month's bill, line by line", description="A month's bill, line by line.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    quote.add_argument("name", metavar="NAME")
    quote.add_argument(
        "--kwh", action="append", required=True, metavar="KWH", help="imported in the month; WINDOW=KWH by time of use"
    )
    quote.add_argument("--exported", action="append", metavar="KWH", help="fed in, and not sold to neighbours")
    quote.add_argument("--bought", default="0", metavar="KWH", help="of the import, bought from neighbours")
    quote.add_argument("--month", metavar="YYYY-MM", help="which month (default: the first that the tariff holds for)")
    quote.add_argument("--json", action="store_true", help='{"lines": [{"name", "amount"}], "total"} in currency units')
    quote.set_defaults(run=run_quote)


def run_list(arguments: argparse.Namespace) -> int:
    from market.tariff_files import built_in

    names = built_in()
    width = max(map(len, names))
    for name in names:
        tariff = _read(name)
        print(f"{name:<{width}}  {tariff.currency}  {tariff.title.get('en', '')}")
        print(f"{'':<{width}}       {'; '.join(version.span() for version in tariff.versions)}")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    from market.tariff_files import read_body

    _read(arguments.name)
    print(json.dumps(read_body(arguments.name), indent=2, ensure_ascii=False))
    return 0


def run_quote(arguments: argparse.Namespace) -> int:
    from market.tariffs import TariffError, Usage, bill, month_of
    from market.tariffs.tariff import Metering

    tariff = _read(arguments.name)
    try:
        month = month_of(str(_first_month(tariff)) if arguments.month is None else arguments.month)
    except ValueError as error:
        raise CommandError(f"--month: {error}") from None
    try:
        version = tariff.of_month(month)
    except TariffError as error:
        raise CommandError(str(error)) from None
    supplied = _energy("--kwh", arguments.kwh, version.energy)
    bought_wh = _wh("--bought", arguments.bought)
    if bought_wh:
        supplied = _less("--bought", supplied, bought_wh)
    priced = None if isinstance(version.export, Metering) else version.export
    fed_in = _energy("--exported", arguments.exported or [], priced)
    made = bill(tariff, month, Usage(supplied, fed_in, bought_wh))
    if arguments.json:
        print(as_json(tariff, month, made))
    else:
        print(as_text(tariff, month, made))
    return 0


def _read(name: str) -> Tariff:
    from market.tariff_files import read_tariff
    from market.tariffs import TariffError

    try:
        return read_tariff(name)
    except TariffError as error:
        raise CommandError(str(error)) from None


def _first_month(tariff: Tariff) -> Month:
    """The first whole month of the first row, from 2000 on."""
    from datetime import date

    from market.tariffs.months import month_at

    begin = max(tariff.versions[0].begin, date(2000, 1, 1))
    month = month_at(begin)
    return month if month.first == begin else month.plus(1)


def _wh(option: str, text: str) -> int:
    found = _KWH.fullmatch(text)
    if not found:
        raise CommandError(f"{option} {text}: not a number of kWh such as 225 or 12.345")
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))


def _energy(option: str, stated: Sequence[str], pricing: Priced | Progressive | None) -> dict[str, Amount]:
    """By band of price; money is what the energy costs at its band's price."""
    from market.tariffs import Amount
    from market.tariffs.pricing import FlatPrice, Series, Windows

    if isinstance(pricing, Series):
        raise CommandError(
            f"{option}: a price series needs to know when: a month's bill comes from meters, not a quote"
        )
    prices = {window.name: window.per_kwh_ticks for window in pricing.windows} if isinstance(pricing, Windows) else {}
    flat = pricing.per_kwh_ticks if isinstance(pricing, FlatPrice) else 0
    found: dict[str, Amount] = {}
    for text in stated:
        name, equals, amount = text.rpartition("=")
        if bool(equals) != bool(prices) or (prices and name not in prices):
            windows = " or ".join(f"{option} {window}=KWH" for window in prices)
            why = "this tariff has windows" if windows else "this tariff has no windows"
            raise CommandError(f"{option} {text}: {why}: give {windows or f'{option} KWH'}")
        if name in found:
            raise CommandError(f"{option} {text}: it stands twice")
        energy_wh = _wh(option, amount)
        found[name] = Amount(energy_wh, energy_wh * prices.get(name, flat))
    return found


def _less(option: str, supplied: Mapping[str, Amount], bought_wh: int) -> dict[str, Amount]:
    from market.tariffs import Amount

    if len(supplied) != 1:
        raise CommandError(f"{option}: with several windows, give the import that is left in each instead")
    ((name, amount),) = supplied.items()
    if bought_wh > amount.energy_wh:
        raise CommandError(f"{option}: more than was imported")
    left = amount.energy_wh - bought_wh
    return {name: Amount(left, amount.money // amount.energy_wh * left if amount.energy_wh else 0)}


def as_json(tariff: Tariff, month: Month, made: Bill) -> str:
    """One line; amounts are exact decimal numbers in currency units, ``total`` the sum of the lines."""
    from market.tariffs.amounts import money_text

    head = json.dumps({"tariff": tariff.name, "month": str(month), "currency": tariff.currency})[:-1]
    lines = ", ".join(
        f'{{"name": {json.dumps(line.name)}, "detail": {json.dumps(line.detail)}, "amount": {money_text(line.money)}}}'
        for line in made.lines
    )
    tail = f'"before_rounding": {money_text(made.before_rounding)}, "total": {money_text(made.total)}'
    credits = ", ".join(f"{credit.energy_wh}" for credit in made.credits)
    return f'{head}, "lines": [{lines}], {tail}, "credits_wh": [{credits}]}}'


def as_text(tariff: Tariff, month: Month, made: Bill) -> str:
    from market.tariffs.amounts import money_text

    rows = [(_what(tariff, month, line), money_text(line.money)) for line in made.lines]
    rows.append((f"total {tariff.currency}", money_text(made.total)))
    wide, amounts = max(len(what) for what, _ in rows), max(len(amount) for _, amount in rows)
    lines = [f"{tariff.name}, {month}"]
    lines += [f"  {what:<{wide}}  {amount:>{amounts}}" for what, amount in rows]
    if made.netted is not None:
        left = sum(credit.energy_wh for credit in made.credits)
        lines.append(f"  billed {kwh(made.netted.billed_wh)} kWh; {kwh(left)} kWh are left for later months")
    return "\n".join(lines)


def _what(tariff: Tariff, month: Month, line: Line) -> str:
    from market.tariffs.amounts import money_text
    from market.units import decimal_text

    titles = tariff.of_month(month).titles
    name = titles.get(line.name, {}).get("en", line.name)
    detail = titles.get(line.detail, {}).get("en", line.detail)
    text = f"{name} {detail}".strip()
    if line.energy_wh is not None and line.price_ticks is not None:
        text += f": {kwh(line.energy_wh)} kWh x {decimal_text(line.price_ticks)}"
    if line.rate is not None and line.of_money is not None:
        text += f": {decimal_text(int(line.rate * 10_000_000))} % of {money_text(line.of_money)}"
    if line.rounding is not None:
        text += f" ({line.rounding.mode} to {money_text(line.rounding.to)})"
    return text


def kwh(energy_wh: int) -> str:
    return f"{energy_wh // 1000}.{energy_wh % 1000:03d}".rstrip("0").rstrip(".")
