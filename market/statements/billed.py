"""A stored bill as the parts of a statement read it: its words, money and prices in one language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from market.settlement.rules import Rules
from market.statements.figures import amount, kwh, price, price_decimals, with_currency
from market.statements.words import say
from market.tariffs.amounts import Rounding, smallest
from market.tariffs.months import month_of
from market.tariffs.tariff import Tariff, Version

GIFTS = ("received", "given")


class Traded(NamedTuple):
    """One way of a month's trades [Wh, Wh x tick]; ``ticks`` None where its kWh had several prices.

    ``sign`` is what ``worth`` does to the bill: gifts are among what was bought and sold, and taken off it.
    """

    word: str
    energy_wh: int
    worth: int
    ticks: int | None
    sign: int


@dataclass(frozen=True)
class Billed:
    """One household's bill ``body`` in the month's ``result``, and how it is said."""

    rules: Rules
    result: Mapping[str, Any]
    body: Mapping[str, Any]
    language: str

    def say(self, word: str, **values: object) -> str:
        return say(self.language, word, **values)

    def money(self, amount_money: int) -> str:
        return with_currency(amount_money, self.rules.currency, self.language)

    def coins(self, amount_money: int) -> str:
        """Money that a sentence speaks of, where a line has all its digits."""
        return self.money(Rounding(smallest(self.rules.currency))(amount_money))

    def price(self, ticks: int) -> str:
        return price(ticks, self.rules.currency, self.language, self.price_decimals)

    @cached_property
    def price_decimals(self) -> int:
        """The same for every price on it."""
        lines = [line["price_ticks"] for way in ("own", "alone") for line in self.body[way]["lines"]]
        traded = [one.ticks for one in self.traded]
        return price_decimals((ticks for ticks in lines + traded if ticks is not None), self.rules.currency)

    def gift(self, word: str, gift: Traded) -> str:
        """A price below zero makes its worth so: the giver would have paid it, and the receiver been paid."""
        below = "-below" if gift.worth < 0 else ""
        worth = self.coins(abs(gift.worth))
        return self.say(f"{word}-{gift.word}{below}", energy=kwh(gift.energy_wh), worth=worth)

    @property
    def gifts(self) -> list[Traded]:
        return [one for one in self.traded if one.word in GIFTS]

    @property
    def traded(self) -> Iterator[Traded]:
        body, trades = self.body, self.body["trades"]
        for word, sign in (("bought", 1), ("received", -1), ("sold", -1), ("given", 1)):
            energy_wh, worth = body.get(f"{word}_wh", 0), trades.get(word, 0)
            if energy_wh:
                ticks, rest = divmod(worth, energy_wh)
                yield Traded(word, energy_wh, worth, None if rest else ticks, sign)

    def name(self, household: str) -> str:
        names = {member.household: member.name for member in self.rules.members}
        return names.get(household, household)

    @property
    def gain_if_paid(self) -> int:
        """The gain if its gifts had been paid, in coins: what the true-up looks at (docs/tariffs.md)."""
        trades = self.body["trades"]
        exact = trades["due"] - trades["rounding"] - trades.get("gifts", 0)
        return int(self.body["gain"] + trades["due"]) - Rounding(smallest(self.rules.currency))(exact)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.rules.timezone)

    @property
    def tariff(self) -> Tariff | None:
        return self.rules.tariffs.get(self.body["tariff"])

    @cached_property
    def version(self) -> Version | None:
        return None if self.tariff is None else self.tariff.of_month(month_of(self.result["month"]))

    @property
    def titles(self) -> Mapping[str, Mapping[str, str]]:
        return {} if self.version is None else self.version.titles

    @property
    def fixed(self) -> Mapping[str, str]:
        """By name: how a charge that falls on no energy comes about."""
        days, charges = month_of(self.result["month"]).days, () if self.version is None else self.version.charges
        return {
            charge.name: self.say("per-day", days=days, each=amount(charge.per_day, self.rules.currency))
            if charge.per_day
            else self.say("per-month")
            for charge in charges
            if not charge.per_kwh_ticks
        }

    def netted(self, way: str, imported_wh: int, exported_wh: int) -> str:
        """How net metering comes to the energy that the bill ``way`` is about; '' without it."""
        netted = self.body[way]["netted"]
        if netted is None:
            return ""
        left = exported_wh - imported_wh
        figures = {"imported": imported_wh, "exported": exported_wh, "used": netted["used_wh"]}
        figures |= {"billed": netted["billed_wh"], "left": left}
        return self.say(
            "netted-left" if left > 0 else "netted", **{name: kwh(energy_wh) for name, energy_wh in figures.items()}
        )
