"""A bill's lines in words: what, how it is computed, how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from market.statements.figures import amount, kwh
from market.statements.words import say, words
from market.tariffs.amounts import money
from market.tariffs.pricing import DYNAMIC
from market.tariffs.tariff import BASE, ENERGY, EXPORT


@dataclass(frozen=True)
class Row:
    """A line of a table: ``how`` its amount came about. ``body`` has its parts, as a stored line names them."""

    what: str
    how: str
    money: int
    strong: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


def tariff_row(
    line: Mapping[str, Any],
    language: str,
    currency: str,
    titles: Mapping[str, Mapping[str, str]],
    fixed: Mapping[str, str],
    price: Callable[[int], str],
) -> Row:
    """A stored line of a tariff's bill.

    ``titles`` are the tariff's own names of its lines, ``fixed`` says how its charges without energy come about,
    ``price`` writes one.
    """
    what = _title(line["name"], language, titles)
    detail = _detail(line, language, titles)
    how = _how(line, language, currency, fixed, price)
    return Row(f"{what}, {detail}" if detail else what, how, line["money"], body=line)


def _title(name: str, language: str, titles: Mapping[str, Mapping[str, str]]) -> str:
    own = titles.get(name, {})
    if language in own:
        return own[language]
    return say(language, f"line-{name}") if f"line-{name}" in words(language) else own.get("en", name)


def _detail(line: Mapping[str, Any], language: str, titles: Mapping[str, Mapping[str, str]]) -> str:
    detail = str(line["detail"])
    if line["name"] == ENERGY and "-" in detail and detail not in titles:
        low, _, high = detail.partition("-")
        if low.isdigit():
            return say(language, "block", low=low, high=high) if high else say(language, "block-above", low=low)
    if detail in (DYNAMIC, "expired"):
        return say(language, detail)
    title = titles.get(detail, {})
    # Of windows it is the name; what a charge falls on, or a level of the grid, has no title and goes without.
    unnamed = detail if line["name"] in (ENERGY, EXPORT) else ""
    return title.get(language) or title.get("en", unnamed)


def _how(
    line: Mapping[str, Any], language: str, currency: str, fixed: Mapping[str, str], price: Callable[[int], str]
) -> str:
    energy_wh, ticks, rate, of = (line[name] for name in ("energy_wh", "price_ticks", "rate", "of_money"))
    text = ""
    if energy_wh is not None and ticks is not None:
        word = "each" if rate is None else "share"
        text = say(language, word, energy=kwh(energy_wh), price=price(ticks), rate=rate)
    elif energy_wh is not None:
        text = say(language, "mean", energy=kwh(energy_wh))
    elif rate is not None:
        text = say(language, "percent", rate=rate, of=amount(of, currency))
    elif line["name"] == "minimum":
        text = say(language, "at-least", of=amount(of, currency))
    elif of is not None:
        text = amount(of, currency)
    elif line["name"] == BASE:
        text = say(language, "base-how")
    else:
        text = fixed.get(line["name"], "")
    rounding = line["rounding"]
    if rounding is None:
        return text
    rule = say(language, f"rule-{rounding['mode']}", to=amount(money(rounding["to"]), currency))
    return say(language, "rounds", of=text, rule=rule) if text else rule
