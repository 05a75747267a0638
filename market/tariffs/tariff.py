"""A tariff: rows of validity, each with its energy prices, charges, levies and rounding rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from market.tariffs import document as written
from market.tariffs.amounts import LEDGER_UNIT, Rounding, money, money_text, percent, smallest
from market.tariffs.months import Month, local, named_zone
from market.tariffs.pricing import FlatPrice, Priced, Progressive, Series, Windows, priced, progressive
from market.units import ticks

ENERGY, BASE, EXPORT, GRID, GRID_TRADED, MINIMUM, ROUNDING = (
    "energy",
    "base",
    "export",
    "grid",
    "grid-traded",
    "minimum",
    "rounding",
)
"""Lines of a bill that every tariff may have; charges and levies bring names of their own."""
RESERVED = (ENERGY, BASE, EXPORT, GRID, GRID_TRADED, MINIMUM, ROUNDING)


class TariffError(ValueError):
    """A tariff cannot be used; the message names it, the place and the reason."""


@dataclass(frozen=True)
class Charge:
    """A fixed amount a month or day [Wh x tick], or ``per_kwh_ticks`` of the energy ``on``."""

    name: str
    per_month: int
    per_day: int
    per_kwh_ticks: int
    on: str
    account: str
    rounding: Rounding


@dataclass(frozen=True)
class Levy:
    """``rate`` of the lines in ``base``."""

    name: str
    rate: Fraction
    base: tuple[str, ...]
    account: str
    rounding: Rounding


@dataclass(frozen=True)
class Metering:
    """Net metering: when credits end, and what the supplier pays for an ended one [ticks].

    ``months``: so many months after the one they come from; ``yearly``: after this month of the year.
    """

    months: int | None
    yearly: int | None
    expired_ticks: int


@dataclass(frozen=True)
class Version:
    """One row of validity: from ``begin``, without ``end``. Traded energy bears a share of the grid fee, by level."""

    begin: date
    end: date | None
    energy: Priced | Progressive
    export: Priced | Metering | None
    charges: tuple[Charge, ...]
    minimum: int | None
    minimum_account: str
    levies: tuple[Levy, ...]
    rounding: Rounding
    grid_ticks: int
    grid_shares: tuple[tuple[str, Fraction], ...]
    titles: Mapping[str, Mapping[str, str]]
    source: str

    @property
    def by_month(self) -> bool:
        """What a kWh is worth is known at the month's end only."""
        return isinstance(self.energy, Progressive) or isinstance(self.export, Metering)

    def span(self) -> str:
        return f"{self.begin} on" if self.end is None else f"{self.begin} to {self.end}"


@dataclass(frozen=True)
class Tariff:
    """A tariff by its name. ``level`` is the level of the grid that members share: the nearest unless stated."""

    name: str
    currency: str
    zone: ZoneInfo
    versions: tuple[Version, ...]
    title: Mapping[str, str]
    source: str
    level: str | None = None

    def of_month(self, month: Month) -> Version:
        """The row that holds for all of the month. Raises TariffError."""
        for version in self.versions:
            if version.begin <= month.first and (version.end is None or month.last < version.end):
                return version
        spans = "; ".join(version.span() for version in self.versions)
        raise TariffError(f"tariff {self.name} is not valid in all of {month}: it is from {spans}")

    def at(self, start: int) -> Version:
        """The row of the local day on which ``start`` [epoch s] falls.

        Where none holds, the last that began before, or the first: a market goes on when a tariff has run out, and
        the month's bill says that it has.
        """
        day = local(start, self.zone).date()
        begun = [version for version in self.versions if version.begin <= day]
        return begun[-1] if begun else self.versions[0]


def parse_tariff(body: Any) -> Tariff:
    """A tariff document's content. Raises TariffError with the place and the reason."""
    try:
        found = msgspec.convert(body, written.TariffDocument)
    except msgspec.ValidationError as error:
        raise TariffError(str(error)) from None
    return of_document(found)


def of_document(body: written.TariffDocument) -> Tariff:
    """Raises TariffError naming the tariff, the row and the reason."""
    try:
        zone = named_zone(body.timezone)
        coin = smallest(body.currency)
        versions = []
        for number, row in enumerate(body.versions, start=1):
            versions.append(_named(f"version {number}", _version, row, coin, body.source))
        _check_dates(versions)
    except ValueError as error:
        raise TariffError(f"tariff {body.name}: {error}") from None
    return Tariff(body.name, body.currency, zone, tuple(versions), body.title, body.source)


def flat_tariff(name: str, retail_per_kwh: str, feed_in_per_kwh: str, currency: str, zone: ZoneInfo) -> Tariff:
    """The short form: one price each way, without end. Raises TariffError."""
    try:
        retail_ticks, feed_in_ticks = ticks(retail_per_kwh), ticks(feed_in_per_kwh)
        if feed_in_ticks > retail_ticks:
            raise ValueError("feed-in above retail: buying to sell would pay without end")
    except ValueError as error:
        raise TariffError(str(error)) from None
    version = Version(
        begin=date.min,
        end=None,
        energy=FlatPrice(retail_ticks),
        export=FlatPrice(feed_in_ticks),
        charges=(),
        minimum=None,
        minimum_account="supplier",
        levies=(),
        rounding=Rounding(smallest(currency)),
        grid_ticks=0,
        grid_shares=(),
        titles={},
        source="the community's document",
    )
    return Tariff(name, currency, zone, (version,), {}, "the community's document")


def undivided(tariff: Tariff, interval_s: int) -> str | None:
    """What of the tariff falls within an interval of this length, in words; None when every interval has one price.

    UTC offsets of the zone must be multiples of the interval, which a community's rules check.
    """
    for version in tariff.versions:
        for pricing in (version.energy, version.export):
            if isinstance(pricing, FlatPrice | Windows | Series):
                for what, at_s in pricing.boundaries_s():
                    if at_s % interval_s:
                        return f"{what}, which an interval of {interval_s} s does not divide"
    return None


Made = TypeVar("Made")


def _named(where: str, make: Callable[..., Made], *values: Any) -> Made:
    try:
        return make(*values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _version(row: written.Version, coin: int, source: str) -> Version:
    energy = row.energy
    pricing = _named("energy", progressive, energy) if isinstance(energy, written.Blocks) else _priced("energy", energy)
    export = _export(row, pricing)
    charges = tuple(_named(f"charge {charge.name}", _charge, charge) for charge in row.charges)
    names = [ENERGY, BASE, EXPORT, *(charge.name for charge in charges), GRID, GRID_TRADED, MINIMUM]
    levies = []
    for levy in row.levies:
        levies.append(_named(f"levy {levy.name}", _levy, levy, names))
        names.append(levy.name)
    for name in (*(charge.name for charge in charges), *(levy.name for levy in levies)):
        if name in RESERVED or names.count(name) > 1:
            raise ValueError(f"line {name} stands twice, or is a name that every bill has: {', '.join(RESERVED)}")
    rounding = _named("rounding", _rounding, row.rounding)
    if rounding.to % coin:
        raise ValueError(
            f"rounding: a bill in steps of {row.rounding.to} cannot be paid, the coin is {money_text(coin)}"
        )
    minimum = None if row.minimum is None else _named("minimum", _at_least_zero, row.minimum.per_month)
    return Version(
        begin=row.valid_from,
        end=row.valid_until,
        energy=pricing,
        export=export,
        charges=charges,
        minimum=minimum,
        minimum_account=row.minimum.account if row.minimum else "supplier",
        levies=tuple(levies),
        rounding=rounding,
        grid_ticks=0 if row.grid is None else _named("grid", ticks, row.grid.per_kwh),
        grid_shares=() if row.grid is None else _named("grid", _shares, row.grid.reductions),
        titles=_titles(row),
        source=row.source or source,
    )


def _priced(where: str, body: written.Flat | written.TimeOfUse | written.Dynamic) -> Priced:
    return _named(where, priced, body)


def _export(row: written.Version, energy: Priced | Progressive) -> Priced | Metering | None:
    body = row.export
    if body is None:
        return None
    if not isinstance(body, written.NetMetering):
        return _priced("export", body)
    if not isinstance(energy, Progressive):
        raise ValueError("export: net metering needs blocks (one without end for one price): a kWh has one value")
    if body.expire_after_months is not None and body.expire_each_year_after is not None:
        raise ValueError("export: expire_after_months and expire_each_year_after cannot both stand")
    expired = _named("export", ticks, body.expired_per_kwh)
    return Metering(body.expire_after_months, body.expire_each_year_after, expired)


def _charge(body: written.Charge) -> Charge:
    stated = [text for text in (body.per_month, body.per_day, body.per_kwh) if text is not None]
    if len(stated) != 1:
        raise ValueError("it must have one of per_month, per_day and per_kwh")
    return Charge(
        name=body.name,
        per_month=money(body.per_month or "0"),
        per_day=money(body.per_day or "0"),
        per_kwh_ticks=ticks(body.per_kwh or "0"),
        on=body.on,
        account=body.account,
        rounding=LEDGER_UNIT if body.rounding is None else _rounding(body.rounding),
    )


def _levy(body: written.Levy, known: Iterable[str]) -> Levy:
    known = list(known)
    for name in body.base:
        if name not in known:
            raise ValueError(f"its base {name} is no line before it; there are {', '.join(known)}")
    if len(set(body.base)) < len(body.base):
        raise ValueError("its base names a line twice")
    rate = percent(body.percent)
    if rate < 0:
        raise ValueError(f"{body.percent} percent is below 0")
    rounding = LEDGER_UNIT if body.rounding is None else _rounding(body.rounding)
    return Levy(body.name, rate, tuple(body.base), body.account, rounding)


def _rounding(body: written.RoundingRule) -> Rounding:
    to = money(body.to)
    if to <= 0:
        raise ValueError(f"steps of {body.to} are not above 0")
    return Rounding(to, body.mode)


def _at_least_zero(text: str) -> int:
    amount = money(text)
    if amount < 0:
        raise ValueError(f"{text} is below 0")
    return amount


def _shares(reductions: Iterable[written.Reduction]) -> tuple[tuple[str, Fraction], ...]:
    found: dict[str, Fraction] = {}
    for reduction in reductions:
        part = percent(reduction.percent)
        if not 0 <= part <= 1 or reduction.level in found:
            raise ValueError(f"reduction {reduction.level}: it stands twice, or is not from 0 to 100 percent")
        if found and 1 - part < list(found.values())[-1]:
            raise ValueError(f"reduction {reduction.level}: the nearest level comes first and has the most off")
        found[reduction.level] = 1 - part
    return tuple(found.items())


def _titles(row: written.Version) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {charge.name: charge.title for charge in row.charges if charge.title}
    found |= {levy.name: levy.title for levy in row.levies if levy.title}
    for pricing in (row.energy, row.export):
        if isinstance(pricing, written.TimeOfUse):
            found |= {window.name: window.title for window in pricing.windows if window.title}
    if row.grid is not None and row.grid.title:
        found[GRID] = row.grid.title
    return found


def _check_dates(versions: list[Version]) -> None:
    """Rows follow one another, and a month is billed by one of them."""
    for number, version in enumerate(versions, start=1):
        if version.end is not None and version.end <= version.begin:
            raise ValueError(f"version {number} ends on {version.end}, not after it begins on {version.begin}")
    order = sorted(range(len(versions)), key=lambda at: versions[at].begin)
    for before, after in pairwise(order):
        end = versions[before].end
        if end is None or versions[after].begin < end:
            rows = " and ".join(f"version {at + 1} ({versions[at].span()})" for at in sorted((before, after)))
            raise ValueError(f"{rows} overlap")
        if versions[after].begin.day != 1:
            raise ValueError(
                f"version {after + 1} begins on {versions[after].begin}: a month is billed by one version, "
                "so that a later one begins on the first of a month"
            )
    versions.sort(key=lambda version: version.begin)
