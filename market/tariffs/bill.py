"""A month's bill under one row of a tariff: lines in their order, each by its own rounding rule.

energy, base, export, charges, grid, minimum, levies in the order they are written, rounding: each line may look at
those before it. Docs: docs/tariffs.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from market.tariffs.amounts import LEDGER_UNIT, Rounding
from market.tariffs.credits import Credit, Netted, net
from market.tariffs.months import Month
from market.tariffs.pricing import DYNAMIC, WH_PER_KWH, Progressive
from market.tariffs.tariff import (
    BASE,
    ENERGY,
    EXPORT,
    GRID,
    GRID_TRADED,
    MINIMUM,
    ROUNDING,
    Metering,
    Tariff,
    TariffError,
    Version,
)


class Amount(NamedTuple):
    """Energy [Wh] and what it costs at its intervals' prices [Wh x tick]."""

    energy_wh: int
    money: int


@dataclass(frozen=True)
class Usage:
    """A household's month by band of price (see :class:`~market.tariffs.pricing.Band`).

    ``supplied`` is import that was not bought, ``fed_in`` export that was not sold. Where a tariff values energy by
    the month the only band is '' and its money is 0.
    """

    supplied: Mapping[str, Amount] = field(default_factory=dict)
    fed_in: Mapping[str, Amount] = field(default_factory=dict)
    bought_wh: int = 0
    sold_wh: int = 0

    @property
    def supplied_wh(self) -> int:
        return sum(amount.energy_wh for amount in self.supplied.values())

    @property
    def fed_in_wh(self) -> int:
        return sum(amount.energy_wh for amount in self.fed_in.values())


@dataclass(frozen=True)
class Line:
    """One line of a bill and how it came about.

    Attributes:
        name, detail: which line, and which window or block of it.
        account: whom it is for.
        money: what is due [Wh x tick], negative where the household is paid.
        energy_wh, price_ticks: energy and its price, where there is one.
        rate, of_money: a levy's part and what it was taken of [Wh x tick].
        rounding: the rule that was applied, None where nothing was rounded.
    """

    name: str
    detail: str
    account: str
    money: int = 0
    energy_wh: int | None = None
    price_ticks: int | None = None
    rate: Fraction | None = None
    of_money: int | None = None
    rounding: Rounding | None = None


@dataclass(frozen=True)
class Bill:
    """``total`` [Wh x tick] is what the lines add up to; ``netted`` tells net metering's energy."""

    lines: tuple[Line, ...]
    total: int
    netted: Netted | None

    @property
    def credits(self) -> tuple[Credit, ...]:
        return self.netted.after if self.netted else ()

    @property
    def before_rounding(self) -> int:
        return sum(line.money for line in self.lines if line.name != ROUNDING)


def bill(tariff: Tariff, month: Month, usage: Usage, credits: Sequence[Credit] = ()) -> Bill:
    """The month's bill, to be paid. Raises TariffError when the tariff does not hold for all of the month."""
    version = tariff.of_month(month)
    sheet = _Sheet(exact=False)
    netted = _fill(sheet, version, month, usage, credits, tariff.level)
    before = sum(line.money for line in sheet.lines)
    total = version.rounding(before)
    if total != before:
        sheet.lines.append(Line(ROUNDING, "", "supplier", total - before, of_money=before, rounding=version.rounding))
    return Bill(tuple(sheet.lines), total, netted)


def exact_total(tariff: Tariff, month: Month, usage: Usage, credits: Sequence[Credit] = ()) -> Fraction:
    """What the bill would be if nothing were rounded [Wh x tick]. Raises TariffError like ``bill``."""
    sheet = _Sheet(exact=True)
    _fill(sheet, tariff.of_month(month), month, usage, credits, tariff.level)
    return sum(sheet.sums.values(), Fraction(0))


def grid_share(version: Version, level: str | None) -> Fraction:
    """Part of the grid fee that is due on energy traded within the level; the nearest when none is named.

    Raises TariffError for a level that the tariff does not know.
    """
    if not version.grid_shares:
        return Fraction(1)
    if level is None:
        return version.grid_shares[0][1]
    for name, share in version.grid_shares:
        if name == level:
            return share
    known = ", ".join(name for name, _ in version.grid_shares)
    raise TariffError(f"its grid fee knows no level {level}; known: {known}")


class _Sheet:
    """Lines as they are added, and the sum of each name so far."""

    def __init__(self, *, exact: bool) -> None:
        self.lines: list[Line] = []
        self.sums: dict[str, Fraction] = {}
        self._exact = exact

    def add(self, line: Line, amount: Fraction | int, rounding: Rounding = LEDGER_UNIT) -> None:
        due = Fraction(amount) if self._exact else Fraction(rounding(amount))
        self.sums[line.name] = self.sums.get(line.name, Fraction(0)) + due
        if not self._exact:
            self.lines.append(replace(line, money=int(due), rounding=None if rounding == LEDGER_UNIT else rounding))

    def sum_of(self, names: Iterable[str]) -> Fraction:
        return sum((self.sums.get(name, Fraction(0)) for name in names), Fraction(0))


def _fill(
    sheet: _Sheet, version: Version, month: Month, usage: Usage, credits: Sequence[Credit], level: str | None
) -> Netted | None:
    metering = version.export if isinstance(version.export, Metering) else None
    netted = net(metering, month, usage.supplied_wh, usage.fed_in_wh, credits) if metering else None
    billed_wh = netted.billed_wh if netted else usage.supplied_wh
    _add_energy(sheet, version, month, usage, billed_wh)
    if metering and netted:
        if netted.expired_wh and metering.expired_ticks:
            _add_kwh(sheet, Line(EXPORT, "expired", "supplier"), netted.expired_wh, metering.expired_ticks, sign=-1)
    else:
        for name, amount in _bands(usage.fed_in):
            sheet.add(_of_band(EXPORT, name, amount), -amount.money)
    for charge in version.charges:
        if charge.per_kwh_ticks:
            energy_wh = _energy_on(charge.on, usage, billed_wh)
            line = Line(charge.name, charge.on, charge.account)
            _add_kwh(sheet, line, energy_wh, charge.per_kwh_ticks, rounding=charge.rounding)
        else:
            fixed = charge.per_month + charge.per_day * month.days
            sheet.add(Line(charge.name, "", charge.account), fixed, charge.rounding)
    _add_grid(sheet, version, usage, billed_wh, level)
    if version.minimum is not None:
        short = version.minimum - sheet.sum_of(sheet.sums)
        if short > 0:
            sheet.add(Line(MINIMUM, "", version.minimum_account, of_money=version.minimum), short)
    for levy in version.levies:
        of = sheet.sum_of(levy.base)
        sheet.add(Line(levy.name, "", levy.account, rate=levy.rate, of_money=round(of)), of * levy.rate, levy.rounding)
    return netted


def _add_energy(sheet: _Sheet, version: Version, month: Month, usage: Usage, billed_wh: int) -> None:
    if not isinstance(version.energy, Progressive):
        for name, amount in _bands(usage.supplied):
            sheet.add(_of_band(ENERGY, name, amount), amount.money)
        return
    season = version.energy.season(month.month)
    for part in season.parts(billed_wh):
        detail = f"{part.low_wh // WH_PER_KWH}-{'' if part.high_wh is None else part.high_wh // WH_PER_KWH}"
        _add_kwh(sheet, Line(ENERGY, detail, "supplier"), part.energy_wh, part.per_kwh_ticks)
    base = season.reached(billed_wh).base_money
    if base:
        sheet.add(Line(BASE, "", "supplier"), base)


def _add_grid(sheet: _Sheet, version: Version, usage: Usage, billed_wh: int, level: str | None) -> None:
    if version.grid_ticks:
        _add_kwh(sheet, Line(GRID, "", "network"), billed_wh, version.grid_ticks)
        share = grid_share(version, level)
        if usage.bought_wh:
            due = usage.bought_wh * version.grid_ticks
            line = Line(GRID_TRADED, level or "", "network", 0, usage.bought_wh, version.grid_ticks, share, due)
            sheet.add(line, due * share)


def _add_kwh(
    sheet: _Sheet, line: Line, energy_wh: int, per_kwh_ticks: int, sign: int = 1, rounding: Rounding = LEDGER_UNIT
) -> None:
    if energy_wh:
        due = sign * energy_wh * per_kwh_ticks
        sheet.add(replace(line, energy_wh=energy_wh, price_ticks=per_kwh_ticks), due, rounding)


def _bands(amounts: Mapping[str, Amount]) -> list[tuple[str, Amount]]:
    return sorted((name, amount) for name, amount in amounts.items() if any(amount))


def _of_band(name: str, band: str, amount: Amount) -> Line:
    """The price stands in the line where all of its energy had the same."""
    ticks, rest = divmod(amount.money, amount.energy_wh) if amount.energy_wh else (0, 1)
    price = None if rest or band == DYNAMIC else ticks
    return Line(name, band, "supplier", energy_wh=amount.energy_wh, price_ticks=price)


def _energy_on(on: str, usage: Usage, billed_wh: int) -> int:
    return {
        "billed": billed_wh,
        "supplied": usage.supplied_wh,
        "bought": usage.bought_wh,
        "import": usage.supplied_wh + usage.bought_wh,
        "fed-in": usage.fed_in_wh,
        "sold": usage.sold_wh,
        "export": usage.fed_in_wh + usage.sold_wh,
    }[on]
