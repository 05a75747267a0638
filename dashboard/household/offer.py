"""A household's own offer: what it asks for, what last week would have been under another, and storing it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from threading import Lock

from dashboard import figures
from dashboard.access import Problem, Visitor
from dashboard.household.home import NEWEST, Home
from dashboard.household.prices import Prices, Step
from dashboard.household.spans import span_of
from dashboard.site import Site
from market.record import ChangedMeanwhileError, Record
from market.service.what_if import Interval, Limits, Outcome, WhatIfError, latest_week, what_if
from market.units import decimal_text, ticks

WAIT_S = 10.0
"""A week is worked out for one reader at a time; so long others wait."""
TRIES = 5
"""How often a change is made anew when somebody else's came in between."""
_asking = Lock()
_PRICE = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class OfferView:
    """The household's stored offer [ticks], None where its tariff decides, and from when a change would apply.

    ``version`` is what a change must carry: that of the offers it was made from. ``applies_from`` [epoch s] is the
    start of the first interval by this offer, ``next_start`` that of the first a change would reach.
    """

    household: str
    name: str
    counter: int
    currency: str
    timezone: str
    version: int
    min_sell_ticks: int | None
    max_buy_ticks: int | None
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
    """Settled intervals from ``start`` to ``end`` [epoch s]; the others' orders as they were.

    ``changed`` of the ``intervals`` would have come out otherwise.
    """

    start: int
    end: int
    intervals: int
    changed: int
    min_sell_ticks: int | None
    max_buy_ticks: int | None
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
        applies_from=_applies_from(record, rules.interval_s),
        next_start=_aligned(max(int(home.site.clock()), home.settled_to if home.last else 0), rules.interval_s),
        generates=member.generates,
        price=steps[0],
        coming=steps,
    )


def what_if_view(home: Home, limits: Limits) -> WhatIfView:
    """The last seven settled days under these limits. Raises Problem."""
    record = home.site.record.read()
    gate = record.last_gate()
    if gate is None:
        raise Problem(404, "nothing-settled", "nothing has been settled yet")
    start, end = latest_week(gate)
    if not _asking.acquire(timeout=WAIT_S):
        raise Problem(503, "asked-by-others", "others ask for their week right now; try again")
    try:
        with record.snapshot():
            found = what_if(record, home.household, limits, start, end)
    except WhatIfError as error:
        raise Problem(409, error.name, str(error)) from None
    finally:
        _asking.release()
    return WhatIfView(
        start=start,
        end=end,
        intervals=len(found),
        changed=sum(one.was != one.would_be for one in found),
        min_sell_ticks=limits.min_sell_ticks,
        max_buy_ticks=limits.max_buy_ticks,
        was=_added([one.was for one in found]),
        would_be=_added([one.would_be for one in found]),
        at_least=home.member.tariff.at(start).by_month,
        days=_days(home, found, start, end),
    )


def _days(home: Home, found: Sequence[Interval], start: int, end: int) -> list[Day]:
    day = span_of("day", datetime.fromtimestamp(start, home.zone).date(), home.zone)
    days = []
    while day.start < end:
        of_day = [one for one in found if day.start <= one.start < day.end]
        days.append(Day(day.first, _added([one.was for one in of_day]), _added([one.would_be for one in of_day])))
        day = day.plus(1)
    return days


def _added(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        sum(one.bought_wh for one in outcomes),
        sum(one.sold_wh for one in outcomes),
        sum(one.money for one in outcomes),
    )


def store(site: Site, visitor: Visitor, household: str, limits: Limits, version: int) -> None:
    """Store this household's offer and nothing else's change. It applies to intervals that start afterwards.

    ``version`` is that of the offers the visitor saw. Raises Problem when the household's offer changed since, or was
    never that; RecordError.
    """
    body = {
        "min_sell_per_kwh": None if limits.min_sell_ticks is None else decimal_text(limits.min_sell_ticks),
        "max_buy_per_kwh": None if limits.max_buy_ticks is None else decimal_text(limits.max_buy_ticks),
    }
    with site.writer() as record:
        for _ in range(TRIES):
            seen = record.inputs_version()
            _check_unchanged(record, household, version)
            document = record.document()
            for member in document["members"]:
                if member["household"] == household:
                    member["offer"] = body
            try:
                stored = record.store_document(
                    document, int(site.clock()), visitor.account or "", keep_meters=True, seen=seen
                )
            except ChangedMeanwhileError:
                continue
            if stored:
                detail = " ".join(f"{name}={text or 'tariff'}" for name, text in body.items())
                site.accounts.log(visitor, "offer", detail, household)
            return
    raise Problem(409, "busy", "others are changing the community right now; try again")


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
