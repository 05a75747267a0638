"""A household's own offer: what it asks for, what last week would have been under another, and storing it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from threading import Lock
from typing import Any

from dashboard import figures
from dashboard.access import Problem, Visitor
from dashboard.household.choosing import Choice, check_named, choices
from dashboard.household.home import NEWEST, Home
from dashboard.household.prices import Prices, Step
from dashboard.household.spans import span_of
from dashboard.household.storing import Document, store_changed
from market.mechanisms.partners import limited
from market.record import Record
from market.service.what_if import Interval, Limits, Outcome, WhatIfError, latest_week, what_if
from market.units import decimal_text, ticks

WAIT_S = 10.0
"""A week is worked out for one reader at a time; so long others wait."""
_asking = Lock()
_PRICE = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class OfferView:
    """The household's stored offer [ticks], None where its tariff decides, and from when a change would apply.

    ``version`` is what a change must carry: that of the offers it was made from. ``applies_from`` [epoch s] is the
    start of the first interval by this offer, ``next_start`` that of the first a change would reach. ``prefer`` and
    ``give`` are households, first choice first: whom it trades with before all others, and who gets its surplus for
    nothing; ``choices`` are those it may name there. ``named``: whether it wants to be named itself;
    ``limited``: in this network nobody goes first, so that they have no effect.
    """

    household: str
    name: str
    counter: int
    currency: str
    timezone: str
    version: int
    min_sell_ticks: int | None
    max_buy_ticks: int | None
    prefer: Sequence[str]
    give: Sequence[str]
    choices: Sequence[Choice]
    named: bool
    mechanism: str
    limited: bool
    applies_from: int
    next_start: int
    generates: bool
    price: Step
    coming: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Day:
    """A local day as it was settled, and as it would have been."""

    day: date
    was: Outcome
    would_be: Outcome


@dataclass(frozen=True, slots=True)
class WhatIfView:
    """The household's settled intervals from ``start`` to ``end`` [epoch s]; the others' orders as they were.

    ``changed`` of the ``intervals`` would have come out otherwise. Of ``prefer`` and ``give`` those count in an
    interval whom the offer named then, too: what would have been traded with others tells how much they used.
    """

    start: int
    end: int
    intervals: int
    changed: int
    min_sell_ticks: int | None
    max_buy_ticks: int | None
    prefer: Sequence[str]
    give: Sequence[str]
    was: Outcome
    would_be: Outcome
    at_least: bool
    days: Sequence[Day]


def offer_view(home: Home, prices: Prices) -> OfferView:
    """What is stored, whether or not it applies already."""
    record, rules, member = home.site.record.read(), home.rules, home.member
    steps = prices.coming(home, home.settled_to)
    return OfferView(
        household=home.household,
        name=member.name,
        counter=home.counter,
        currency=rules.currency,
        timezone=rules.timezone,
        version=home.inputs["offers"],
        min_sell_ticks=member.min_sell_ticks,
        max_buy_ticks=member.max_buy_ticks,
        prefer=member.prefer,
        give=member.give,
        choices=choices(home),
        named=home.site.accounts.shows_name(home.household),
        mechanism=rules.mechanism,
        limited=limited(rules.network),
        applies_from=_applies_from(record, rules.interval_s),
        next_start=_aligned(max(int(home.site.clock()), home.settled_to if home.last else 0), rules.interval_s),
        generates=member.generates,
        price=steps[0],
        coming=steps,
    )


def what_if_view(home: Home, limits: Limits) -> WhatIfView:
    """The last seven settled days under these limits. Raises Problem."""
    check_named(home, limits, home.member.prefer, home.member.give)
    record = home.site.record.read()
    gate = record.last_gate()
    if gate is None:
        raise Problem(404, "nothing-settled", "nothing has been settled yet")
    start, end = latest_week(gate)
    if not _asking.acquire(timeout=WAIT_S):
        raise Problem(503, "asked-by-others", "others ask for their week right now; try again")
    try:
        with record.snapshot():
            found = what_if(record, home.household, limits, start, end, named_then=True)
    except WhatIfError as error:
        raise Problem(409, error.name, str(error)) from None
    finally:
        _asking.release()
    return WhatIfView(
        start=found[0].start if found else start,
        end=end,
        intervals=len(found),
        changed=sum(one.was != one.would_be for one in found),
        min_sell_ticks=limits.min_sell_ticks,
        max_buy_ticks=limits.max_buy_ticks,
        prefer=limits.prefer,
        give=limits.give,
        was=_added([one.was for one in found]),
        would_be=_added([one.would_be for one in found]),
        at_least=home.member.tariff.at(start).by_month,
        days=_days(home, found, start, end),
    )


def _days(home: Home, found: Sequence[Interval], start: int, end: int) -> list[Day]:
    """Those on which something was settled: a community that began yesterday has no other."""
    day = span_of("day", datetime.fromtimestamp(start, home.zone).date(), home.zone)
    days = []
    while day.start < end:
        of_day = [one for one in found if day.start <= one.start < day.end]
        if of_day:
            days.append(Day(day.first, _added([one.was for one in of_day]), _added([one.would_be for one in of_day])))
        day = day.plus(1)
    return days


def _added(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        sum(one.bought_wh for one in outcomes),
        sum(one.sold_wh for one in outcomes),
        sum(one.money for one in outcomes),
    )


def store(home: Home, visitor: Visitor, limits: Limits, version: int) -> None:
    """Store this household's offer and nothing else's change. It applies to intervals that start afterwards.

    ``version`` is that of the offers the visitor saw. Raises Problem when the household's offer changed since, was
    never that, or names whom it may not; RecordError.
    """
    household, body = home.household, _body(limits)

    def change(record: Record, document: Document) -> None:
        _check_unchanged(record, household, version)
        for member in document["members"]:
            if member["household"] == household:
                stands = member.get("offer", {})
                check_named(home, limits, stands.get("prefer", ()), stands.get("give", ()))
                member["offer"] = body

    if store_changed(home.site, visitor, change):
        home.site.accounts.log(visitor, "offer", _told(body), household)


def _body(limits: Limits) -> dict[str, Any]:
    """As the community's document has it: without what it does not name."""
    named = {"prefer": list(limits.prefer), "give": list(limits.give)}
    return {
        "min_sell_per_kwh": None if limits.min_sell_ticks is None else decimal_text(limits.min_sell_ticks),
        "max_buy_per_kwh": None if limits.max_buy_ticks is None else decimal_text(limits.max_buy_ticks),
        **{what: names for what, names in named.items() if names},
    }


def _told(body: Mapping[str, Any]) -> str:
    """An offer in the log's words."""
    said = {name: ",".join(value) if isinstance(value, list) else value or "tariff" for name, value in body.items()}
    return " ".join(f"{name}={value}" for name, value in said.items())


def _check_unchanged(record: Record, household: str, version: int) -> None:
    newest = record.input_versions(NEWEST)
    if version == newest["offers"]:
        return
    if not 1 <= version < newest["offers"]:
        raise Problem(409, "offer-changed", "there is no such version of the offers; load the page again")
    seen, stands = (record.offers(one).get(household) for one in (version, newest["offers"]))
    if seen != stands:
        raise Problem(409, "offer-changed", "this household's offer was changed meanwhile; load the page again")


def _applies_from(record: Record, length: int) -> int:
    stored_at = [version.stored_at for version in record.input_history() if version.kind == "offers"]
    return _aligned(stored_at[-1], length)


def _aligned(moment: int, length: int) -> int:
    """The start of the first interval that starts at ``moment`` or after."""
    return moment + -moment % length


def typed_price(text: str, currency: figures.Currency) -> int:
    """A price as people type it, per kWh in the currency's hundredths where it has a name for them. Raises Problem."""
    if not _PRICE.fullmatch(text.strip()):
        raise Problem(422, "bad-price", "a price is a number such as 21.5")
    amount = Decimal(text.strip().replace(",", "."))
    try:
        return ticks(format(amount / 100 if currency.minor else amount, "f"))
    except ValueError as error:
        raise Problem(422, "bad-price", f"price: {error}") from None


def price_text(price_ticks: int, currency: figures.Currency) -> str:
    """A price as ``typed_price`` reads it."""
    return decimal_text(price_ticks * 100 if currency.minor else price_ticks)
