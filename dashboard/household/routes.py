"""The routes of a household's own pages, each with its JSON twin of the same view under /api/1."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request, Security
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboard import figures
from dashboard.access import HouseholdId, Problem, Visitor, of_household
from dashboard.advice.cards import advice_cards
from dashboard.days import LAST_MOMENT
from dashboard.household import offer as offers
from dashboard.household.choosing import MOST
from dashboard.household.home import Home, home_of
from dashboard.household.interval_view import IntervalView, interval_view
from dashboard.household.money import Bills
from dashboard.household.neighbours import NeighboursView, neighbours_view
from dashboard.household.now import LiveView, NowView, live_view, now_view
from dashboard.household.offer import OfferView, WhatIfView, offer_view, what_if_view
from dashboard.household.prices import Prices
from dashboard.household.span_view import SpanView, span_view
from dashboard.household.spans import Kind, SpanError, parse
from dashboard.site import Site
from market.service.what_if import Limits

Reader = Annotated[Visitor, Security(of_household, scopes=["household:read"])]
Writer = Annotated[Visitor, Security(of_household, scopes=["household:write"])]
Day = Annotated[str | None, Query(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a local day: 2016-07-11")]
MonthName = Annotated[str | None, Query(pattern=r"^[0-9]{4}-[0-9]{2}$", description="a month: 2016-07")]
Year = Annotated[str | None, Query(pattern=r"^[0-9]{4}$", description="a year: 2016")]
SpanName = Annotated[
    str | None, Query(pattern=r"^[0-9]{4}(-[0-9]{2}){0,2}$", description="2016-07-11, 2016-07 or 2016")
]
Start = Annotated[int, Path(ge=0, lt=LAST_MOMENT, description="the interval's start, epoch seconds")]
Ticks = Annotated[
    int | None, Query(ge=0, lt=2**30, description="per kWh, 0.00001 of the currency; without: the tariff's")
]
Typed = Annotated[str, Query(max_length=20, pattern=r"^[ -~]*$")]
Switch = Annotated[str, Query(pattern="^(on)?$")]
Household = Annotated[str, StringConstraints(pattern="^[a-z0-9-]{1,32}$")]
Chosen = list[Annotated[str, StringConstraints(pattern="^[a-z0-9-]{0,32}$")]] | None
"""Households, first choice first; an empty one is none. Without any word of them those stay that stand in the offer."""
ChosenQuery = Annotated[
    Chosen, Query(max_length=MOST, description="households, first choice first; empty: none; without: as in the offer")
]
ChosenForm = Annotated[Chosen, Form(max_length=MOST)]


class NewOffer(BaseModel):
    """What a household asks for from now on; ``version`` is that of the offer it was shown.

    Without ``prefer`` or ``give`` those stay that stand in the offer.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    min_sell_ticks: Annotated[int, Field(ge=0, lt=2**30)] | None
    max_buy_ticks: Annotated[int, Field(ge=0, lt=2**30)] | None
    prefer: Annotated[list[Household], Field(max_length=MOST)] | None = None
    give: Annotated[list[Household], Field(max_length=MOST)] | None = None
    version: Annotated[int, Field(ge=1, lt=2**31)]


def router(site: Site) -> APIRouter:
    routes = APIRouter()
    bills, prices = Bills(), Prices()
    _now(routes, site, bills, prices)
    _spans(routes, site, bills)
    _intervals(routes, site)
    _neighbours(routes, site)
    _offer(routes, site, prices)
    return routes


def _now(routes: APIRouter, site: Site, bills: Bills, prices: Prices) -> None:
    @routes.get("/household/{household}", response_class=HTMLResponse)
    def now_page(request: Request, visitor: Reader, household: HouseholdId) -> HTMLResponse:
        """What flows, what a kWh costs, and what today came to."""
        view = now_view(home_of(site, household), bills, prices)
        cards = advice_cards(site, visitor, household)
        return site.page(request, "household/now.html", visitor, view=view, live=view.live, cards=cards, home=household)

    @routes.get("/household/{household}/live", response_class=HTMLResponse)
    def live_page(request: Request, visitor: Reader, household: HouseholdId) -> HTMLResponse:
        """Of that page the parts that a new interval changes, to be swapped in by their ids."""
        view = live_view(home_of(site, household))
        return site.page(request, "household/live.html", visitor, live=view, home=household)

    @routes.get("/api/1/household/{household}")
    def now(visitor: Reader, household: HouseholdId) -> NowView:
        """What flows, what a kWh costs, and what today came to."""
        return now_view(home_of(site, household), bills, prices)

    @routes.get("/api/1/household/{household}/live")
    def live(visitor: Reader, household: HouseholdId) -> LiveView:
        """What a new interval changes."""
        return live_view(home_of(site, household))

    @routes.get("/household/{household}/events", response_class=StreamingResponse)
    async def events(visitor: Reader, household: HouseholdId) -> StreamingResponse:
        """Server-sent events: one `change` now and one after every change of the record."""
        return site.events(visitor)


def _spans(routes: APIRouter, site: Site, bills: Bills) -> None:

    def view(household: str, kind: Kind, on: str | None) -> SpanView:
        home = home_of(site, household)
        try:
            return span_view(home, bills, kind, None if on is None else parse(kind, on, home.zone))
        except SpanError as error:
            raise Problem(422, f"bad-{kind}", str(error)) from None

    def page(request: Request, visitor: Visitor, household: str, kind: Kind, on: str | None) -> HTMLResponse:
        found = view(household, kind, on)
        return site.page(request, "household/span.html", visitor, view=found, on=on, home=household)

    @routes.get("/household/{household}/day", response_class=HTMLResponse)
    def day_page(request: Request, visitor: Reader, household: HouseholdId, on: Day = None) -> HTMLResponse:
        """A local day by its intervals; without ``on`` the last that was settled."""
        return page(request, visitor, household, "day", on)

    @routes.get("/household/{household}/week", response_class=HTMLResponse)
    def week_page(request: Request, visitor: Reader, household: HouseholdId, on: Day = None) -> HTMLResponse:
        """The week in which a day lies, from Monday, by its days."""
        return page(request, visitor, household, "week", on)

    @routes.get("/household/{household}/month", response_class=HTMLResponse)
    def month_page(request: Request, visitor: Reader, household: HouseholdId, on: MonthName = None) -> HTMLResponse:
        """A month by its days."""
        return page(request, visitor, household, "month", on)

    @routes.get("/household/{household}/year", response_class=HTMLResponse)
    def year_page(request: Request, visitor: Reader, household: HouseholdId, on: Year = None) -> HTMLResponse:
        """A year by its months."""
        return page(request, visitor, household, "year", on)

    @routes.get("/api/1/household/{household}/day")
    def day(visitor: Reader, household: HouseholdId, on: Day = None) -> SpanView:
        """A local day by its intervals; without ``on`` the last that was settled."""
        return view(household, "day", on)

    @routes.get("/api/1/household/{household}/week")
    def week(visitor: Reader, household: HouseholdId, on: Day = None) -> SpanView:
        """The week in which a day lies, from Monday, by its days."""
        return view(household, "week", on)

    @routes.get("/api/1/household/{household}/month")
    def month(visitor: Reader, household: HouseholdId, on: MonthName = None) -> SpanView:
        """A month by its days."""
        return view(household, "month", on)

    @routes.get("/api/1/household/{household}/year")
    def year(visitor: Reader, household: HouseholdId, on: Year = None) -> SpanView:
        """A year by its months."""
        return view(household, "year", on)


def _intervals(routes: APIRouter, site: Site) -> None:
    @routes.get("/household/{household}/interval/{start}", response_class=HTMLResponse)
    def interval_page(request: Request, visitor: Reader, household: HouseholdId, start: Start) -> HTMLResponse:
        """How one interval's figures came about, from the registers to the ledger."""
        view = interval_view(home_of(site, household), start)
        return site.page(request, "household/interval.html", visitor, view=view, home=household)

    @routes.get("/api/1/household/{household}/interval/{start}")
    def interval(visitor: Reader, household: HouseholdId, start: Start) -> IntervalView:
        """How one interval's figures came about, from the registers to the ledger."""
        return interval_view(home_of(site, household), start)


def _neighbours(routes: APIRouter, site: Site) -> None:
    def view(household: str, span: Kind, on: str | None) -> NeighboursView:
        home = home_of(site, household)
        try:
            return neighbours_view(home, span, None if on is None else parse(span, on, home.zone))
        except SpanError as error:
            raise Problem(422, f"bad-{span}", str(error)) from None

    @routes.get("/household/{household}/neighbours", response_class=HTMLResponse)
    def neighbours_page(
        request: Request, visitor: Reader, household: HouseholdId, span: Kind = "week", on: SpanName = None
    ) -> HTMLResponse:
        """Whom the household traded with, how much, and how far it travelled."""
        found = view(household, span, on)
        return site.page(request, "household/neighbours.html", visitor, view=found, on=on, home=household)

    @routes.get("/api/1/household/{household}/neighbours")
    def neighbours(visitor: Reader, household: HouseholdId, span: Kind = "week", on: SpanName = None) -> NeighboursView:
        """Whom the household traded with, how much, and how far it travelled."""
        return view(household, span, on)


def _offer(routes: APIRouter, site: Site, prices: Prices) -> None:
    def limits(
        home: Home, min_sell_on: str, min_sell: str, max_buy_on: str, max_buy: str, prefer: Chosen, give: Chosen
    ) -> Limits:
        currency = figures.currency(home.rules.currency)
        return Limits(
            offers.typed_price(min_sell, currency) if min_sell_on else None,
            offers.typed_price(max_buy, currency) if max_buy_on else None,
            *named(home, prefer, give),
        )

    def named(home: Home, prefer: Chosen, give: Chosen) -> tuple[tuple[str, ...], tuple[str, ...]]:
        stand = home.member
        return (
            stand.prefer if prefer is None else tuple(filter(None, prefer)),
            stand.give if give is None else tuple(filter(None, give)),
        )

    def page(
        request: Request,
        visitor: Visitor,
        view: OfferView,
        chosen: Limits,
        *,
        status: int = 200,
        what_if: WhatIfView | None = None,
        problem: Problem | None = None,
        saved: bool = False,
    ) -> HTMLResponse:
        currency = figures.currency(view.currency)
        posted = view.price.price_ticks
        typed = {
            "min_sell": offers.price_text(posted if chosen.min_sell_ticks is None else chosen.min_sell_ticks, currency),
            "max_buy": offers.price_text(posted if chosen.max_buy_ticks is None else chosen.max_buy_ticks, currency),
        }
        return site.page(
            request, "household/offer.html", visitor, status, view=view, chosen=chosen, typed=typed, what_if=what_if,
            problem=problem and problem.problem, saved=saved, own=visitor.may_write(view.household), most=MOST,
            home=view.household,
        )  # fmt: skip

    def refused(
        request: Request, visitor: Visitor, home: Home, prefer: Chosen, give: Chosen, problem: Problem
    ) -> HTMLResponse:
        """The offer as it stands, with the homes that were chosen from the page's lists."""
        view = offer_view(home, prices)
        known = ({one.household for one in view.choices if getattr(one, what)} for what in ("prefer", "give"))
        wanted = zip(named(home, prefer, give), known, strict=True)
        chosen = (tuple(one for one in names if one in listed) for names, listed in wanted)
        stands = Limits(view.min_sell_ticks, view.max_buy_ticks, *chosen)
        return page(request, visitor, view, stands, status=problem.status, problem=problem)

    @routes.get("/household/{household}/offer", response_class=HTMLResponse)
    def offer_page(
        request: Request,
        visitor: Reader,
        household: HouseholdId,
        preview: Switch = "",
        min_sell_on: Switch = "",
        min_sell: Typed = "",
        max_buy_on: Switch = "",
        max_buy: Typed = "",
        prefer: ChosenQuery = None,
        give: ChosenQuery = None,
        saved: Switch = "",
    ) -> HTMLResponse:
        """The household's offer; with ``preview`` what last week would have been under the one given."""
        home = home_of(site, household)
        if not preview:
            view = offer_view(home, prices)
            stored = Limits(view.min_sell_ticks, view.max_buy_ticks, home.member.prefer, home.member.give)
            return page(request, visitor, view, stored, saved=bool(saved))
        try:
            chosen = limits(home, min_sell_on, min_sell, max_buy_on, max_buy, prefer, give)
            what_if = what_if_view(home, chosen)
        except Problem as problem:
            return refused(request, visitor, home, prefer, give, problem)
        return page(request, visitor, offer_view(home, prices), chosen, what_if=what_if)

    @routes.post("/household/{household}/offer", response_class=RedirectResponse, status_code=303)
    def change_offer_page(
        request: Request,
        visitor: Writer,
        household: HouseholdId,
        version: Annotated[int, Form(ge=1, lt=2**31)],
        min_sell_on: Annotated[str, Form(pattern="^(on)?$")] = "",
        min_sell: Annotated[str, Form(max_length=20)] = "",
        max_buy_on: Annotated[str, Form(pattern="^(on)?$")] = "",
        max_buy: Annotated[str, Form(max_length=20)] = "",
        prefer: ChosenForm = None,
        give: ChosenForm = None,
    ) -> Response:
        """Store the household's offer; it applies to intervals that start afterwards."""
        home = home_of(site, household)
        try:
            chosen = limits(home, min_sell_on, min_sell, max_buy_on, max_buy, prefer, give)
            offers.store(home, visitor, chosen, version)
        except Problem as problem:
            return refused(request, visitor, home_of(site, household), prefer, give, problem)
        return RedirectResponse(f"/household/{household}/offer?saved=on", 303)

    @routes.get("/api/1/household/{household}/offer")
    def offer(visitor: Reader, household: HouseholdId) -> OfferView:
        """The household's offer."""
        return offer_view(home_of(site, household), prices)

    @routes.put("/api/1/household/{household}/offer")
    def change_offer(visitor: Writer, household: HouseholdId, new: NewOffer) -> OfferView:
        """Store the household's offer; it applies to intervals that start afterwards."""
        home = home_of(site, household)
        chosen = Limits(new.min_sell_ticks, new.max_buy_ticks, *named(home, new.prefer, new.give))
        offers.store(home, visitor, chosen, new.version)
        return offer_view(home_of(site, household), prices)

    @routes.get("/api/1/household/{household}/offer/what-if")
    def what_if(
        visitor: Reader,
        household: HouseholdId,
        min_sell_ticks: Ticks = None,
        max_buy_ticks: Ticks = None,
        prefer: ChosenQuery = None,
        give: ChosenQuery = None,
    ) -> WhatIfView:
        """What the last seven settled days would have been under this offer, everybody else as they were."""
        home = home_of(site, household)
        return what_if_view(home, Limits(min_sell_ticks, max_buy_ticks, *named(home, prefer, give)))
